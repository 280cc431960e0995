"""Define the result of an analysis of Microsoft Graph or of directory roles, and join it to the verdicts of RBAC.

Each of these planes has meanings and logs of its own and a package of its own. This module puts their results beside
those of RBAC: in the same tables, under the same words, told apart by `plane`.

Count what is granted, used and left over for each principal and each assignment, and score it.

There is never one row for each (principal, operation). Principals with the same set of profiles are counted once, over
classes of operations that every profile judges alike. The operations that a principal used are then subtracted from the
counts of its set one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from rightsize.analyze.counting import RANK, SETS_SCHEMA, Judgements, count_sets, look_up, read_judgements
from rightsize.analyze.inputs import REACH, folded, schema_of
from rightsize.analyze.reasons import OutOfCoverage, Verdict
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.judge import VERDICTS_SCHEMA, Analysis
from rightsize.analyze.verdicts.usage import ACTIVATIONS_SCHEMA
from rightsize.analyze.window import Window
from rightsize.model.nouns import Plane
from rightsize.rules.tables import risk_weights

BUCKETS = ((67.0, "high"), (34.0, "medium"), (0.0, "low"))
COUNTED = ("used", "unused", "unobservable", "out_of_coverage")
SCORE_COLUMNS = ("granted", *COUNTED, "creep", "risk")
# The mass that scores 100, about what Owner grants at a management group, and how fast the score rises towards it
# (docs/verdicts.md): with these, Owner of a subscription is high, Contributor of a resource group medium, Reader low.
_FULL_MASS = 6_000_000
_RISE = 0.3
_AT_ONCE = 50_000
"""Rows of profiles and use whose principals are scored together. With 200,000 assignments of 20,000 principals, all at
once take 4.6 GB; four times as many rows at a time take a gigabyte more, in the same time."""


def score_principals(analysis: Analysis) -> pl.DataFrame:
    """Return `(principal_id, plane)` with counts of distinct operations and the scores `creep` and `risk`.

    Every principal that an assignment reaches has a row for each plane in which it is granted something or did
    something under an assignment; `granted` is the sum of the four verdicts.
    """
    judgements = _judgements(analysis)
    found = [_score(analysis, judgements, *part) for part in _parts(analysis)]
    return pl.concat(found).rename({"subject": "principal_id"}).sort("principal_id", "plane")


def _of_principals(analysis: Analysis) -> tuple[pl.DataFrame, ...]:
    """Return what `_score` takes of all principals: profiles, use that counts, use that excuses, and earlier use."""
    tenant = analysis.tenant
    effective = tenant.membership.join(
        tenant.assignments.select("a", "principal_id"), left_on="holder", right_on="principal_id"
    ).select(subject="principal_id", a="a")
    return (
        _profiles_held(analysis, effective),
        _by_subject(_used_rows(analysis), tenant),
        _observed(analysis, effective["subject"].unique()),
        _by_subject(_earlier_rows(analysis), tenant),
    )


def _parts(analysis: Analysis) -> Iterator[list[pl.DataFrame]]:
    """Yield the frames of principals with `_AT_ONCE` rows, at least once: what is counted of each needs much memory."""
    every = _of_principals(analysis)
    rows = pl.concat([one.select("subject") for one in every]).group_by("subject").len("rows").sort("subject")
    numbered = rows.select("subject", part=(pl.col("rows").cum_sum() // _AT_ONCE).rle_id())
    split = [one.join(numbered, on="subject").partition_by("part", as_dict=True, include_key=False) for one in every]
    empty = [one.clear() for one in every]
    del every
    for part in range(numbered["part"].n_unique() or 1):
        yield [found.pop((part,), none) for none, found in zip(empty, split, strict=True)]


def score_assignments(analysis: Analysis) -> pl.DataFrame:
    """Return the same counts and scores for each `(role_assignment_id, state, plane)`."""
    assignments = analysis.tenant.assignments
    effective = assignments.select(subject="a", a="a")
    keys = assignments.select("role_assignment_id", "state", subject="a")
    used = _used_rows(analysis).join(keys, on=["role_assignment_id", "state"])
    counted = used.select("subject", "name", "plane").unique()
    before = _earlier_rows(analysis).join(keys, on=["role_assignment_id", "state"])
    table = _score(
        analysis,
        _judgements(analysis),
        _profiles_held(analysis, effective),
        counted,
        counted,
        before.select("subject", "name", "plane").unique(),
    )
    return (
        table.join(keys, on="subject")
        .select("role_assignment_id", "state", "plane", *SCORE_COLUMNS)
        .sort("role_assignment_id", "state", "plane")
    )


def _judgements(analysis: Analysis) -> Judgements:
    weights = analysis.tenant.operations.select("operation", "name", "weight")
    return read_judgements(analysis.profile_operations, weights)


def _used_rows(analysis: Analysis) -> pl.DataFrame:
    used = analysis.verdicts.filter(pl.col("verdict") == Verdict.USED.value)
    spelling = analysis.usage.select("operation", "name").unique("operation")
    return used.join(spelling, on="operation").select("role_assignment_id", "state", "principal_id", "plane", "name")


def _earlier_rows(analysis: Analysis) -> pl.DataFrame:
    """Return the same for use before the window that still counts."""
    rows = analysis.earlier.with_columns(name=folded(analysis.earlier["operation"]))
    return rows.select("role_assignment_id", "state", "principal_id", "plane", "name")


def _by_subject(used: pl.DataFrame, tenant: Tenant) -> pl.DataFrame:
    """Return `(subject, name, plane)`: the use of principals, and for a group all use credited to its assignments."""
    holders = tenant.assignments.select("role_assignment_id", "state", holder="principal_id")
    through = used.join(holders, on=["role_assignment_id", "state"]).filter(pl.col("holder") != pl.col("principal_id"))
    own = used.select(subject="principal_id", name="name", plane="plane")
    shared = through.select(subject="holder", name="name", plane="plane")
    return pl.concat([own, shared]).unique()


def _observed(analysis: Analysis, reached: pl.Series) -> pl.DataFrame:
    """Return `(subject, name, plane)` of all use, explained or not; the use of members counts for their group."""
    clean = analysis.usage.filter((pl.col("events") > 0) & ~pl.col("quarantined"))
    acts = clean.select("principal_id", "name", "plane").unique()
    return (
        acts.join(analysis.tenant.membership, on="principal_id")
        .select("name", "plane", subject="holder")
        .filter(pl.col("subject").is_in(reached.implode()))
        .unique()
    )


def _score(
    analysis: Analysis,
    judgements: Judgements,
    held: pl.DataFrame,
    counted: pl.DataFrame,
    observed: pl.DataFrame,
    earlier: pl.DataFrame,
) -> pl.DataFrame:
    """Count and score each subject.

    Args:
        analysis: The analysis.
        judgements: Its verdicts, as numbers.
        held: As `_profiles_held` returns it.
        counted: `(subject, name, plane)`: operations that count as used.
        observed: `(subject, name, plane)`: operations that reduce the creep.
        earlier: `(subject, name, plane)`: operations used only before the window; they count as out of coverage, and
            reduce the creep.
    """
    members, sets = _profile_sets(held)
    base = count_sets(judgements, sets)
    keys = ("subject", "name", "plane")
    used = pl.concat(
        [
            counted.select(*keys, counts=True, excuses=False, earlier=False),
            observed.select(*keys, counts=False, excuses=True, earlier=False),
            earlier.select(*keys, counts=False, excuses=True, earlier=True),
        ]
    )
    used = used.group_by(keys).agg(pl.col("counts", "excuses", "earlier").any())
    used = used.with_columns(earlier=pl.col("earlier") & ~pl.col("counts"))
    taken = _taken(used, judgements, members, sets, analysis)
    # Every principal that an assignment reaches has a row, also where none of its operations are known.
    least = held.select("subject", plane=pl.lit("control")).unique()
    found = members.join(base, on="set").select("subject", "plane")
    planes = pl.concat([least, found, taken.select("subject", "plane")])
    table = (
        planes.unique()
        .join(members, on="subject", how="left")
        .join(base, on=["set", "plane"], how="left")
        .join(taken, on=["subject", "plane"], how="left")
        .with_columns(pl.selectors.integer().exclude("subject", "set").fill_null(0))
    )
    leftover = {name: pl.col(name) - pl.col(f"{name}_taken") for name in COUNTED if name != "used"}
    leftover["out_of_coverage"] += pl.col("earlier")
    table = table.with_columns(**leftover).with_columns(granted=pl.sum_horizontal(COUNTED))
    excess = pl.col("mass") - pl.col("mass_taken")
    share = excess / (excess + pl.col("mass_used"))
    return table.filter((pl.col("granted") > 0) | (pl.col("plane") == "control")).select(
        "subject",
        "plane",
        "granted",
        *COUNTED,
        creep=(100 * share.fill_nan(0.0) * _magnitude(excess)).round(1),
        risk=(100 * _magnitude(pl.col("mass") + pl.col("mass_outside"))).round(1),
    )


def unscored(scored: pl.DataFrame, subject: str, unknown: pl.Series) -> pl.DataFrame:
    """Return the rows with null for a score of 0 whose subject holds roles with unknown operations: nobody judged it.

    Args:
        scored: Rows with `plane` and both scores.
        subject: The column that names the subject.
        unknown: The subjects that hold such a role.
    """
    is_unknown = pl.col(subject).is_in(unknown.implode()) & pl.col("plane").is_in(["control", "data"])
    return scored.with_columns(
        pl.when(is_unknown & (pl.col(score) == 0)).then(None).otherwise(pl.col(score)).alias(score)
        for score in ("creep", "risk")
    )


def judged_scores(analysis: Analysis) -> pl.DataFrame:
    """Return the rows of `score_principals`, with null for scores that nobody judged."""
    return unscored(score_principals(analysis), "principal_id", holders_of_unknown_roles(analysis.tenant))


def with_unknown_roles(tenant: Tenant) -> pl.DataFrame:
    """Return the assignments whose role grants what is not known: no definition, or no catalogue, is loaded."""
    return tenant.assignments.filter(~pl.col("role_known") | (not tenant.has_catalogue))


def holders_of_unknown_roles(tenant: Tenant) -> pl.Series:
    """Return the principals that such an assignment reaches."""
    held = with_unknown_roles(tenant)["principal_id"]
    return tenant.membership.filter(pl.col("holder").is_in(held.implode()))["principal_id"].unique()


def bucket_of(score: float | None) -> str | None:
    """Return `low`, `medium` or `high` for a score of 0 to 100, rounded as people read it; None for no score."""
    if score is None:
        return None
    return next(name for least, name in BUCKETS if round(score) >= least)


def _magnitude(mass: pl.Expr) -> pl.Expr:
    return (mass.cast(pl.Float64) / _FULL_MASS).pow(_RISE).clip(0.0, 1.0)


def _profiles_held(analysis: Analysis, effective: pl.DataFrame) -> pl.DataFrame:
    """Return `(subject, profile_id, reach)` of each subject that an assignment reaches; null without known operations.

    `effective` is `(subject, a)`: the assignments that reach it.
    """
    levels = analysis.tenant.assignments.select(
        "a", "role_assignment_id", "state", reach=pl.col("level").replace_strict(REACH, return_dtype=pl.Int64)
    )
    profiles = levels.join(analysis.profiles, on=["role_assignment_id", "state"])
    return effective.join(profiles, on="a", how="left").select("subject", "profile_id", "reach").unique()


def _profile_sets(held: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `(subject, set)` and `(set, profile_id, reach)`: subjects with equal sets of profiles and reach."""
    pairs = held.drop_nulls("profile_id")
    # A profile at its greatest reach includes its counts at smaller ones.
    pairs = pairs.group_by("subject", "profile_id").agg(pl.col("reach").max()).sort("subject", "profile_id")
    keyed = pairs.group_by("subject", maintain_order=True).agg(
        key=pl.concat_str("profile_id", pl.lit("@"), "reach").str.join(",")
    )
    members = keyed.with_columns(set=pl.col("key").rank("dense").cast(pl.Int64)).select("subject", "set")
    first = members.group_by("set").agg(pl.col("subject").min())
    sets = first.join(pairs, on="subject").select("set", "profile_id", "reach").sort("set", "profile_id")
    return members, sets


