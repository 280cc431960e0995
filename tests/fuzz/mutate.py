"""Change inputs in ways that get past the first check: values of wrong types, hostile texts, doubled and lost parts."""

from __future__ import annotations

import json
import random
from typing import Any

HOSTILE: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1 << 64,
    1e308,
    "",
    " ",
    "*",
    "/",
    "../../etc/passwd",
    "\u202e\x1b[31m",
    "\ud800",
    "0001-01-01",
    "9999-12-31T23:59:59Z",
    "x" * 70_000,
    [],
    {},
    [[]],
    [None],
    {"": None},
)
DEEPEST = 40


def mutate(data: bytes, drawn: random.Random) -> bytes:
    """Return the input with one value of its JSON changed; of other input, and at times of JSON, with bytes changed."""
    text = data.decode("utf-8", "surrogateescape")
    lines = text.splitlines(keepends=True) or [""]
    whole = drawn.random() < 0.5
    at = 0 if whole else drawn.randrange(len(lines))
    try:
        document = json.loads(text if whole else lines[at])
    except (ValueError, RecursionError):
        return _bytes_changed(data, drawn)
    if drawn.random() < 0.1:
        return _bytes_changed(data, drawn)
    changed = json.dumps(_changed(document, drawn))
    if whole:
        return changed.encode()
    lines[at] = changed + "\n"
    return "".join(lines).encode("utf-8", "surrogateescape")


def _changed(value: Any, drawn: random.Random, depth: int = 0) -> Any:
    """Return the value with one part of it, or itself, changed."""
    if depth < DEEPEST and isinstance(value, dict) and value and drawn.random() < 0.9:
        key = drawn.choice(list(value))
        if drawn.random() < 0.1:
            return {name: one for name, one in value.items() if name != key}
        return {**value, key: _changed(value[key], drawn, depth + 1)}
    if depth < DEEPEST and isinstance(value, list) and value and drawn.random() < 0.9:
        at = drawn.randrange(len(value))
        if drawn.random() < 0.1:
            return [*value, value[at]]
        return [*value[:at], _changed(value[at], drawn, depth + 1), *value[at + 1 :]]
    if isinstance(value, str) and value and drawn.random() < 0.4:
        return _bytes_changed(value.encode("utf-8", "surrogatepass"), drawn).decode("utf-8", "replace")
    return drawn.choice(HOSTILE)


def _bytes_changed(data: bytes, drawn: random.Random) -> bytes:
    """Return the bytes with a few of them replaced, cut out or doubled."""
    found = bytearray(data)
    for _ in range(drawn.randint(1, 4)):
        at = drawn.randint(0, len(found))
        kind = drawn.randrange(4)
        if kind == 0:
            found[at : at + 1] = bytes([drawn.randrange(256)])
        elif kind == 1:
            del found[at : at + drawn.randint(1, 16)]
        elif kind == 2:
            found[at:at] = found[at : at + drawn.randint(1, 64)]
        else:
            found[at:at] = drawn.choice((b'"', b"{", b"[", b"\\", b"\n", b"\0", b"*", b"/*/", b"'", b"${", b"\xff"))
    return bytes(found)
