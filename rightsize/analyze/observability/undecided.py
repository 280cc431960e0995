"""Find the days and sign-in logs that are missing, and which assignments and holders they would decide.

Weigh the operations without a decision, by assignment and by what could decide them.

The excess of an operation is its weight by risk times the reach of its assignment, as in the score of creep. An
operation with use of its own is no excess, whatever its verdict.

Only logs that are evidence for a part of the window have such days. Of several logs, a day counts as covered if all of
them cover it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from rightsize.analyze.inputs import REACH, ROOT, Inputs, folded, schema_of
from rightsize.analyze.planes import PlaneAnalysis
from rightsize.analyze.reasons import OutOfCoverage, UnobservableReason, Unused, Verdict
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.coverage import (
    arm_tokens,
    callers_of,
    covered_sign_in_kinds,
    described_principals,
    groups_with_known_members,
    tokens_of,
)
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.verdicts.profiles import operation_facts
from rightsize.analyze.verdicts.resource_logs import log_rules, rules_of
from rightsize.analyze.window import Window, administrative
from rightsize.rules.directory import weight_of as weight_of_action
from rightsize.rules.graph import level_of
from rightsize.rules.graph import weight_of as weight_of_permission
from rightsize.rules.operations import only_reads
from rightsize.rules.resource_types import decided_type
from rightsize.rules.tables import risk_weights

UNDECIDED = (Verdict.UNOBSERVABLE.value, Verdict.OUT_OF_COVERAGE.value)
ASSIGNMENT = ("role_assignment_id", "state")
CLASS = ("plane", "verdict", "reason", "kind", "log", "is_read", "levels", "is_logged")
"""The columns in which all operations of a class have one value.

