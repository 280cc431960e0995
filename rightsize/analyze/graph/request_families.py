"""Say which permissions may have allowed a request that nothing explains."""

from __future__ import annotations

from collections.abc import Iterable

from rightsize.graph.permissions import PermissionMap, root_of
from rightsize.graph.requests import parse_request
from rightsize.rbac.text import fold
from rightsize.rules.graph import sign_in_scopes


def family_of(operation: str, held: Iterable[str], known: PermissionMap) -> frozenset[str]:
    """Return the held permissions that may have allowed a request that nothing explains.

    They are those that allow requests with the same first step of the path, and those that the map does not know,
    except the ones for signing in. Where the map does not know the first step, they are all permissions. Every token
    may read `/me`, so a request for it says nothing about permissions.
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
