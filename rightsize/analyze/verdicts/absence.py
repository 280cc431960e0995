"""Find for each assignment the types of resource that were absent at and below its scope, as few distinct sets.

An assignment at a resource concerns the type of that resource alone. Higher up a type was absent if it was absent in
every resource group or subscription at or below the scope. Some assignments get no such set, since what they are for
may not exist yet: eligible ones, those of scopes without any resource, and those for recovery.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from rightsize.analyze.inputs import Inputs, containing, node_of, place_of
from rightsize.analyze.reasons import Unused
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.existence import GROUP, Existence
from rightsize.analyze.verdicts.resource_logs import kind_of, resource_of
from rightsize.model.text import Folded
from rightsize.rules.operations import recovery_roles
from rightsize.rules.resource_types import extends_others, inventory_types, is_for_recovery, type_named

NONE = -1
"""The number of the empty set of types."""

_KINDS = {"absent": pl.Int64, "kind": pl.String, "reason": pl.String}
_WAITING = {"a": pl.UInt32, "why": pl.String}

# The most rows that the profiles of one role may have because types differ by scope. Beyond it each profile has the
# types that are absent at all scopes of the role: that keeps more than it must.
ABSENT_ROWS = 2_000_000


@dataclass(frozen=True, slots=True)
class Absences:
    """The absent types of each assignment.

    Attributes:
        of: `(a, absent)`: the number of the set of types, `NONE` for the empty one.
        kinds: `(absent, kind, reason)`: the folded types of each set, `reason` a word of `reasons.BY_EXISTENCE`.
        waiting: `(a, why)`: assignments whose scope has a set, which they do not get because of what they are for:
            `eligible`, `empty` scope or `recovery`.
        areas: `(place, node, at)`: the subscription or resource group that each assigned scope covers, of all that a
            proof about it rests on.
        hidden: `(place)` of the scopes at or below which listings and logs do not show all that existed.
    """

    of: pl.DataFrame
    kinds: pl.DataFrame
    waiting: pl.DataFrame
    areas: pl.DataFrame
    hidden: pl.DataFrame


def find_absences(existence: Existence, inputs: Inputs, tenant: Tenant, standby: tuple[str, ...] = ()) -> Absences:
    """Return the absent types of each assignment.

    Args:
        existence: What existed.
        inputs: The tables.
        tenant: The tenant; its assignments are judged.
        standby: Scopes that wait for a failure of others, as a person named them.
    """
    areas = _areas(tenant)
    known = existence.problems.filter(pl.col("problem").is_null())
    hidden = _hidden(known, existence.changes, areas)
    sets, kinds = _sets(existence, tenant, areas, hidden)
    if sets.is_empty():
        nothing = tenant.assignments.select("a", absent=pl.lit(NONE, dtype=pl.Int64)).sort("a")
        return Absences(nothing, pl.DataFrame(schema=_KINDS), pl.DataFrame(schema=_WAITING), areas, hidden)
    waiting = _waiting(existence, inputs, tenant, areas, standby)
    judged = tenant.assignments.filter((pl.col("state") == "active") & ~pl.col("twin")).join(
        waiting, on="a", how="anti"
    )
    of_role, kinds = _of_roles(judged.select("role", "place").unique(), sets, kinds, tenant)
    of = (
        tenant.assignments.select("a", "role", "place")
        .join(judged.select("a", judged=pl.lit(True)), on="a", how="left")
        .join(of_role, on=["role", "place"], how="left")
        .select("a", absent=pl.when("judged").then("absent").fill_null(NONE).cast(pl.Int64))
        .sort("a")
    )
    asked = tenant.assignments.join(sets, on="place", how="semi")
    return Absences(of, kinds, waiting.join(asked, on="a", how="semi"), areas, hidden)


def _hidden(known: pl.DataFrame, changes: pl.DataFrame, areas: pl.DataFrame) -> pl.DataFrame:
    """Return `Absences.hidden`, given `(node)` of the known subscriptions and the changes that hide what existed."""
    lost = areas.join(known, on="node", how="anti").select("place")
    changed = areas.join(changes.rename({"at": "changed"}), on="node").filter(
        pl.col("at").is_null() | (pl.col("changed") == pl.col("at")) | (pl.col("changed") == pl.col("node"))
    )
    return pl.concat([lost, changed.select("place")]).unique()


def shown_types(existence: Existence, absences: Absences) -> dict[Folded, set[Folded]]:
    """Return the folded types that were there, by the scopes of which listings and logs show all that existed."""
    return _types_of(absences.hidden, existence, absences)


def listed_types(existence: Existence, absences: Absences) -> dict[Folded, set[Folded]]:
    """Return the folded types that were there, by the scopes of which one complete listing and the log show them.

    That is no proof of absence, which takes two listings of different kinds. It is enough for what comes along with
    other work only where such a type is there.
    """
    return _types_of(_hidden(existence.listed, existence.changes, absences.areas), existence, absences)


def _types_of(hidden: pl.DataFrame, existence: Existence, absences: Absences) -> dict[Folded, set[Folded]]:
    shown = absences.areas.select("place").unique().join(hidden, on="place", how="anti")
    found: dict[Folded, set[Folded]] = {place: set() for place in shown["place"]}
    for place, kind in types_there(existence, absences.areas).iter_rows():
        if place in found:
            found[place].add(kind)
    return found


def types_there(existence: Existence, areas: pl.DataFrame) -> pl.DataFrame:
    """Return `(place, kind)` of the types that were or may have been at or below each scope.

    `areas` is as in `Absences`.
    """
    return (
        areas.join(existence.present.select("node", "kind", found="at"), on="node")
        .filter(pl.col("at").is_null() | (pl.col("found") == pl.col("at")) | (pl.col("found") == pl.col("node")))
        .select("place", "kind")
        .unique()
    )


def _areas(tenant: Tenant) -> pl.DataFrame:
    """Return `(place, node, at)` of the assigned scopes above resources; `at` is null for a whole subscription.

    A scope of which not all subscriptions are known has one row with neither.
    """
    rows: list[tuple[str, str | None, str | None]] = []
    for place, level in tenant.assignments.select("place", "level").unique().sort("place").iter_rows():
        if level == "resource_group":
            rows.append((place, "/".join(place.split("/")[:3]), place))
        elif level == "subscription":
            rows.append((place, place, None))
        elif level in ("management_group", "root"):
            below = tenant.tree.below(place)[1] if tenant.tree.is_listed(place) else []
            rows += [(place, node, None) for node in below] or [(place, None, None)]
    return pl.DataFrame(rows, schema={"place": pl.String, "node": pl.String, "at": pl.String}, orient="row")


def _sets(
    existence: Existence, tenant: Tenant, areas: pl.DataFrame, hidden: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `(place, number)` of the assigned scopes with a set, and `(number, kind, reason)` of the sets."""
    inside = (
        tenant.assignments.filter(pl.col("level") == "resource")
        .select("place")
        .unique()
        .with_columns(resource=resource_of("place"))
        .with_columns(own=kind_of("resource"))
        .drop_nulls("own")
        .select("place", key=pl.format("resource {}", "own"))
    )
    there = types_there(existence, areas).filter(pl.col("kind").is_in(list(inventory_types())))
    lacking = _lacking_providers(existence, areas)
    texts = (
        areas.select("place")
        .unique()
        .join(hidden.with_columns(hidden=pl.lit(True)), on="place", how="left")
        .join(_joined(there, "kind", "there"), on="place", how="left")
        .join(_joined(lacking, "namespace", "lacking"), on="place", how="left")
        .with_columns(pl.col("there", "lacking").fill_null(""), pl.col("hidden").fill_null(False))
        .filter(~pl.col("hidden") | (pl.col("lacking") != ""))
        .with_columns(there=pl.when("hidden").then(pl.lit("hidden")).otherwise("there"))
        .select("place", key=pl.format("{}\n{}", "there", "lacking"))
    )
    keyed = pl.concat([inside, texts])
    numbered = keyed.select("key").unique().sort("key").with_row_index("number").cast({"number": pl.Int64})
    rows = [
        (number, kind, reason)
        for number, key in numbered.select("number", "key").iter_rows()
        for kind, reason in _kinds_of(key)
    ]
    kinds = pl.DataFrame(rows, schema={"number": pl.Int64, "kind": pl.String, "reason": pl.String}, orient="row")
    return keyed.join(numbered, on="key").select("place", "number"), kinds


