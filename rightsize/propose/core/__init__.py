"""Sets of operations, roles, limits, options and weights: the terms that all stages speak in."""
