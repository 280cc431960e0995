"""Read files that people write by hand: entries in TOML, JSON or CSV, each with a reason, an owner and a last day."""

from __future__ import annotations

import csv
import datetime as dt
import io
import tomllib
from collections.abc import Collection, Mapping
from typing import Any, Literal

from rightsize.model.errors import InputError
from rightsize.model.role_forms import load_json
from rightsize.model.times import read_moment

Form = Literal["toml", "json", "csv"]
_LONGEST = 1_000


def read_entries(content: bytes, form: Form, name: str, *, key: str, hint: str) -> list[Any]:
    """Return the entries of a file, as they are written.

    TOML has tables `[[key]]`; JSON the same under `key`, or the list alone; CSV a column for each field.

    Raises:
        InputError: The file does not have its form; the message names it, and `hint` says what an entry is.
    """
    try:
        return _entries(content.decode("utf-8-sig"), form, key)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, csv.Error, RecursionError) as error:
        raise InputError(f"`{name}` cannot be read as {form.upper()}: {error}", hint=hint) from None
    except InputError as error:
        raise InputError(f"`{name}`: {error.message}", hint=hint) from None


def _entries(text: str, form: Form, key: str) -> list[Any]:
    if form == "csv":
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        return [{name: value for name, value in row.items() if value} for row in rows]
    document = tomllib.loads(text) if form == "toml" else load_json(text)
    if isinstance(document, dict):
        strange = sorted(set(document) - {key})
        if strange:
            raise InputError(f"`{strange[0]}` is not a key of this file")
        document = document.get(key, [])
    if not isinstance(document, list):
        raise InputError(f"`{key}` is not a list of entries")
    return document


def known_fields(entry: object, known: Collection[str], where: str, hint: str) -> Mapping[str, Any]:
    """Return an entry as a mapping whose keys are all known, or raise InputError."""
    if not isinstance(entry, Mapping):
        raise InputError(f"{where} is not a table of keys and values", hint=hint)
    strange = sorted(str(key) for key in entry if key not in known)
    if strange:
        raise InputError(f"{where} has the unknown key `{strange[0]}`", hint=hint)
    return entry


def text_of(entry: Mapping[str, Any], key: str, where: str, hint: str) -> str:
    """Return the text of a key that an entry must have, or raise InputError."""
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where} has no `{key}`", hint=hint)
    if len(value) > _LONGEST:
        raise InputError(f"`{key}` of {where} is longer than {_LONGEST:,} characters")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InputError(f"`{key}` of {where} has an unpaired surrogate, which is not text") from None
    return value.strip()


def day_of(value: object, where: str, hint: str, key: str = "expires") -> dt.date:
    """Return the day under a key of an entry, or raise InputError."""
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    if isinstance(value, str):
        try:
            return read_moment(value).day
        except ValueError:
            pass
    raise InputError(f"`{key}` of {where} is not a day such as 2026-12-31", hint=hint)
