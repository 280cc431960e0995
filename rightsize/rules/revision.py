"""Hash the rules, on which every analysis rests."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from rightsize.rules.log_sources import LOG_SOURCES


@cache
def rules_hash() -> str:
    """Return the SHA-256 of all rule files and of the rules that log sources declare, as hexadecimal text."""
    found = hashlib.sha256()
    for file in sorted(files(__package__).iterdir(), key=lambda one: one.name):
        if file.name.endswith(".csv"):
            content = file.read_bytes()
            found.update(f"{file.name} {len(content)}\n".encode() + content)
    for log in LOG_SOURCES:
        found.update(repr(sorted(log.rules.items())).encode())
    return found.hexdigest()
