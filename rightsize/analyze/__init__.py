"""Granted against used, in columns: LazyFrame in, LazyFrame out, no files and no clock."""
