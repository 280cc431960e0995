"""Write down the things that a contained principal left behind, each with the requests that take it away and undo that.

The rules have the requests as templates; a thing fills their names. A request that a template cannot become, because
no log or listing names a part of it, is not written: the thing then says what a person has to do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import polars as pl

from rightsize.guard.left_listings import Listings, Presence
from rightsize.model.text import fold
from rightsize.rbac.assignments import role_path
from rightsize.rules.attacks import Kind, kinds_left_behind
from rightsize.rules.tables import Row

_GRAPH, _ARM = "https://graph.microsoft.com/v1.0", "https://management.azure.com"
_FIELD = re.compile(r"\{([a-z_]+)\}")
_SEGMENT = re.compile(r"[A-Za-z0-9_.-]{1,200}\Z")
_PATH = re.compile(r"(/[^/\\?#%\x00-\x1f\x7f]+)+\Z")
_AUTHORIZATION = "/providers/microsoft.authorization/"
_GRANT = re.compile(r"\bId: ([A-Za-z0-9_-]{20,100}),")
_SCOPE = re.compile(r"\bScope: ([^,\]]{1,300})")
_BY_ID = {
    "role_assignment": "holder", "role_eligibility": "holder", "role_activation": "holder",
    "directory_role": "holder", "directory_eligibility": "holder", "group_member": "object_id",
    "application_owner": "object_id", "principal_owner": "object_id", "group_owner": "object_id",
    "user_made": "object_id", "guest_invited": "object_id", "password_reset": "object_id",
    "authentication_method": "object_id", "principal_credential": "object_id", "principal_made": "object_id",
    "application_permission": "other_id", "consent": "holder",
}  # fmt: skip
"""The column that names the principal that a thing of a kind lets act."""


@dataclass(frozen=True, slots=True)
class Left:
    """A thing that was left behind.

    Attributes:
        row: Its row of `guard.left_things.THINGS`, with `removed_on`, `removed_by` and `seen_before`, the time at
            which a log first shows it, before the suspect calls.
        kind: Its kind.
        detail: What the log or a listing says of it beyond its place, for example the role and its holder.
        presence: Whether it is still there, and what shows it.
        given_to: The principals that it lets act, by id.
        read: Requests that keep its present state before it is taken away.
        requests: Requests that take it away or stop it, in order.
        undo: Requests that bring it back.
        by_hand: What a person has to do beside the requests, or instead of them; empty for nothing.
    """

    row: Mapping[str, Any]
    kind: Kind
    detail: str
    presence: Presence
    given_to: tuple[str, ...]
    read: Sequence[dict[str, Any]]
    requests: Sequence[dict[str, Any]]
    undo: Sequence[dict[str, Any]]
    by_hand: str

    def as_json(self, number: int, names: Mapping[str, str]) -> dict[str, Any]:
        """Return it as plain values; `number` is its place in the list."""
        row = self.row
        no_way_back = None if self.undo or not self.requests else self.kind.no_way_back or "no request is known"
        return {
            "number": number,
            "kind": self.kind.name,
            "what": self.kind.leaves,
            "detail": self.detail,
            "where": row["shown"],
            **{name: row[name] for name in ("first", "last", "calls", "suspect", "seen_before", "ended", "operations")},
            "logs": row["sources"],
            "by": [names.get(one, one) for one in row["by"]],
            "works_without_sign_in": self.kind.needs_no_sign_in,
            "usable_by": self.kind.usable_by,
            "still_there": self.presence.word,
            "seen": self.presence.shown_by,
            "given_to": [{"id": one, "name": names.get(one, one)} for one in self.given_to],
            "read": [_with_file(one, number) for one in self.read],
            "requests": list(self.requests),
            "undo": [_with_file(one, number) for one in self.undo],
            "no_way_back": no_way_back,
            "by_hand": self.by_hand or None,
        }


def _with_file(request: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return a request with the name of the file that keeps what was read, instead of a mark."""
    return {
        name: f"left-behind-{number:02d}.json" if name in ("save_as", "body_from") else value
        for name, value in request.items()
    }


def write_things(things: pl.DataFrame, listings: Listings, name_of: Callable[[str], str]) -> list[Left]:
    """Return the things with their requests, in the order of the frame.

    Args:
        things: As `guard.left_things.with_removals`, with `seen_before`.
        listings: What listings say.
        name_of: A function that returns the display name of a principal or role by its folded id.
    """
    return [_Writer(row, listings, name_of).written() for row in things.to_dicts()]


_Request = dict[str, Any]