`kind` is the type whose absence would decide them, `log` the type of resource whose log would show them, `is_read`
whether only a token of Azure Resource Manager shows them, `levels` at which levels of scope they happen,
`is_logged` whether the Activity Log shows them.
"""
CELLS: dict[str, pl.DataType] = {
    "role_assignment_id": pl.String(),
    "state": pl.String(),
    "principal_id": pl.String(),
    "place": pl.String(),
    "level": pl.String(),
    "plane": pl.String(),
    "verdict": pl.String(),
    "reason": pl.String(),
    "kind": pl.String(),
    "log": pl.String(),
    "is_read": pl.Boolean(),
    "levels": pl.String(),
    "is_logged": pl.Boolean(),
    "operations": pl.Int64(),
    "excess": pl.Int64(),
}
"""The columns of the rows here, one an assignment and class: number of operations, and their excess."""


def weigh_cells(analysis: Analysis, spared: pl.Series) -> pl.DataFrame:
    """Return all operations of Azure roles without use of their own, decided or not, as `CELLS` has them.

    Activations are left out, since their eligible assignments have the same operations.

    Args:
        analysis: The analysis.
        spared: Folded principals whose assignments no evidence would change: emergency access accounts.
    """
    return _weighed(analysis, operation_classes(analysis), spared)


def operation_classes(analysis: Analysis) -> pl.DataFrame:
    """Return `(profile_id, operation, weight, *CLASS)`: the operations that profiles grant, with what decides them."""
    tenant = analysis.tenant
    said = analysis.profile_operations
    names = said.select("operation", "plane").unique()
    names = names.with_columns(name=folded(names["operation"]))
    facts = operation_facts(tenant, names.select("name", "plane").unique()).select(
        "name", "plane", "levels", "why", "observable_by"
    )
    weights = tenant.operations.group_by("name").agg(weight=pl.col("weight").max())
    rules = rules_of(names).join(log_rules().select("rule", log="kind"), on="rule").select("name", "plane", "log")
    endpoint = (pl.col("why") == UnobservableReason.DATA_ENDPOINT.value).fill_null(False)
    described = (
        names.join(facts.unique(["name", "plane"], keep="any"), on=["name", "plane"], how="left")
        .join(weights, on="name", how="left")
        .join(rules.unique(["name", "plane"], keep="any"), on=["name", "plane"], how="left")
        .with_columns(
            pl.col("weight").fill_null(risk_weights()["change"]),
            log=pl.when(pl.col("why").is_null()).then("log"),
            is_logged=(pl.col("observable_by") == "activity_log").fill_null(False),
            is_read=(pl.col("why") == UnobservableReason.ARM_READ.value).fill_null(False),
        )
    )
    # As in `profiles`: reads of Resource Manager and what happens above subscriptions need no resource.
    lists = (pl.col("plane") == "control") & only_reads(pl.col("name")) & pl.col("log").is_null() & ~endpoint
    described = described.with_columns(kind=decided_type(described["name"])).with_columns(
        kind=pl.when((pl.col("levels") == "below") & ~lists).then("kind")
    )
    return said.join(described, on=["operation", "plane"]).select("profile_id", "operation", "weight", *CLASS)


def _weighed(analysis: Analysis, classes: pl.DataFrame, spared: pl.Series) -> pl.DataFrame:
    assignments = analysis.tenant.assignments.filter(
        pl.col("state").is_in(["active", "eligible"])
        & ~pl.col("twin")
        & ~pl.col("principal_id").is_in(spared.implode())
    ).select(*ASSIGNMENT, "principal_id", "place", "level")
    held = analysis.profiles.join(assignments, on=list(ASSIGNMENT))
    sums = classes.group_by("profile_id", *CLASS).agg(operations=pl.len().cast(pl.Int64), mass=pl.col("weight").sum())
    own = (
        analysis.verdicts.filter(pl.col("operation").is_not_null() & pl.col("role_assignment_id").is_not_null())
        .select(*ASSIGNMENT, "plane", "operation")
        .unique()
        .join(held.select(*ASSIGNMENT, "profile_id"), on=list(ASSIGNMENT))
        .join(classes, on=["profile_id", "plane", "operation"])
        .group_by(*ASSIGNMENT, *CLASS)
        .agg(known=pl.len().cast(pl.Int64), known_mass=pl.col("weight").sum())
    )
    reach = pl.col("level").replace_strict(REACH, return_dtype=pl.Int64)
    return (
        held.join(sums, on="profile_id")
        .join(own, on=[*ASSIGNMENT, *CLASS], how="left", nulls_equal=True)
        .with_columns(
            operations=pl.col("operations") - pl.col("known").fill_null(0),
            excess=(pl.col("mass") - pl.col("known_mass").fill_null(0)) * reach,
        )
        .filter(pl.col("operations") > 0)
        .select(pl.col(name).cast(kind) for name, kind in CELLS.items())
        .sort(*ASSIGNMENT, *CLASS, nulls_last=True)
    )


def plane_cells(planes: Sequence[PlaneAnalysis]) -> pl.DataFrame:
    """Return the same rows for permissions of Graph and actions of directory roles, whose reach is the tenant."""
    found = [pl.DataFrame(schema=CELLS)]
    for plane in planes:
        counted = plane.verdicts.filter(
            pl.col("verdict").is_in(UNDECIDED) & (pl.col("reason") != OutOfCoverage.USED_BEFORE_WINDOW.value)
        )
        singly = counted.filter(pl.col("operation").is_not_null()).select(*_OF_PLANE, "operation")
        through = counted.filter(pl.col("operation").is_null()).select(*_OF_PLANE, "set_id")
        through = through.join(plane.sets.select("set_id", "operation"), on="set_id").select(*_OF_PLANE, "operation")
        rows = pl.concat([singly, through]).drop_nulls("role_assignment_id")
        weigh = _weight_on.get(plane.plane, weight_of_action)
        names = rows["operation"].unique().sort()
        weights = pl.DataFrame(
            {"operation": names, "weight": pl.Series([weigh(name) for name in names], dtype=pl.Int64)}
        )
        summed = (
            rows.join(weights, on="operation")
            .group_by(_OF_PLANE)
            .agg(operations=pl.len().cast(pl.Int64), excess=pl.col("weight").sum() * REACH["root"])
        )
        found.append(
            summed.with_columns(
                place=pl.lit(ROOT),
                level=pl.lit("root"),
                kind=pl.lit(None, dtype=pl.String),
                log=pl.lit(None, dtype=pl.String),
                is_read=pl.lit(False),
                levels=pl.lit(None, dtype=pl.String),
                is_logged=pl.lit(False),
            ).select(pl.col(name).cast(kind) for name, kind in CELLS.items())
        )
    return pl.concat(found).sort(*ASSIGNMENT, *CLASS, nulls_last=True)


_OF_PLANE = ("role_assignment_id", "state", "principal_id", "plane", "verdict", "reason")


def _weight_of_granted(permission: str) -> int:
    return weight_of_permission(permission, level_of(permission, "application", None))


_weight_on = {"graph": _weight_of_granted}


def inner_gaps(inputs: Inputs, window: Window) -> pl.DataFrame:
    """Return `(scope, day)`: the days of the window without a log between two days that its log covers.

    A complete export of these days may have no row of them; then the days only have to be declared.
    """
    days = _logged(inputs)
    ends = days.group_by("scope").agg(first=pl.col("day").min(), last=pl.col("day").max())
    every = pl.DataFrame({"day": pl.date_range(window.first_day, window.last_day, eager=True)})
    return (
        ends.join(every, how="cross")
        .filter(pl.col("day").is_between("first", "last"))
        .select("scope", "day")
        .join(days, on=["scope", "day"], how="anti")
        .sort("scope", "day")
    )


def as_ranges(days: pl.DataFrame) -> pl.DataFrame:
    """Return `(scope, first_day, last_day)`: days in a row as one range."""
    run = (pl.col("day").diff().dt.total_days().fill_null(1) != 1).cum_sum().over("scope", order_by="day")
    return (
        days.sort("scope", "day")
        .with_columns(run=run)
        .group_by("scope", "run")
        .agg(first_day=pl.col("day").min(), last_day=pl.col("day").max())
        .select("scope", "first_day", "last_day")
        .sort("scope", "first_day")
    )


def with_declared(inputs: Inputs, window: Window) -> Inputs:
    """Return the tables as if somebody had declared the days between two logged ones as covered."""
    gaps = inner_gaps(inputs, window)
    rows = gaps.select(
        pl.lit("activity_log").alias("source"),
        pl.lit("Administrative").alias("category"),
        "scope",
        "day",
        pl.lit(0, dtype=pl.Int64).alias("events"),
        pl.lit("declared_empty").alias("state"),
    )
    whole = pl.concat([inputs.coverage, rows], how="diagonal").select(*schema_of("coverage"))
    return replace(inputs, coverage=whole)


def _logged(inputs: Inputs) -> pl.DataFrame:
    """Return `(scope, day)` of the days that the Activity Log covers."""
    return administrative(inputs.coverage).select("scope", "day").unique()


ITEM_OF_KIND = {
    "interactive": "sign_ins:user",
    "non_interactive": "sign_ins:user",
    "service_principal": "sign_ins:service_principal",
    "managed_identity": "sign_ins:managed_identity",
}
"""The missing thing that has each kind of sign-in."""

MEMBERS = "members"
SILENCE: dict[str, pl.DataType] = {
    "principal_id": pl.String(),
    "of_arm": pl.String(),
    "of_all": pl.String(),
    "is_silent": pl.Boolean(),
}


@dataclass(frozen=True, slots=True)
class _Heard:
    """The principals that are known to have had a token, and the kinds of sign-in that say nothing of one owner."""

    principals: pl.Series
    kinds: list[str]


def missing_of_silence(inputs: Inputs, window: Window, tenant: Tenant) -> pl.DataFrame:
    """Return for each holder what is missing to know that it got no token, as `SILENCE` has it.

    `of_arm` is about tokens of Azure Resource Manager, `of_all` about tokens of any kind: the missing things joined by
    `+`, or null where a token is known, where no log can tell, or where nothing is missing. `is_silent` says whether it
    is known already that the holder got no token of any kind.
    """
    callers = callers_of(inputs, window)
    heard_arm = _heard(arm_tokens(inputs, window), callers.filter("control"))
    heard_all = _heard(tokens_of(inputs, window), callers)
    covered = covered_sign_in_kinds(inputs, window)
    described = described_principals(inputs)
    of_arm = _of_holders(inputs, tenant, described, covered, heard_arm).rename({"missing": "of_arm"})
    of_all = _of_holders(inputs, tenant, described, covered, heard_all).rename({"missing": "of_all"})
    own = tenant.assignments.filter(pl.col("principal_tenant_id").is_null()).select("principal_id").unique()
    return (
        own.join(of_arm, on="principal_id", how="left")
        .join(of_all, on="principal_id", how="left")
        .with_columns(is_silent=(pl.col("of_all") == "").fill_null(False))
        .with_columns(pl.col("of_arm", "of_all").replace("", None))
        .select(*SILENCE)
        .sort("principal_id")
    )


def _heard(tokens: pl.DataFrame, callers: pl.DataFrame) -> _Heard:
    anonymous = tokens.filter(pl.col("principal_id").is_null())["kind"].drop_nulls().unique().to_list()
    return _Heard(pl.concat([tokens["principal_id"], callers["principal_id"]]).drop_nulls().unique(), anonymous)


def silence_of(inputs: Inputs, window: Window, holders: pl.Series) -> pl.DataFrame:
    """Return `(principal_id, silence)` of holders of directory roles: the ways to know that each got no token.

    Members of a group count one by one; each thing that may be missing for some of them is a way of its own.
    """
    heard = _heard(tokens_of(inputs, window), callers_of(inputs, window))
    covered = covered_sign_in_kinds(inputs, window)
    described = described_principals(inputs)
    is_group = pl.col("principal_type") == "Group"
    single = _of_singles(described.filter(~is_group), covered, heard).filter(pl.col("missing") != "")
    groups = described.filter(is_group & pl.col("principal_id").is_in(holders.implode()))["principal_id"]
    lacking = sorted({item for kind, item in ITEM_OF_KIND.items() if kind not in covered})
    known = groups_with_known_members(inputs, described).implode()
    open_too = pl.when(~pl.col("principal_id").is_in(known)).then(pl.lit(MEMBERS))
    of_groups = pl.DataFrame({"principal_id": groups}).select(
        "principal_id", silence=pl.concat_list(pl.lit(lacking, dtype=pl.List(pl.String)), open_too).list.drop_nulls()
    )
    alone = single.filter(pl.col("principal_id").is_in(holders.implode()))
    return pl.concat([alone.select("principal_id", silence=pl.concat_list("missing")), of_groups])


def _of_singles(described: pl.DataFrame, covered: list[str], heard: _Heard) -> pl.DataFrame:
    """Return the principals with `missing`: null where no log could tell, an empty text where nothing is missing."""
    lacking = pl.col("kinds").list.set_difference(covered)
    may_tell = pl.col("kinds").list.set_intersection(heard.kinds).list.len() == 0
    return described.with_columns(
        missing=pl.when(may_tell & ~pl.col("principal_id").is_in(heard.principals.implode())).then(
            lacking.list.eval(pl.element().replace_strict(ITEM_OF_KIND, default=None, return_dtype=pl.String))
            .list.unique()
            .list.sort()
            .list.join("+")
        )
    )


def _of_holders(
    inputs: Inputs, tenant: Tenant, described: pl.DataFrame, covered: list[str], heard: _Heard
) -> pl.DataFrame:
    """Return `(principal_id, missing)` of the principals and groups that may be silent."""
    single = _of_singles(described, covered, heard)
    groups = described.filter(pl.col("principal_type") == "Group")["principal_id"]
    persons = single.filter(~pl.col("principal_id").is_in(groups.implode()))
    of_groups = _of_groups(inputs, tenant, described, persons, groups)
    found = pl.concat([persons.select("principal_id", "missing"), of_groups])
    return found.drop_nulls("missing").unique("principal_id", keep="any")


def _of_groups(
    inputs: Inputs, tenant: Tenant, described: pl.DataFrame, persons: pl.DataFrame, groups: pl.Series
) -> pl.DataFrame:
    """Return `(principal_id, missing)` of groups: what members lack, and the members where not all are known."""
    known = groups_with_known_members(inputs, described)
    devices = folded(inputs.group_members.filter(pl.col("member_type") == "Device")["member_id"])
    members = (
        tenant.may_reach.filter(
            pl.col("holder").is_in(groups.implode())
            & ~pl.col("principal_id").is_in(groups.implode())
            & ~pl.col("principal_id").is_in(devices.implode())
        )
        .join(persons.select("principal_id", "missing"), on="principal_id", how="left")
        .group_by("holder")
        .agg(loud=pl.col("missing").is_null().any(), lacks=pl.col("missing").unique().sort().str.join("+"))
    )
    rows = pl.DataFrame({"holder": groups.unique()}).join(members, on="holder", how="left")
    listed = pl.when(pl.col("holder").is_in(known.implode())).then(pl.lit("")).otherwise(pl.lit(MEMBERS))
    parts = pl.concat_str(pl.col("lacks").fill_null(""), listed, separator="+").str.split("+")
    return rows.filter(~pl.col("loud").fill_null(False)).select(
        principal_id="holder",
        missing=parts.list.eval(pl.element().filter(pl.element() != "")).list.unique().list.sort().list.join("+"),
    )


_ASSIGNMENT = ["role_assignment_id", "state"]


@dataclass(frozen=True, slots=True)
class Gaps:
    """The days that logs do not cover, as few distinct sets.

    Attributes:
        of: `(role_assignment_id, state, gap)`: the set of each assignment with operations that are unused by a log of a
            part of the window; others have none.
        days: `(gap, day)`: the days of each set.
    """

    of: pl.DataFrame
    days: pl.DataFrame

    @classmethod
    def of_one_log(cls, units: pl.DataFrame, missing: pl.Series) -> Gaps:
        """Return the same days as missing for all units (`role_assignment_id`, `state`)."""
        one = pl.lit(0, dtype=pl.UInt32).alias("gap")
        if missing.is_empty():
            units = units.clear()
        return cls(units.select(*_ASSIGNMENT, one), missing.to_frame("day").select(one, "day"))

    def covered(self, window: Window) -> pl.DataFrame:
        """Return `(role_assignment_id, state, covered_days)`: the number of days of the window that the logs cover."""
        counts = self.days.group_by("gap").agg(missing=pl.len().cast(pl.Int64))
        return self.of.join(counts, on="gap").select(*_ASSIGNMENT, covered_days=window.days - pl.col("missing"))


def find_gaps(analysis: Analysis) -> Gaps:
    """Return the days that the logs behind the verdicts of each assignment do not cover."""
    in_part = analysis.profile_operations.filter(pl.col("reason") == Unused.COVERED_IN_PART.value)
    places = analysis.tenant.assignments.select(*_ASSIGNMENT, "place")
    keyed = (
        analysis.profiles.join(in_part.select("profile_id", "plane").unique(), on="profile_id")
        .group_by(_ASSIGNMENT)
        .agg(planes=pl.col("plane").sort().str.join(" "))
        .join(places, on=_ASSIGNMENT)
    )
    sets = keyed.select("place", "planes").unique().sort("place", "planes").with_row_index("gap")
    days = (
        sets.with_columns(plane=pl.col("planes").str.split(" "))
        .explode("plane")
        .join(analysis.gaps, on=["place", "plane"])
        .select("gap", "day")
        .unique()
        .sort("gap", "day")
    )
    of = keyed.join(sets, on=["place", "planes"]).select(*_ASSIGNMENT, "gap").sort(_ASSIGNMENT)
    return Gaps(of, days)
