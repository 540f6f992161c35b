"""Data-free distillation: images made from a teacher's BatchNorm statistics and answers, no real one read."""
