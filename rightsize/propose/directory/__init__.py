"""Propose smaller directory roles: removals, narrower scopes or roles, custom roles, and eligible assignments."""
