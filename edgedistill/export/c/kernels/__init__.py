"""The C kernels, one file each; kernels.py pastes them into models."""
