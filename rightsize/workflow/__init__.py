"""One use case a module: each calls the packages below, returns a result, and prints nothing.

The rooms stand on each other: `data`, `analysis`, `plan`, `answers`, then `roles` and `suite`. The files beside them
are what all of them read: names, files that a person names, plan folders and their signatures, and access by the
tables.
"""
