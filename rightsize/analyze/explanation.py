"""Collect everything that is known about one principal, as rows for people and programs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.naming import principal_ids, principal_names
from rightsize.analyze.reasons import Verdict, sentence_on
from rightsize.analyze.scores import bucket_of, holders_of_unknown_roles, score_principals, unscored
from rightsize.analyze.text import folded
from rightsize.analyze.verdicts import Analysis

Rows = list[dict[str, Any]]

_IDENTITY = (
    "principal_id",
    "principal_type",
    "display_name",
    "user_principal_name",
    "app_id",
    "account_enabled",
    "user_type",
    "created_on",
    "deleted_on",
    "last_sign_in",
)
_USE = ("operation", "plane", "scope", "events", "days", "first_seen", "last_seen")


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that is known about one principal.

    Attributes:
        identity: The principal itself, under the column names of `principals`.
        groups: The groups that contain it, each with `via`, the groups between, nearest first.
        assignments: The assignments that reach it: state, role, scope, condition, `via` and the counts of their
            verdicts.
        scores: Counts and scores for each plane.
        verdicts: How many operations have which verdict, and why.
        used: Each use with the assignment it is credited to and the reason of the attribution.
        used_earlier: The same for use before the window only, with how many days ago that was.
        unexplained: Use that no assignment explains, with the reason.
        denied: Refused calls: demand, never use.
        sign_ins: Tokens for each kind and resource.
        other_access: Requests of data planes that no Azure role decided, or that no rule maps to a permission.
        findings: Findings about it and its assignments.
        activations: Its activations and, for a group, those that others made through it, the latest first.
    """

    identity: dict[str, Any]
    groups: Rows
    assignments: Rows
    scores: Rows
    verdicts: Rows
    used: Rows
    used_earlier: Rows
    unexplained: Rows
    denied: Rows
    sign_ins: Rows
    other_access: Rows
    findings: Rows
    activations: Rows


def explain_principal(inputs: Inputs, analysis: Analysis, findings: pl.DataFrame, principal_id: str) -> Explanation:
    """Collect everything that is known about the principal with this (folded) id."""
    chains = _chains(inputs, analysis, principal_id)
    reached = _reached(inputs, analysis, principal_id, chains)
    # The use of a group is that of its members; any other principal has its own.
    held = reached["role_assignment_id"].unique()
    is_own = pl.col("principal_id") == principal_id
    group_use = pl.col("role_assignment_id").is_in(_held_by(analysis, principal_id).implode())
    used = analysis.verdicts.filter((pl.col("verdict") == Verdict.USED.value) & (is_own | group_use))
    earlier = analysis.earlier.filter(is_own | group_use)
    days_ago = analysis.window.days_ago(pl.col("last_seen"))
    about = (pl.col("principal_id") == principal_id) | pl.col("subject").is_in(held.implode())
    return Explanation(
        identity=_identity(inputs, principal_id),
        groups=_groups(inputs, chains),
        assignments=_with_counts(reached, analysis.verdicts, chains),
        scores=[
            row | {"bucket": bucket_of(row["creep"])}
            for row in _scores(analysis, principal_id).drop("principal_id").to_dicts()
        ],
        verdicts=_verdicts(analysis, reached, used, earlier),
        used=used.sort("last_seen", "operation", "scope", descending=[True, False, False])
        .select("principal_id", *_USE, "role_assignment_id", "state", "reason")
        .to_dicts(),
        used_earlier=earlier.sort("last_seen", "operation", "scope", descending=[True, False, False])
        .select("principal_id", *_USE, "role_assignment_id", "state", days_ago=days_ago)
        .to_dicts(),
        unexplained=analysis.verdicts.filter(is_own & (pl.col("verdict") == Verdict.UNEXPLAINED.value))
        .select(*_USE, "reason")
        .to_dicts(),
        denied=_denied(analysis, principal_id),
        sign_ins=_sign_ins(inputs, analysis, principal_id),
        other_access=_other_access(inputs, analysis, principal_id),
        findings=findings.filter(about).to_dicts(),
        activations=analysis.activations.filter(
            is_own | pl.col("eligibility_id").is_in(_held_by(analysis, principal_id).implode())
        )
        .sort("start_on", "activation_id", descending=[True, False])
        .to_dicts(),
    )


