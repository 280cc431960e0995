"""Decide exactly what Azure permissions allow, by pure functions: patterns, blocks, scopes, conditions, access."""
