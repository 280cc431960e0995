"""Compare a store with the last pass: what changed, whom to tell, and whom to contain."""
