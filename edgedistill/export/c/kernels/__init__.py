"""The C kernels, one file each; kernel.py pastes them into models."""
