"""Needs, candidate roles, proof, replay, plan."""
