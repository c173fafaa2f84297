//! Exact integrators in closed form, and compression to low rank.
