"""To be said: logs."""
