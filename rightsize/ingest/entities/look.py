"""Provide a view of a record for recognition: its values by folded key, and its resource type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rightsize.rbac.text import fold


@dataclass(frozen=True, slots=True)
class Look:
    """A view of a record: its members and those of its `properties`, by folded key, and its folded `type`."""

    outer: Mapping[str, Any]
    inner: Mapping[str, Any]
    type: str

    def has(self, *keys: str) -> bool:
        """Return whether every key is in the record or in its properties."""
        return all(key in self.outer or key in self.inner for key in keys)

    def value(self, key: str) -> Any:
        """Return the value of a key, from the properties first, then from the record."""
        found = self.inner.get(key)
        return self.outer.get(key) if found is None else found

    def text(self, key: str) -> str:
        """Return the folded text of a key of the record, empty if it is not a text."""
        found = self.outer.get(key)
        return fold(found) if isinstance(found, str) else ""


_MANY_KEYS = 1_000
_latest: tuple[Mapping[str, Any], Look] | None = None
"""The record with many keys that was looked at last, with its view: each shape looks at the same record in turn."""


def look_at(record: Mapping[str, Any]) -> Look:
    """Return the view of a record for recognition. A record is not changed once it was looked at."""
    global _latest  # noqa: PLW0603  a record with a million keys is folded once, not once for each shape
    known = _latest
    if known is not None and known[0] is record:
        return known[1]
    found = _look(record)
    if len(record) >= _MANY_KEYS:
        _latest = (record, found)
    return found


def _look(record: Mapping[str, Any]) -> Look:
    outer = fold_keys(record)
    properties = outer.get("properties")
    inner = fold_keys(properties) if isinstance(properties, Mapping) else {}
    said = outer.get("type")
    return Look(outer, inner, fold(said) if isinstance(said, str) else "")


def fold_keys(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object by folded keys; of keys that differ only in capitals, the first with a value counts."""
    found: dict[str, Any] = {}
    for key, value in members.items():
        folded = fold(str(key))
        if found.get(folded) is None:
            found[folded] = value
    return found
