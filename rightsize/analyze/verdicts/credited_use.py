"""Credit the use that `attribution` leaves open: data planes, calls without a name, and days before the window.

Separate data-plane calls that role assignments decided from the rest, and find permissions that may be in use.

Logs of requests name operations of a service. Some operations need one of several permissions, some match no rule, and
some resources do not decide by Azure roles at all. None of this may make a granted permission look unused.

Where the catalogue does not know the display name of a call (`inputs`), the call may have been any change of the
type that it acted on, or of a type inside it. Where the caller holds such an operation, it is not judged unused.

A window without an operation does not prove that an operation used on an earlier loaded day is unneeded. Such an
operation is kept where it was used, until the use is older than `Window.forget_days`. Days after the window are never
read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import polars as pl

from rightsize.analyze.inputs import Inputs, containing, folded, place_of, type_acted_on, type_of
from rightsize.analyze.reasons import OutOfCoverage, Unexplained, Verdict
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.attribution import Attributed, attribute, granted_in_use
from rightsize.analyze.verdicts.resource_logs import (
    AZURE_ROLES,
    REPOSITORY_ROLES,
    kind_of,
    log_rules,
    resource_of,
    rules_of,
    setting_facts,
    with_answer,
)
from rightsize.analyze.verdicts.usage import CALL, observe
from rightsize.analyze.window import Window
from rightsize.model.text import fold
from rightsize.rules.operations import only_reads
from rightsize.rules.tables import rows_of

_REGISTRY = "microsoft.containerregistry/registries"
_HELD = {"a": pl.UInt32, "name": pl.String, "operation": pl.String, "plane": pl.String, "reason": pl.String}
_ASSIGNED = {"a": pl.UInt32, "name": pl.String, "plane": pl.String}


@dataclass(frozen=True, slots=True)
class Decided:
    """The calls of a window, by whether role assignments decided them.

    Attributes:
        usage: Those that role assignments decided, as `usage.observe` has them.
        aside: The others, with `reason`: a word of `Unexplained`.
    """

    usage: pl.DataFrame
    aside: pl.DataFrame


def decide(usage: pl.DataFrame, inputs: Inputs) -> Decided:
    """Set aside calls that no role assignment decided; rename those to registries with repository permissions."""
    if usage.is_empty():
        return Decided(usage, usage.with_columns(reason=pl.lit(None, dtype=pl.String)))
    facts = setting_facts(inputs)
    placed = usage.with_columns(resource=resource_of("place"))
    own = with_answer(facts, AZURE_ROLES, "no")
    # Rules map to permissions, which have slashes; an unmapped operation of a log has none.
    reason = (
        pl.when((pl.col("plane") == "data") & ~pl.col("name").str.contains("/", literal=True))
        .then(pl.lit(Unexplained.NOT_MAPPED.value))
        .when((pl.col("plane") == "data") & pl.col("resource").is_in(own.implode()))
        .then(pl.lit(Unexplained.OTHER_ACCESS.value))
    )
    judged = placed.with_columns(reason=reason)
    by_repository = with_answer(facts, REPOSITORY_ROLES, "yes")
    renamed = _renamed(
        judged.filter(pl.col("reason").is_null()), pl.col("resource").is_in(by_repository.implode()).fill_null(False)
    )
    aside = judged.filter(pl.col("reason").is_not_null() & (pl.col("events") > 0))
    return Decided(renamed.select(usage.columns), aside.select(*usage.columns, "reason"))


@cache
def alternatives() -> pl.DataFrame:
    """Return `(name, order, other, other_operation)`: other permissions that one request may have used instead."""
    rows = [
        (fold(row["action"]), order, fold(row["alternative"]), row["alternative"])
        for order, row in enumerate(rows_of("log_alternatives"))
    ]
    schema = {"name": pl.String, "order": pl.Int64, "other": pl.String, "other_operation": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _renamed(usage: pl.DataFrame, concerned: pl.Expr) -> pl.DataFrame:
    first = alternatives().filter(pl.col("name").str.starts_with(_REGISTRY)).unique("name", keep="first")
    meant = usage.join(first, on="name", how="left", maintain_order="left")
    changes = concerned & pl.col("other").is_not_null()
    return meant.with_columns(
        name=pl.when(changes).then("other").otherwise("name"),
        operation=pl.when(changes).then("other_operation").otherwise("operation"),
        plane=pl.when(changes).then(pl.lit("data")).otherwise("plane"),
    )


def attribute_data_use(
    usage: pl.DataFrame,
    tenant: Tenant,
    open_groups: pl.Series,
    activations: pl.DataFrame,
    credited: pl.Series | None = None,
) -> tuple[pl.DataFrame, Attributed]:
    """Attribute calls; an unexplained call that another permission allows as well is taken to have used that one.

    The arguments are those of `attribute`.

    Returns:
        The calls, those under the other permission renamed, and their attribution.
    """
    attributed = attribute(usage, tenant, open_groups, activations, credited)
    if attributed.unexplained.is_empty():
        return usage, attributed
    left = usage.join(attributed.unexplained, on="u", how="semi").join(alternatives(), on="name")
    if left.is_empty():
        return usage, attributed
    # Each alternative is tried as a call of its own.
    trial = left.with_columns(
        original="u",
        name="other",
        operation="other_operation",
        plane=pl.lit("data"),
        u=pl.int_range(pl.len()).cast(pl.UInt32),
    )
    explained = attribute(trial.select(usage.columns), tenant, open_groups, activations).used["u"].unique()
    meant = (
        trial.filter(pl.col("u").is_in(explained.implode()))
        .sort("original", "order")
        .unique("original", keep="first", maintain_order=True)
        .select(u="original", meant="name", meant_operation="operation")
    )
    if meant.is_empty():
        return usage, attributed
    changed = usage.join(meant, on="u", how="left", maintain_order="left")
    is_other = pl.col("meant").is_not_null()
    changed = changed.with_columns(
        name=pl.coalesce("meant", "name"),
        operation=pl.coalesce("meant_operation", "operation"),
        plane=pl.when(is_other).then(pl.lit("data")).otherwise("plane"),
    ).select(usage.columns)
    return changed, attribute(changed, tenant, open_groups, activations, credited)


def doubts(
    decided: Decided, usage: pl.DataFrame, attributed: Attributed, tenant: Tenant, inputs: Inputs
) -> pl.DataFrame:
    """Return `(a, name, operation, plane, reason)`: permissions that may have been used, without proof by a call.

    An operation that no rule maps may have used any permission of its service. An unexplained call may have been
    allowed by an assignment inside the resource, where the log names only the resource. A call to a registry used one
    of two permissions where it is not known how the registry decides.
    """
    if usage.is_empty() and decided.aside.is_empty():
        return pl.DataFrame(schema=_HELD)
    maybe = _of_service(decided.aside.filter(pl.col("reason") == Unexplained.NOT_MAPPED.value), tenant)
    left = usage.join(attributed.unexplained, on="u", how="semi").filter(pl.col("events") > 0)
    inside = _reached(left, tenant).filter(pl.col("assigned").str.len_bytes() > pl.col("place").str.len_bytes())
    below = inside.join(granted_in_use(left, tenant), on=["role", "name", "plane"], how="semi")
    either = _either(usage, tenant, inputs)
    spelling = tenant.operations.select("name", spelt="operation").unique("name")
    rows = pl.concat(
        [
            maybe.select("a", "name", "plane", reason=pl.lit(OutOfCoverage.UNMAPPED_USE.value)),
            below.select("a", "name", "plane", reason=pl.lit(OutOfCoverage.UNEXPLAINED_USE.value)),
            either.select("a", "name", "plane", reason=pl.lit(OutOfCoverage.UNMAPPED_USE.value)),
        ]
    )
    spelt = rows.unique().join(spelling, on="name", how="left")
    return spelt.with_columns(operation=pl.coalesce("spelt", "name")).select(*_HELD).sort(*_HELD)


def _of_service(unmapped: pl.DataFrame, tenant: Tenant) -> pl.DataFrame:
    """Return `(a, name, plane)`: all permissions for the services of the calls that assignments grant."""
    if unmapped.is_empty():
        return pl.DataFrame(schema=_ASSIGNED)
    kinds = log_rules().select("rule", "kind")
    granted = tenant.grants.join(rules_of(tenant.grants), on=["name", "plane"]).join(kinds, on="rule")
    acts = _reached(unmapped, tenant).select("a", "role", kind=kind_of("resource")).unique()
    return acts.join(granted, on=["role", "kind"]).select("a", "name", "plane")


def _reached(calls: pl.DataFrame, tenant: Tenant) -> pl.DataFrame:
    """Return calls with each assignment `a` of their possible callers that is around their resource or inside it."""
    assignments = tenant.assignments.select("a", "role", holder="principal_id", assigned="place")
    acts = calls.select("principal_id", "place", "name", "plane", resource=resource_of("place")).unique()
    acts = acts.drop_nulls("resource")
    if acts.is_empty():
        return acts.join(assignments.clear(), how="cross")
    around = containing(acts["resource"], assignments["assigned"], tenant.tree).rename({"place": "resource"})
    within = (
        assignments.select("assigned").unique().with_columns(resource=resource_of("assigned")).drop_nulls("resource")
    )
    near = pl.concat([around.select("resource", "assigned"), within.select("resource", "assigned")]).unique()
    pairs = acts.join(near, on="resource").join(assignments, on="assigned")
    reach = tenant.membership.rename({"principal_id": "who"})
    known = pairs.filter(pl.col("principal_id").is_not_null()).join(
        reach, left_on=["principal_id", "holder"], right_on=["who", "holder"], how="semi"
    )
    return pl.concat([known, pairs.filter(pl.col("principal_id").is_null())])


def _either(usage: pl.DataFrame, tenant: Tenant, inputs: Inputs) -> pl.DataFrame:
    """Return `(a, name, plane)` of the other permission that a call to a registry may have used."""
    facts = setting_facts(inputs)
    settled = facts.filter(pl.col("fact") == REPOSITORY_ROLES)["resource"]
    pulled = usage.filter((pl.col("events") > 0) & pl.col("name").str.starts_with(_REGISTRY)).with_columns(
        resource=resource_of("place")
    )
    # Where repositories are known to have permissions, an untagging call may still have used one of two.
    open_ones = pulled.filter(~pl.col("resource").is_in(settled.implode()) | (pl.col("plane") == "data"))
    if open_ones.is_empty():
        return pl.DataFrame(schema=_ASSIGNED)
    other = alternatives().select("name", "other")
    both = pl.concat([other, other.select(name="other", other="other")]).unique()
    siblings = other.join(other, on="name", suffix="_sibling").select(name="other", other="other_sibling")
    meant = _reached(open_ones, tenant).join(pl.concat([both, siblings]).unique(), on="name")
    wanted = meant.select("a", "role", name="other", plane=pl.lit("data")).unique()
    return wanted.join(tenant.grants, on=["role", "name", "plane"], how="semi").select("a", "name", "plane")


_LONGEST = 12
"""Most segments of a resource type; the longest of Azure's own has ten."""


