//! Backpropagation through time: losses, optimisers, checkpoints.
