"""Read from listings whether a thing that was left behind is still there, and what its requests need."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.text import folded

_TOP_LEVEL = 9
"""The parts of the id of a resource that is no part of another, split at slashes."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether a thing is still there: `word` is yes, no or unknown, `shown_by` says by what."""

    word: str
    shown_by: str


_UNKNOWN = Presence("unknown", "no listing after it that would have it is loaded")
_LISTED = Presence("yes", "a loaded listing has it")


@dataclass(frozen=True, slots=True)
class Listings:
    """Listings by what a thing names; ids are folded.

    Attributes:
        role_assignments: Active role assignments by id.
        asked: Requests to Privileged Identity Management by id.
        identities: Managed identities by the resource that has them, or that they are.
        trusted: Issuer and subject of federated credentials by the id of the credential's resource.
        resources: Ids of listed resources.
        read_on: When the newest complete inventory of a subscription was read.
        vanished: When a listing first lacked a grant, by the id of the grant.
        members: Pairs of group and member.
        owners: Pairs of owned object and owner.
        directory_roles: Pairs of directory role and holder.
        people: Listed principals with the time at which they were deleted, None where they were not.
        applications: Principals by their application id.
        app_ids: Application ids by the object id of the application.
        permissions: Ids of app role assignments by resource, holder and app role.
        consents: Delegated grants by application.
    """

    role_assignments: Mapping[str, Mapping[str, Any]]
    asked: Mapping[str, Mapping[str, Any]]
    identities: Mapping[str, Sequence[str]]
    trusted: Mapping[str, tuple[str, str]]
    resources: frozenset[str]
    read_on: Mapping[str, dt.datetime]
    vanished: Mapping[str, dt.datetime]
    members: frozenset[tuple[str, str]]
    owners: frozenset[tuple[str, str]]
    directory_roles: frozenset[tuple[str, str]]
    people: Mapping[str, dt.datetime | None]
    applications: Mapping[str, Sequence[str]]
    app_ids: Mapping[str, str]
    permissions: Mapping[tuple[str, str, str], str]
    consents: Mapping[str, Sequence[Mapping[str, Any]]]

    def principals_of_application(self, object_id: str | None) -> Sequence[str]:
        """Return the service principals of an application by the object id of the application."""
        return self.applications.get(self.app_ids.get(object_id or "", ""), ())

    def grant_of(self, kind: str, fields: Mapping[str, str | None]) -> str | None:
        """Return the id of the listed permission or consent that a thing is about, None where it is not one alone."""
        if kind == "application_permission":
            key = (fields["object"] or "", fields["other"] or "", fields["app_role"] or "")
            return self.permissions.get(key)
        if kind == "consent":
            found = self.consents.get(fields["holder"] or "", ())
            return found[0]["permission_grant_id"] if len(found) == 1 else None
        return None

    def consent_body(self, grant: str | None) -> dict[str, Any] | None:
        """Return the body that makes a listed consent as it is."""
        found = [one for each in self.consents.values() for one in each if one["permission_grant_id"] == grant]
        if not found:
            return None
        one = found[0]
        body = {"clientId": one["client_id"], "consentType": one["consent_type"], "principalId": one["principal_id"],
                "resourceId": one["resource_id"], "scope": " ".join(one["permissions"] or ())}  # fmt: skip
        return {name: value for name, value in body.items() if value is not None}

    def presence(self, row: Mapping[str, Any], fields: Mapping[str, str]) -> Presence:
        """Return whether a thing is still there by the listings."""
        kind, thing, last = row["kind"], row["thing"], row["last"]
        if kind == "role_assignment":
            return self._of_grant(thing.rsplit("/", 1)[-1])
        if kind in ("application_permission", "consent"):
            grant = fields.get("grant")
            return self._of_grant(grant, is_listed=self._has_grant(grant)) if grant else _UNKNOWN
        if kind in ("user_made", "guest_invited", "principal_made"):
            gone = self.people.get(row["object_id"] or "")
            if gone is not None:
                return Presence("no", f"it was deleted on {gone:%Y-%m-%d %H:%M}")
            return _LISTED if row["object_id"] in self.people else _UNKNOWN
        pair = (fields.get("other", ""), fields.get("object", ""))
        if kind.endswith("_owner"):
            return _LISTED if pair in self.owners else _UNKNOWN
        if kind == "group_member":
            return _LISTED if pair in self.members else _UNKNOWN
        if kind in ("directory_role", "directory_eligibility"):
            held = (fields.get("role", ""), fields.get("holder", ""))
            return _LISTED if held in self.directory_roles else _UNKNOWN
        if kind.endswith("_removed"):
            return Presence("unknown", "whether it was set again since then is not looked up")
        if kind.endswith(("_read", "_keys")):
            return Presence("unknown", "what was read stays valid until it is renewed")
        if thing in self.trusted:
            return _LISTED
        return self._of_resource(thing, last)

    def _has_grant(self, grant: str | None) -> bool:
        return grant in self.permissions.values() or any(
            one["permission_grant_id"] == grant for each in self.consents.values() for one in each
        )

    def _of_grant(self, grant: str, *, is_listed: bool | None = None) -> Presence:
        if grant in self.vanished:
            return Presence("no", f"the listing of {self.vanished[grant]:%Y-%m-%d %H:%M} lacks it")
        listed = grant in self.role_assignments if is_listed is None else is_listed
        return _LISTED if listed else _UNKNOWN

    def _of_resource(self, thing: str, last: dt.datetime) -> Presence:
        parts = thing.split("/")
        read = self.read_on.get("/".join(parts[:3]))
        if len(parts) != _TOP_LEVEL or read is None or read <= last:
            return _UNKNOWN
        word = "has" if thing in self.resources else "lacks"
        return Presence("yes" if word == "has" else "no", f"the inventory of {read:%Y-%m-%d %H:%M} {word} it")


