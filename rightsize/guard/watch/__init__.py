"""Compare a store with the last pass: what changed, where to send it, and whom to contain."""
