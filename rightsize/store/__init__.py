"""Keep the tenant's data in one DuckDB file: open, migrate, merge loads, return polars frames, run ad-hoc SQL."""
