"""Generate the sample tenant that a spec describes, and write it as the exports that its administrators would make.

Compute the truth of a generated tenant: each principal's needs, and the findings an analysis should make.

Exports hold only logged use; the truth also holds reads, linked checks and data-plane use that no log shows.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.demo import inventory_files
from rightsize.demo.access_files import activations, write_access
from rightsize.demo.activity_files import DAMAGED_CALLS, write_activity, write_damaged, write_sign_ins
from rightsize.demo.activity_texts import HABIT_CODES
from rightsize.demo.attacks import write_attacks
from rightsize.demo.calls import BEGIN_ONLY, DONE, expand_habits, principals_without_arm_token, sign_in_rows
from rightsize.demo.directory_files import write_directory, write_trust
from rightsize.demo.directory_roles import directory_truth, write_directory_roles
from rightsize.demo.graph_files import agent_truth, graph_truth, write_agent_use, write_agents, write_graph
from rightsize.demo.people import DOMAIN, LOGGED_ACCOUNT, SILENT_SUBSCRIPTION, read_cast, silent_days
from rightsize.demo.request_files import write_requests
from rightsize.demo.teams import fill
from rightsize.demo.tenant import SILENT_KINDS, Habit, SampleGrant, SampleTenant, TenantSpec
from rightsize.demo.writing import Folder

# Options of a grant that exclude its assignment from changes.
EXCLUDED = ("emergency", "first_party", "policy", "young")


def plant_truth(
    tenant: SampleTenant,
    folder: Folder,
    activity: pl.DataFrame,
    storage: pl.DataFrame,
    requests: pl.DataFrame,
    sign_ins: pl.DataFrame,
) -> dict[str, Any]:
    """Return the truth of a tenant whose exports stand in a folder.

    Args:
        tenant: The tenant.
        folder: The exports, for the counts of their records.
        activity: The rows of the Activity Log that the exports hold.
        storage: The calls that the storage log holds.
        requests: The calls that the logs of other resources' requests hold.
        sign_ins: The rows of the sign-in logs.
    """
    spec = tenant.spec
    seen = _seen(tenant, activity, pl.concat([part.select("habit", "call") for part in (storage, requests)]))
    needs = [_need(habit, calls) for habit, calls in zip(tenant.habits, seen, strict=True) if _is_need(habit, calls)]
    return {
        "format_version": 1,
        "seed": spec.seed,
        "tenant_id": tenant.tenant_id,
        "first_day": spec.first_day.isoformat(),
        "window": {"first_day": spec.window_start.isoformat(), "last_day": spec.end_day.isoformat()},
        "needs": needs,
        "unexplained": [
            _use(habit, seen[index])
            for index, habit in enumerate(tenant.habits)
            if habit.kind not in SILENT_KINDS and not habit.credited_to and not habit.outcome and seen[index]["logged"]
        ],
        "demand": [
            {
                "principal_id": habit.principal_id,
                "operation": habit.linked_operation or habit.operation,
                "scope": habit.linked_scope or habit.scope,
                "events": seen[index]["logged"],
            }
            for index, habit in enumerate(tenant.habits)
            if habit.outcome in ("denied", "linked") and seen[index]["logged"]
        ],
        "assignments": _assignments(tenant, needs),
        "gone_assignments": sorted({grant.grant_id for grant in _evidence(tenant)} - _listed(tenant)),
        "activations": [
            {"role_assignment_id": grant.grant_id, "eligibility_id": grant.eligibility_id}
            for grant in activations(tenant)
        ],
        "directory": directory_truth(tenant),
        "graph": [*graph_truth(tenant), *agent_truth(tenant)],
        "principals_without_arm_token": principals_without_arm_token(tenant, sign_ins),
        "missing_days": {
            scope: {"first_day": first.isoformat(), "last_day": last.isoformat()}
            for scope, (first, last) in sorted(tenant.missing.items())
        },
        "logged_resources": list(tenant.logged_resources),
        "request_resources": inventory_files.logged_resources(tenant),
        "events": _counts(activity, storage) | {"request_logs": requests.height},
        "files": {
            path: {"records": records, "rejected": folder.rejected.get(path, 0)}
            for path, records in sorted(folder.records.items())
        },
    }


def _seen(tenant: SampleTenant, activity: pl.DataFrame, storage: pl.DataFrame) -> list[dict[str, Any]]:
    """Return for each habit its number of calls in the window, how many a log shows, and the first and last call."""
    start = (tenant.spec.window_start - tenant.spec.first_day).days
    keys = ["habit", "call"]
    logged = pl.concat([activity.filter(pl.col("category") == 0).select(keys).unique(), storage.select(keys)])
    window = tenant.calls.filter(pl.col("day") >= start).with_columns(pl.col("habit").cast(pl.Int32))
    window = window.join(logged.with_columns(pl.lit(True).alias("logged")), on=keys, how="left")
    found = window.group_by("habit").agg(
        pl.len().alias("calls"),
        pl.col("logged").sum().cast(pl.Int64).alias("logged"),
        pl.col("time").min().alias("first_seen"),
        pl.col("time").max().alias("last_seen"),
    )
    rows = {row["habit"]: row for row in found.iter_rows(named=True)}
    nothing: dict[str, Any] = {"calls": 0, "logged": 0, "first_seen": None, "last_seen": None}
    return [rows.get(index, nothing) for index in range(len(tenant.habits))]


def _is_need(habit: Habit, seen: dict[str, Any]) -> bool:
    refused = habit.outcome in ("denied", "linked")
    return bool(habit.credited_to) and not refused and seen["calls"] > 0


def _need(habit: Habit, seen: dict[str, Any]) -> dict[str, Any]:
    silent = habit.kind in SILENT_KINDS
    kind = habit.kind if silent else "used" if seen["logged"] else "out_of_coverage"
    return _use(habit, seen) | {
        "plane": "data" if is_of_data_plane(habit) else "control",
        "kind": kind,
        "role_assignment_id": habit.credited_to,
    }


def is_of_data_plane(habit: Habit) -> bool:
    """Return whether a habit exercises a data action; pulling from a registry is an action."""
    by_request = habit.kind == "request" and not habit.operation.endswith(("/pull/read", "/push/write"))
    return by_request or habit.kind in ("storage", "unlogged_data")


def _use(habit: Habit, seen: dict[str, Any]) -> dict[str, Any]:
    return {
        "principal_id": habit.principal_id,
        "operation": habit.operation,
        "scope": habit.scope,
        "events": seen["logged"] or seen["calls"],
        "first_seen": _instant(seen["first_seen"]),
        "last_seen": _instant(seen["last_seen"]),
    }


def _assignments(tenant: SampleTenant, needs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kinds: dict[str, Counter[str]] = {}
    for need in needs:
        kinds.setdefault(need["role_assignment_id"], Counter())[need["kind"]] += 1
    people = tenant.principals_by_id()
    names = {scope.scope: scope.name for scope in tenant.scopes}
    return [
        {
            "role_assignment_id": grant.grant_id,
            "state": grant.state,
            "principal_id": grant.principal_id,
            "principal_name": people[grant.principal_id].name,
            "role_definition_id": grant.role.role_definition_id,
            "role_name": grant.role.role_name,
            "scope": grant.scope,
            "scope_name": names.get(grant.scope, grant.scope.rsplit("/", 1)[-1] or "/"),
            "needs": dict(sorted(kinds.get(grant.grant_id, Counter()).items())),
            "never_used": grant.grant_id not in kinds,
            "orphan": "orphan" in grant.options,
            "duplicate_of": grant.duplicate_of or None,
            "excluded": next((word for word in EXCLUDED if word in grant.options), None),
            "conditional": grant.condition is not None,
            "eligibility_id": grant.eligibility_id or None,
        }
        for grant in tenant.grants
        if grant.listed
    ]


def _evidence(tenant: SampleTenant) -> list[SampleGrant]:
    return [habit.grant for habit in tenant.habits if habit.grant is not None]


def _listed(tenant: SampleTenant) -> set[str]:
    return {grant.grant_id for grant in tenant.grants if grant.listed}


def _counts(activity: pl.DataFrame, storage: pl.DataFrame) -> dict[str, Any]:
    """Return the distinct calls by log and outcome, independent of the number of rows and files that show them."""
    administrative = activity.filter(pl.col("category") == 0)
    calls = administrative.unique(["habit", "call"], maintain_order=True)
    refused = pl.col("outcome").is_in([HABIT_CODES["denied"], HABIT_CODES["linked"]])
    failed = (pl.col("outcome") != DONE) | (pl.col("failed") != DONE)
    outcome = pl.when(refused).then(pl.lit("denied")).when(pl.col("pattern") == BEGIN_ONLY).then(pl.lit("started"))
    outcomes = calls.select(outcome.when(failed).then(pl.lit("failed")).otherwise(pl.lit("succeeded")).alias("outcome"))
    found = Counter(outcomes["outcome"].to_list())
    return {
        "activity_log": dict(sorted(found.items())),
        "other_categories": activity.height - administrative.height,
        "storage_log": storage.height,
    }


def _instant(time: dt.datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="microseconds") + "Z"


def generate(spec: TenantSpec | None = None) -> SampleTenant:
    """Return the tenant that the spec asks for; the same spec gives the same tenant."""
    spec = spec or TenantSpec()
    cast = read_cast(spec)
    filling = fill(spec, cast)
    habits = (*cast.habits, *filling.habits)
    return SampleTenant(
        spec,
        cast.tenant_id,
        DOMAIN,
        (*cast.principals, *filling.principals),
        {**cast.members, **filling.members},
        (*cast.scopes, *filling.scopes),
        cast.roles,
        (*cast.grants, *filling.grants),
        habits,
        expand_habits(spec, habits),
        (cast.places.full(LOGGED_ACCOUNT),),
        {cast.places.full(SILENT_SUBSCRIPTION): silent_days(spec)},
    )


def write_exports(tenant: SampleTenant, folder: Path) -> dict[str, Any]:
    """Write all exports below `folder`, which may exist and should be empty; return the truth about them."""
    exports = Folder(folder)
    sign_ins = sign_in_rows(tenant)
    write_access(tenant, exports)
    write_directory(tenant, exports, sign_ins)
    write_directory_roles(tenant, exports)
    write_graph(tenant, exports)
    write_agents(tenant, exports)
    write_agent_use(tenant, exports)
    write_trust(tenant, exports)
    write_sign_ins(tenant, exports, sign_ins)
    storage = inventory_files.write_storage(tenant, exports)
    requests = write_requests(tenant, exports)
    inventory_files.write_vaults(tenant, exports)
    inventory_files.write_inventory(tenant, exports)
    inventory_files.write_inventories(tenant, exports)
    activity = write_activity(tenant, exports)
    write_damaged(tenant, exports)
    attacks = write_attacks(tenant, exports)
    truth = plant_truth(tenant, exports, activity, storage, requests, sign_ins)
    truth["events"]["activity_log"]["succeeded"] += len(attacks) + DAMAGED_CALLS
    return truth | {"attacks": attacks}
