"""Prove that a plan covers the used operations inside the granted ones, and replay recorded calls against it."""
