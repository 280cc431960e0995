"""Read federated credentials with their principals, and the sign-ins, changes and observed subjects about them.

The bodies of requests are here, too, so that each credential can be made exactly as it is.

Sources: Microsoft Learn, Graph reference of federatedIdentityCredential (v1.0 and beta); REST reference of
Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import polars as pl

from rightsize.analyze.inputs import Inputs, folded, place_of
from rightsize.analyze.reasons import Verdict
from rightsize.analyze.window import Window, administrative, choose_window
from rightsize.model.options import WindowOptions
from rightsize.model.text import Folded
from rightsize.rules.trust import Comparison, TrustedSubject

APPLICATION, IDENTITY = "application", "identity"
SINGLE_TENANT = "azureadmyorg"
_AUDIT_LOG = "entra_audit_log"
_APPLICATION_LOGS = ("service_principal",)
# The column stands in both tables, and no page says which of them has the sign-ins of a federated identity.
_IDENTITY_LOGS = ("managed_identity", "service_principal")


@dataclass(frozen=True, slots=True)
class Credential:
    """A federated credential of an application or a user-assigned identity.

    Attributes:
        grant: Its id in plans and answers: the folded id of its object and its folded name.
        holder: `application` or `identity`.
        object_id: Object id of the application, or resource id of the identity; folded.
        name: Its name as it is written.
        credential_id: Its folded id in Graph, or its resource id; empty where the export does not say it.
        principal_id: The principal that it signs in as; empty where no listing has it.
        principal_name: The display name of that principal.
        principal_created: When the principal was created.
        app_id: Application id of the principal.
        subject: The subject or the expression; None where the export does not show it.
        is_expression: Whether the subject is an expression.
        language_version: Version of the language of the expression.
        single_tenant: Whether only this tenant has sign-ins by it.
        logs: The kinds of sign-in that would show its use.
    """

    grant: str
    holder: str
    object_id: str
    name: str
    credential_id: str
    principal_id: str
    principal_name: str
    principal_created: dt.datetime | None
    app_id: str
    issuer: str
    subject: str | None
    is_expression: bool
    audiences: tuple[str, ...]
    description: str | None
    language_version: int | None
    single_tenant: bool

    @property
    def logs(self) -> tuple[str, ...]:
        """Return the kinds of sign-in that would show its use."""
        return _APPLICATION_LOGS if self.holder == APPLICATION else _IDENTITY_LOGS


@dataclass(frozen=True)
class TrustTables:
    """The tables that judge federated credentials.

    Attributes:
        credentials: All credentials, sorted by `grant`.
        sign_ins: `credential_sign_ins` with folded ids, only days with a token.
        covered: `(kind, day)`: the days that each sign-in log of workloads covers.
        audit_days: Days that the directory audit log covers.
        activity_days: `(place, day)`: the days that the Activity Log of each scope covers.
        changes: As `credential_changes`.
        observed: As `observed_subjects`, with folded issuer.
    """

    credentials: tuple[Credential, ...]
    sign_ins: pl.DataFrame
    covered: pl.DataFrame
    audit_days: pl.Series
    activity_days: pl.DataFrame
    changes: pl.DataFrame
    observed: pl.DataFrame

    @classmethod
    def read(cls, table_of: Callable[[str], pl.DataFrame]) -> TrustTables:
        """Read the tables, each got through `table_of`; without credentials only these are read."""
        held = table_of("federated_credentials")
        if held.is_empty():
            none = pl.DataFrame()
            return cls((), none, none, pl.Series(dtype=pl.Date), none, none, none)
        coverage = table_of("coverage").filter(pl.col("state") != "missing")
        signed = coverage.filter((pl.col("source") == "sign_in_log") & (place_of(pl.col("scope")) == "/"))
        kinds = pl.DataFrame({"kind": list(_IDENTITY_LOGS)})
        named = signed.select("day", category=folded(pl.col("category"))).join(kinds, how="cross")
        activity = administrative(coverage)
        observed = table_of("observed_subjects")
        return cls(
            credentials=tuple(_credentials(held, table_of)),
            sign_ins=_signed_in(table_of("credential_sign_ins")),
            covered=named.filter((pl.col("category") == "*") | (pl.col("category") == pl.col("kind")))
            .select("kind", "day")
            .unique(),
            audit_days=coverage.filter(pl.col("source") == _AUDIT_LOG)["day"].unique(),
            activity_days=activity.select("day", place=place_of(activity["scope"])).unique(),
            changes=table_of("credential_changes"),
            observed=observed.with_columns(issuer=folded(observed["issuer"]), app_id=folded(observed["app_id"])),
        )

    @property
    def is_empty(self) -> bool:
        """Return whether no federated credential is loaded."""
        return not self.credentials


def trust_window(tables: TrustTables, asked: WindowOptions) -> Window:
    """Return the window; without `as_of` it ends with the newest day of the sign-in logs of workloads."""
    log = tables.covered.select("day").unique()
    days_seen = (log["day"].max(), tables.sign_ins["day"].max())
    newest = max((day for day in days_seen if isinstance(day, dt.date)), default=None)
    as_of = asked.as_of
    if as_of is None and newest is not None:
        as_of = newest + dt.timedelta(days=1)
    rows = log.with_columns(source=pl.lit("workload_sign_ins"), scope=pl.lit("/"), state=pl.lit("observed"))
    return choose_window(Inputs.of(coverage=rows), as_of, *asked.span)


def grant_of_credential() -> pl.Expr:
    """Return the `grant` of each row of the table `federated_credentials`."""
    object_id, name = (pl.col(column).str.to_lowercase() for column in ("object_id", "name"))
    return pl.format("{}/federatedidentitycredentials/{}", object_id, name)


def _signed_in(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("succeeded") > 0).with_columns(folded(pl.col("principal_id")))


def _credentials(held: pl.DataFrame, table_of: Callable[[str], pl.DataFrame]) -> Iterator[Credential]:
    people = table_of("principals")
    by_app: dict[str, list[dict[str, Any]]] = {}
    by_identity: dict[str, list[dict[str, Any]]] = {}
    for row in people.filter(pl.col("principal_type").is_in(["ServicePrincipal", "ManagedIdentity"])).iter_rows(
        named=True
    ):
        # Agents have no application of their own, and an export may leave out the id.
        if row["app_id"]:
            by_app.setdefault(row["app_id"].lower(), []).append(row)
        for name in row["alternative_names"] or ():
            by_identity.setdefault(name.lower().rstrip("/"), []).append(row)
    own = table_of("resource_identities").filter(pl.col("kind") == "self")
    ids = dict(own.select("scope", "principal_id").drop_nulls().iter_rows())
    named = people.filter(pl.col("principal_id").str.to_lowercase().is_in([one.lower() for one in ids.values()]))
    by_id = {row["principal_id"].lower(): row for row in named.iter_rows(named=True)}
    for row in held.with_columns(grant=grant_of_credential()).sort("object_id", "name").iter_rows(named=True):
        object_id = row["object_id"].lower()
        is_identity = object_id.startswith("/")
        found = by_identity.get(object_id, []) if is_identity else by_app.get((row["app_id"] or "").lower(), [])
        own_id = (ids.get(object_id) or "").lower()
        who = found[0] if len(found) == 1 else by_id.get(own_id)
        principal = who["principal_id"].lower() if who else own_id
        # A principal that a listing has deleted signs in no more.
        is_gone = bool(who and who["deleted_on"])
        yield Credential(
            grant=row["grant"],
            holder=IDENTITY if is_identity else APPLICATION,
            object_id=object_id,
            name=row["spelling"] or row["name"],
            credential_id=(row["credential_id"] or "").lower(),
            principal_id="" if is_gone else principal,
            principal_name=(who["display_name"] if who else None) or object_id.rpartition("/")[2],
            principal_created=who["created_on"] if who else None,
            app_id=(row["app_id"] or (who["app_id"] if who else None) or "").lower(),
            issuer=row["issuer"],
            subject=row["subject"],
            is_expression=bool(row["is_expression"]),
            audiences=tuple(row["audiences"] or ()),
            description=row["description"],
            language_version=row["language_version"],
            single_tenant=is_identity or (row["sign_in_audience"] or "").lower() == SINGLE_TENANT,
        )


@dataclass(frozen=True, slots=True)
class SignInUse:
    """The sign-ins by one credential: how many gave a token, on which days, when, and for which resources."""

    sign_ins: int
    days: tuple[dt.date, ...]
    first_seen: dt.datetime
    last_seen: dt.datetime
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ObservedSubject:
    """A subject that presented a token by a credential, as the logs of its runs say.

    Attributes:
        days: The days on which it did.
        last_seen: The last time.
        runs: Names of a few of its runs.
    """

    subject: str
    days: tuple[dt.date, ...]
    last_seen: dt.datetime
    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CredentialVerdict:
    """The verdict on one credential.

    Attributes:
        reason: Why, as a word of `reasons`.
        covered_days: The days of the window that the logs cover, where the verdict rests on a part of them.
        use: The sign-ins of the window.
        earlier: The sign-ins of other loaded days that count.
        observed: The subjects that are known to have signed in by it.
        is_age_known: Whether a log of changes covers the window, so that a change since then would be known.
        changed_on: The last day in the loaded logs on which it may have been made or changed.
    """

    credential: Credential
    trusts: TrustedSubject
    verdict: Verdict
    reason: str
    covered_days: int | None
    use: SignInUse | None
    earlier: SignInUse | None
    observed: tuple[ObservedSubject, ...]
    is_age_known: bool
    changed_on: dt.date | None


MOST_CREDENTIALS = 20
"""The limit of credentials of an application or identity: Microsoft Learn, "workload identity federation limits"."""

_LANGUAGE = 1
_GRAPH = "https://graph.microsoft.com"
_ARM = "https://management.azure.com"
_ARM_VERSION, _ARM_FLEXIBLE = "2023-01-31", "2025-01-31-preview"


def body_of(
    one: Credential, *, name: str | None = None, subject: str | None = None, expression: str | None = None
) -> dict[str, Any]:
    """Return the body that makes a credential as it is, or with another name and subject or expression."""
    if subject is None and expression is None:
        subject, expression = (None, one.subject) if one.is_expression else (one.subject, None)
    said: dict[str, Any] = {"issuer": one.issuer, "audiences": list(one.audiences)}
    if expression is None:
        said["subject"] = subject
    else:
        version = _LANGUAGE if one.language_version is None else one.language_version
        said["claimsMatchingExpression"] = {"value": expression, "languageVersion": version}
    if one.holder != APPLICATION:
        return {"properties": said}
    described = {"description": one.description} if one.description else {}
    return {"name": name or one.name, **said, **described}


def request_to_make(one: Credential, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the request that makes a credential with a body of `body_of`."""
    flexible = "claimsMatchingExpression" in (body if one.holder == APPLICATION else body["properties"])
    if one.holder == APPLICATION:
        url = f"{_GRAPH}/{'beta' if flexible else 'v1.0'}/applications/{one.object_id}/federatedIdentityCredentials"
        return {"method": "POST", "url": url, "body": body}
    version = _ARM_FLEXIBLE if flexible else _ARM_VERSION
    url = f"{_ARM}{one.object_id}/federatedIdentityCredentials/{name}"
    return {"method": "PUT", "url": url, "version": version, "body": body}