def _kinds_of(key: str) -> list[tuple[str, str]]:
    """Return the absent types with their reasons, from the text that stands for a set."""
    every = sorted(inventory_types())
    listed, unregistered = Unused.NO_SUCH_RESOURCE.value, Unused.PROVIDER_NOT_REGISTERED.value
    if key.startswith("resource "):
        own = key.removeprefix("resource ")
        return [(kind, listed) for kind in every if kind != own]
    there, _, lacking = key.partition("\n")
    providers = set(lacking.split(" "))
    present = set(there.split(" "))
    found = []
    for kind in every:
        if there != "hidden" and kind not in present:
            found.append((kind, listed))
        elif kind.split("/", 1)[0] in providers and kind not in present:
            found.append((kind, unregistered))
    return found


def _joined(rows: pl.DataFrame, column: str, name: str) -> pl.DataFrame:
    return rows.group_by("place").agg(pl.col(column).unique().sort().str.join(" ").alias(name))


def _lacking_providers(existence: Existence, areas: pl.DataFrame) -> pl.DataFrame:
    """Return `(place, namespace)` of the providers that are proved unregistered in every subscription of a scope."""
    totals = areas.group_by("place").agg(total=pl.col("node").n_unique(), known=pl.col("node").is_not_null().all())
    return (
        areas.join(existence.unregistered.select("node", "namespace"), on="node")
        .group_by("place", "namespace")
        .agg(number=pl.col("node").n_unique())
        .join(totals, on="place")
        .filter((pl.col("number") == pl.col("total")) & pl.col("known"))
        .select("place", "namespace")
    )


