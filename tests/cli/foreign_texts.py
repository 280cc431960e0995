"""Change JSON that a stranger may have written: values of other types, keys too many or too few, odd bytes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

Path_ = tuple[str | int, ...]


def _nested(levels: int) -> Any:
    found: Any = []
    for _ in range(levels):
        found = [found]
    return found


VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 1 << 64, 10**400, 1e308, float("nan"), float("inf"), "", " ", "x", "../../etc/passwd",
    "\x00", "\x1b[31m\u202e", "\ud800", "0001-01-01", "9999-12-31", "9999-12-31T23:59:59Z", [], {}, [[]], [None], [{}],
    {"": None}, {"x": _nested(70)}, _nested(400),
)  # fmt: skip
"""What stands in the place of a value."""


def places(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Yield the path of every value within a value."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, one in steps:
        yield (*path, step)
        yield from places(one, (*path, step))


def changed(document: Any, drawn: random.Random) -> Any:
    """Return a document with one value changed, one key taken out, or one put in."""
    found = copy.deepcopy(document)
    every = list(places(found))
    # Each depth as often as another: the many values far inside would hide the few at the top.
    depth = drawn.choice(sorted({len(path) for path in every}))
    *above, last = drawn.choice([path for path in every if len(path) == depth])
    place = found
    for step in above:
        place = place[step]
    kind = drawn.random()
    if kind < 0.15:
        del place[last]
    elif kind < 0.3 and isinstance(place, dict):
        place[drawn.choice(["x", "", "\ud800", "additional", "__class__", "role", "self"])] = drawn.choice(VALUES)
    else:
        place[last] = drawn.choice(VALUES)
    return found


def odd_bytes(text: bytes) -> Iterator[bytes]:
    """Yield a JSON text in other encodings, cut, nested, repeated, and with numbers that are none."""
    whole = text.decode()
    yield from (b"", b"\x00", b"null", b"[]", b"5", b'"x"', b"{}", text[: len(text) // 2], text + b"}", text * 2)
    yield from (whole.encode(name) for name in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig"))
    yield text[:-20] + b"\xff\xfe" + text[-20:]
    yield b"[" * 100_000
    yield b'{"a":' * 5_000 + b"1" + b"}" * 5_000
    yield whole.replace("{", '{"x": ' + "9" * 5_000 + ",", 1).encode()
    yield whole.replace("{", '{"x": 1e999, "y": NaN, "z": -Infinity,', 1).encode()
    yield whole.replace("{", '{"format_version": 3, "format_version": 3,', 1).encode()


def written(document: Any) -> bytes:
    """Return a document as JSON, also where it has what JSON has not."""
    return json.dumps(document).encode()
