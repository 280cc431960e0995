"""Check what a collection's folder says before it is believed, and seal what this machine collected.

A collection names files, sources and days. So every value has to be what `written.schema.json` says: a file is one of
its unit's own page files, a source is a plain word. And a day lies within the time that Azure can have logs of.

A collection vouches for logs and listings, and what they cover decides what is unused. Whoever can write a folder can
write such words. The seal is a keyed hash (HMAC-SHA256, RFC 2104) of the manifest and the journal; the key stays in the
user's folder for state, with rights for the user only.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from rightsize.model.errors import InputError
from rightsize.model.file_reading import LARGE, read_found, stands_in
from rightsize.model.json_schemas import SchemaChecks
from rightsize.model.machine import state_folder

_OLDEST = dt.date(2010, 1, 1)
"""Azure began in this year; no log is older."""
_AHEAD = dt.timedelta(days=1)
"""The most by which the clock of the machine that collected may be ahead of this one."""


def check_manifest(manifest: Mapping[str, Any], what: str) -> None:
    """Check the manifest of a collection whose kind and format are known.

    Raises:
        InputError: A value is not what it should be; the message begins with `what` and names the place.
    """
    _checks("manifest").require(manifest, what)
    newest = _moment(manifest, "started", what, dt.date.max - _AHEAD).date() + _AHEAD
    if manifest.get("finished") is not None:
        _moment(manifest, "finished", what, dt.date.max)
    if manifest.get("question") is not None:
        _moment(manifest["question"], "until", what, dt.date.max)
    for item in manifest.get("covers", ()):
        if _moment(item, "last", what, newest) < _moment(item, "first", what, newest):
            raise InputError(f"{what} cannot be used: `covers` has days that end before they begin")


def check_entry(entry: Any, what: str) -> None:
    """Check one line of a collection's journal.

    Raises:
        InputError: A value is not what it should be; the message begins with `what` and names the place.
    """
    restarts = isinstance(entry, Mapping) and entry.get("restart") is True
    _checks("restart" if restarts else "entry").require(entry, what)
    newest = dt.datetime.now(dt.UTC).date() + _AHEAD
    for name in () if restarts else ("first", "last"):
        if entry[name]:
            _moment(entry, name, what, newest)


@cache
def _checks(name: str) -> SchemaChecks:
    """Return the checks of a manifest, of a line of a journal, or of one that begins a unit again."""
    schema = json.loads(Path(__file__).with_name("written.schema.json").read_text(encoding="utf-8"))
    return SchemaChecks({"$ref": f"#/$defs/{name}", "$defs": schema["$defs"]})


def _moment(record: Mapping[str, Any], name: str, what: str, newest: dt.date) -> dt.datetime:
    """Return a time or day of the years that Azure has logs of."""
    text = record.get(name)
    try:
        moment = dt.datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        raise InputError(f"{what} cannot be used: `{name}` is not a time") from None
    if not _OLDEST <= moment.date() <= newest:
        raise InputError(f"{what} cannot be used: `{name}` is not a time of which Azure can have logs")
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


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
