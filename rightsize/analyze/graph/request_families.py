"""Say which permissions may have allowed a request that nothing explains."""

from __future__ import annotations

from collections.abc import Iterable

from rightsize.graph.permissions import PermissionMap, root_of
from rightsize.graph.requests import parse_request
from rightsize.rbac.text import fold
from rightsize.rules.graph import sign_in_scopes


def family_of(operation: str, held: Iterable[str], known: PermissionMap) -> frozenset[str]:
    """Return the held permissions that may have allowed a request that nothing explains: those for the same first step.

    Every token reads `/me`, so such a request says nothing about permissions. Where the map does not know the first
    step, any permission may have allowed it; so may one that the map does not know, unless it is for signing in.
    """
    steps = parse_request(operation).steps
    if steps == ("me",):
        return frozenset()
    root = root_of(steps)
    return frozenset(
        one
        for one in held
        if root in known.roots(one)
        or (one not in known.allows and fold(one) not in sign_in_scopes())
        or not known.knows(root)
    )
