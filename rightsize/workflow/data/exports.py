"""Derive from the sources of `collect` the requests of the script that fetches exports.

Each source is asked for its units in a tenant that has one of everything, under names that occur nowhere else. Where a
name stands in a request, the script puts in what it finds. So script and collection send the same requests.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from rightsize.azure.wire import WireRequest
from rightsize.collect.known import AskedFor
from rightsize.collect.listing import (
    CollectionRequest,
    CollectionUnit,
    Form,
    Source,
    instant,
    read_graph_query,
    read_records,
)
from rightsize.collect.sources import chosen_sources
from rightsize.collect.sources.azure import OBSERVED_TYPES
from rightsize.model.errors import UsageError
from rightsize.rbac.text import fold
from rightsize.render.exports.script import FetchRequest, Shell, export_script

_SUBSCRIPTION = "a0000000-0000-4000-8000-000000000001"
_GROUP = "a0000000-0000-4000-8000-000000000002"
_OBJECT = "a0000000-0000-4000-8000-000000000003"
_SCOPE = "/providers/Microsoft.Management/managementGroups/a0000000-0000-4000-8000-000000000004"
_RESOURCE = f"/subscriptions/{_SUBSCRIPTION}/resourceGroups/a/providers/a0000000-0000-4000-8000-000000000005/a/a"
_FIRST = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_UNTIL = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_MOST_DAYS = 3_650
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TYPES = sorted(OBSERVED_TYPES)
_PLACES = (
    (_SUBSCRIPTION, "subscription", "{subscription}"),
    (_GROUP, "group", "{id}"),
    (_SCOPE, "management_group", "{scope}"),
    (_OBJECT, "record", "{id}"),
)
"""The names of the example, what a request with one of them is about, and the word in its place."""
_FORMS: dict[Form, str] = {read_records: "records", read_graph_query: "query"}
_KINDS = {
    **dict.fromkeys(
        (
            "resource_graph", "user_assigned_identities", "key_vaults", "storage_accounts", "kubernetes_clusters",
            "container_registries", "cosmos_accounts", "event_hubs", "service_buses", "app_configurations",
            "cognitive_accounts", "search_services", "log_workspaces",
        ),
        "resources",
    ),
    **dict.fromkeys(("deleted_users", "deleted_groups", "deleted_service_principals"), "deleted_items"),
    "agent_blueprint_sponsors": "agent_blueprints",
    **dict.fromkeys(("agent_blueprint_principals", "agent_identities", "agent_sponsors"), "service_principals"),
    "agent_users": "users",
    **dict.fromkeys(("application_owners", "service_principal_owners", "group_owners"), "object_owners"),
    **dict.fromkeys(
        ("role_management_policy_assignments", "directory_role_policies", "group_policies"), "role_management_policies"
    ),
    "administrative_unit_members": "unit_members",
    "delegated_grants": "permission_grants",
    "alerts": "graph_alerts",
    "incidents": "graph_incidents",
    "sign_ins": "sign_in_log",
    "directory_audits": "entra_audit_log",
}  # fmt: skip
"""The names that `load` prints for sources which it does not call by their own name."""
_NOT_READ = (
    "licences", "applications", "access_packages", "access_package_assignments", "classic_administrators",
    "cosmos_role_assignments", "cosmos_role_definitions", "lighthouse_definitions", "lighthouse_assignments",
)  # fmt: skip
"""The sources of which `load` reads nothing."""
_LEFT_OUT = frozenset({*_NOT_READ, "transitive_members", "nested_members"})
"""The script asks for the members of every group that it finds within another one, which says the same."""


class _OneOfEverything(AskedFor):
    """A tenant with one of everything; notes how many days each log reaches back."""

    def __init__(self, question: CollectionRequest) -> None:
        super().__init__(question)
        self.reach: dict[str, int] = {}

    def parts(self, source: str) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
        """Yield the one unit of a source with its records."""
        yield _OBJECT, iter(_records(source))

    def is_held(self, source: str, key: str) -> bool:  # noqa: ARG002  there are no earlier runs
        """Return False: there are no earlier runs."""
        return False

    def since(self, source: str, key: str, lateness: dt.timedelta, oldest: dt.datetime | None = None) -> dt.datetime:  # noqa: ARG002
        """Return a time long before, and note the days from `oldest` to the end."""
        if oldest is not None:
            self.reach[source] = (_UNTIL - oldest).days
        return _FIRST


def _records(source: str) -> list[dict[str, Any]]:
    if source == "subscriptions":
        return [{"subscriptionId": _SUBSCRIPTION}]
    if source == "management_groups":
        return [{"id": _SCOPE}]
    if source == "resources":
        return [{"id": f"{_RESOURCE}{number}", "type": kind} for number, kind in enumerate(_TYPES)]
    if source in {"user_assigned_identities", "cosmos_accounts"}:
        return [{"id": f"{_RESOURCE}0"}]
    if source in {"role_assignments", "role_eligibility_instances", "role_assignment_instances"}:
        return [{"properties": {"principalId": _GROUP, "principalType": "Group"}}]
    if source in {"service_principals", "administrative_units", "agent_blueprints"}:
        return [{"id": _OBJECT, "appRoles": [{}]}]
    return []


def write_exports_script(
    days: int = 90, subscriptions: Sequence[str] = (), sources: Sequence[str] = (), shell: Shell = "bash"
) -> str:
    """Return the script that fetches what `load` wants of a tenant.

    Args:
        days: Days of the logs.
        subscriptions: Ids of subscriptions; empty for all that the reader sees, and all management groups.
        sources: Names of sources of `collect`; empty for all.
        shell: The shell that runs it.

    Raises:
        UsageError: A subscription is not an id, or a source is unknown.
    """
    ids = sorted({_checked(text) for text in subscriptions})
    return export_script(requests_of(sources, with_groups=not ids), days, ids, shell)


def _checked(text: str) -> str:
    folded = fold(text)
    if not _GUID.fullmatch(folded):
        raise UsageError(f"`--subscription {text}` is not the id of a subscription", hint="give its GUID")
    return folded


def requests_of(names: Sequence[str] = (), *, with_groups: bool = True) -> list[FetchRequest]:
    """Return the requests of these sources, all that `load` reads without names, and of those that they need.

    Args:
        names: Names of sources of `collect`.
        with_groups: Whether to ask at management groups and the tenant, too, for what is listed scope by scope.

    Raises:
        UsageError: A name is not a source, or no source that the script can ask.
    """
    asked = [one.name for one in chosen_sources(()) if not one.is_raw and one.name not in _LEFT_OUT]
    for name in names:
        if name not in asked:
            raise UsageError(
                f"`{name}` is not a source that the script asks", hint=f"one of {', '.join(sorted(asked))}"
            )
    chosen = [one for one in chosen_sources(names) if one.name in asked]
    tenant = _OneOfEverything(
        CollectionRequest(_UNTIL, _MOST_DAYS, subscriptions=() if with_groups else (_SUBSCRIPTION,))
    )
    found: dict[tuple[str, str], FetchRequest] = {}
    for source in chosen:
        for unit in source.units(tenant):
            if unit.first not in (None, _FIRST):
                continue
            for request in unit.requests:
                one = _request(source, unit, request, tenant.reach.get(source.name, 0))
                found.setdefault((one.source, one.name + one.type), one)
    return list(found.values())


def _request(source: Source, unit: CollectionUnit, request: WireRequest, reach: int) -> FetchRequest:
    span = (unit.last - unit.first).days if unit.first and unit.last and unit.last != _UNTIL else 0
    one = FetchRequest(
        source=source.name,
        kind=_KINDS.get(source.name, source.name),
        service=request.service,
        url=request.url,
        each="tenant",
        form=_FORMS.get(source.form, "pages"),
        name=unit.label or _stream(unit.key) or "tenant",
        method=request.method,
        body=request.body or "",
        headers=tuple(f"{name}={value}" for name, value in request.headers.items()),
        instead=unit.instead[0].url if unit.instead else "",
        slice_days=span,
        reach_days=reach,
    )
    for name, text in ((instant(_FIRST), "{first}"), (instant(unit.last or _UNTIL), "{last}")):
        one = _filled(one, name, text)
    return _about(one, source)


def _stream(key: str) -> str:
    """Return the name of a stream of a log; nothing for a scope."""
    name = key.rpartition("#")[0] or key
    return name if name.isalnum() else ""


def _about(one: FetchRequest, source: Source) -> FetchRequest:
    """Return a request with what it is about, and that in place of the example's names."""
    if _RESOURCE in one.url:
        number, _, rest = one.url.partition(_RESOURCE)[2].partition("/")
        service = "" if rest.startswith("providers/") or "/" not in rest else rest.partition("/")[0]
        found = replace(
            one,
            each="record",
            parent=source.after[0],
            type=_TYPES[int(number)] if source.after[0] == "resources" else "",
            name=f"{{id}}-{service}" if service else "{id}",
        )
        return _filled(found, f"{_RESOURCE}{number}", "{resource}")
    for text, each, word in _PLACES:
        if text in one.url or text in one.body:
            default = "{subscription}" if each == "subscription" else "{id}"
            about = replace(one, each=each, name=one.name if text in one.name else default)
            if each == "record":
                having = "appRoles" if source.name == "app_role_assignments" else ""
                about = replace(about, parent=source.after[0], having=having)
            return _filled(about, text, word)
    return one


def _filled(one: FetchRequest, text: str, word: str) -> FetchRequest:
    return replace(
        one,
        url=one.url.replace(text, word).replace(quote(text, safe=""), word),
        body=one.body.replace(text, word),
        name=one.name.replace(text, word),
        instead=one.instead.replace(text, word),
    )
