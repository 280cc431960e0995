"""Find the scope where an assignment counts, and Azure's limit of assignments there."""

from __future__ import annotations

from rightsize.rbac.azure import ASSIGNMENTS_PER_MANAGEMENT_GROUP, ASSIGNMENTS_PER_SUBSCRIPTION
from rightsize.rbac.text import fold


def home_of(scope: str) -> str:
    """Return the folded scope where an assignment counts: its subscription, or its own scope above subscriptions."""
    parts = fold(scope).split("/")
    return "/".join(parts[:3]) if parts[1:2] == ["subscriptions"] else fold(scope)


def most_at(home: str) -> int:
    """Return the maximum number of assignments that Azure allows at a scope of `home_of`."""
    return ASSIGNMENTS_PER_SUBSCRIPTION if home.startswith("/subscriptions/") else ASSIGNMENTS_PER_MANAGEMENT_GROUP