def held_by_unnamed(calls: pl.DataFrame, tenant: Tenant) -> pl.DataFrame:
    """Return `(a, name, operation, plane, reason)`: every change that a call may have been, where its caller holds it.

    Args:
        calls: Unnamed calls as `usage.observe` returns them; a call of an unknown caller may be anybody's.
        tenant: The tenant.
    """
    if calls.is_empty():
        return pl.DataFrame(schema=_HELD)
    suspect = pl.when("quarantined").then(pl.lit(OutOfCoverage.QUARANTINED.value))
    acts = calls.filter((pl.col("events") > 0) | pl.col("quarantined")).select(
        "principal_id",
        "place",
        kind=type_of(pl.col("place")),
        reason=suspect.otherwise(pl.lit(OutOfCoverage.UNNAMED_OPERATION.value)),
    )
    if acts.is_empty():
        return pl.DataFrame(schema=_HELD)
    assignments = tenant.assignments.select("a", "role", holder="principal_id", assigned="place")
    around = containing(acts["place"], assignments["assigned"], tenant.tree)
    pairs = acts.unique().join(around, on="place").join(assignments, on="assigned")
    reach = tenant.may_reach.rename({"principal_id": "who"})
    own = pairs.join(reach, left_on=["principal_id", "holder"], right_on=["who", "holder"], how="semi")
    may = pl.concat([own, pairs.filter(pl.col("principal_id").is_null())]).select("a", "role", "kind", "reason")
    changes = tenant.grants.filter((pl.col("plane") == "control") & ~only_reads(pl.col("name")))
    within = _types_around(changes["name"].unique()).join(may.select("kind").unique(), on="kind", how="semi")
    found = may.unique().join(within, on="kind").join(changes, on=["role", "name"])
    spelling = tenant.operations.select("name", spelt="operation").unique("name")
    return (
        found.join(spelling, on="name", how="left")
        .with_columns(operation=pl.coalesce("spelt", "name"))
        .select(pl.col(column).cast(kind) for column, kind in _HELD.items())
        .unique()
        .sort(list(_HELD))
    )


