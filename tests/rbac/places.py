"""Assignments by place and holder, as `rbac.access.Access` takes them."""

from __future__ import annotations

from collections.abc import Iterable

from rightsize.model.nouns import RoleAssignment
from rightsize.rbac.scopes import parse_scope
from rightsize.rbac.text import Folded, fold


def by_place(assignments: Iterable[RoleAssignment]) -> dict[str, dict[Folded, list[RoleAssignment]]]:
    """Return assignments by folded scope, then by folded holder."""
    found: dict[str, dict[Folded, list[RoleAssignment]]] = {}
    for one in assignments:
        here = found.setdefault(parse_scope(one.scope).key, {})
        here.setdefault(fold(one.principal_id), []).append(one)
    return found
