"""Quantisation: scales that are exact by construction, and the deployed arithmetic in torch."""
