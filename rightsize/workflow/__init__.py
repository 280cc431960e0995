"""One use case a module: wires the packages below, returns a result, prints nothing."""
