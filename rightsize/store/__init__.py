"""The DuckDB file: open, migrate, merge a load, hand frames to polars, answer ad-hoc SQL in a sandbox."""