def _of_roles(
    held: pl.DataFrame, sets: pl.DataFrame, kinds: pl.DataFrame, tenant: Tenant
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `(role, place, absent)` and `(absent, kind, reason)`: the sets reduced to the types that a role grants.

    So scopes that differ only in types that a role does not grant have the same set.
    """
    pairs = held.join(sets, on="place").select("role", "place", "number")
    typed = tenant.operations.select("name", kind=type_named(pl.col("name"))).drop_nulls()
    granted = (
        tenant.grants.join(pairs.select("role").unique(), on="role", how="semi")
        .join(typed.filter(pl.col("kind").is_in(list(inventory_types()))), on="name")
        .select("role", "kind")
        .unique()
    )
    distinct = pairs.select("role", "number").unique()
    named = distinct.join(kinds, on="number").join(granted, on=["role", "kind"], how="semi")
    sizes = tenant.grants.group_by("role").agg(size=pl.len().cast(pl.Int64))
    crowd = distinct.group_by("role").agg(sets=pl.len().cast(pl.Int64)).join(sizes, on="role")
    crowded = crowd.filter(pl.col("sets") * pl.col("size") > ABSENT_ROWS).select("role", "sets")
    everywhere = (
        named.join(crowded, on="role")
        .group_by("role", "kind", "reason")
        .agg(number_of=pl.len().cast(pl.Int64), sets=pl.col("sets").first())
        .filter(pl.col("number_of") == pl.col("sets"))
        .select("role", "kind", "reason")
    )
    narrowed = pl.concat(
        [
            named.join(crowded, on="role", how="anti").select("role", "number", "kind", "reason"),
            distinct.join(crowded, on="role", how="semi")
            .join(everywhere, on="role")
            .select("role", "number", "kind", "reason"),
        ]
    )
    texts = (
        narrowed.sort("role", "number", "kind")
        .group_by("role", "number", maintain_order=True)
        .agg(key=pl.concat_str("kind", "reason", separator=" ").str.join("\n"))
    )
    numbered = texts.select("key").unique().sort("key").with_row_index("absent").cast({"absent": pl.Int64})
    of = pairs.join(texts, on=["role", "number"]).join(numbered, on="key").select("role", "place", "absent")
    found = numbered.select("absent", both=pl.col("key").str.split("\n")).explode("both")
    split = pl.col("both").str.split(" ")
    return of, found.select("absent", kind=split.list.get(0), reason=split.list.get(1)).sort("absent", "kind")


def _waiting(
    existence: Existence, inputs: Inputs, tenant: Tenant, areas: pl.DataFrame, standby: tuple[str, ...]
) -> pl.DataFrame:
    """Return `(a, why)` of the assignments whose scope, role or state says that they are for later."""
    places = pl.concat([_empty_places(existence, inputs, tenant, areas), _recovery_places(inputs, tenant, standby)])
    # Of several reasons `empty` comes first: it is what a reviewer can check.
    of_places = places.group_by("place").agg(pl.col("why").min())
    roles = inputs.role_definitions.select(
        role=pl.col("role_definition_id").str.to_lowercase(), named=is_for_recovery(pl.col("role_name"))
    )
    for_recovery = roles.filter("named")["role"]
    is_role = pl.col("role").is_in([*recovery_roles(), *for_recovery])
    rows = tenant.assignments.join(of_places, on="place", how="left")
    why = (
        pl.when(pl.col("state") != "active")
        .then(pl.lit("eligible"))
        .when(pl.col("why").is_not_null())
        .then("why")
        .when(is_role)
        .then(pl.lit("recovery"))
    )
    return rows.select("a", why=why).drop_nulls("why").sort("a")


def _empty_places(existence: Existence, inputs: Inputs, tenant: Tenant, areas: pl.DataFrame) -> pl.DataFrame:
    """Return `(place, why)` of the scopes without a resource in the inventory and without a change in the window."""
    seen = existence.present.filter(pl.col("first_day").is_not_null() | pl.col("listed"))
    kinds = seen["kind"].unique()
    extending = kinds.filter(extends_others(kinds))
    living = seen.filter(~pl.col("kind").is_in(extending.implode())).rename({"at": "found"})
    lively = areas.join(living.select("node", "found").unique(), on="node").filter(
        pl.col("at").is_null() | (pl.col("found") == pl.col("at")) | (pl.col("found") == pl.col("node"))
    )
    high = areas.select("place").unique().join(lively.select("place").unique(), on="place", how="anti")
    low = (
        tenant.assignments.filter(pl.col("level") == "resource")
        .select("place")
        .unique()
        .with_columns(resource=resource_of("place"), found=pl.col("place").str.extract(GROUP), node=node_of("place"))
        .join(existence.problems.filter(pl.col("problem").is_null()), on="node", how="semi")
        .with_columns(kind=kind_of("resource"))
    )
    listed = pl.DataFrame({"resource": place_of(inputs.resources["scope"])}).unique()
    called = living.filter(pl.col("first_day").is_not_null()).select("found", "kind").unique()
    gone = low.join(listed, on="resource", how="anti").join(called, on=["found", "kind"], how="anti").select("place")
    return pl.concat([high, gone]).with_columns(why=pl.lit("empty"))


def _recovery_places(inputs: Inputs, tenant: Tenant, standby: tuple[str, ...]) -> pl.DataFrame:
    """Return `(place, why)` of the assigned scopes at or below one that a name, tag or person marks for recovery."""
    named = inputs.scopes.filter(
        is_for_recovery(pl.col("display_name"))
        | is_for_recovery(pl.col("scope").str.extract(r"(?i)/(?:resourceGroups|managementGroups)/([^/]+)$"))
    )
    words = pl.concat_str(pl.col("name").fill_null(""), pl.col("value").fill_null(""), separator=" ")
    tagged = inputs.scope_tags.filter(is_for_recovery(words))
    own = tenant.assignments.select("place").unique()
    own = own.with_columns(group=pl.col("place").str.extract(r"^(.*/resourcegroups/([^/]+))", 1))
    by_group = own.filter(is_for_recovery(pl.col("group").str.extract(r"/resourcegroups/([^/]+)")))["group"]
    marked = pl.concat(
        [
            place_of(named["scope"]),
            place_of(tagged["scope"]),
            by_group,
            place_of(pl.Series("s", standby, dtype=pl.String)),
        ]
    )
    found = containing(own["place"], marked, tenant.tree)
    return found.select("place", why=pl.lit("recovery")).unique()
