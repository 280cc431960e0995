"""Evaluate the part of OData's `$filter` that the listings here support."""

from __future__ import annotations

import re
from typing import Any

from tests.loopback.wire import RefusalError, graph_error

_COMPARISON = re.compile(r"(?P<name>[\w/]+)\s+(?P<word>eq|ne|ge|gt|le|lt)\s+(?P<value>'(?:[^']|'')*'|[^\s']+)")
_WORDS = {
    "eq": lambda left, right: left == right,
    "ne": lambda left, right: left != right,
    "ge": lambda left, right: left is not None and left >= right,
    "gt": lambda left, right: left is not None and left > right,
    "le": lambda left, right: left is not None and left <= right,
    "lt": lambda left, right: left is not None and left < right,
}


def read_filter(text: str) -> list[tuple[str, str, str]]:
    """Return the comparisons (name, word, value) that a filter joins with `and`.

    Raises:
        RefusalError: It has anything else in it.
    """
    found = []
    for part in re.split(r"\s+and\s+", text.strip()) if text.strip() else []:
        comparison = _COMPARISON.fullmatch(part.strip("() "))
        if comparison is None:
            raise RefusalError(graph_error(400, "Request_UnsupportedQuery", f"Unsupported query filter clause: {part}"))
        value = comparison["value"]
        found.append((comparison["name"], comparison["word"], value.strip("'").replace("''", "'")))
    return found


def keep(items: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """Return the objects that pass a filter."""
    for name, word, value in read_filter(text):
        compare = _WORDS[word]
        items = [item for item in items if compare(_text(item.get(name)), value)]
    return items


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)
