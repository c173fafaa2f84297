//! Files: safetensors, npz, JSON, model bytes.
