"""Compute what a principal can gain through any number of steps, and which layers of defence it can defeat."""
