"""Separate data-plane calls that role assignments decided from the rest, and find permissions that may be in use.

Logs of requests name operations of a service. Some operations need one of several permissions, some match no rule, and
some resources do not decide by Azure roles at all. None of this may make a granted permission look unused.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import polars as pl

from rightsize.analyze.attribution import Attributed, attribute, granted_in_use
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.reasons import OutOfCoverage, Unexplained
from rightsize.analyze.resource_logs import log_rules, rules_of
from rightsize.analyze.resources import (
    AZURE_ROLES,
    REPOSITORY_ROLES,
    kind_of,
    resource_of,
    setting_facts,
    with_answer,
)
from rightsize.analyze.scoping import containing
from rightsize.analyze.tenant import Tenant
from rightsize.rbac.text import fold
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
