"""Write down the things that a contained principal left behind, each with the requests that take it away and undo that.

The rules have the requests as templates; a thing fills their names. A request that a template cannot become, because
no log or listing names a part of it, is not written: the thing then says what a person has to do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import polars as pl

from rightsize.propose.containment.left_listings import Listings, Presence
from rightsize.rbac.assignment_ids import role_path
from rightsize.rbac.text import fold
from rightsize.rules.left_behind import Kind, kinds_left_behind
from rightsize.rules.tables import Row

_GRAPH, _ARM = "https://graph.microsoft.com/v1.0", "https://management.azure.com"
_FIELD = re.compile(r"\{([a-z_]+)\}")
_SEGMENT = re.compile(r"[A-Za-z0-9_.-]{1,200}\Z")
_PATH = re.compile(r"(/[^/\\?#%\x00-\x1f\x7f]+)+\Z")
_AUTHORIZATION = "/providers/microsoft.authorization/"
_GRANT = re.compile(r"\bId: ([A-Za-z0-9_-]{20,100}),")
Said = Mapping[str, tuple[str | None, str | None]]
"""The old and the new value of the properties that a record of the directory audit log names, by folded name."""

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
        row: Its row of `analyze.left_behind.THINGS`, with `removed_on`, `removed_by` and `seen_before`, the time at
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
    read: tuple[dict[str, Any], ...]
    requests: tuple[dict[str, Any], ...]
    undo: tuple[dict[str, Any], ...]
    by_hand: str

    def as_json(self, number: int, names: Mapping[str, str]) -> dict[str, Any]:
        """Return it as plain values; `number` is its place in the list."""
        row = self.row
        can_go_back = bool(self.undo)
        return {
            "number": number,
            "kind": self.kind.name,
            "what": self.kind.leaves,
            "detail": self.detail,
            "where": row["shown"],
            "first": row["first"],
            "last": row["last"],
            "calls": row["calls"],
            "suspect": row["suspect"],
            "seen_before": row["seen_before"],
            "ended": row["ended"],
            "operations": row["operations"],
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
            "no_way_back": None if can_go_back or not self.requests else self.kind.no_way_back or "no request is known",
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
        things: As `analyze.left_behind.with_removals`, with `seen_before`.
        listings: What listings say.
        name_of: A function that returns the display name of a principal or role by its folded id.
    """
    return [_written(row, listings, name_of) for row in things.to_dicts()]


def _written(row: Mapping[str, Any], listings: Listings, name_of: Callable[[str], str]) -> Left:
    kind = kinds_left_behind()[row["kind"]]
    said: Said = {str(fold(one["name"] or "")): (one["old"], one["new"]) for one in row["properties"] or ()}
    fields = _fields(row, said, listings)
    presence = _removed(row, name_of) or listings.presence(row, fields)
    read, requests, undo = _requests(kind, row, fields, said, listings)
    by_hand, given_to = kind.by_hand, _given_to(row, fields, listings)
    if not requests and not by_hand:
        by_hand = "the log does not name it well enough for a request: find it where it was made, and take it away"
    if presence.word == "no":
        read, requests, undo, by_hand = (), (), (), ""
    return Left(
        row, kind, _detail(row, fields, given_to, listings, name_of), presence, given_to, read, requests, undo, by_hand,
    )  # fmt: skip


def _removed(row: Mapping[str, Any], name_of: Callable[[str], str]) -> Presence | None:
    if row["removed_on"] is None:
        return None
    by = f" by {name_of(row['removed_by'])}" if row["removed_by"] else ""
    return Presence("no", f"a log shows that it was removed on {row['removed_on']:%Y-%m-%d %H:%M}{by}")


