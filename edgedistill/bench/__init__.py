"""Measures a finished build: the same bits, accuracy, latency, memory, energy."""
