"""Computations behind artifacts that are no run: tensors in, numbers out; no file is read or written."""
