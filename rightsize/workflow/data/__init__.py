"""Bring data into a store, and say what it holds."""
