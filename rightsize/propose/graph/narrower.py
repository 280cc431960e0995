"""Decide whether a Graph permission lies within the held ones, so that it may replace a broader one.

There are two proofs. By the map: the held permissions allow every request that it allows. By its name: `X.Read…` reads
what `X.ReadWrite…` of the same words reads and writes, and that one is held or lies within the held ones by the map.
Source: Microsoft Learn, "Overview of Microsoft Graph permissions", naming pattern {resource}.{operation}.{constraint}.
"""

from __future__ import annotations

from collections.abc import Iterable

from rightsize.analyze.graph.cases import GraphMap
from rightsize.graph.permissions import Pair
from rightsize.rules.graph import is_general, partial_kind, writing_twin


def lies_within(permission: str, held: Iterable[str], access: str, graph: GraphMap) -> bool:
    """Return whether the held permissions allow every request that a permission allows."""
    present = sorted(held)
    if not beyond(permission, present, access, graph):
        return True
    writing = writing_twin(permission)
    return writing is not None and (writing in present or not beyond(writing, present, access, graph))


def first_beyond(permission: str, held: Iterable[str], access: str, graph: GraphMap) -> str | None:
    """Return the first request that a permission allows and the held permissions do not, or None."""
    if lies_within(permission, held, access, graph):
        return None
    method, path = min(beyond(permission, sorted(held), access, graph), key=lambda pair: (pair[1], pair[0]))
    return f"{method} {path}"


def beyond(permission: str, held: list[str], access: str, graph: GraphMap) -> set[Pair]:
    """Return the requests that a permission allows and, by the map, no held permission allows in whole."""
    allows = graph.by_access[access].allows
    left = set(allows.get(permission, set()))
    for one in held:
        # A permission that allows only a part of a request does not prove that the whole request is allowed.
        if is_general(one):
            left -= {pair for pair in allows.get(one, set()) if partial_kind(one, *pair) is None}
    return left if permission in allows else {("?", "?")}
