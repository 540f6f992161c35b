"""Data-free distillation: images made from a teacher's BatchNorm statistics and answers, no real one read."""

from edgedistill.synthesis.methods import METHODS

__all__ = ["METHODS"]