def _scores(analysis: Analysis, principal_id: str) -> pl.DataFrame:
    unknown = holders_of_unknown_roles(analysis.tenant)
    return unscored(score_principals(analysis, principal_id), "principal_id", unknown)


def _chains(inputs: Inputs, analysis: Analysis, principal_id: str) -> dict[str, tuple[str, ...]]:
    """Return each group that contains the principal, with the groups on the shortest way to it, itself the last."""
    direct = inputs.group_members.filter(pl.col("listing") == "members")
    edges = pl.DataFrame({"group": folded(direct["group_id"]), "member": folded(direct["member_id"])})
    upwards = [edges.filter(pl.col("member") == principal_id)]
    known = {principal_id}
    while reached := set(upwards[-1]["group"]) - known:
        known |= reached
        upwards.append(edges.filter(pl.col("member").is_in(list(reached))))
    above: dict[str, list[str]] = {}
    for group, member in pl.concat(upwards).unique().sort("member", "group").iter_rows():
        above.setdefault(member, []).append(group)
    found: dict[str, tuple[str, ...]] = {}
    queue: deque[tuple[str, tuple[str, ...]]] = deque([(principal_id, ())])
    while queue:
        node, way = queue.popleft()
        for group in above.get(node, []):
            if group not in found and group != principal_id:
                found[group] = (*way, group)
                queue.append((group, found[group]))
    # For groups that only a transitive listing names, the groups between are not known.
    containing = analysis.tenant.membership.filter(pl.col("principal_id") == principal_id)["holder"]
    for group in containing.sort():
        if group != principal_id:
            found.setdefault(group, (group,))
    return {group: found[group] for group in sorted(found) if group in set(containing)}


def _reached(inputs: Inputs, analysis: Analysis, principal_id: str, chains: dict[str, tuple[str, ...]]) -> pl.DataFrame:
    roles = inputs.role_definitions.select(
        role=folded(inputs.role_definitions["role_definition_id"]), defined_name="role_name"
    )
    holders = [principal_id, *chains]
    return (
        analysis.tenant.assignments.filter(pl.col("principal_id").is_in(holders))
        .join(roles, on="role", how="left", maintain_order="left")
        .with_columns(role_name=pl.coalesce("defined_name", "role_name", "role"))
    )


def _held_by(analysis: Analysis, principal_id: str) -> pl.Series:
    held = analysis.tenant.assignments.filter(pl.col("principal_id") == principal_id)
    return held["role_assignment_id"].unique()


def _identity(inputs: Inputs, principal_id: str) -> dict[str, Any]:
    mine = inputs.principals.filter(principal_ids(inputs) == principal_id)
    if not mine.is_empty():
        return mine.select(_IDENTITY).row(0, named=True)
    called = principal_names(inputs).filter(pl.col("principal_id") == principal_id)
    known = dict.fromkeys(_IDENTITY)
    if not called.is_empty():
        known |= {"principal_type": called["principal_type"].item(), "display_name": called["name"].item()}
    return known | {"principal_id": principal_id}


def _groups(inputs: Inputs, chains: dict[str, tuple[str, ...]]) -> Rows:
    called = principal_names(inputs).filter(pl.col("principal_id").is_in(list(chains)))
    names = dict(called.select("principal_id", "name").iter_rows())
    return [
        {"group_id": group, "name": names.get(group, group), "via": list(way[:-1])} for group, way in chains.items()
    ]


