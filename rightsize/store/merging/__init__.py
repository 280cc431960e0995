"""To be said: merging."""
