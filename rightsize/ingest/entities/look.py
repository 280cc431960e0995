"""A first record as recognition sees it: its keys without regard to capitals, and the resource type it states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rightsize.rbac.text import fold


@dataclass(frozen=True, slots=True)
class Look:
    """A record: its members and those of its `properties`, by folded key, and its folded `type`."""

    outer: Mapping[str, Any]
    inner: Mapping[str, Any]
    type: str

    def has(self, *keys: str) -> bool:
        """Tell whether every key stands in the record or in its properties."""
        return all(key in self.outer or key in self.inner for key in keys)

    def value(self, key: str) -> Any:
        """Return the value of a key, that of the properties before the record's own."""
        found = self.inner.get(key)
        return self.outer.get(key) if found is None else found

    def text(self, key: str) -> str:
        """Return the folded text of a key of the record, empty where it is none."""
        found = self.outer.get(key)
        return fold(found) if isinstance(found, str) else ""


def look_at(record: Mapping[str, Any]) -> Look:
    """Return what recognition sees of a record."""
    outer = fold_keys(record)
    properties = outer.get("properties")
    inner = fold_keys(properties) if isinstance(properties, Mapping) else {}
    said = outer.get("type")
    return Look(outer, inner, fold(said) if isinstance(said, str) else "")


def fold_keys(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object by folded keys; of two that differ in capitals only, the one that has a value."""
    found: dict[str, Any] = {}
    for key, value in members.items():
        folded = fold(str(key))
        if found.get(folded) is None:
            found[folded] = value
    return found
