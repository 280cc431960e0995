"""Find the unlogged operations of the control plane whose resource type neither a holder nor a peer of it used.

No log shows these operations, so their own use is never known. Whoever works with a type leaves other calls on it that
are logged. `--unobservable touched` therefore keeps them only on the types that were used: by the holder, under any of
its assignments; by a member of the group that holds the assignment; or by a holder with the same job and the same role
at the same kind of scope. Two holders have the same job if the same set of types was used under an assignment of each.

A type is the top-level resource type of an operation, with all types below it.

A token for a service whose resources alone take it (`rules/endpoint_audiences.csv`) touches their type, too: a pipeline
that works on a storage endpoint alone leaves a sign-in for Azure Storage. A token is not use: a holder with nothing but
tokens counts as one without use.

A person who used nothing touched nothing: these operations go, and the plan asks the owner of the assignment. A
workload without observed use keeps them all, since it may work on an endpoint alone.

Silence about a type says something only where a log would have shown work with it. So a type also counts as touched
for an assignment of which operations on that type are out of coverage, or data actions on it that no log could show.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from functools import reduce
from operator import or_

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.text import folded, place_of
from rightsize.analyze.verdicts import Analysis
from rightsize.analyze.window import Window
from rightsize.propose.core.bitsets import OperationIndex, bits_of
from rightsize.propose.core.scopes import MANAGEMENT_GROUP
from rightsize.propose.needs.drafts import Key
from rightsize.propose.needs.eligibility import GROUP_SEGMENTS
from rightsize.propose.needs.needs import Profile
from rightsize.rules.operations import endpoint_audiences

_TOP = 2
"""The number of segments of a top-level resource type: provider and type."""
_BETWEEN = "\n"
"""The text between types in the key of a set of types; no operation of a log or a catalogue has it."""


JOB = "used"
"""The column of what makes a job: the used types as one text."""
_ROLE = ("role", "kind")
_ALIKE = (*_ROLE, JOB)


def top_level_type(name: pl.Expr) -> pl.Expr:
    """Return the top-level resource type of folded operations; of one without a type, the provider."""
    segments = name.str.split("/")
    verb = pl.when(name.str.ends_with("/action")).then(2).otherwise(1)
    return (
        segments.list.head(pl.max_horizontal(segments.list.len().cast(pl.Int64) - verb, 1))
        .list.head(_TOP)
        .list.join("/")
    )


def kind_of_scope(place: pl.Expr) -> pl.Expr:
    """Return the kind of a folded scope: management group, subscription, resource group, resource or root."""
    depth = place.str.count_matches("/", literal=True)
    return (
        pl.when(place == "/")
        .then(pl.lit("root"))
        .when(place.str.starts_with(MANAGEMENT_GROUP))
        .then(pl.lit("management_group"))
        .when(depth < GROUP_SEGMENTS)
        .then(pl.lit("subscription"))
        .when(depth == GROUP_SEGMENTS)
        .then(pl.lit("resource_group"))
        .otherwise(pl.lit("resource"))
    )


def shared_jobs(uses: pl.DataFrame, *alike: str) -> pl.DataFrame:
    """Return `(role_assignment_id, state, holder, *alike, JOB)` of the assignments whose job several holders have.

    Args:
        uses: `(role_assignment_id, state, holder, *alike, type)`.
        alike: More columns in which these holders agree.
    """
    own = ("role_assignment_id", "state", "holder", *alike)
    jobs = (
        uses.select(*own, "type")
        .unique()
        .sort("type")
        .group_by(own, maintain_order=True)
        .agg(pl.col("type").str.join(_BETWEEN).alias(JOB))
    )
    return jobs.filter(pl.col("holder").n_unique().over(*alike, JOB) > 1)


def with_untouched(
    profiles: Mapping[Key, Profile], placed: pl.DataFrame, inputs: Inputs, analysis: Analysis, index: OperationIndex
) -> dict[Key, Profile]:
    """Return the profiles with `untouched` set; of a workload without observed use nothing is untouched.

    Args:
        profiles: The profile of each assignment.
        placed: As `assignments.place_uses` returns it: the use of the window, and use before it that still counts.
        inputs: The tables.
        analysis: The window and the memberships.
        index: The operations.
    """
    tenant = analysis.tenant
    tokens, people = _tokens(inputs, analysis.window), _held_by_people(inputs, tenant)
    of_type = masks_by_type(index)
    names = sorted(of_type)
    touched = _touched(placed, inputs, tenant, tokens, people, {name: number for number, name in enumerate(names)})
    masks: dict[int, int] = {}
    silent: dict[int, int] = {}
    made: dict[tuple[int, int], Profile] = {}
    found = dict(profiles)
    for key, profile in profiles.items():
        types = touched.get(key, 0 if key in people else None)
        if types is None or not profile.hidden & index.control:
            continue
        if types not in masks:
            masks[types] = reduce(or_, (of_type[names[number]] for number in bits_of(types)), 0)
        shared = (id(profile), types)
        if shared not in made:
            if id(profile) not in silent:
                silent[id(profile)] = _would_be_seen(profile, of_type.values(), index)
            made[shared] = replace(profile, untouched=silent[id(profile)] & ~masks[types])
        found[key] = made[shared]
    return found


def _held_by_people(inputs: Inputs, tenant: Tenant) -> frozenset[Key]:
    """Return the assignments of users, and of groups of which every known member is a user."""
    stated = inputs.role_assignments.select("principal_id", "principal_type")
    kinds = (
        pl.concat([inputs.principals.select("principal_id", "principal_type"), stated])
        .drop_nulls("principal_type")
        .select(person=folded(pl.col("principal_id")), kind="principal_type")
        .unique("person", keep="first", maintain_order=True)
    )
    reach = (
        tenant.may_reach.select(person=folded(pl.col("principal_id")), holder=folded(pl.col("holder")))
        .join(kinds, on="person", how="left")
        .filter(pl.col("kind").is_null() | (pl.col("kind") != "Group"))
    )
    human = reach.group_by("holder").agg(human=(pl.col("kind") == "User").fill_null(False).all()).filter("human")
    held = inputs.role_assignments.select("role_assignment_id", "state", holder=folded(pl.col("principal_id")))
    return frozenset(held.join(human, on="holder", how="semi").select("role_assignment_id", "state").iter_rows())


def _would_be_seen(profile: Profile, types: Iterable[int], index: OperationIndex) -> int:
    """Return the unlogged operations of the control plane on types of which a log would have shown other work."""
    undecided = profile.open | profile.hidden & ~index.control
    doubtful = reduce(or_, (operations for operations in types if operations & undecided), 0)
    return profile.hidden & index.control & ~doubtful


def masks_by_type(index: OperationIndex) -> dict[str, int]:
    """Return the operations of each folded top-level type, on both planes."""
    rows = index.frame().group_by(type=top_level_type(pl.col("name"))).agg("bit").iter_rows()
    return {kind: index.mask_of_bits(bits) for kind, bits in rows}


def _tokens(inputs: Inputs, window: Window) -> pl.DataFrame:
    """Return `(type, person)`: the types for which principals got a token in the window."""
    given = inputs.sign_ins.filter(window.holds("day") & (pl.col("succeeded").fill_null(0) > 0))
    named = given.select(app_id=folded(pl.col("resource_id")), person=folded(pl.col("principal_id"))).unique()
    return named.join(endpoint_audiences(), on="app_id").select("type", "person").drop_nulls().unique()


def _touched(
    placed: pl.DataFrame,
    inputs: Inputs,
    tenant: Tenant,
    tokens: pl.DataFrame,
    people: Set[Key],
    number_of: Mapping[str, int],
) -> dict[Key, int]:
    """Return the touched types of each assignment as a set of their numbers, which a row for each would make quadratic.

    It has the holders with observed use, and the assignments in `people`. `tokens`, as `_tokens` returns it, adds types
    to both.
    """
    held = inputs.role_assignments.select(
        "role_assignment_id",
        "state",
        holder=folded(pl.col("principal_id")),
        role=folded(pl.col("role_definition_id")).fill_null(""),
        kind=kind_of_scope(place_of(pl.col("scope"))),
    )
    names = placed.select("name").unique().with_columns(type=top_level_type(pl.col("name")))
    uses = (
        placed.select("role_assignment_id", "state", "principal_id", "name")
        .unique()
        .join(names, on="name")
        .join(held, on=["role_assignment_id", "state"])
        .select("role_assignment_id", "state", "holder", "role", "kind", "type", who=folded(pl.col("principal_id")))
        .unique()
    )
    # What a member of a group used through it is use of the group, and use of the member.
    own = pl.concat(
        [uses.select("type", person="holder"), uses.select("type", person=pl.coalesce("who", "holder"))]
    ).unique()
    holders = held.select("holder").unique()
    reach = pl.concat(
        [
            tenant.may_reach.select(person=folded(pl.col("principal_id")), holder=folded(pl.col("holder"))),
            holders.select(person="holder", holder="holder"),
        ]
    ).unique()
    touched = pl.concat([own, tokens]).unique()
    numbers = pl.DataFrame(list(number_of.items()), schema={"type": pl.String, "number": pl.Int64}, orient="row")
    rows = reach.join(touched.join(numbers, on="type"), on="person").group_by("holder").agg(pl.col("number").unique())
    of_holder = {holder: sum(1 << number for number in found) for holder, found in rows.iter_rows()}
    human = pl.DataFrame(sorted(people), schema={"role_assignment_id": pl.String, "state": pl.String}, orient="row")
    active = pl.concat(
        [
            held.join(own.select(holder="person").unique(), on="holder", how="semi"),
            held.join(human, on=["role_assignment_id", "state"], how="semi"),
        ]
    ).unique()
    found = _by_job(uses, of_holder)
    for id_, state, holder in active.select("role_assignment_id", "state", "holder").iter_rows():
        found[id_, state] = found.get((id_, state), 0) | of_holder.get(holder, 0)
    return found


def _by_job(uses: pl.DataFrame, of_holder: Mapping[str, int]) -> dict[Key, int]:
    """Return for each assignment the types that holders with its job and role touched."""
    found: dict[Key, int] = {}
    jobs = shared_jobs(uses, *_ROLE).group_by(_ALIKE).agg("role_assignment_id", "state", "holder")
    for ids, states, holders in jobs.select("role_assignment_id", "state", "holder").iter_rows():
        types = reduce(or_, (of_holder.get(holder, 0) for holder in set(holders)))
        found |= dict.fromkeys(zip(ids, states, strict=True), types)
    return found
