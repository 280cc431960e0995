"""Run a statement as its own process does, but in this one: without its limits, and without the time to start it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rightsize.store import sandbox_process
from rightsize.store.sandbox import Answer, decode, encode


def run_here(store: Path, sql: str, parameters: Mapping[str, object] | None = None, **limits: int) -> Answer:
    """Return the answer of a statement; `limits` are those of the request."""
    request = {
        "store": str(store),
        "sql": sql,
        "parameters": {name: encode(value) for name, value in (parameters or {}).items()},
        "rows": 10_000,
        "memory": 1 << 30,
        "bytes": 1 << 20,
    }
    document = sandbox_process.answer(request | limits)
    rows = [dict(zip(document["columns"], map(decode, row), strict=True)) for row in document["rows"]]
    return Answer(tuple(document["columns"]), rows, document["cut"])
