"""Runs on a Linux board with Python 3.9 and a runtime, copied there as one zip file."""
