"""Judge and plan what Azure roles do not decide: Microsoft Graph, directory roles and federated credentials."""
