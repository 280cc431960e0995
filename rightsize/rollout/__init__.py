"""Bringing an accepted plan into Azure, in steps that can be undone: the only part of rightsize that writes."""
