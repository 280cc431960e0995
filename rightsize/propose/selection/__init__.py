"""Choose existing and new roles, and their assignments, for the needs of all principals within Azure's limits."""
