"""Contain a suspected principal, find what it left behind, and watch a tenant for changes."""
