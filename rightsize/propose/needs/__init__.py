"""Decide from verdicts and options which operations every holder needs at which scope, and why."""
