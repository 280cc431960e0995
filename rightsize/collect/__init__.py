"""Collect from a live tenant: request each source and write its pages to disk as Azure returned them."""
