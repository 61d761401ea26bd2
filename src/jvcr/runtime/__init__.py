"""Inference backends: crops → volume and points. Each backend is one module, imported on first use."""
