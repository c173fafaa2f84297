//! Spectra, coordinates and distance to the manifold of a network.
