"""Propose smaller sets of Graph permissions: exact covers, narrower permissions instead of broad ones, and proofs."""
