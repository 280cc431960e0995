"""Keep a folder of exports: its files, the journal of what is whole, and the manifest.

Each file appears whole, under its own name; the journal names it afterwards, so an interrupted run continues where it
stopped. A part of the program that scripts run, see `fetch.py`.
"""

from __future__ import annotations

import datetime as dt
import json
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rightsize.render.exports.az import shown

UTC = dt.timezone.utc  # noqa: UP017  the Python of az may be older than 3.11
SECONDS_BETWEEN_MANIFESTS = 20.0


def instant(moment: dt.datetime) -> str:
    """Return a time as Azure's filters have it, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Unit:
    """One file: the answers to one request and its further pages."""

    path: str
    source: str
    kind: str
    service: str
    form: str
    url: str
    method: str
    body: str
    headers: tuple[str, ...]
    instead: str
    subscriptions: list[str] | str

    def query(self, url: str) -> str:
        """Return the question as `load` reads it: a query of Resource Graph, or the command with this URL."""
        if self.form == "query":
            return str(json.loads(self.body)["query"])
        words = ["az", "rest", "--method", self.method.lower(), "--url", url]
        words += ["--body", self.body] if self.body else []
        return " ".join(shlex.quote(word) for word in [*words, *(("--headers", *self.headers) if self.headers else ())])


class Folder:
    """The folder of the exports: its files, its journal of whole units, and its manifest."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.entries: dict[str, dict[str, Any]] = {}
        self.head: dict[str, Any] = {}
        self._written = 0.0

    def open(self, head: dict[str, Any]) -> str:
        """Read the journal, or begin one; return why this folder cannot be continued, if it cannot."""
        journal = self.place / ".journal.jsonl"
        content = journal.read_bytes() if journal.exists() else b""
        # A killed run may leave half a line.
        lines = content.split(b"\n")[:-1]
        if not content.endswith(b"\n"):
            journal.write_bytes(b"".join(line + b"\n" for line in lines))
        if not lines:
            self.head = head
            self._note(head)
            return ""
        self.head = json.loads(lines[0])
        for line in lines[1:]:
            entry = json.loads(line)
            self.entries[entry["path"]] = entry
        same = all(self.head[name] == head[name] for name in ("tenant_id", "asked")) and (
            self.head["reader"]["id"] == head["reader"]["id"]
        )
        return "" if same else f"{shown(str(self.place))} was begun by another reader, or by another script"

    def has(self, unit: Unit) -> bool:
        """Return whether a unit was fetched to its end, and its file is still there."""
        entry, path = self.entries.get(unit.path), self.place / unit.path
        return bool(entry and entry["complete"] and path.is_file() and path.stat().st_size == entry["size"])

    def keep(self, unit: Unit, part: Path, url: str, rows: int, error: str | None) -> None:
        """Put the answers of a unit in their place; without any, leave no file."""
        path = self.place / unit.path
        size = part.stat().st_size
        if size:
            part.replace(path)
        else:
            part.unlink()
            path.unlink(missing_ok=True)
        entry = {
            "path": unit.path,
            "kind": unit.kind,
            "query": unit.query(url),
            "subscriptions": unit.subscriptions,
            "complete": error is None,
            "rows": rows,
            "error": error,
            "size": size,
        }
        self.entries[unit.path] = entry
        self._note(entry)

    def _note(self, entry: dict[str, Any]) -> None:
        with (self.place / ".journal.jsonl").open("ab") as journal:
            journal.write(json.dumps(entry).encode() + b"\n")

    def write_manifest(self, finished: dt.datetime | None, *, soon: bool = False) -> None:
        """Write the manifest anew; `soon` leaves it if it was written a moment ago."""
        if soon and time.monotonic() - self._written < SECONDS_BETWEEN_MANIFESTS:
            return
        self._written = time.monotonic()
        manifest = {
            "format": "rightsize-exports/1",
            "tenant_id": self.head["tenant_id"],
            "reader": self.head["reader"],
            "started": self.head["started"],
            "finished": None if finished is None else instant(finished),
            "files": [self.entries[path] for path in sorted(self.entries)],
        }
        part = self.place / ".manifest.part"
        part.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        part.replace(self.place / "manifest.json")

    def records(self, source: str) -> Iterator[dict[str, Any]]:
        """Yield the records that were fetched of a source, in the order of its files."""
        for path in sorted(self.entries):
            file = self.place / path
            if self.entries[path]["rows"] and path.startswith(f"{source}/") and file.is_file():
                for line in file.read_bytes().split(b"\n"):
                    document = json.loads(line) if line else {}
                    yield from (one for one in document.get("value") or () if isinstance(one, dict))
