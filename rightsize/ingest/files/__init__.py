"""To be said: files."""
