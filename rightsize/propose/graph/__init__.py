"""Smaller sets of Graph permissions: exact covers, narrower permissions in place of broad ones, proof and proposals."""
