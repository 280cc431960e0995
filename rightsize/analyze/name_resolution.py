"""Resolve an id, a UPN, a name or a beginning of one to a principal, and find the names nearest to an unknown one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Protocol

from rightsize.model.access_answers import CALLED
from rightsize.model.errors import InputError, UsageError
from rightsize.model.text import fold

_SHOWN = 8
_MOST_COMPARED = 20_000
_NAMING = "give an object id, a UPN, an application id, a display name, or the beginning of one"
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

    def every(self) -> list[str]:
        """Return all display names, UPNs and other aliases."""
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
        InputError: No loaded principal has this name; the hint has the nearest names.
        UsageError: Several principals have it.
    """
    found = find_known(known, name)
    if found is None:
        raise InputError(f"no loaded principal is called `{name}`", hint=hint_of(_like(known, name), _NAMING))
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


def _like(known: KnownNames, name: str) -> list[str]:
    """Return the names of principals that are most like one; of very many only those with the same first letter."""
    every = known.every()
    if len(every) > _MOST_COMPARED:
        every = [one for one in every if one[:1] == fold(name)[:1]][:_MOST_COMPARED]
    return nearest(name, every)


def _candidates(known: KnownNames, ids: set[str]) -> str:
    """Return the first ids with their names, and the number of the others."""
    ordered = sorted(ids)
    names = known.names(ordered[:_SHOWN])
    shown = [one if names.get(one, one) == one else f"{one} ({names[one]})" for one in ordered[:_SHOWN]]
    more = [f"{len(ordered) - _SHOWN:,} more"] if len(ordered) > _SHOWN else []
    return ", ".join(shown + more)


FEW = 3


def nearest(name: str, known: Iterable[str], few: int = FEW) -> list[str]:
    """Return the known names that are most like `name`, the most alike first; case does not matter."""
    spelled: dict[str, str] = {}
    for one in sorted(known):
        spelled.setdefault(one.lower(), one)
    return [spelled[one] for one in get_close_matches(name.lower(), spelled, few, 0.6)]


def nearest_operations(operation: str, known: Iterable[str]) -> list[str]:
    """Return the known operations that are most like one, of its provider where that is known."""
    provider = operation.partition("/")[0].lower()
    names = list(known)
    providers = {one.partition("/")[0].lower() for one in names}
    if provider not in providers:
        near = nearest(provider, providers, 1)
        provider = near[0] if near else ""
        operation = f"{provider}/{operation.partition('/')[2]}"
    return nearest(operation, (one for one in names if one.lower().startswith(f"{provider}/")))


def hint_of(found: list[str], otherwise: str) -> str:
    """Return the hint that names the nearest, or another one where nothing is near."""
    return "the nearest known are " + ", ".join(f"`{one}`" for one in found) if found else otherwise
