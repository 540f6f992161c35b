"""Distillation: losses, cached soft targets, and the one training loop."""
