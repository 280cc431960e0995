"""Make the units of a run, one for each file, from the requests and from what earlier units found.

A part of the program that scripts run, see `fetch.py`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from rightsize.render.exports.folder import Folder, Unit, instant

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
