"""Reducing logs on Spark: the queries of `queries/reduce/` carried over, and what only Spark needs around them."""
