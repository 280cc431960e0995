"""Seal what a collection says of its completeness, so that this machine knows its own collections again.

A collection vouches for logs and listings, and what they cover decides what is unused. Whoever can write a folder can
write such words. The seal is a keyed hash (HMAC-SHA256, RFC 2104) of the manifest and the journal; the key stays in the
user's folder for state, with rights for the user only.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rightsize.model.errors import InputError
from rightsize.model.file_reading import LARGE, read_found, stands_in
from rightsize.model.state_folder import state_folder

SEAL = "seal"
"""The key of the manifest that has the seal."""
_BYTES = 32


def seal_of(manifest: Mapping[str, Any], journal: Path) -> str | None:
    """Return the seal of a collection; None if this machine cannot keep a key."""
    key = _key(make=True)
    return None if key is None else _seal(key, manifest, journal)


def is_sealed_here(manifest: Mapping[str, Any], journal: Path) -> bool:
    """Return whether a collection has the seal of this machine's user, unchanged."""
    key, said = _key(make=False), manifest.get(SEAL)
    return key is not None and isinstance(said, str) and hmac.compare_digest(_seal(key, manifest, journal), said)


def _seal(key: bytes, manifest: Mapping[str, Any], journal: Path) -> str:
    said = {name: value for name, value in manifest.items() if name != SEAL}
    is_there = stands_in(journal.parent, journal.name)
    content = read_found(journal.parent, journal.name, most=LARGE) if is_there else b""
    text = json.dumps(said, sort_keys=True).encode() + b"\n" + hashlib.sha256(content).hexdigest().encode()
    return hmac.new(key, text, "sha256").hexdigest()


def _key(*, make: bool) -> bytes | None:
    path = state_folder() / "collections.key"
    with suppress(InputError):
        found = read_found(path.parent, path.name)
        if len(found) == _BYTES:
            return found
    if not make:
        return None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
        # Of two commands that make a key at once, the first one's stays.
        with suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
        return read_found(path.parent, path.name)
    except (InputError, OSError):
        return None
