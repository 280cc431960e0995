"""One use case a module: each calls the packages below, returns a result, and prints nothing."""
