//! Manifolds, to be written.