def _taken(
    used: pl.DataFrame, judgements: Judgements, members: pl.DataFrame, sets: pl.DataFrame, analysis: Analysis
) -> pl.DataFrame:
    """Return for each (subject, plane) the amounts that use subtracts from the counts of its set."""
    weights = analysis.tenant.operations.group_by("name").agg(known=pl.col("weight").max())
    numbers = judgements.operations.select("name", "plane", "op")
    used = used.join(members, on="subject", how="left").join(numbers, on=["name", "plane"], how="left")
    said = look_up(judgements, sets, used.select("set", "op").drop_nulls().unique())
    rows = (
        used.join(said, on=["set", "op"], how="left")
        .join(weights, on="name", how="left")
        .with_columns(weight=pl.col("known").fill_null(risk_weights()["change"]))
    )
    named = pl.col("counts") | pl.col("earlier")
    counts = {
        f"{name}_taken": ((pl.col("rank") == rank).fill_null(False) & named).sum().cast(pl.Int64)
        for name, rank in RANK.items()
    }
    weight_at = pl.col("weight") * pl.col("reach").fill_null(0)
    outside = named & pl.col("rank").is_null()
    return rows.group_by("subject", "plane").agg(
        **counts,
        used=pl.col("counts").sum().cast(pl.Int64),
        earlier=pl.col("earlier").sum().cast(pl.Int64),
        mass_taken=weight_at.filter("excuses").sum(),
        mass_used=pl.col("weight").filter("excuses").sum(),
        mass_outside=pl.col("weight").filter(outside).sum(),
    )


