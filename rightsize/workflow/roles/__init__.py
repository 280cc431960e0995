"""Read, compare, gate and check role definitions in files."""
