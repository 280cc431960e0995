"""Define the types that all planning stages share: operation sets, roles, Azure limits, options and weights."""
