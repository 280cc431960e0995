"""The one generator of tenants: exports as real tools write them, with the truth planted in them, at any size."""
