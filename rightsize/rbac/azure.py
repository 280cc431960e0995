"""Name the limits and the built-in roles of Azure RBAC that several packages rely on.

Sources: Microsoft Learn, "Troubleshoot Azure RBAC limits", "Azure custom roles" and "Azure built-in roles".
"""

from __future__ import annotations

OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
"""The role definition ids of built-in roles, the same in every tenant."""
ASSIGNMENTS_PER_SUBSCRIPTION = 4_000
ASSIGNMENTS_PER_MANAGEMENT_GROUP = 500
CUSTOM_ROLES_PER_TENANT = 5_000
