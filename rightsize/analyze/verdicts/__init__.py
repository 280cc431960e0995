"""Judge what Azure roles grant: what was used, what logs could show, what existed, and a verdict for each operation."""
