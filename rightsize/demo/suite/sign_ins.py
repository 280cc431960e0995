"""Derive the sign-ins of a suite tenant from its needs, and write their four logs.

Whoever makes a call, or is refused, first got a token for the service on that day: Azure Resource Manager, or the
service whose endpoint is called. Reads need a token, too, though no log shows them. Besides, people sign in to mail.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import polars as pl

from rightsize.demo.claims import AZURE_CLI, AZURE_PORTAL
from rightsize.demo.hashing import below, guid
from rightsize.demo.sign_in_files import CATEGORIES, sign_in_record
from rightsize.demo.sign_ins import (
    ARM,
    DATA_SERVICES,
    EXCHANGE,
    INTERACTIVE,
    MANAGED_IDENTITY,
    NON_INTERACTIVE,
    SERVICE_PRINCIPAL,
)
from rightsize.demo.suite.activation_files import activated_days
from rightsize.demo.suite.model import SEEN_DAYS, SuiteNeed, SuitePrincipal, SuiteSignIn, SuiteTenant, day_of
from rightsize.demo.templates import joined, json_text
from rightsize.demo.writing import Folder

_GRAPH = ("00000003-0000-0000-c000-000000000000", "Microsoft Graph")
_SERVICES = DATA_SERVICES | {
    "Microsoft.ContainerService": ("6dae42f8-4368-4678-94ff-3960e28e3630", "Azure Kubernetes Service AAD Server"),
}
"""The services with own tokens, by provider; registries and the deployment of sites take those of Resource Manager.

Source: GitHub merill/microsoft-info for the ids; Microsoft Learn, "Disable ARM audience tokens for authentication" for
registries, and "Deploy files to App Service" for sites.
"""
_MAIL_DAYS = 3


def sign_ins_of(tenant: SuiteTenant) -> Iterator[SuiteSignIn]:
    """Yield the sign-ins of the seen days, one a principal, service and day, in a fixed order."""
    found = {(need.principal_id, service_of(need), day) for need in tenant.needs for day in need.seen}
    found |= {(one.principal_id, ARM, one.day) for one in tenant.refusals}
    for grant in tenant.grants:
        if grant.state == "eligible":
            found |= {(grant.principal_id, ARM, day) for day in activated_days(tenant, grant)}
    found |= {(one.principal_id, service, day) for one in tenant.principals for service, day in _besides(one)}
    yield from (SuiteSignIn(*one) for one in sorted(found, key=lambda one: (one[2], one[0], one[1])))


def service_of(need: SuiteNeed) -> tuple[str, str]:
    """Return the service whose token a need takes: its own for what runs on an endpoint, else Resource Manager."""
    on_endpoint = need.kind in ("endpoint", "data") or need.by_resource
    return _SERVICES.get(need.operation.split("/")[0], ARM) if on_endpoint else ARM


def _besides(who: SuitePrincipal) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield service and day of the sign-ins that no need asks for."""
    service = EXCHANGE if who.kind == "user" else _GRAPH
    for day in range(SEEN_DAYS):
        is_now = who.signs_in == "daily" or (
            who.signs_in == "some" and who.kind == "user" and not below(_MAIL_DAYS, "suite mail", who.principal_id, day)
        )
        if is_now and day_of(day) >= who.created_on:
            yield service, day


def write_sign_ins(tenant: SuiteTenant, folder: Folder) -> None:
    """Write the logs of sign-ins as diagnostic settings send them, one file a log; none for a tenant without them."""
    if not tenant.sign_ins:
        return
    people = {one.principal_id: one for one in tenant.principals}
    rows: dict[int, list[dict[str, str]]] = {kind: [] for kind in CATEGORIES}
    for one in tenant.sign_ins:
        who = people[one.principal_id]
        for kind in _kinds(who, one):
            rows[kind].append(_slots(who, one, kind))
    for kind, category in CATEGORIES.items():
        text = joined(sign_in_record(tenant.tenant_id, kind).fill(pl.DataFrame(rows[kind])), "\n") + b"\n"
        folder.write(f"sign-ins/{category.lower()}.jsonl", text, records=len(rows[kind]))


def _kinds(who: SuitePrincipal, one: SuiteSignIn) -> tuple[int, ...]:
    """Return the logs that show a sign-in: two of three of a person need no typing."""
    if who.kind != "user":
        return (MANAGED_IDENTITY if who.kind == "identity" else SERVICE_PRINCIPAL,)
    if who.signs_in == "daily":
        return (INTERACTIVE, NON_INTERACTIVE)
    return (NON_INTERACTIVE if below(3, "suite kind", who.principal_id, one.service[0], one.day) else INTERACTIVE,)


def _slots(who: SuitePrincipal, one: SuiteSignIn, kind: int) -> dict[str, str]:
    """Return the texts of a record, by the names of its slots."""
    id_ = guid("suite sign-in", who.principal_id, one.service[0], one.day, kind)
    start = dt.datetime.combine(day_of(one.day), dt.time(6, 30)) + dt.timedelta(minutes=below(25, id_))
    client = guid("suite app", who.principal_id)
    if who.kind == "user":
        client = (AZURE_PORTAL, AZURE_CLI)[below(2, "suite client", who.principal_id)]
    return {
        "id": id_,
        "instant": f"{start.isoformat()}.0000000Z",
        "error_code": "0",
        "signature": "SUCCESS",
        "reason": "Other.",
        "address": f"192.0.2.{1 + below(250, 'suite address', who.principal_id)}",
        "correlation": guid("suite sign-in request", id_),
        "principal_id": who.principal_id,
        "name": json_text(who.name),
        "upn": json_text(who.name),
        "user_type": json_text("member"),
        "credential": json_text(guid("suite credential", who.principal_id)),
        "federated": json_text(""),
        "client": client,
        "client_name": json_text(who.name),
        "resource_id": one.service[0],
        "resource_name": json_text(one.service[1]),
        "token": id_.replace("-", "")[:22],
    }
