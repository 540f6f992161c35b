"""Sizes: what a student will take of a device, known before anything is trained."""