def _types_around(names: pl.Series) -> pl.DataFrame:
    """Return `(name, kind)`: the type of each operation, the types that contain it, and the empty type for all."""
    steps = pl.DataFrame({"name": names}).with_columns(steps=type_acted_on(pl.col("name")).str.split("/"))
    parts = [
        steps.filter(pl.col("steps").list.len() >= number).select(
            "name", kind=pl.col("steps").list.head(number).list.join("/")
        )
        for number in (0, *range(2, _LONGEST))
    ]
    return pl.concat(parts)


def earlier_calls(inputs: Inputs, window: Window, usage: pl.DataFrame, *, unnamed: bool = False) -> pl.DataFrame:
    """Return the calls of the days before the window that still count, as `usage.observe` does.

    Refused calls are left out, and so are calls that the window shows as well.

    Args:
        inputs: The tables.
        window: The window.
        usage: The calls of the window, as `usage.observe` returns them.
        unnamed: Whether to return the calls whose log names no operation.
    """
    if window.earlier is None:
        return usage.clear()
    calls = observe(inputs, window.earlier, unnamed=unnamed).filter((pl.col("events") > 0) | pl.col("quarantined"))
    again = usage.filter((pl.col("events") > 0) & ~pl.col("quarantined"))
    return calls.join(again, on=list(CALL), how="anti", nulls_equal=True, maintain_order="left")


