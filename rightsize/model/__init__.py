"""Define the objects that people review, the errors, and the table schema behind DDL, frames and schema page."""
