"""Show that a thing which users extend is one file and one registration."""