def credit_earlier(
    usage: pl.DataFrame, tenant: Tenant, open_groups: pl.Series, activations: pl.DataFrame, credited: pl.Series
) -> tuple[pl.DataFrame, Attributed]:
    """Credit earlier calls to the assignments of today.

    A call goes to an assignment that existed at its time. Where none of today's did, it goes to one made since: use
    under an assignment that is gone counts for its successor.

    Args:
        usage: The calls.
        tenant: The tenant.
        open_groups: Holders that may have members whom no listing shows.
        activations: `(id, eligibility)`: the eligible assignment behind an activation that may have ended.
        credited: `a` of the assignments that calls of the window are credited to: of several that grant an earlier
            call, one of these comes first.

    Returns:
        The calls, those under another permission renamed, and their attribution.
    """
    usage, found = attribute_data_use(usage, tenant, open_groups, activations, credited)
    left = usage.join(found.unexplained, on="u", how="semi")
    if left.is_empty():
        return usage, found
    nothing = pl.lit(None, dtype=pl.Datetime("us"))
    ageless = replace(
        tenant, assignments=tenant.assignments.with_columns(created_on=nothing, start_on=nothing, end_on=nothing)
    )
    since = attribute(left, ageless, open_groups, activations, credited)
    return usage, replace(
        found,
        used=pl.concat([found.used, since.used]),
        unexplained=since.unexplained,
        doubtful=since.doubtful,
    )


