"""Azure's limits for assignments and custom roles, and the scope where each assignment counts.

Source: Microsoft Learn, "Troubleshoot Azure RBAC limits" and "Azure custom roles".
"""

from __future__ import annotations

from rightsize.rbac.text import fold

MOST_A_SUBSCRIPTION, MOST_A_GROUP = 4_000, 500
MOST_CUSTOM_ROLES = 5_000


def home_of(scope: str) -> str:
    """Return the folded scope where an assignment counts: its subscription, or its own scope above subscriptions."""
    parts = fold(scope).split("/")
    return "/".join(parts[:3]) if parts[1:2] == ["subscriptions"] else fold(scope)


def most_at(home: str) -> int:
    """Return the maximum number of assignments that Azure allows at a scope of `home_of`."""
    return MOST_A_SUBSCRIPTION if home.startswith("/subscriptions/") else MOST_A_GROUP
