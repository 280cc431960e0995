"""Resolve an id, a UPN, an application id, a display name, or a beginning of one to a principal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from rightsize.model.errors import UsageError
from rightsize.model.explained import CALLED
from rightsize.rbac.text import fold

_SHOWN = 8
_PRINTED = re.compile(r" \(([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\)$")
"""The id behind a name, as `can` prints it."""


class KnownNames(Protocol):
    """Looks up principals by their names; names and ids are folded."""

    def called(self, kind: str, name: str) -> set[str]:
        """Return the ids of the principals that have a name of a kind of `CALLED`."""
        ...

    def begun(self, head: str, tail: str) -> set[str]:
        """Return the ids of the principals of which an id or a name begins and ends with these texts."""
        ...

    def names(self, ids: list[str]) -> Mapping[str, str]:
        """Return the display names of principals by id."""
        ...


def resolve_name(known: KnownNames, name: str) -> str:
    """Return the id of the principal that `name` means.

    Tried in turn: the id, an alias (UPN, mail, application id), a display name that only one principal has, and the
    beginning of any of these that only one principal has. A name as tables print it is understood too: with `…` in
    place of a part, or with the id in brackets behind it.

    Raises:
        UsageError: No loaded principal has this name, or several have.
    """
    found = find_known(known, name)
    if found is None:
        raise UsageError(
            f"no loaded principal is called `{name}`",
            hint="give an object id, a UPN, an application id, a display name, or the beginning of one",
        )
    return found


def find_known(known: KnownNames, name: str) -> str | None:
    """Return what `resolve_name` does, and None for a name that nothing knows.

    Raises:
        UsageError: Several principals have the name.
    """
    printed = _PRINTED.search(name)
    wanted = fold(printed[1] if printed is not None else name)
    found = next(filter(None, (known.called(kind, wanted) for kind in CALLED[:-1])), None)
    head, _, tail = wanted.partition("…")
    if not found and head:
        found = known.begun(head, tail)
    if found and len(found) > 1:
        hint = f"give one of the ids {_candidates(known, found)}"
        raise UsageError(f"`{name}` names {len(found)} principals", hint=hint)
    return next(iter(found)) if found else None


def _candidates(known: KnownNames, ids: set[str]) -> str:
    """Return the first ids with their names, and the number of the others."""
    ordered = sorted(ids)
    names = known.names(ordered[:_SHOWN])
    shown = [one if names.get(one, one) == one else f"{one} ({names[one]})" for one in ordered[:_SHOWN]]
    more = [f"{len(ordered) - _SHOWN:,} more"] if len(ordered) > _SHOWN else []
    return ", ".join(shown + more)