def request_to_delete(one: Credential, name: str) -> dict[str, Any]:
    """Return the request that deletes a credential by its name."""
    if one.holder == APPLICATION:
        url = f"{_GRAPH}/v1.0/applications/{one.object_id}/federatedIdentityCredentials/{name}"
        return {"method": "DELETE", "url": url, "body": None}
    url = f"{_ARM}{one.object_id}/federatedIdentityCredentials/{name}"
    return {"method": "DELETE", "url": url, "version": _ARM_FLEXIBLE, "body": None}


def can_be_restored(one: Credential) -> bool:
    """Return whether the exports show all that is needed to make a credential again."""
    return one.subject is not None and bool(one.audiences)


def name_of_narrowed(one: Credential, subject: str) -> str:
    """Return the name of a credential for one subject: of letters, digits, dashes and underscores, at most 120."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", one.name).strip("-_")[:100] or "credential"
    return f"{stem}-{hashlib.sha256(subject.encode()).hexdigest()[:8]}"


def id_of_narrowed(one: Credential, subject: str, others: tuple[Comparison, ...]) -> Folded:
    """Return the id by which a plan names a credential for one subject, beside the other compared claims."""
    text = "\n".join((one.object_id, one.issuer, subject, *(str(other) for other in others)))
    return Folded(str(uuid5(NAMESPACE_URL, f"rightsize:trust:{text}")))
