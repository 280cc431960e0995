"""Prepare the frames that the steps of an analysis share: assignments, whom they reach, and what their roles grant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from rightsize.analyze.inputs import REACH, Inputs, ScopeTree, folded, level_of, once, place_of, read_tree
from rightsize.analyze.principals import principal_ids
from rightsize.model.nouns import RoleAssignment
from rightsize.rbac.permissions import Reading
from rightsize.rbac.scopes import LONGEST_SCOPE
from rightsize.rules.operations import classify, dual_operations, pairs_by_reading, scope_levels, weight

_ALLOW = {"action": "control", "data_action": "data"}
_SUBTRACT = {"not_action": "control", "not_data_action": "data"}
_GRANTED = {"role": pl.String, "name": pl.String, "plane": pl.String, "conditional": pl.Boolean}
_MATCHED = ("role", "block", "name", "string", "strict")
# Estimate the size of a role where no catalogue lists its operations: a pattern with more named segments is smaller.
_BROADEST = 1_000_000
_NARROWER = 20


@dataclass(frozen=True, slots=True)
class Tenant:
    """Frames that every step shares; their order does not depend on the order of the rows that came in.

    Attributes:
        assignments: One row per (role_assignment_id, state), numbered by `a`. `place` is the folded scope, `level` its
            level, `role_known` whether the definition is loaded, `twin` whether the row is the plain assignment that
            Azure shows for an activation beside it, and `power` how much it grants, weighted by risk and reach.
        membership: `(principal_id, holder)`: which principals reach the assignments of which holder; each its own.
        sleeping: `(principal_id, holder)`: which principals would reach the assignments of which group only by
            activating a membership of it (PIM for Groups).
        operations: The catalogue, annotated: `name` (folded), `operation`, `plane`, `certain`, `risk`, `weight`,
            `observable_by`, `reason`, `levels`.
        grants: `(role, name, plane, conditional)`: the operations that each assigned role grants, of the catalogue and
            of those that a role names though the catalogue lacks them; `conditional` where only blocks with a
            condition grant them.
        patterns: `(role, block, kind, pattern, condition)` of the assigned roles.
        tree: Management groups and subscriptions.
    """

    assignments: pl.DataFrame
    membership: pl.DataFrame
    sleeping: pl.DataFrame
    operations: pl.DataFrame
    grants: pl.DataFrame
    patterns: pl.DataFrame
    tree: ScopeTree

    @property
    def may_reach(self) -> pl.DataFrame:
        """Return who reaches the assignments of which holder, activations included; columns as `membership`."""
        return pl.concat([self.membership, self.sleeping])

    @property
    def has_catalogue(self) -> bool:
        """Return whether a catalogue of operations is loaded."""
        return not self.operations.filter(pl.col("in_catalogue")).is_empty()


class GrantedOperations(NamedTuple):
    """The frames of `Tenant` that do not depend on use or members."""

    assignments: pl.DataFrame
    operations: pl.DataFrame
    grants: pl.DataFrame
    patterns: pl.DataFrame


@once()
def read_tenant(inputs: Inputs) -> Tenant:
    """Return the frames that the steps of an analysis share."""
    granted = read_granted(inputs)
    is_refused = _is_refused(inputs.usage_days)
    calls = inputs.usage_days.filter(~is_refused)
    named = [table["scope"].drop_nulls().unique() for table in (inputs.coverage, calls, inputs.resources)]
    places = pl.concat([granted.assignments["place"], *map(place_of, named)])
    refused = place_of(inputs.usage_days.filter(is_refused)["scope"].drop_nulls().unique())
    membership = _membership(inputs)
    return Tenant(
        **granted._asdict(),
        membership=membership,
        sleeping=sleeping_memberships(inputs.group_schedule_instances, membership),
        tree=read_tree(inputs.scopes, places, refused),
    )


def _is_refused(usage: pl.DataFrame) -> pl.Series:
    """Return whether all calls of a row were refused; a refusal may name a scope of another tenant."""
    counts = [pl.col(one).fill_null(0) for one in ("succeeded", "failed", "started", "suspect")]
    return usage.select(((pl.sum_horizontal(counts) == 0) & pl.col("denied").is_not_null()).alias("refused"))["refused"]


@once("role_assignments", "role_definitions", "role_permissions", "role_operations", "operations")
def read_granted(inputs: Inputs) -> GrantedOperations:
    """Return the frames that depend on neither use nor members."""
    bare = _assignments(inputs)
    roles = bare["role"].unique()
    patterns = inputs.role_permissions.select(
        "block", "kind", "condition", role=folded(inputs.role_permissions["role_definition_id"]), pattern="pattern"
    ).filter(pl.col("role").is_in(roles.to_list()))
    catalogue = _catalogue(inputs)
    # Most rows belong to roles that nobody holds: of these only the distinct ids are read.
    ids = inputs.role_operations["role_definition_id"].unique()
    held = ids.filter(folded(ids).is_in(roles.implode()))
    listed = inputs.role_operations.filter(pl.col("role_definition_id").is_in(held.implode()))
    grants = listed.select(
        role=folded(listed["role_definition_id"]),
        name=folded(listed["operation"]),
        plane="plane",
        conditional=pl.col("conditional").fill_null(False),
    )
    if not catalogue.is_empty():
        extra = _named_outside(patterns, catalogue)
        catalogue = pl.concat([catalogue, extra])
        grants = pl.concat([grants, granted_by_patterns(patterns, extra.select("name", "plane"))])
    grants = _merged(grants)
    return GrantedOperations(_with_power(bare, grants, catalogue, patterns), catalogue, grants, patterns)


def _merged(grants: pl.DataFrame) -> pl.DataFrame:
    """Return one row per (role, name, plane), conditional where all its rows are, sorted by role, plane and name."""
    key = pl.lit(0, dtype=pl.Int64)
    for column in ("role", "plane", "name"):
        # Sort by one number, which takes half the time of three texts; nulls come first.
        words = grants[column].drop_nulls().unique().sort()
        place = pl.col(column).cast(pl.Enum(words)).to_physical().cast(pl.Int64)
        key = key * (len(words) + 1) + place.fill_null(-1) + 1
    return (
        grants.with_columns(key=key)
        .sort("key")
        .group_by("key", maintain_order=True)
        .agg(pl.col("role", "name", "plane").first(), pl.col("conditional").all())
        .drop("key")
    )


def granted_by_patterns(patterns: pl.DataFrame, wanted: pl.DataFrame, reading: Reading = Reading.MOST) -> pl.DataFrame:
    """Return `(role, name, plane, conditional)` of the wanted `(name, plane)` that the blocks of roles grant.

    A name is granted where an allowing pattern of a block matches it and no subtracting pattern of the same block
    does (Microsoft Learn: understand role definitions). It is `conditional` where only blocks with a condition do.
    """
    found = [pl.DataFrame(schema=_GRANTED)]
    for plane in ("control", "data"):
        names = wanted.filter(pl.col("plane") == plane)["name"].unique().sort()
        if names.is_empty():
            continue
        allow = patterns.filter(pl.col("kind").replace_strict(_ALLOW, default=None) == plane)
        subtract = patterns.filter(pl.col("kind").replace_strict(_SUBTRACT, default=None) == plane)
        distinct = pl.concat([allow["pattern"], subtract["pattern"]]).unique().sort()
        pairs = pairs_by_reading(names, distinct)
        allowed = allow.join(pairs, on="pattern").select(*_MATCHED, conditional=pl.col("condition").is_not_null())
        taken = subtract.join(pairs, on="pattern").select(_MATCHED)
        # A string that is also among the not-actions of its block grants nothing, whatever it means.
        by_both = taken.select("role", "block", "name", "string", strict=pl.lit(False))
        allowed = allowed.join(by_both, on=by_both.columns, how="anti")
        if reading is Reading.MOST:
            left = allowed.join(taken.filter("strict"), on=["role", "block", "name"], how="anti")
            granted = left.group_by("role", "name").agg(pl.col("conditional").all())
        else:
            certain = _granted_by_all(allowed.filter(~pl.col("conditional")), taken)
            either = _granted_by_all(allowed, taken).join(certain, on=["role", "name"], how="anti")
            granted = pl.concat([certain.with_columns(conditional=False), either.with_columns(conditional=True)])
        found.append(granted.with_columns(plane=pl.lit(plane)).select(*_GRANTED))
    return pl.concat(found)


def _granted_by_all(allowed: pl.DataFrame, taken: pl.DataFrame) -> pl.DataFrame:
    """Return `(role, name)` that blocks grant whatever the strings mean: the twin of `rbac.permissions.granted_by_all`.

    Args:
        allowed: The allowing matches: `(role, block, name, string, strict)`.
        taken: The subtracting ones.
    """
    open_ones = allowed.join(taken.filter("strict"), on=["role", "block", "name"], how="anti")
    unless = taken.filter(~pl.col("strict"))
    while True:
        granting = open_ones.join(unless, on=["role", "block", "name"], how="anti")
        certain = granting.filter("strict").select("role", "name").unique()
        forced = granting.filter(~pl.col("strict")).join(certain, on=["role", "name"], how="anti")
        left = unless.join(forced, on=["role", "name", "string"], how="anti")
        if len(left) == len(unless):
            return certain
        unless = left


def with_doubt(grants: pl.DataFrame, patterns: pl.DataFrame) -> pl.DataFrame:
    """Return grants with `doubtful`: whether the reading `LEAST` grants less (see `rbac.permissions`).

    Args:
        grants: `(role, name, plane, conditional)` by the reading `MOST`.
        patterns: The patterns of a `Tenant`.
    """
    loose = patterns["pattern"].filter(patterns["pattern"].str.contains(r"/\*+/")).unique().sort()
    if loose.is_empty() or grants.is_empty():
        return grants.with_columns(doubtful=pl.lit(False))
    near = pairs_by_reading(grants["name"].unique().sort(), loose.to_list()).filter(~pl.col("strict"))["name"].unique()
    asked = grants.filter(pl.col("name").is_in(near.implode()))
    least = granted_by_patterns(
        patterns.join(asked, on="role", how="semi"), asked.select("name", "plane").unique(), Reading.LEAST
    )
    weaker = asked.join(least, on=["role", "name", "plane", "conditional"], how="anti")
    return grants.join(
        weaker.select("role", "name", "plane", doubtful=pl.lit(True)), on=["role", "name", "plane"], how="left"
    ).with_columns(pl.col("doubtful").fill_null(False))


def _assignments(inputs: Inputs) -> pl.DataFrame:
    table = inputs.role_assignments
    known = folded(inputs.role_definitions["role_definition_id"]).to_list()
    activated = pl.col("id").is_in(pl.col("id").filter(pl.col("state") == "activated").implode())
    return (
        table.select(
            pl.exclude("principal_id", "role_definition_id", "eligibility_id"),
            id=folded(table["role_assignment_id"]),
            principal_id=folded(table["principal_id"]),
            role=folded(table["role_definition_id"]),
            eligibility=folded(table["eligibility_id"]),
            place=place_of(table["scope"]),
        )
        .with_columns(
            role_known=pl.col("role").is_in(known),
            twin=(pl.col("state") == "active") & activated,
            level=level_of("place"),
        )
        .sort("id", "role_assignment_id", "state")
        .with_row_index("a")
    )


@once("group_closure")
def members_of_groups(inputs: Inputs) -> pl.DataFrame:
    """Return `(principal_id, holder)`, folded, of members and the groups that contain them, row by row."""
    closure = inputs.group_closure
    return pl.DataFrame({"principal_id": folded(closure["member_id"]), "holder": folded(closure["group_id"])})


def _membership(inputs: Inputs) -> pl.DataFrame:
    through = members_of_groups(inputs)
    named = pl.concat(
        [
            folded(inputs.role_assignments["principal_id"]),
            folded(inputs.usage_days["principal_id"].drop_nulls().unique()),
            through["principal_id"],
            principal_ids(inputs),
        ]
    ).unique()
    own = pl.DataFrame({"principal_id": named}).with_columns(holder=pl.col("principal_id"))
    return pl.concat([own, through]).unique().drop_nulls().sort("principal_id", "holder")


def sleeping_memberships(governed: pl.DataFrame, membership: pl.DataFrame) -> pl.DataFrame:
    """Return `(principal_id, holder)`: the holders that a principal reaches only through memberships to be activated.

    Args:
        governed: The table `group_schedule_instances`.
        membership: `(principal_id, holder)`: the active memberships, each principal its own.
    """
    may = governed.filter(pl.col("access") == "member")
    if may.is_empty():
        return membership.clear()
    step = pl.DataFrame({"inner": folded(may["principal_id"]), "group": folded(may["group_id"])}).drop_nulls().unique()
    own = pl.concat([step["inner"], step["group"]]).unique()
    active = pl.concat([membership, pl.DataFrame({"principal_id": own, "holder": own})])
    pair = ["principal_id", "holder"]
    found, reached = membership.clear(), active
    while not step.is_empty() and not reached.is_empty():
        woken = reached.join(step, left_on="holder", right_on="inner").select("principal_id", inner="group")
        onwards = woken.join(active, left_on="inner", right_on="principal_id").select(pair).unique()
        reached = onwards.join(found, on=pair, how="anti")
        found = pl.concat([found, reached])
    others = found.filter(pl.col("principal_id") != pl.col("holder"))
    return others.join(membership, on=pair, how="anti").sort(pair)


def _catalogue(inputs: Inputs) -> pl.DataFrame:
    known = pl.col("is_data_action").is_not_null()
    table = classify(inputs.operations).unique("operation", keep="any").sort("operation")
    return _described(
        table.with_columns(
            name=folded(table["operation"]),
            plane=pl.when(pl.col("is_data_action")).then(pl.lit("data")).otherwise(pl.lit("control")),
            certain=known
            & ~pl.col("is_guess").fill_null(False)
            & ~folded(table["operation"]).is_in(list(dual_operations())),
            in_catalogue=pl.lit(True),
        ).unique("name", keep="first", maintain_order=True)
    )


def _named_outside(patterns: pl.DataFrame, catalogue: pl.DataFrame) -> pl.DataFrame:
    """Return operations that roles name in full and the catalogue lacks; the kind of pattern gives the plane."""
    named = patterns.filter(
        pl.col("kind").is_in(list(_ALLOW)) & ~pl.col("pattern").str.contains("*", literal=True)
    ).select(operation="pattern", plane=pl.col("kind").replace_strict(_ALLOW))
    extra = (
        named.with_columns(name=folded(named["operation"]))
        .join(catalogue, on="name", how="anti")
        .group_by("name", "plane")
        .agg(pl.col("operation").min())
        .sort("name", "plane")
        .unique("name", keep="first", maintain_order=True)
        .with_columns(is_data_action=pl.col("plane") == "data", certain=True, in_catalogue=pl.lit(False))
    )
    return _described(classify(extra)) if len(extra) else catalogue.clear()


def _described(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(levels=scope_levels(table["name"])).select(
        "name",
        "operation",
        "plane",
        "certain",
        "in_catalogue",
        "risk",
        "observable_by",
        "levels",
        reason="unobservable_reason",
        weight=weight("operation", "plane", "risk"),
    )


def _with_power(
    assignments: pl.DataFrame, grants: pl.DataFrame, catalogue: pl.DataFrame, patterns: pl.DataFrame
) -> pl.DataFrame:
    weights = catalogue.group_by("name").agg(pl.col("weight").max())
    listed = grants.join(weights, on="name", how="left").group_by("role").agg(size=pl.col("weight").fill_null(1).sum())
    is_wild = pl.col("pattern").str.contains("*", literal=True)
    named = pl.col("pattern").str.split("/").list.eval(pl.element() != "*").list.sum().cast(pl.Int64)
    # A bare star names no segment; each segment that a pattern names divides the estimate.
    broad = _BROADEST // pl.lit(_NARROWER, dtype=pl.Int64).pow(pl.min_horizontal(named, 4))
    symbolic = (
        patterns.filter(pl.col("kind").is_in(list(_ALLOW)))
        .group_by("role")
        .agg(stand_in=pl.when(is_wild).then(broad).otherwise(1).sum())
    )
    reach = pl.col("level").replace_strict(REACH, return_dtype=pl.Int64)
    return (
        assignments.join(listed, on="role", how="left", maintain_order="left")
        .join(symbolic, on="role", how="left", maintain_order="left")
        .with_columns(power=pl.coalesce("size", "stand_in", pl.lit(0)).cast(pl.Int64) * reach)
        .drop("size", "stand_in")
    )


_OF_ASSIGNMENT = ("role_assignment_id", "principal_id", "role_definition_id", "scope", "state", "condition")
"""The columns with the fields of `RoleAssignment`, in their order."""


class HeldAssignments(Mapping[str, Mapping[str, Sequence[RoleAssignment]]]):
    """The assignments of a tenant by place, and there by holder.

    Those of a place become objects when it is asked for, since a question concerns the few places above its own.
    """

    def __init__(self, rows: pl.DataFrame) -> None:
        """Find where the rows of each place are, in rows with the columns `place`, `holder` and `_OF_ASSIGNMENT`."""
        self._rows = rows.sort("place", "role_assignment_id", "state")
        self._spans: dict[str, tuple[int, int]] = {}
        self._found: dict[str, dict[str, list[RoleAssignment]]] = {}
        first = 0
        for length, place in self._rows["place"].rle().struct.unnest().iter_rows():
            self._spans[place] = first, length
            first += length

    def __getitem__(self, place: str) -> Mapping[str, Sequence[RoleAssignment]]:
        """Return the assignments at a place by folded holder, or raise KeyError."""
        if place not in self._found:
            found: dict[str, list[RoleAssignment]] = {}
            rows = self._rows.slice(*self._spans[place]).select("holder", *_OF_ASSIGNMENT)
            for holder, *values in rows.iter_rows():
                found.setdefault(holder, []).append(RoleAssignment(*values))
            self._found[place] = found
        return self._found[place]

    def __iter__(self) -> Iterator[str]:
        """Yield the places of which somebody holds an assignment."""
        return iter(self._spans)

    def __len__(self) -> int:
        """Return the number of places."""
        return len(self._spans)

    def below(self, prefix: str) -> Iterator[tuple[str, RoleAssignment]]:
        """Yield the assignments, each with its holder, at places that begin with a text."""
        for place in self:
            if place.startswith(prefix):
                yield from ((holder, one) for holder, held in self[place].items() for one in held)

    def conditions(self) -> list[str]:
        """Return the distinct conditions of assignments."""
        return self._rows["condition"].drop_nulls().unique().to_list()

    def scopes_of(self, holders: Iterable[str]) -> list[str]:
        """Return the scopes at which somebody of several folded holders has an assignment, each once by place."""
        rows = self._rows.filter(pl.col("holder").is_in(list(holders))).sort("role_assignment_id", "state")
        return sorted(dict(rows.select("place", "scope").iter_rows()).values())


def hold_assignments(frame: pl.DataFrame) -> tuple[HeldAssignments, dict[str, str]]:
    """Return the assignments, and the holders by id of those whose scope is invalid, which therefore reach nothing.

    A scope is valid, and its place the same, as `rbac.scopes.parse_scope` says.
    """
    scope = pl.col("scope").fill_null("")
    rows = frame.select(_OF_ASSIGNMENT).with_columns(pl.col("principal_id", "role_definition_id").fill_null(""))
    valid = scope.str.strip_chars(" ").str.starts_with("/") & (scope.str.len_chars() <= LONGEST_SCOPE)
    misplaced = rows.filter(~valid).sort("role_assignment_id", "state").select("role_assignment_id", "principal_id")
    rows = rows.filter(valid)
    keys = {"place": place_of(rows["scope"]), "holder": folded(rows["principal_id"])}
    return HeldAssignments(rows.with_columns(**keys)), dict(misplaced.iter_rows())