def declared_calls(inputs: Inputs, window: Window, usage: pl.DataFrame) -> pl.DataFrame:
    """Return what loaded code declares, in the form of calls, without what the window shows as well.

    A declaration counts to its last day, against the end of the window. It is credited like a call, so that it gives
    nothing that no assignment of today grants.

    Args:
        inputs: The tables.
        window: The window.
        usage: The calls of the window, as `usage.observe` returns them.
    """
    current = inputs.declared_needs.filter(pl.col("until") >= window.last_day)
    if current.is_empty():
        return usage.clear()
    again = usage.filter((pl.col("events") > 0) & ~pl.col("quarantined"))
    made = (
        current.with_columns(
            principal_id=folded(pl.col("principal_id")),
            name=folded(pl.col("operation")),
            place=place_of(pl.col("scope")),
        )
        .group_by("principal_id", "name", "place")
        .agg(pl.col("operation", "scope").min(), declared_on=pl.col("declared_on").max())
        .join(again, on=["principal_id", "name", "place"], how="anti")
        .sort("principal_id", "name", "place")
        .with_row_index("u")
        .with_columns(plane=pl.lit("control"), events=1, first_seen="declared_on", last_seen="declared_on")
        .with_columns(quarantined=pl.lit(False), days=0, denied=0)
    )
    return made.select(
        (pl.col(name) if name in made.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in usage.schema.items()
    )


def declared_rows(credited: pl.DataFrame, used: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of what is declared, without what was used at the same place under the same assignment.

    Args:
        credited: Rows of use as `verdicts` makes them, with `a` and `name`.
        used: Those of use in the window and before it.
    """
    same = ["a", "name", "plane", "place", "principal_id"]
    nothing = pl.lit(None, dtype=pl.Datetime("us"))
    return credited.join(used, on=same, how="anti", nulls_equal=True, maintain_order="left").with_columns(
        verdict=pl.lit(Verdict.OUT_OF_COVERAGE.value),
        reason=pl.lit(OutOfCoverage.DECLARED.value),
        events=pl.lit(0, dtype=pl.Int64),
        days=pl.lit(0, dtype=pl.Int64),
        first_seen=nothing,
        last_seen=nothing,
    )


def earlier_rows(credited: pl.DataFrame, used: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of earlier use, with the reason of the verdict in place of how the use was attributed.

    Args:
        credited: Rows of use as `verdicts` makes them, with `a` and `name`.
        used: Those of the window: use by the same principal, at the same place, under the same assignment in the
            window has no other row. What another member of a group used says nothing of this one, since an operation
            may be given to few members only.
    """
    same = ["a", "name", "plane", "place", "principal_id"]
    return credited.join(used, on=same, how="anti", nulls_equal=True, maintain_order="left").with_columns(
        verdict=pl.lit(Verdict.OUT_OF_COVERAGE.value), reason=pl.lit(OutOfCoverage.USED_BEFORE_WINDOW.value)
    )


def earlier_operations(earlier: pl.DataFrame, used: pl.DataFrame, tenant: Tenant) -> pl.DataFrame:
    """Return one row per (assignment, plane, operation) that the window does not show, for its holder at its scope.

    Args:
        earlier: As `earlier_rows` returns it.
        used: The rows of the window.
        tenant: The tenant.
    """
    about = tenant.assignments.select("a", "principal_id", "scope")
    first = earlier.join(used, on=["a", "name", "plane"], how="anti")
    is_declared = pl.col("reason") == OutOfCoverage.DECLARED.value
    used_before = first.filter(~is_declared)
    # What was used at one place and is declared for another has one row, that of the use.
    return (
        pl.concat([used_before, first.filter(is_declared).join(used_before, on=["a", "name", "plane"], how="anti")])
        .group_by("a", "role_assignment_id", "state", "plane", "name", "verdict", "reason")
        .agg(
            pl.col("operation", "first_seen").min(),
            pl.col("events").sum(),
            pl.col("days", "last_seen").max(),
        )
        .join(about, on="a")
        .with_columns(operations=1)
    )