def read_listings(table_of: Callable[[str], pl.DataFrame], things: pl.DataFrame) -> Listings:
    """Return the listings from the tables of a store.

    Args:
        table_of: A function that returns a table of the store by name, for example `Store.table`.
        things: The things to look up, as `analyze.left_behind.THINGS`; of large listings only their rows are read.
    """
    named, objects = (ids.implode() for ids in (things["thing"].str.split("/").list.last(), things["object_id"]))
    assignments = table_of("role_assignments").filter(pl.col("state") == "active")
    identities = table_of("resource_identities").drop_nulls("principal_id")
    trusted = table_of("federated_credentials").filter(pl.col("object_id").str.starts_with("/"))
    inventories = table_of("inventories").filter(pl.col("complete")).drop_nulls("read_on")
    people = table_of("principals").select(
        folded(pl.col("principal_id")), "deleted_on", folded(pl.col("app_id")), "listed"
    )
    listed = pl.col("listed") | pl.col("deleted_on").is_not_null()
    owners = table_of("object_owners")
    trusting = table_of("federated_credentials").drop_nulls("app_id")
    directory = table_of("directory_role_assignments")
    permissions = table_of("app_role_assignments")
    consents = table_of("permission_grants")
    with_app = pl.concat(
        [one.select(folded(pl.col("object_id")), folded(pl.col("app_id"))) for one in (owners, trusting)]
    ).filter(pl.col("object_id").is_in(objects))
    principals_of_apps = people.filter(pl.col("app_id").is_in(with_app["app_id"].implode()))
    return Listings(
        role_assignments=_by(assignments, folded(pl.col("role_assignment_id")), named),
        asked=_by(table_of("schedule_requests"), folded(pl.col("request_id")), named),
        identities=_grouped(pl.concat([
            identities.select(key=folded(pl.col(name)), value=folded(pl.col("principal_id")))
            for name in ("scope", "identity_scope")
        ])),
        trusted={
            f"{place}/federatedidentitycredentials/{name}": (issuer or "", subject or "")
            for place, name, issuer, subject in trusted.select("object_id", "name", "issuer", "subject").iter_rows()
        },
        resources=frozenset(
            table_of("resources")
            .select(folded(pl.col("scope")))
            .filter(pl.col("scope").is_in(things["thing"].implode()))["scope"]
        ),
        read_on=dict(inventories.group_by(folded(pl.col("scope"))).agg(pl.col("read_on").max()).iter_rows()),
        vanished=dict(table_of("vanished_grants").select(folded(pl.col("grant_id")), "missing_on").iter_rows()),
        members=frozenset(
            table_of("group_members")
            .select(folded(pl.col("group_id")), folded(pl.col("member_id")))
            .filter(pl.col("member_id").is_in(objects))
            .iter_rows()
        ),
        owners=frozenset(
            owners.select(folded(pl.col("object_id")), folded(pl.col("owner_id")))
            .filter(pl.col("owner_id").is_in(objects))
            .iter_rows()
        ),
        directory_roles=frozenset(
            directory.select(folded(pl.col("directory_role_id")), folded(pl.col("principal_id"))).iter_rows()
        ),
        people=dict(people.filter(listed & pl.col("principal_id").is_in(objects))
                    .select("principal_id", "deleted_on").iter_rows()),
        applications=_grouped(principals_of_apps.select(key="app_id", value="principal_id")),
        app_ids=dict(with_app.drop_nulls().unique("object_id", keep="first", maintain_order=True).iter_rows()),
        permissions={
            tuple(key): grant for *key, grant in permissions.select(
                *(folded(pl.col(name)).fill_null("") for name in ("resource_id", "principal_id", "app_role_id")),
                "app_role_assignment_id",
            ).iter_rows()
        },
        consents=_lists(consents, folded(pl.col("client_id"))),
    )  # fmt: skip


def _by(frame: pl.DataFrame, key: pl.Expr, wanted: pl.Series) -> dict[str, dict[str, Any]]:
    """Return the rows by their key, of those with a key of the list `wanted`."""
    keyed = frame.with_columns(key.alias(" key")).filter(pl.col(" key").is_in(wanted))
    return {row.pop(" key"): row for row in keyed.to_dicts()}


def _lists(frame: pl.DataFrame, key: pl.Expr) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in frame.with_columns(key.alias(" key")).to_dicts():
        found.setdefault(row.pop(" key") or "", []).append(row)
    return found


def _grouped(pairs: pl.DataFrame) -> dict[str, list[str]]:
    grouped = pairs.drop_nulls().unique().sort("key", "value").group_by("key", maintain_order=True).agg("value")
    return {key: list(values) for key, values in grouped.iter_rows()}
