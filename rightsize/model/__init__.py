"""The nouns, the errors, and the table schema: the one source of DDL, frames and the schema page."""
