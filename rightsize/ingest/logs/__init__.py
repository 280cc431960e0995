"""Read the records of each kind of log as rows of calls."""
