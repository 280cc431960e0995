"""Read from listings whether a thing that was left behind is still there, and what its requests need."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.inputs import folded

_Row = Mapping[str, Any]
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
        principals_of: Service principals of an application by the object id of the application.
        permissions: Ids of app role assignments by resource, holder and app role.
        consents: Delegated grants by application.
    """

    role_assignments: Mapping[str, _Row]
    asked: Mapping[str, _Row]
    identities: Mapping[str, Sequence[str]]
    trusted: Mapping[str, tuple[str, str]]
    resources: frozenset[str]
    read_on: Mapping[str, dt.datetime]
    vanished: Mapping[str, dt.datetime]
    members: frozenset[tuple[str, str]]
    owners: frozenset[tuple[str, str]]
    directory_roles: frozenset[tuple[str, str]]
    people: Mapping[str, dt.datetime | None]
    principals_of: Mapping[str, Sequence[str]]
    permissions: Mapping[tuple[str, str, str], str]
    consents: Mapping[str, Sequence[_Row]]

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
        consents = (one for each in self.consents.values() for one in each)
        found = next((one for one in consents if one["permission_grant_id"] == grant), None)
        if found is None:
            return None
        body = {"clientId": found["client_id"], "consentType": found["consent_type"],
                "principalId": found["principal_id"], "resourceId": found["resource_id"],
                "scope": " ".join(found["permissions"] or ())}  # fmt: skip
        return {name: value for name, value in body.items() if value is not None}

    def presence(self, row: _Row, fields: Mapping[str, str]) -> Presence:
        """Return whether a thing is still there by the listings."""
        kind, thing = row["kind"], row["thing"]
        if kind in ("role_assignment", "application_permission", "consent"):
            return self._of_grant(thing.rsplit("/", 1)[-1] if kind == "role_assignment" else fields.get("grant"))
        if kind in ("user_made", "guest_invited", "principal_made"):
            gone = self.people.get(row["object_id"])
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
        return _LISTED if thing in self.trusted else self._of_resource(thing, row["last"])

    def _of_grant(self, grant: str | None) -> Presence:
        if grant is not None and grant in self.vanished:
            return Presence("no", f"the listing of {self.vanished[grant]:%Y-%m-%d %H:%M} lacks it")
        consents = (one["permission_grant_id"] for each in self.consents.values() for one in each)
        listed = grant in self.role_assignments or grant in self.permissions.values() or grant in consents
        return _LISTED if listed else _UNKNOWN

    def _of_resource(self, thing: str, last: dt.datetime) -> Presence:
        parts = thing.split("/")
        read = self.read_on.get("/".join(parts[:3]))
        if len(parts) != _TOP_LEVEL or read is None or read <= last:
            return _UNKNOWN
        is_there = thing in self.resources
        word = "has" if is_there else "lacks"
        return Presence("yes" if is_there else "no", f"the inventory of {read:%Y-%m-%d %H:%M} {word} it")


def read_listings(table_of: Callable[[str], pl.DataFrame], things: pl.DataFrame) -> Listings:
    """Return the listings from the tables of a store.

    Args:
        table_of: A function that returns a table of the store by name, for example `Store.table`.
        things: The things to look up, as `guard.left_things.THINGS`; of large listings only their rows are read.
    """
    named, objects = (ids.implode() for ids in (things["thing"].str.split("/").list.last(), things["object_id"]))
    assignments = table_of("role_assignments").filter(pl.col("state") == "active")
    identities = table_of("resource_identities").drop_nulls("principal_id")
    credentials, owners = table_of("federated_credentials"), table_of("object_owners")
    trusted = credentials.filter(pl.col("object_id").str.starts_with("/"))
    inventories = table_of("inventories").filter(pl.col("complete")).drop_nulls("read_on")
    people = table_of("principals").select(
        folded(pl.col("principal_id")), "deleted_on", folded(pl.col("app_id")), "listed"
    )
    listed = pl.col("listed") | pl.col("deleted_on").is_not_null()
    applications = (
        pl.concat(one.select(folded(pl.col("object_id")), folded(pl.col("app_id"))) for one in (owners, credentials))
        .filter(pl.col("object_id").is_in(objects))
        .drop_nulls()
        .unique("object_id", keep="first", maintain_order=True)
    )
    permissions = table_of("app_role_assignments").select(
        *(folded(pl.col(name)).fill_null("") for name in ("resource_id", "principal_id", "app_role_id")),
        "app_role_assignment_id",
    )
    consents = table_of("permission_grants").with_columns(key=folded(pl.col("client_id")).fill_null(""))
    return Listings(
        role_assignments=_by_id(assignments, "role_assignment_id", named),
        asked=_by_id(table_of("schedule_requests"), "request_id", named),
        identities=_grouped(
            pl.concat(
                identities.select(key=folded(pl.col(name)), value=folded(pl.col("principal_id")))
                for name in ("scope", "identity_scope")
            )
        ),
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
        members=_pairs(table_of("group_members"), "group_id", "member_id", objects),
        owners=_pairs(owners, "object_id", "owner_id", objects),
        directory_roles=_pairs(table_of("directory_role_assignments"), "directory_role_id", "principal_id"),
        people=dict(
            people.filter(listed & pl.col("principal_id").is_in(objects))
            .select("principal_id", "deleted_on")
            .iter_rows()
        ),
        principals_of=_grouped(applications.join(people, on="app_id").select(key="object_id", value="principal_id")),
        permissions={tuple(key): grant for *key, grant in permissions.iter_rows()},
        consents=consents.rows_by_key("key", named=True),
    )


def _by_id(frame: pl.DataFrame, column: str, wanted: pl.Series) -> Mapping[str, _Row]:
    """Return the rows with an id of the list `wanted` by that id."""
    keyed = frame.with_columns(key=folded(pl.col(column))).filter(pl.col("key").is_in(wanted))
    return keyed.rows_by_key("key", named=True, unique=True)


def _pairs(
    frame: pl.DataFrame, first: str, second: str, objects: pl.Series | None = None
) -> frozenset[tuple[str, str]]:
    """Return the pairs of folded ids in two columns; with a list of ids only those that have one of them second."""
    pairs = frame.select(folded(pl.col(first)), folded(pl.col(second)))
    return frozenset((pairs if objects is None else pairs.filter(pl.col(second).is_in(objects))).iter_rows())


def _grouped(pairs: pl.DataFrame) -> dict[str, list[str]]:
    grouped = pairs.drop_nulls().unique().sort("key", "value").group_by("key", maintain_order=True).agg("value")
    return {key: list(values) for key, values in grouped.iter_rows()}
