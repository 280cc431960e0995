"""Choose roles and assignments for all needs: candidates, sharing, merging, names, limits."""
