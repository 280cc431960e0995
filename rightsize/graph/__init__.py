"""What permissions of Microsoft Graph mean: requests, and which permissions allow them. Pure, as `rbac` is."""
