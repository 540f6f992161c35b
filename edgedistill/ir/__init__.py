"""The integer graph: what a student is, what it means, and what it costs. NumPy only."""
