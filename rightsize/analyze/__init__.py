"""Compare what is granted with what was used: polars DataFrames in, DataFrames out, no I/O and no clock.

The frames are eager. Only `usage.use_by_day` returns a LazyFrame, which its callers filter and collect; a few other
steps build one and collect it inside. Results that a person reviews one by one are Python objects.
"""
