"""Decide for each assignment whether it stays, goes or is open, and divide what it is needed for into requests."""
