"""One writer a format; everything hostile is escaped in one place."""
