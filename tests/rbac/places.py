"""Assignments by place and holder, as `rbac.access.Access` takes them."""

from __future__ import annotations

from collections.abc import Iterable

from rightsize.model.nouns import RoleAssignment
from rightsize.model.text import fold
from rightsize.rbac.scopes import parse_scope


def by_place(assignments: Iterable[RoleAssignment]) -> dict[str, dict[str, list[RoleAssignment]]]:
    """Return assignments by folded scope, then by folded holder."""
    found: dict[str, dict[str, list[RoleAssignment]]] = {}
    for one in assignments:
        here = found.setdefault(parse_scope(one.scope).key, {})
        here.setdefault(fold(one.principal_id), []).append(one)
    return found
