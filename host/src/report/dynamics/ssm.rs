//! Figures of spectral submanifolds.
