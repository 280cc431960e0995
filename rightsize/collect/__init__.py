"""Live collection: what Azure answers, page by page, onto the disk. Nothing is interpreted on the way."""
