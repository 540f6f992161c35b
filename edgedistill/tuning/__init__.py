"""The search for a recipe's numbers: what may vary, and the study that remembers every trial."""
