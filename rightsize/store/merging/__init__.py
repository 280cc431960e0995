"""Merge what was loaded into the tables of the store, so that the same record twice is one."""