def _with_counts(reached: pl.DataFrame, verdicts: pl.DataFrame, chains: dict[str, tuple[str, ...]]) -> Rows:
    key = ["role_assignment_id", "state", "plane", "verdict", "reason"]
    mine = verdicts.join(reached, on=["role_assignment_id", "state"], how="semi")
    used = mine.filter(pl.col("verdict") == Verdict.USED.value)
    counted = pl.concat(
        [
            used.group_by(key).agg(operations=pl.col("operation").n_unique().cast(pl.Int64)),
            # The number of operations of an unknown role is not known.
            mine.filter(pl.col("verdict") != Verdict.USED.value)
            .group_by(key)
            .agg(pl.when(pl.col("operations").is_not_null().any()).then(pl.col("operations").sum())),
        ]
    ).sort(key)
    counts: dict[tuple[str, str], Rows] = {}
    for row in counted.iter_rows(named=True):
        counts.setdefault((row.pop("role_assignment_id"), row.pop("state")), []).append(row)
    columns = ("role_assignment_id", "state", "role_name", "scope", "condition", "created_on", "end_on")
    return [
        {name: row[name] for name in columns}
        | {
            "role_definition_id": row["role"],
            "via": list(chains.get(row["principal_id"], ())),
            "verdicts": counts.get((row["role_assignment_id"], row["state"]), []),
        }
        for row in reached.iter_rows(named=True)
    ]


def _verdicts(analysis: Analysis, reached: pl.DataFrame, used: pl.DataFrame, earlier: pl.DataFrame) -> Rows:
    """Return how many distinct operations have which verdict; of several assignments the best verdict counts."""
    seen = pl.concat([used.sort("reason"), earlier]).unique(["operation", "plane"], keep="first", maintain_order=True)
    order = [Verdict.OUT_OF_COVERAGE.value, Verdict.UNOBSERVABLE.value, Verdict.UNUSED.value]
    profiles = analysis.profiles.join(reached, on=["role_assignment_id", "state"], how="semi")["profile_id"].unique()
    rank = pl.col("verdict").replace_strict({word: index for index, word in enumerate(order)}, return_dtype=pl.Int64)
    left = (
        analysis.profile_operations.filter(pl.col("profile_id").is_in(profiles.implode()))
        .join(seen, on=["operation", "plane"], how="anti")
        .sort(rank, "reason")
        .unique(["operation", "plane"], keep="first", maintain_order=True)
        .group_by("plane", "verdict", "reason")
        .agg(operations=pl.len().cast(pl.Int64))
    )
    exercised = seen.group_by("plane", "verdict", "reason").agg(operations=pl.len().cast(pl.Int64))
    rows = pl.concat([exercised, left]).sort("plane", "verdict", "reason").to_dicts()
    held = analysis.verdicts.join(reached, on=["role_assignment_id", "state"], how="semi").drop_nulls("covered_days")
    fewest = {
        (plane, reason): days
        for plane, reason, days in held.group_by("plane", "reason").agg(pl.col("covered_days").min()).iter_rows()
    }
    return [
        row | {"meaning": sentence_on(row["reason"], fewest.get((row["plane"], row["reason"])), analysis.window.days)}
        for row in rows
    ]


def _denied(analysis: Analysis, principal_id: str) -> Rows:
    refused = analysis.usage.filter((pl.col("principal_id") == principal_id) & (pl.col("denied") > 0))
    return (
        refused.group_by("operation", "plane", "scope")
        .agg(pl.col("denied").sum(), used=(pl.col("events") > 0).any())
        .sort("operation", "plane", "scope")
        .to_dicts()
    )


def _other_access(inputs: Inputs, analysis: Analysis, principal_id: str) -> Rows:
    rows = inputs.request_access.filter(
        analysis.window.holds("day")
        & (folded(inputs.request_access["principal_id"]) == principal_id)
        & pl.col("access").is_in(["access_policy", "own_roles", "unmapped"])
    )
    return (
        rows.group_by("resource", "source", "access")
        .agg(pl.col("events").sum(), pl.col("day").n_unique().alias("days"), pl.col("last_seen").max())
        .sort("resource", "source", "access")
        .to_dicts()
    )


def _sign_ins(inputs: Inputs, analysis: Analysis, principal_id: str) -> Rows:
    rows = inputs.sign_ins.filter(
        analysis.window.holds("day") & (folded(inputs.sign_ins["principal_id"]) == principal_id)
    )
    return (
        rows.group_by("kind", "resource_id")
        .agg(
            pl.col("resource_name").drop_nulls().min(),
            pl.col("succeeded").sum(),
            pl.col("failed").sum(),
            pl.col("day").n_unique().alias("days"),
            pl.col("last_seen").max(),
        )
        .sort("kind", "resource_id")
        .to_dicts()
    )
