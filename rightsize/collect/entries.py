"""Check what a collection's folder says before it is believed, and seal what this machine collected.

A collection names files, sources and days. So every value has to have its type, a file is one of its unit's own page
files, a source is a plain word, and a day lies within the time that Azure can have logs of.

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
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

from rightsize.azure.wire import Service, WireRequest
from rightsize.model.errors import InputError
from rightsize.model.file_reading import LARGE, read_found, stands_in
from rightsize.model.machine import state_folder

_OLDEST = dt.date(2010, 1, 1)
"""Azure began in this year; no log is older."""
_AHEAD = dt.timedelta(days=1)
"""The most by which the clock of the machine that collected may be ahead of this one."""
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_PAGE_FILE = re.compile(r"[0-9]{5,9}(-[A-Za-z0-9_.-]{1,200})?[.]jsonl[.]gz")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_STATES = ("complete", "incomplete", "refused", "gone", None)
_MOST = 1 << 53

Check = Callable[[Any], bool]


def check_manifest(manifest: Mapping[str, Any]) -> None:
    """Check the manifest of a collection whose kind and format are known.

    Raises:
        InputError: A value is not what it should be; the message names its key.
    """
    started = _moment(manifest, "started")
    if manifest.get("finished") is not None:
        _moment(manifest, "finished")
    question = manifest.get("question")
    if question is not None:
        _check(question, {"until": _is_text, "days": _is_count, "raw": _is_flag}, "question")
        _moment(question, "until")
        for name in ("sources", "subscriptions", "workspaces", "containers"):
            if not _is_texts(question.get(name)):
                raise InputError(f"`question.{name}` is not a list of texts")
    for name in ("cloud", "tenant_id", "principal_id"):
        if not isinstance(manifest.get(name, ""), str | None):
            raise InputError(f"`{name}` is not text")
    covers = manifest.get("covers", [])
    if not isinstance(covers, list):
        raise InputError("`covers` is not a list")
    newest = started.date() + _AHEAD
    for item in covers:
        _check(item, {"source": _is_word, "scope": _is_text, "first": _is_text, "last": _is_text}, "covers")
        first, last = (_day(item[name], newest) for name in ("first", "last"))
        if last < first:
            raise InputError("`covers` has days that end before they begin")


def check_entry(entry: object) -> None:
    """Check one line of a collection's journal.

    Raises:
        InputError: A value is not what it should be; the message names its key.
    """
    restarts = isinstance(entry, Mapping) and entry.get("restart") is True
    wanted: dict[str, Check] = {"source": _is_word, "unit": _is_text}
    if not restarts:
        wanted |= {"scope": _is_text, "first": _is_text, "last": _is_text, "reason": _is_text, "lost": _is_texts}
        wanted |= {"state": _STATES.__contains__, "pending": _is_list}
    _check(entry, wanted, "")
    if restarts:
        return
    assert isinstance(entry, Mapping)  # noqa: S101  `_check` has seen it
    if not isinstance(entry.get("last_page", ""), str):
        raise InputError("`last_page` is not text")
    newest = dt.datetime.now(dt.UTC).date() + _AHEAD
    for name in ("first", "last"):
        if entry[name]:
            _moment(entry, name, newest=newest)
    for request in entry["pending"]:
        _check(request, _REQUEST, "pending")
        if set(request) != set(_REQUEST):
            raise InputError("`pending` has a key that no request has")
    if (file := entry.get("file")) is not None:
        _check(file, _FILE, "file")
        if set(file) != set(_FILE):
            raise InputError("`file` has a key that no page file has")


def _check(value: object, wanted: Mapping[str, Check], where: str) -> None:
    if not isinstance(value, Mapping):
        raise InputError(f"`{where}` is not an object" if where else "it is not an object")
    for name, is_right in wanted.items():
        try:
            right = name in value and is_right(value[name])
        except TypeError:  # An unhashable or otherwise odd value.
            right = False
        if not right:
            raise InputError(f"`{where}.{name}` is not what it should be" if where else f"`{name}` is not right")


def _moment(record: Mapping[str, Any], name: str, *, newest: dt.date = dt.date.max - _AHEAD) -> dt.datetime:
    """Return a time of the years that Azure has logs of; by default it only leaves room for a clock that is ahead."""
    text = record.get(name)
    try:
        moment = dt.datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        raise InputError(f"`{name}` is not a time") from None
    if not _OLDEST <= moment.date() <= newest:
        raise InputError(f"`{name}` is not a time of which Azure can have logs")
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _day(text: str, newest: dt.date) -> dt.date:
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        raise InputError("`covers` has a day that is none") from None
    if not _OLDEST <= day <= newest:
        raise InputError(f"`covers` has {day}, of which it can have no logs")
    return day


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST


_REQUEST: dict[str, Check] = {
    "service": get_args(Service).__contains__,
    "url": _is_text,
    "method": ("GET", "POST").__contains__,
    "body": lambda value: value is None or isinstance(value, str),
    "headers": lambda value: (
        isinstance(value, Mapping) and all(isinstance(one, str) for one in (*value, *value.values()))
    ),
    "budget": _is_text,
    "cost": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST,
    "is_next": _is_flag,
    "accepts": lambda value: isinstance(value, list) and all(map(_is_count, value)),
}
_FILE: dict[str, Check] = {
    "name": lambda value: isinstance(value, str) and _PAGE_FILE.fullmatch(value) is not None,
    "sha256": lambda value: isinstance(value, str) and _SHA256.fullmatch(value) is not None,
    "rows": _is_count,
    "pages": _is_count,
}
assert set(_REQUEST) == {one.name for one in fields(WireRequest)}  # noqa: S101  a field that is added is checked, too


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
