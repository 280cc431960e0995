"""What somebody did that they never did before, measured against themselves and against their peers."""