@dataclass(slots=True)
class _Writer:
    """Writes one thing.

    `said` has the old and the new value of the properties that a record of the directory audit log names, by folded
    name. `fields` has the names that templates may use, without those that nothing says.
    """

    row: Mapping[str, Any]
    listings: Listings
    name_of: Callable[[str], str]
    said: Mapping[str, tuple[str | None, str | None]] = field(init=False)
    fields: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        properties = self.row["properties"] or ()
        self.said = {str(fold(one["name"] or "")): (one["old"], one["new"]) for one in properties}
        self.fields = self._fields()

    @property
    def _kind(self) -> Kind:
        return kinds_left_behind()[self.row["kind"]]

    @property
    def _last(self) -> str:
        """The last part of the id of the thing."""
        return str(self.row["thing"]).rsplit("/", 1)[-1]

    def written(self) -> Left:
        """Return the thing."""
        read, requests, undo = self._requests()
        presence, by_hand, given_to = self._presence(), self._kind.by_hand, self._given_to()
        if not requests and not by_hand:
            by_hand = "the log does not name it well enough for a request: find it where it was made, and take it away"
        if presence.word == "no":
            read, requests, undo, by_hand = [], [], [], ""
        return Left(self.row, self._kind, self._detail(given_to), presence, given_to, read, requests, undo, by_hand)

    def _presence(self) -> Presence:
        if self.row["removed_on"] is None:
            return self.listings.presence(self.row, self.fields)
        by = f" by {self.name_of(self.row['removed_by'])}" if self.row["removed_by"] else ""
        return Presence("no", f"a log shows that it was removed on {self.row['removed_on']:%Y-%m-%d %H:%M}{by}")

    def _fields(self) -> dict[str, str]:
        row, kind, role, holder = self.row, self.row["kind"], self.row["role"], self.row["holder"]
        thing = row["shown"] if row["thing"].startswith("/") else None
        end = thing.lower().rfind(_AUTHORIZATION) if thing else -1
        place = thing[:end] if thing and end >= 0 else None
        if kind == "role_assignment" and (listed := self.listings.role_assignments.get(self._last)):
            role = role or fold(listed["role_definition_id"] or "")
            holder = holder or fold(listed["principal_id"] or "")
        if kind in ("role_eligibility", "role_activation") and (asked := self.listings.asked.get(self._last)):
            role, holder = fold(asked["role_definition_id"] or ""), fold(asked["principal_id"] or "")
        if kind == "consent":
            holder = holder or row["object_id"]
        app_role = next((one for one in reversed(self.said.get("approle.id", ())) if one), None)
        found = {
            "thing": thing, "place": place, "object": row["object_id"], "other": row["other_id"], "holder": holder,
            "key": (row["key"] or "").partition(",")[0], "role": role,
            "role_path": role_path(place or "", role) if role else None,
            "new": str(uuid5(NAMESPACE_URL, f"contain|{kind}|{row['thing']}")),
            "newer": str(uuid5(NAMESPACE_URL, f"restore|{kind}|{row['thing']}")),
            "app_role": fold(app_role.strip('" ')) if app_role else None,
            "granted": self._new_of("approle.value").strip('" ') or self._consented(_SCOPE).strip(),
        }  # fmt: skip
        found["grant"] = self.listings.grant_of(kind, found) or self._consented(_GRANT)
        return {name: value for name, value in found.items() if value}

    def _new_of(self, name: str) -> str:
        """Return the new value of a property, or an empty text."""
        return self.said.get(name, (None, None))[1] or ""

    def _consented(self, pattern: re.Pattern[str]) -> str:
        """Return the id or scope of the grant that a consent made, if its record has one after the arrow."""
        found = pattern.findall(self._new_of("consentaction.permissions").rpartition("=>")[2])
        return found[0] if len(found) == 1 else ""

    def _requests(self) -> tuple[list[_Request], list[_Request], list[_Request]]:
        """Return the requests to read, take away and undo, all or none of a step; none if no log names the thing."""
        if not self.row["exact"]:
            return [], [], []
        read, take, undo = (self._all_filled(self._kind.requests.get(step, ())) for step in ("read", "take", "undo"))
        if self._kind.name == "role_assignment":
            listed = self.listings.role_assignments.get(self._last)
            if listed is not None and undo:
                undo = [undo[0] | {"body": self._assignment_body(listed)}]
            if not undo and take:
                read = [take[0] | {"method": "GET", "save_as": ""}]
                undo = [take[0] | {"method": "PUT", "body_from": ""}]
        if not take or (self.row["key"] or "").endswith("keytype=asymmetricx509cert"):
            return [], [], []
        return read, take, undo

    def _assignment_body(self, listed: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body that makes a listed role assignment as it is."""
        found = {
            "roleDefinitionId": self.fields["role_path"], "principalId": self.fields["holder"],
            "principalType": listed["principal_type"] if listed["principal_type"] != "Unknown" else None,
            "condition": listed["condition"], "conditionVersion": listed["condition_version"],
            "description": listed["description"],
        }  # fmt: skip
        return {"properties": {name: value for name, value in found.items() if value}}

    def _all_filled(self, rows: Sequence[Row]) -> list[_Request]:
        found = [request for row in rows if (request := self._filled(row)) is not None]
        return found if len(found) == len(rows) else []

    def _filled(self, row: Row) -> _Request | None:
        """Return a request from its template, None where a name of it is not known or cannot stand in a URL."""
        names = _FIELD.findall(row["url"])
        if any(name not in self.fields or not _fits(name, self.fields[name]) for name in names):
            return None
        path = _FIELD.sub(lambda found: self.fields[found[1]], row["url"])
        request = {"method": row["method"], "url": (_ARM if row["version"] else _GRAPH) + path, "body": None}
        request |= {"version": row["version"]} if row["version"] else {}
        if row["step"] == "read":
            return request | {"save_as": ""}
        if row["body"] == "@read":
            return request | {"body_from": ""}
        body = self._body(row["body"])
        return None if row["body"] and body is None else request | {"body": body}

    def _body(self, text: str) -> Any:
        if text in ("@before", "@after"):
            return self._policy(after=text == "@after")
        if text == "@listed":
            return self.listings.consent_body(self.fields.get("grant"))
        if not text or any(name not in self.fields for name in _FIELD.findall(text)):
            return None
        return json.loads(_FIELD.sub(lambda found: json.dumps(self.fields[found[1]])[1:-1], text))

    def _policy(self, *, after: bool) -> dict[str, Any] | None:
        """Return the policy of Conditional Access before or after a change, without what Graph sets itself."""
        try:
            found = json.loads(self.said.get("conditionalaccesspolicy", (None, None))[after] or "")
        except ValueError:
            return None
        own = ("id", "createdDateTime", "modifiedDateTime", "deletedDateTime", "templateId")
        return {name: value for name, value in found.items() if name not in own} if isinstance(found, dict) else None

    def _given_to(self) -> tuple[str, ...]:
        """Return the principals that the thing lets act."""
        row, kind = self.row, self.row["kind"]
        if kind in _BY_ID:
            column = _BY_ID[kind]
            found = {self.fields["holder"] if column == "holder" and "holder" in self.fields else row[column]}
        elif kind in ("application_credential", "application_federated_subject"):
            found = set(self.listings.principals_of.get(row["object_id"], ()))
        elif not row["thing"].startswith("/"):
            return ()
        else:
            places = row["thing"], row["thing"].partition("/federatedidentitycredentials/")[0]
            found = {row["object_id"], *(id_ for one in places for id_ in self.listings.identities.get(one, ()))}
        return tuple(sorted(one for one in found if one))

    def _detail(self, given: Sequence[str]) -> str:
        """Return what is known of the thing beside its place, as one clause."""
        row, kind, fields, parts = self.row, self.row["kind"], self.fields, []
        if "role" in fields:
            parts.append(self.name_of(fields["role"]))
        elif "granted" in fields:
            parts.append(fields["granted"])
        if given and kind not in ("user_made", "guest_invited", "principal_made"):
            word = "as" if kind not in _BY_ID else "for"
            parts.append(f"{word} {', '.join(map(self.name_of, given))}")
        if row["key"]:
            key, _, form = row["key"].partition(",keytype=")
            parts.append(f"key {key}" + (f" ({form})" if form else ""))
        trusted = self.listings.trusted.get(row["thing"], (row["other_name"], row["object_name"]))
        if kind == "federated_subject" and trusted[1]:
            parts.append(f"{trusted[1]} of {trusted[0]}")
        if kind in ("group_member", "application_owner", "principal_owner", "group_owner") and fields.get("other"):
            parts.append(f"in {row['other_name'] or self.name_of(fields['other'])}")
        return " ".join(parts)


def _fits(name: str, value: str) -> bool:
    if name not in ("thing", "place"):
        return bool(_SEGMENT.match(value))
    return bool(_PATH.match(value)) and not {".", ".."} & set(value.split("/"))
