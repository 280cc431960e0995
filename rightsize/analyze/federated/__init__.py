"""Judge federated credentials: the outside subjects that they trust, which of them sign in, and what nobody uses."""