def _fields(row: Mapping[str, Any], said: Said, listings: Listings) -> dict[str, str]:
    """Return the names that templates may use, without those that nothing says."""
    thing = row["shown"] if row["thing"].startswith("/") else None
    end = thing.lower().rfind(_AUTHORIZATION) if thing else -1
    place = thing[:end] if thing and end >= 0 else None
    role, holder = row["role"], row["holder"]
    if row["kind"] == "role_assignment" and (listed := listings.role_assignments.get(_last(row["thing"]))):
        role, holder = role or fold(listed["role_definition_id"] or ""), holder or fold(listed["principal_id"] or "")
    if row["kind"] in ("role_eligibility", "role_activation") and (asked := listings.asked.get(_last(row["thing"]))):
        role, holder = fold(asked["role_definition_id"] or ""), fold(asked["principal_id"] or "")
    if row["kind"] == "consent":
        holder = holder or row["object_id"]
    found = {
        "thing": thing, "place": place, "object": row["object_id"], "other": row["other_id"], "holder": holder,
        "key": (row["key"] or "").partition(",")[0], "role": role,
        "role_path": role_path(place or "", role) if role else None,
        "new": str(uuid5(NAMESPACE_URL, f"contain|{row['kind']}|{row['thing']}")),
        "newer": str(uuid5(NAMESPACE_URL, f"restore|{row['kind']}|{row['thing']}")),
        "app_role": _plain(said.get("approle.id")), "granted": _granted(said),
    }  # fmt: skip
    found["grant"] = listings.grant_of(row["kind"], found) or _grant(said)
    return {name: value for name, value in found.items() if value}


def _plain(values: tuple[str | None, str | None] | None) -> str | None:
    text = next((one for one in reversed(values or ()) if one), None)
    return fold(text.strip('" ')) if text else None


def _granted(said: Said) -> str | None:
    """Return the permissions that the record of a grant names."""
    value = (said.get("approle.value") or (None, None))[1]
    text = (said.get("consentaction.permissions") or (None, None))[1] or ""
    scopes = _SCOPE.findall(text.rpartition("=>")[2])
    return (value or "").strip('" ') or (scopes[0].strip() if len(scopes) == 1 else None)


def _grant(said: Said) -> str | None:
    """Return the id of the grant that a consent made: what its record has after the arrow."""
    text = (said.get("consentaction.permissions") or (None, None))[1] or ""
    found = _GRANT.findall(text.rpartition("=>")[2])
    return found[0] if len(found) == 1 else None


def _last(thing: str) -> str:
    return thing.rsplit("/", 1)[-1]


_Requests = tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]


def _requests(
    kind: Kind, row: Mapping[str, Any], fields: Mapping[str, str],
    said: Said, listings: Listings,
) -> _Requests:  # fmt: skip
    """Return the requests of a thing by step, all or none of a step; none where the log does not name the thing."""
    if not row["exact"]:
        return (), (), ()
    steps = {
        step: _all_filled(kind.requests.get(step, ()), fields, said, listings) for step in ("read", "take", "undo")
    }
    if kind.name == "role_assignment":
        listed = listings.role_assignments.get(_last(row["thing"]))
        if listed is not None and steps["undo"]:
            steps["undo"] = [steps["undo"][0] | {"body": _assignment_body(listed, fields)}]
        if not steps["undo"] and steps["take"]:
            taken = steps["take"][0]
            steps["read"] = [taken | {"method": "GET", "save_as": ""}]
            steps["undo"] = [taken | {"method": "PUT", "body_from": ""}]
    if (row["key"] or "").endswith("keytype=asymmetricx509cert"):
        steps["take"] = []
    if not steps["take"]:
        return (), (), ()
    return tuple(steps["read"]), tuple(steps["take"]), tuple(steps["undo"])