_COUNTS: dict[str, pl.DataType] = {
    name: pl.Float64() if name in {"creep", "risk"} else pl.Int64() for name in SCORE_COLUMNS
}
PRINCIPALS_SCHEMA: dict[str, pl.DataType] = {"principal_id": pl.String(), "plane": pl.String(), **_COUNTS}
ASSIGNMENTS_SCHEMA: dict[str, pl.DataType] = {
    "role_assignment_id": pl.String(),
    "state": pl.String(),
    "principal_id": pl.String(),
    "role_definition_id": pl.String(),
    "role_name": pl.String(),
    "scope": pl.String(),
    "created_on": pl.Datetime("us"),
    "end_on": pl.Datetime("us"),
    "plane": pl.String(),
    **_COUNTS,
}
DENIED_SCHEMA: dict[str, pl.DataType] = {
    "principal_id": pl.String(),
    "operation": pl.String(),
    "plane": pl.String(),
    "scope": pl.String(),
    "denied": pl.Int64(),
    "used": pl.Boolean(),
}
"""How fast the scores of a plane rise towards the mass that scores 100; as for Azure roles."""
ANSWERS_OF_PLANES = ("credential_verdicts",)
"""The answer tables that one plane alone has."""
_KEY = ("role_assignment_id", "state", "principal_id", "plane", "scope", "verdict", "reason", "operation")


