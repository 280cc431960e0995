"""Whether a permission that is not held lies within those that are: then it may stand in place of a broader one.

Two things show it: the map, where every request that it allows is one that they allow; and its name, where Graph reads
with `X.Read…` what it reads and writes with `X.ReadWrite…` of the same words, be that held or within what is held.
Source: Microsoft Learn, "Overview of Microsoft Graph permissions", naming pattern {resource}.{operation}.{constraint}.
"""

from __future__ import annotations

from collections.abc import Iterable

from rightsize.analyze.graph.cases import GraphMap
from rightsize.graph.permissions import Pair
from rightsize.rules.graph import is_general, partial_kind, writing_twin


def lies_within(permission: str, held: Iterable[str], access: str, graph: GraphMap) -> bool:
    """Tell whether everything that a permission allows is allowed by those that are held."""
    present = sorted(held)
    if not _beyond(permission, present, access, graph):
        return True
    writing = writing_twin(permission)
    return writing is not None and (writing in present or not _beyond(writing, present, access, graph))


def first_beyond(permission: str, held: Iterable[str], access: str, graph: GraphMap) -> str | None:
    """Return the first request that a permission allows and those that are held do not; None where there is none."""
    if lies_within(permission, held, access, graph):
        return None
    method, path = min(_beyond(permission, sorted(held), access, graph), key=lambda pair: (pair[1], pair[0]))
    return f"{method} {path}"


def _beyond(permission: str, held: list[str], access: str, graph: GraphMap) -> set[Pair]:
    allows = graph.by_access[access].allows
    beyond = set(allows.get(permission, set()))
    for one in held:
        # What a permission allows in part only proves nothing about the whole.
        if is_general(one):
            beyond -= {pair for pair in allows.get(one, set()) if partial_kind(one, *pair) is None}
    return beyond if permission in allows else {("?", "?")}