def _assignment_body(listed: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the body that makes a listed role assignment as it is."""
    found = {
        "roleDefinitionId": fields["role_path"], "principalId": fields["holder"],
        "principalType": listed["principal_type"] if listed["principal_type"] != "Unknown" else None,
        "condition": listed["condition"], "conditionVersion": listed["condition_version"],
        "description": listed["description"],
    }  # fmt: skip
    return {"properties": {name: value for name, value in found.items() if value}}


def _all_filled(
    rows: Sequence[Row], fields: Mapping[str, str], said: Said,
    listings: Listings,
) -> list[dict[str, Any]]:  # fmt: skip
    found = [_filled(row, fields, said, listings) for row in rows]
    return [] if None in found else [one for one in found if one is not None]


def _filled(row: Row, fields: Mapping[str, str], said: Said, listings: Listings) -> dict[str, Any] | None:
    """Return a request from its template, None where a name of it is not known or cannot stand in a URL."""
    names = _FIELD.findall(row["url"])
    if any(name not in fields or not _fits(name, fields[name]) for name in names):
        return None
    path = _FIELD.sub(lambda found: fields[found[1]], row["url"])
    request: dict[str, Any] = {
        "method": row["method"],
        "url": (_ARM if row["version"] else _GRAPH) + path,
        "body": None,
    }
    request |= {"version": row["version"]} if row["version"] else {}
    if row["step"] == "read":
        return request | {"save_as": ""}
    if row["body"] == "@read":
        return request | {"body_from": ""}
    body = _body(row["body"], fields, said, listings)
    return None if row["body"] and body is None else request | {"body": body}


def _fits(name: str, value: str) -> bool:
    if name not in ("thing", "place"):
        return bool(_SEGMENT.match(value))
    return bool(_PATH.match(value)) and not {".", ".."} & set(value.split("/"))


def _body(text: str, fields: Mapping[str, str], said: Said, listings: Listings) -> Any:
    if not text:
        return None
    if text in ("@before", "@after"):
        return _policy(said, after=text == "@after")
    if text == "@listed":
        return listings.consent_body(fields.get("grant"))
    if any(name not in fields for name in _FIELD.findall(text)):
        return None
    return _with_fields(json.loads(text), fields)


def _with_fields(value: Any, fields: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _with_fields(one, fields) for name, one in value.items()}
    return _FIELD.sub(lambda found: fields[found[1]], value) if isinstance(value, str) else value


def _policy(said: Said, *, after: bool) -> dict[str, Any] | None:
    """Return the policy of Conditional Access before or after a change, without what Graph sets itself."""
    try:
        found = json.loads((said.get("conditionalaccesspolicy") or (None, None))[after] or "")
    except ValueError:
        return None
    own = ("id", "createdDateTime", "modifiedDateTime", "deletedDateTime", "templateId")
    return {name: value for name, value in found.items() if name not in own} if isinstance(found, dict) else None


def _given_to(row: Mapping[str, Any], fields: Mapping[str, str], listings: Listings) -> tuple[str, ...]:
    """Return the principals that a thing lets act."""
    kind = row["kind"]
    if kind in _BY_ID:
        column = _BY_ID[kind]
        found = {fields["holder"] if column == "holder" and "holder" in fields else row[column]}
    elif kind in ("application_credential", "application_federated_subject"):
        found = set(listings.principals_of_application(row["object_id"]))
    elif not row["thing"].startswith("/"):
        return ()
    else:
        found = {row["object_id"], *listings.identities.get(row["thing"], ())}
        found |= set(listings.identities.get(row["thing"].partition("/federatedidentitycredentials/")[0], ()))
    return tuple(sorted(one for one in found if one))


def _detail(
    row: Mapping[str, Any], fields: Mapping[str, str], given: Sequence[str], listings: Listings,
    name_of: Callable[[str], str],
) -> str:  # fmt: skip
    """Return what is known of a thing beside its place, as one clause."""
    kind, parts = row["kind"], []
    if "role" in fields:
        parts.append(name_of(fields["role"]))
    elif "granted" in fields:
        parts.append(fields["granted"])
    if given and kind not in ("user_made", "guest_invited", "principal_made"):
        word = "as" if kind not in _BY_ID else "for"
        parts.append(f"{word} {', '.join(map(name_of, given))}")
    if row["key"]:
        key, _, form = row["key"].partition(",keytype=")
        parts.append(f"key {key}" + (f" ({form})" if form else ""))
    trusted = listings.trusted.get(row["thing"], (row["other_name"], row["object_name"]))
    if kind == "federated_subject" and trusted[1]:
        parts.append(f"{trusted[1]} of {trusted[0]}")
    if kind in ("group_member", "application_owner", "principal_owner", "group_owner") and fields.get("other"):
        parts.append(f"in {row['other_name'] or name_of(fields['other'])}")
    return " ".join(parts)
