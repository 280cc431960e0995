"""Smaller directory roles: what goes, which narrower roles come instead, what could sleep, and what is left alone."""
