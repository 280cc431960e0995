"""Generate demo tenants of any size: exports as real tools write them, with the truth beside them."""
