"""Judge Entra directory roles: the actions that they allow, their observed use, and what is left unused."""
