"""Judge Entra directory roles by the logged actions of their holders, and propose smaller roles and scopes."""
