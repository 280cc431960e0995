"""Hash the rule files, on which every analysis rests."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files


@cache
def rules_hash() -> str:
    """Return the SHA-256 of the names and the content of all rule files, as hexadecimal text."""
    found = hashlib.sha256()
    for file in sorted(files(__package__).iterdir(), key=lambda one: one.name):
        if file.name.endswith(".csv"):
            content = file.read_bytes()
            found.update(f"{file.name} {len(content)}\n".encode() + content)
    return found.hexdigest()
