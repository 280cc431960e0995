"""Write the values of an answer as JSON, and read them back with their types.

The process that ran a statement is not trusted, so that nothing it writes may run: JSON can only be data.
"""

from __future__ import annotations

import base64
import datetime as dt
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from rightsize.model.errors import UsageError

READY = b"ready\n"
"""The line that says that the store is open and the statement begins; the answer, or an error, is the next line."""
_TAG = "$"
_READ: dict[str, Callable[[Any], object]] = {
    "number": float,
    "bytes": base64.b64decode,
    "timestamp": dt.datetime.fromisoformat,
    "day": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "interval": lambda parts: dt.timedelta(days=parts[0], seconds=parts[1], microseconds=parts[2]),
    "uuid": UUID,
    "text": str,
    "map": lambda pairs: {_hashable(decode(name)): decode(value) for name, value in pairs},
}


def too_much_memory(memory: int) -> UsageError:
    """Return the error of a statement that needs more than `memory` bytes, whichever of the two processes finds it."""
    return UsageError(
        f"the statement needs more memory than its limit of {memory >> 20} MiB", hint="narrow it, or aggregate"
    )


def encode(value: object) -> Any:
    """Return a value of DuckDB's as JSON: plain where JSON has it, else `{"$": type, "value": …}`.

    Exact decimals become floats, which is how every output of rightsize writes them.
    """
    if isinstance(value, Decimal):
        value = float(value)
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        # A lone surrogate cannot be written.
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float):
        return value if math.isfinite(value) else _tagged("number", str(value))
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return _tagged("map", [[encode(name), encode(item)] for name, item in value.items()])
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _tagged("bytes", base64.b64encode(value).decode("ascii"))
    if isinstance(value, dt.datetime):
        return _tagged("timestamp", value.isoformat())
    if isinstance(value, dt.date):
        return _tagged("day", value.isoformat())
    if isinstance(value, dt.time):
        return _tagged("time", value.isoformat())
    if isinstance(value, dt.timedelta):
        return _tagged("interval", [value.days, value.seconds, value.microseconds])
    if isinstance(value, UUID):
        return _tagged("uuid", str(value))
    return _tagged("text", str(value))


def decode(value: Any) -> Any:
    """Return the value that `encode` wrote.

    Raises:
        ValueError, TypeError, KeyError, OverflowError: `encode` did not write this.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        return _READ[value[_TAG]](value["value"])
    return value


def _tagged(kind: str, value: object) -> dict[str, object]:
    return {_TAG: kind, "value": value}


def _hashable(name: Any) -> Any:
    """Return the key of a map as a key of a dict; keys that Python cannot hash become text."""
    return str(name) if isinstance(name, (list, dict)) else name
