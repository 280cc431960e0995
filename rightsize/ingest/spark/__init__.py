"""Reduce logs on Spark with the queries of `queries/reduce/`, translated from DuckDB's SQL."""
