"""Fuzz every parser with changed inputs: whatever comes, the answer is a result or an error of our own."""