@dataclass(frozen=True, slots=True)
class PlaneAnalysis:
    """The result of an analysis of one plane; each frame has the columns of its schema here.

    Attributes:
        plane: Its word in every table.
        window: The days of its own logs that it covers.
        verdicts: As the table `verdicts`; `role_assignment_id` is the id of the grant, whatever it is called there.
        principals: One row per principal that holds access: counts and scores.
        assignments: One row per grant: what is granted to whom, with counts and scores.
        denied: Refused calls by principal and operation: demand, never use.
        findings: As the table `findings`.
        sets: As the table `verdict_operation_sets`: the operations behind counted verdicts.
        activations: As the table `activations`.
    """

    plane: Plane
    window: Window
    verdicts: pl.DataFrame
    principals: pl.DataFrame
    assignments: pl.DataFrame
    denied: pl.DataFrame
    findings: pl.DataFrame
    sets: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SETS_SCHEMA))
    activations: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ACTIVATIONS_SCHEMA))

    @property
    def answers(self) -> Mapping[str, pl.DataFrame]:
        """Return further answer tables that only this plane has, by name, among `ANSWERS_OF_PLANES`."""
        return {}


def counts_and_scores(mass: pl.Expr, full: float) -> dict[str, pl.Expr]:
    """Return the aggregates `granted` to `risk` of rows `(verdict, reason)`; `full` is the mass that scores 100.

    What was used before the window is no excess.
    """
    is_used = (pl.col("verdict") == Verdict.USED.value) | pl.col("reason").eq_missing(
        OutOfCoverage.USED_BEFORE_WINDOW.value
    )
    whole, excess = (one.cast(pl.Float64) for one in (mass.sum(), mass.filter(~is_used).sum()))
    return {
        "granted": pl.len().cast(pl.Int64),
        **{word: (pl.col("verdict") == word).sum().cast(pl.Int64) for word in COUNTED},
        "creep": (100 * (excess / whole).fill_nan(0.0) * (excess / full).pow(_RISE).clip(0.0, 1.0)).round(1),
        "risk": (100 * (whole / full).pow(_RISE).clip(0.0, 1.0)).round(1),
    }


def declared(rows: pl.DataFrame, schema: Mapping[str, pl.DataType], **said: str) -> pl.DataFrame:
    """Return the columns of a schema with their types: those that are said, those of the rows, and null for others."""
    rows = rows.with_columns(**{name: pl.lit(text) for name, text in said.items()})
    return rows.select(
        (pl.col(name) if name in rows.columns else pl.lit(None)).cast(type_).alias(name)
        for name, type_ in schema.items()
    )


def with_planes(verdicts: pl.DataFrame, planes: Iterable[PlaneAnalysis]) -> pl.DataFrame:
    """Return the verdicts of all planes, in the order of the table's key."""
    frames = [verdicts, *(plane.verdicts.select(*VERDICTS_SCHEMA) for plane in planes)]
    return pl.concat(frames).sort(list(_KEY), nulls_last=True)


def answers_of(planes: Iterable[PlaneAnalysis]) -> dict[str, pl.DataFrame]:
    """Return the answer tables that one plane alone has; empty where it was not judged."""
    found = {name: frame for plane in planes for name, frame in plane.answers.items()}
    return {name: found.get(name, pl.DataFrame(schema=schema_of(name))) for name in ANSWERS_OF_PLANES}


def sets_of_all(sets: pl.DataFrame, planes: Iterable[PlaneAnalysis]) -> pl.DataFrame:
    """Return the sets of operations behind the counted verdicts of all planes."""
    frames = [sets, *(plane.sets.select(*SETS_SCHEMA) for plane in planes)]
    return pl.concat(frames).unique().sort("set_id", "plane", "operation")
