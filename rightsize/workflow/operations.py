"""Read a catalogue of operations from a file or from the store."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rightsize.model.errors import EvidenceError, InputError
from rightsize.model.role_forms import load_json
from rightsize.rbac.expand import Planes
from rightsize.rules.operations import planes_of
from rightsize.workflow.text_files import read_bytes

Operations = Sequence[tuple[str, Planes]]
"""Names of operations and the planes that each is known to be on; no plane where no source says it."""

_LISTS = ("value", "resourceTypes", "operations")
"""Keys under which listings of operations are nested: in ARM pages, providers and resource types."""

_GUESSES = ("arm-api-map", "sibling-inferred")
"""Values of `is_data_action_source` that say that the plane was inferred."""


def read_operations(path: Path) -> Operations:
    """Return the operations of a file: CSV with `operation` and `is_data_action`, or JSON with names of operations.

    JSON may be the output of `az provider operation list`, an answer of ARM, or a plain list of names.

    Raises:
        InputError: The file cannot be read, or names no operation.
    """
    raw = read_bytes(path)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"`{path}` is not UTF-8 text") from None
    said = _from_json(load_json(text)) if text.lstrip()[:1] in ("[", "{") else _from_csv(text)
    found = [(name, planes_of(name, is_data_action=is_data)) for name, is_data in said]
    if not found:
        raise InputError(
            f"`{path}` names no operation",
            hint="give a CSV with a column `operation`, or what `az provider operation list` prints",
        )
    return found


def stored_operations(db: Path) -> Operations:
    """Return the catalogue of a store; a guessed plane counts as unknown.

    Raises:
        EvidenceError: The store has no catalogue.
    """
    from rightsize.store.connection import open_store  # noqa: PLC0415  a file needs no engine

    with open_store(db, read_only=True) as store:
        frame = store.table("operations")
    rows = frame.sort("operation").select("operation", "is_data_action", "is_guess").iter_rows()
    found = [(name, planes_of(name, is_data_action=None if is_guess else is_data)) for name, is_data, is_guess in rows]
    if not found:
        raise EvidenceError(
            "the store has no catalogue of operations",
            hint="`rightsize catalog import FILE`, or give `--operations FILE`",
        )
    return found


def _from_csv(text: str) -> Iterator[tuple[str, bool | None]]:
    for row in csv.DictReader(io.StringIO(text)):
        operation = (row.get("operation") or "").strip(" ")
        said = {"true": True, "false": False}.get((row.get("is_data_action") or "").lower())
        if operation:
            yield operation, None if row.get("is_data_action_source") in _GUESSES else said


def _from_json(document: object) -> Iterator[tuple[str, bool | None]]:
    waiting = [document]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item, None
        elif isinstance(item, list):
            waiting.extend(reversed(item))
        elif isinstance(item, Mapping):
            name = item.get("operation") or item.get("name")
            if isinstance(name, str) and item.keys().isdisjoint(_LISTS):
                is_data = item.get("isDataAction", item.get("is_data_action"))
                yield name, is_data if isinstance(is_data, bool) else None
            waiting.extend(item[key] for key in _LISTS if isinstance(item.get(key), list))
