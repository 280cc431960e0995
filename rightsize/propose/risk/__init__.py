"""Estimate how likely a removal breaks something in the next 30 days."""
