"""Write an analysis and its graph of reach as tables that the store keeps, and read them back for answers.

A frame is kept as Arrow IPC with zstd, which keeps its types and the order of its rows. The prepared tenant is left
out: it is prepared from the tables again.

Each function returns a table for all principals. `part` is 0 for Azure RBAC, then 1, 2 … for the planes beyond it in
their order; `n` is the position of a row in an answer. Ids, scopes and names to look up are folded.

| table | columns |
|---|---|
| `identities` | `id`, the columns of `IDENTITY` |
| `memberships` | `principal_id`, `holder` |
| `group_edges` | `member`, `group_id`: the direct members of groups |
| `assignments` | `holder`, `part`, `n`, the columns of `ASSIGNMENT`, `profile_id` |
| `counts` | `holder`, `part`, the columns of `_KEY`, `operations`, `covered_days` |
| `profiles` | `profile_id`, `plane`, `verdict`, `reason`, `set_id` |
| `operation_sets` | as the table `verdict_operation_sets` |
| `scores` | `principal_id`, `part`, `n`, `plane`, the counts and scores of a principal, `bucket` |
| `uses` | `principal_id`, `holder`, `kind` (used, earlier, declared, unexplained), `part`, `n`, the columns of `USE` |
| `denied` | `principal_id`, `part`, `n`, `operation`, `plane`, `scope`, `denied`, `used` |
| `sign_ins` | `principal_id`, `n`, the columns of `SIGN_IN` |
| `other_access` | `principal_id`, `n`, the columns of `OTHER_ACCESS` |
| `findings`, `activations` | `part`, `n`, and the columns of the tables of the same names |

| table | columns |
|---|---|
| `subjects` | `node`: the resources with an identity and the trusted outside subjects, by which a person may ask |
| `reach` | `node`, `eligible`, the columns of `COUNTS` |
| `edges` | `start`, `end`, `why`, `certain`, `eligible` |
| `crowd` | `node`, `eligible`: what is reached only because it is a user of the directory |

Rows with `eligible` hold where eligible assignments count as permanent ones. In `edges` and `crowd` they stand only for
what differs then: no edge goes away.
"""

from __future__ import annotations

import io
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_type_hints

import polars as pl

from rightsize.analyze.inputs import Inputs, folded
from rightsize.analyze.planes import PlaneAnalysis, bucket_of
from rightsize.analyze.principals import principal_ids, principal_names, with_role_names
from rightsize.analyze.reach.escalation import escalations_of
from rightsize.analyze.reach.facts import Facts
from rightsize.analyze.reach.measure import Measured, View, crowd_of, granted_holdings, measure, states_of, view_of
from rightsize.analyze.reasons import OutOfCoverage, Verdict
from rightsize.analyze.shared_texts import with_shared_texts
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.window import Window
from rightsize.model.access_answers import ASSIGNMENT, COUNTS, IDENTITY, OTHER_ACCESS, SIGN_IN, USE
from rightsize.model.machine import give_back

ReadPart = Callable[[str], bytes]


