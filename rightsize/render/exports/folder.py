"""Keep a folder of exports: its files, the journal of what is whole, and the manifest.

Each file appears whole, under its own name; the journal names it afterwards, so an interrupted run continues where it
stopped. A part of the program that scripts run, see `fetch.py`.

Make the units of a run, one for each file, from the requests and from what earlier units found.

A part of the program that scripts run, see `fetch.py`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

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


GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
GROUP_SCOPE = re.compile(r"/providers/microsoft\.management/managementgroups/[\w().-]{1,90}", re.ASCII | re.IGNORECASE)
RESOURCE = re.compile(r"/subscriptions/[0-9a-f-]{36}/resourcegroups/[^/?#]+/providers/[^?#]+", re.IGNORECASE)
GRANTS = ("role_assignments", "role_eligibility_instances", "role_assignment_instances")


def folded(value: object) -> str:
    """Return a text in small letters; empty for anything else."""
    return value.lower() if isinstance(value, str) else ""


class Plan:
    """Makes the units of all requests from what is known so far."""

    def __init__(self, asked: dict[str, Any], folder: Folder, until: dt.datetime) -> None:
        self.asked = asked
        self.folder = folder
        self.until = until

    def units(self) -> Iterator[Unit]:
        """Yield every unit that is known to be needed, each path once."""
        seen = set()
        for request in self.asked["requests"]:
            for words, subscriptions in self._things(request):
                for first, last in self._slices(request):
                    unit = self._unit(request, {**words, "first": instant(first), "last": instant(last)}, subscriptions)
                    if unit.path not in seen:
                        seen.add(unit.path)
                        yield unit

    def _unit(self, request: dict[str, Any], words: dict[str, str], subscriptions: list[str] | str) -> Unit:
        def filled(name: str) -> str:
            text = str(request.get(name, ""))
            for word, value in words.items():
                text = text.replace(f"{{{word}}}", value)
            return text

        name = filled("name")
        if request.get("slice_days"):
            name += f"-{words['first'][:10]}"
        return Unit(
            f"{request['source']}/{name}.jsonl",
            request["source"],
            request["kind"],
            request["service"],
            request["form"],
            filled("url"),
            request.get("method", "GET"),
            filled("body"),
            tuple(request.get("headers", ())),
            filled("instead"),
            subscriptions,
        )

    def _things(self, request: dict[str, Any]) -> Iterator[tuple[dict[str, str], list[str] | str]]:
        each = request["each"]
        if each == "tenant":
            yield {}, "tenant"
        elif each == "subscription":
            yield from (({"subscription": one}, [one]) for one in self._subscriptions())
        elif each == "management_group":
            for scope in self._management_groups():
                yield {"scope": quote(scope, safe="/"), "id": _named(scope)}, "tenant"
        elif each == "group":
            yield from (({"id": one}, "tenant") for one in sorted(self._groups()))
        else:
            yield from self._records(request)

    def _subscriptions(self) -> list[str]:
        found = {folded(one.get("subscriptionId")) for one in self.folder.records("subscriptions")}
        return sorted(self.asked["subscriptions"] or filter(GUID.fullmatch, found))

    def _management_groups(self) -> list[str]:
        found = {folded(one.get("id")): str(one.get("id")) for one in self.folder.records("management_groups")}
        return [found[key] for key in sorted(found) if GROUP_SCOPE.fullmatch(key)]

    def _groups(self) -> set[str]:
        """Return the groups that hold access or may hold directory roles, and those within them that were found."""
        held = (one.get("properties") for source in GRANTS for one in self.folder.records(source))
        found = {
            folded(one.get("principalId"))
            for one in held
            if isinstance(one, dict) and folded(one.get("principalType")) == "group"
        }
        found |= {folded(one.get("id")) for one in self.folder.records("groups") if one.get("isAssignableToRole")}
        members = self.folder.records("group_members")
        found |= {folded(one.get("id")) for one in members if one.get("@odata.type") == "#microsoft.graph.group"}
        return set(filter(GUID.fullmatch, found))

    def _records(self, request: dict[str, Any]) -> Iterator[tuple[dict[str, str], list[str] | str]]:
        kind, key = request.get("type"), request.get("having")
        for record in self.folder.records(request["parent"]):
            identifier = str(record.get("id"))
            if (kind and folded(record.get("type")) != kind) or (key and not record.get(key)):
                continue
            if GUID.fullmatch(identifier.lower()):
                yield {"id": identifier.lower()}, "tenant"
            elif RESOURCE.fullmatch(identifier) and ".." not in identifier:
                words = {"resource": quote(identifier, safe="/()"), "id": _named(identifier)}
                yield words, [identifier.split("/")[2].lower()]

    def _slices(self, request: dict[str, Any]) -> Iterator[tuple[dt.datetime, dt.datetime]]:
        """Yield the slices of the window; the whole window if the request has none."""
        day = self.until.replace(hour=0, minute=0, second=0, microsecond=0)
        reach = request.get("reach_days") or self.asked["days"]
        first = day - dt.timedelta(days=min(self.asked["days"], reach))
        step = dt.timedelta(days=request.get("slice_days") or self.asked["days"] + 1)
        while first < self.until:
            last = min(first + step, self.until)
            yield first, last
            first = last


def _named(text: str) -> str:
    """Return a name for a file that only this text has, whatever is in it."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.rsplit("/", 1)[-1].lower()).strip("-")[:40]
    return f"{plain}-{hashlib.sha256(text.lower().encode()).hexdigest()[:12]}"
