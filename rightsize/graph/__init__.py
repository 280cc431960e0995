"""Decide which Microsoft Graph permissions allow which requests. Pure functions, as in `rbac`."""