def write_parts(
    analysis: Analysis, findings: pl.DataFrame, planes: Sequence[PlaneAnalysis]
) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of each frame, one after the other."""
    yield "findings", _written(findings)
    yield from _parts("rbac", analysis, Analysis)
    for plane in planes:
        yield from _parts(plane.plane, plane, PlaneAnalysis)


def read_parts(
    read: ReadPart, windows: dict[str, Window], tenant: Tenant
) -> tuple[Analysis, pl.DataFrame, list[PlaneAnalysis]]:
    """Return the analysis of Azure RBAC, its findings, and the analyses of the other planes.

    Args:
        read: Returns the content of a frame by name.
        windows: The windows, of Azure RBAC first, then of each other plane by its name.
        tenant: The prepared tenant.
    """
    (_, window), *beyond = windows.items()
    analysis: Analysis = _read("rbac", Analysis, read, {Window: window, Tenant: tenant})
    planes = [_read(name, PlaneAnalysis, read, {Window: days, "plane": name}) for name, days in beyond]
    return analysis, pl.read_ipc(read("findings")), planes


def _parts(name: str, value: Any, declared: Any) -> Iterator[tuple[str, bytes]]:
    hints = get_type_hints(declared)
    for one in fields(declared):
        part, kind = getattr(value, one.name), hints[one.name]
        if kind in (pl.DataFrame, pl.Series):
            yield f"{name}.{one.name}", _written(part if kind is pl.DataFrame else part.to_frame())
        elif is_dataclass(kind) and kind not in (Window, Tenant):
            yield from _parts(f"{name}.{one.name}", part, kind)


def _read(name: str, declared: Any, read: ReadPart, known: dict[object, object]) -> Any:
    """Return an object of a dataclass of frames; `known` has what is no frame, by its type or the name of its field."""
    hints = get_type_hints(declared)
    found: dict[str, Any] = {}
    for one in fields(declared):
        kind, place = hints[one.name], f"{name}.{one.name}"
        if kind in (pl.DataFrame, pl.Series):
            # A written frame has a text a row.
            frame = with_shared_texts(pl.read_ipc(read(place)))
            found[one.name] = frame if kind is pl.DataFrame else frame.to_series()
        elif kind in known or one.name in known:
            found[one.name] = known.get(kind, known.get(one.name))
        else:
            found[one.name] = _read(place, kind, read, known)
    return declared(**found)


def _written(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression="zstd")
    return buffer.getvalue()


_RowsOf = Callable[[PlaneAnalysis], pl.DataFrame]
_KEY = ["role_assignment_id", "state", "plane", "verdict", "reason"]
_USES = ("principal_id", "holder", "kind", "part", "n", *USE)


def principal_tables(
    inputs: Inputs,
    analysis: Analysis,
    findings: pl.DataFrame,
    planes: Sequence[PlaneAnalysis],
    scores: pl.DataFrame,
) -> Iterator[tuple[str, pl.DataFrame, tuple[str, ...]]]:
    """Yield the tables: name, rows, and the columns to sort them by; without those of tokens, names and reach.

    `scores` are those of Azure RBAC, as `judged_scores` returns them.
    """
    by_id = ("principal_id", "part", "n")
    yield "identities", _identities(inputs), ("id",)
    yield "memberships", analysis.tenant.membership, ("principal_id", "holder")
    yield "group_edges", _group_edges(inputs), ("member", "group_id")
    assignments = _assignments(inputs, analysis)
    yield "assignments", pl.concat([assignments, *_of_planes(planes, _plane_assignments)]), ("holder", "part", "n")
    counts = [_counts(analysis, assignments), *_of_planes(planes, _plane_counts)]
    yield "counts", pl.concat(counts), ("holder", "part", *_KEY)
    yield "profiles", analysis.profile_sets, ("profile_id", "plane", "verdict", "reason")
    yield "operation_sets", analysis.sets, ("set_id", "plane", "operation")
    yield "scores", pl.concat([_with_bucket(scores), *_of_planes(planes, _plane_scores)]), by_id
    yield "uses", pl.concat([_uses(analysis, assignments), *_of_planes(planes, _plane_uses)]), ("principal_id", "n")
    yield "denied", pl.concat([_denied(analysis), *_of_planes(planes, _plane_denied)]), by_id
    yield "sign_ins", _sign_ins(inputs, analysis.window), ("principal_id", "n")
    yield "other_access", _other_access(inputs, analysis.window), ("principal_id", "n")
    found = [_numbered(findings, 0), *_of_planes(planes, lambda plane: _numbered(plane.findings, 0))]
    yield "findings", pl.concat(found), by_id
    of_rbac = analysis.activations.sort("start_on", "activation_id", descending=[True, False])
    found = [_numbered(of_rbac, 0), *_of_planes(planes, lambda plane: _numbered(plane.activations, 0))]
    yield "activations", pl.concat(found), by_id


def _of_planes(planes: Sequence[PlaneAnalysis], rows_of: _RowsOf) -> Iterator[pl.DataFrame]:
    """Yield the rows of each plane beyond Azure RBAC, with its number as `part`."""
    for part, plane in enumerate(planes, start=1):
        rows = rows_of(plane)
        yield rows.with_columns(part=pl.lit(part, dtype=pl.Int64))


def _numbered(rows: pl.DataFrame, part: int) -> pl.DataFrame:
    """Return rows with `part`, and their positions as `n`."""
    return rows.with_columns(
        pl.lit(part, dtype=pl.Int64).alias("part"), pl.int_range(pl.len(), dtype=pl.Int64).alias("n")
    )


def _identities(inputs: Inputs) -> pl.DataFrame:
    people = inputs.principals.select(*IDENTITY, id=principal_ids(inputs))
    listed = people.unique("id", keep="first", maintain_order=True)
    called = principal_names(inputs).select(id="principal_id", principal_type="principal_type", display_name="name")
    others = called.join(listed, on="id", how="anti").with_columns(principal_id="id")
    return pl.concat([listed, others], how="diagonal")


def _group_edges(inputs: Inputs) -> pl.DataFrame:
    direct = inputs.group_members.filter(pl.col("listing") == "members")
    return pl.DataFrame({"member": folded(direct["member_id"]), "group_id": folded(direct["group_id"])}).unique()


def _assignments(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    rows = (
        with_role_names(inputs, analysis.tenant.assignments)
        .join(analysis.profiles, on=["role_assignment_id", "state"], how="left", maintain_order="left")
        .with_columns(role_definition_id="role", holder="principal_id")
    )
    return _numbered(rows, 0).select("holder", "part", "n", *ASSIGNMENT, "profile_id")


def _plane_assignments(plane: PlaneAnalysis) -> pl.DataFrame:
    rows = plane.assignments.sort("role_name", "role_assignment_id", "state").with_columns(
        condition=pl.lit(None, dtype=pl.String), profile_id=pl.lit(None, dtype=pl.Int64), holder="principal_id"
    )
    return _numbered(rows, 0).select("holder", "part", "n", *ASSIGNMENT, "profile_id")


def _counts(analysis: Analysis, assignments: pl.DataFrame) -> pl.DataFrame:
    """Return how many operations of each assignment have which verdict; null where the number is not known."""
    holders = assignments.select("role_assignment_id", "state", "holder")
    rows = analysis.verdicts.select(*_KEY, "operation", "operations", "covered_days")
    rows = rows.join(holders, on=["role_assignment_id", "state"])
    is_used = pl.col("verdict") == Verdict.USED.value
    known = pl.when(pl.col("operations").is_not_null().any()).then(pl.col("operations").sum())
    fewest = pl.col("covered_days").min()
    counted = pl.concat(
        [
            rows.filter(is_used)
            .group_by("holder", *_KEY)
            .agg(pl.col("operation").n_unique().cast(pl.Int64).alias("operations"), fewest),
            rows.filter(~is_used).group_by("holder", *_KEY).agg(known.alias("operations"), fewest),
        ]
    )
    return counted.select("holder", pl.lit(0, dtype=pl.Int64).alias("part"), *_KEY, "operations", "covered_days")


def _plane_counts(plane: PlaneAnalysis) -> pl.DataFrame:
    rows = plane.verdicts.join(_plane_holders(plane), on=["role_assignment_id", "state"])
    counted = rows.group_by("holder", *_KEY).agg(pl.col("operations").sum(), pl.col("covered_days").min())
    return counted.select("holder", pl.lit(0, dtype=pl.Int64).alias("part"), *_KEY, "operations", "covered_days")


def _plane_holders(plane: PlaneAnalysis) -> pl.DataFrame:
    return plane.assignments.select("role_assignment_id", "state", holder="principal_id")


def _plane_scores(plane: PlaneAnalysis) -> pl.DataFrame:
    return _with_bucket(plane.principals)


def _with_bucket(scored: pl.DataFrame) -> pl.DataFrame:
    buckets = pl.Series("bucket", [bucket_of(one) for one in scored["creep"]], dtype=pl.String)
    return _numbered(scored.with_columns(buckets), 0)


def _uses(analysis: Analysis, assignments: pl.DataFrame) -> pl.DataFrame:
    """Return the use of each principal; `holder` is the principal or group of the assignment that it is credited to."""
    holders = assignments.select("role_assignment_id", "holder").unique()
    wanted = [name for name in analysis.verdicts.columns if name in _USES]
    used, unexplained = (
        analysis.verdicts.lazy().filter(pl.col("verdict") == one.value).select(wanted).collect()
        for one in (Verdict.USED, Verdict.UNEXPLAINED)
    )
    is_declared = pl.col("reason") == OutOfCoverage.DECLARED.value
    found = [
        _kept("used", _newest_first(used), analysis.window),
        _kept("earlier", _newest_first(analysis.earlier.filter(~is_declared)), analysis.window),
        _kept("declared", _newest_first(analysis.earlier.filter(is_declared)), analysis.window),
        _kept("unexplained", unexplained, analysis.window),
    ]
    rows = pl.concat(found).join(holders, on="role_assignment_id", how="left", maintain_order="left")
    return rows.with_columns(pl.lit(0, dtype=pl.Int64).alias("part")).select(_USES)


def _plane_uses(plane: PlaneAnalysis) -> pl.DataFrame:
    held = plane.verdicts.join(
        _plane_holders(plane), on=["role_assignment_id", "state"], how="left", maintain_order="left"
    )
    newest = held.sort("last_seen", "operation", descending=[True, False], nulls_last=True, maintain_order=True)
    earlier = newest.filter(pl.col("reason") == OutOfCoverage.USED_BEFORE_WINDOW.value)
    found = [
        _kept("used", newest.filter(pl.col("verdict") == Verdict.USED.value), plane.window),
        _kept("earlier", earlier, plane.window),
        _kept("unexplained", held.filter(pl.col("verdict") == Verdict.UNEXPLAINED.value), plane.window),
    ]
    return pl.concat(found).with_columns(pl.lit(0, dtype=pl.Int64).alias("part")).select(_USES)


def _newest_first(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort("last_seen", "operation", "scope", descending=[True, False, False], maintain_order=True)


def _kept(kind: str, rows: pl.DataFrame, window: Window) -> pl.DataFrame:
    days_ago = window.days_ago(pl.col("last_seen")) if kind == "earlier" else pl.lit(None, dtype=pl.Int64)
    numbered = rows.with_columns(
        kind=pl.lit(kind), n=pl.int_range(pl.len(), dtype=pl.Int64), days_ago=days_ago.cast(pl.Int64)
    )
    return numbered.select(column for column in _USES if column in numbered.columns)


def _denied(analysis: Analysis) -> pl.DataFrame:
    refused = analysis.usage.filter((pl.col("denied") > 0) & pl.col("principal_id").is_not_null())
    rows = refused.group_by("principal_id", "operation", "plane", "scope").agg(
        pl.col("denied").sum(), used=(pl.col("events") > 0).any()
    )
    return _numbered(rows.sort("operation", "plane", "scope"), 0)


def _plane_denied(plane: PlaneAnalysis) -> pl.DataFrame:
    columns = ("principal_id", "operation", "plane", "scope", "denied", "used")
    return _numbered(plane.denied.select(columns).sort("operation", "scope"), 0)


def _sign_ins(inputs: Inputs, window: Window) -> pl.DataFrame:
    rows = inputs.sign_ins.filter(window.holds("day")).with_columns(folded(pl.col("principal_id")))
    summed = (
        rows.drop_nulls("principal_id")
        .group_by("principal_id", "kind", "resource_id")
        .agg(
            pl.col("resource_name").drop_nulls().min(),
            pl.col("succeeded").sum(),
            pl.col("failed").sum(),
            pl.col("day").n_unique().cast(pl.Int64).alias("days"),
            pl.col("last_seen").max(),
        )
    )
    return _numbered(summed.sort("kind", "resource_id"), 0).select("principal_id", "n", *SIGN_IN)


def _other_access(inputs: Inputs, window: Window) -> pl.DataFrame:
    rows = inputs.request_access.filter(
        window.holds("day") & pl.col("access").is_in(["access_policy", "own_roles", "unmapped"])
    ).with_columns(folded(pl.col("principal_id")))
    summed = (
        rows.drop_nulls("principal_id")
        .group_by("principal_id", "resource", "source", "access")
        .agg(pl.col("events").sum(), pl.col("day").n_unique().cast(pl.Int64).alias("days"), pl.col("last_seen").max())
    )
    return _numbered(summed.sort("resource", "source", "access"), 0).select("principal_id", "n", *OTHER_ACCESS)


@dataclass(frozen=True, slots=True)
class GrantedReach:
    """What everybody reaches through the access that is granted today.

    Attributes:
        states: By what is `active`, and after all activations (`eligible`) where something is eligible.
        edges: The edges of the graph, and `eligible` for those that stand only in the graph after all activations.
        crowd: The table `crowd`.
        escalations: The rows of the table `escalations`.
        subjects: `node`: the resources and outside subjects that can be asked about, beside principals.
    """

    states: dict[str, Measured]
    edges: pl.DataFrame
    crowd: pl.DataFrame
    escalations: pl.DataFrame
    subjects: pl.DataFrame


def measure_granted(facts: Facts, tenant: Tenant, inputs: Inputs) -> GrantedReach:
    """Measure what everybody reaches by what is granted today; each graph is forgotten before the next is made."""
    held = granted_holdings(tenant)
    states, edges, crowd = {}, [], []
    for state in (asked := states_of(facts, held)):
        view = view_of(facts, tenant, inputs, held, with_eligible=state == "eligible")
        states[state] = measure(view)
        names = pl.Series(view.graph.names, dtype=pl.String)
        edges.append(_edges(view, names))
        crowd.append(_Numbers(_numbers_of("node", crowd_of(view.graph)).to_frame(), {"node": names}))
        if state == asked[-1]:
            escalations = escalations_of(view.graph, facts, tenant, held)
        del view
        give_back()
    subjects = pl.concat(["r:" + facts.attached["scope"], "o:" + facts.trusted["outsider"]]).unique().to_frame("node")
    return GrantedReach(states, _marked(edges), _marked(crowd), escalations, subjects)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Rows with numbers of texts, and the texts by column: the edges of a large tenant are millions.

    Attributes:
        rows: The rows.
        texts: The distinct texts of a column, in the order of their numbers.
    """

    rows: pl.DataFrame
    texts: Mapping[str, pl.Series]

    def named(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return some of the rows with their texts, each in memory once."""
        return rows.with_columns(texts.gather(rows[name]).alias(name) for name, texts in self.texts.items())

    def numbered_as(self, other: _Numbers) -> pl.DataFrame:
        """Return the rows with the numbers that `other` has for the texts, null for a text that it has not."""
        found = []
        for name, texts in self.texts.items():
            known = other.texts[name].to_frame("text").with_row_index("number")
            numbers = texts.to_frame("text").join(known, on="text", how="left", maintain_order="left")["number"]
            found.append(numbers.gather(self.rows[name]).alias(name))
        return self.rows.with_columns(found)


def _marked(found: Sequence[_Numbers]) -> pl.DataFrame:
    """Return the rows of what is active, and those that stand only in what is eligible, as `eligible` says."""
    today, *later = found
    parts = [today.named(today.rows).with_columns(eligible=False)]
    for one in later:
        keyed = one.numbered_as(today).with_row_index("row")
        new = keyed.join(today.rows, on=today.rows.columns, how="anti", maintain_order="left")["row"]
        parts.append(one.named(one.rows[new]).with_columns(eligible=True))
    return pl.concat(parts)


def reach_tables(found: GrantedReach) -> Iterator[tuple[str, pl.DataFrame, tuple[str, ...]]]:
    """Yield the tables of what is granted today: name, rows, and the columns to sort them by."""
    yield "subjects", found.subjects, ("node",)
    today = found.states["active"].counts
    then = found.states["eligible"].counts if "eligible" in found.states else today
    both = [today.with_columns(eligible=False), then.with_columns(eligible=True)]
    yield "reach", pl.concat(both).select("node", *COUNTS, "eligible"), ("node", "eligible")
    yield "edges", found.edges, ("start", "end", "eligible")
    yield "crowd", found.crowd, ("node", "eligible")


def _edges(view: View, names: pl.Series) -> _Numbers:
    """Return the edges of a graph whose nodes have these names."""
    whys: dict[str, int] = {}
    starts, ends, said, certain = array("I"), array("I"), array("I"), array("B")
    for start, out in enumerate(view.graph.out):
        for end, (why, is_certain) in out.items():
            starts.append(start)
            ends.append(end)
            said.append(whys.setdefault(why, len(whys)))
            certain.append(is_certain)
    numbers = [_numbers_of("start", starts), _numbers_of("end", ends), _numbers_of("why", said)]
    rows = pl.DataFrame([*numbers, pl.Series("certain", certain, dtype=pl.UInt8).cast(pl.Boolean)])
    return _Numbers(rows, {"start": names, "end": names, "why": pl.Series(list(whys), dtype=pl.String)})


def _numbers_of(name: str, numbers: Collection[int]) -> pl.Series:
    return pl.Series(name, array("I", numbers), dtype=pl.UInt32)
