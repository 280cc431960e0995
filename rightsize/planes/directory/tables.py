"""Prepare the tables for an analysis of directory roles: roles with all their actions, holders, and use by day.

Activations are rebuilt from listings, requests and audit records. `read_holders` says who has a member's reads, who is
an agent, and who may be eligible.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from rightsize.analyze.inputs import Inputs, folded, place_of
from rightsize.analyze.principals import principal_ids
from rightsize.analyze.tenant import members_of_groups, sleeping_memberships
from rightsize.analyze.verdicts.activations import (
    asked,
    end_early,
    given_back,
    join_records,
    noted,
    records,
    with_best_match,
)
from rightsize.analyze.verdicts.coverage import described_principals
from rightsize.analyze.verdicts.usage import activation_table
from rightsize.analyze.window import Window, choose_window
from rightsize.model.options import WindowOptions
from rightsize.model.text import fold
from rightsize.rbac.expand import kinds_of, patterns_of
from rightsize.rules.directory import actions_of_request, bound_kinds, bound_reach, logged_actions, weight_of
from rightsize.rules.operations import matching_pairs

AUDIT_LOG = "entra_audit_log"
_PREFIX = "microsoft.directory/"


@dataclass(frozen=True)
class DirectoryTables:
    """The frames that every step shares; some are made when they are first asked for.

    Attributes:
        inputs: The tables of the directory and of sign-ins, under their own names.
        roles: `role` (folded id), `role_name`, `is_built_in`, `is_enabled`, `is_privileged`, `actions` (all that it
            and the roles that it inherits allow), `conditional` (those among them of certain objects only).
        actions: `name` (folded), `action`, `weight`: every action that a loaded role or a rule of the log names.
        grants: `(role, name, conditional)`: what each role allows of these actions.
        assignments: One row per (role_assignment_id, state), numbered by `a`, with folded `principal_id`, `role`,
            `place`.
        membership: `(principal_id, holder, eligible)`: who reaches the assignments of whom; `eligible` where only
            through a membership that has to be activated.
        days: Use by day: `principal_id, principal_name, name, operation, place, scope, day, first_seen, last_seen,
            use, denied`; `by_graph` where a call to Microsoft Graph shows it and no record of the audit log.
        coverage: Days of the audit log that are covered.
        units: `(unit, member_id)`: the members of administrative units whose members a complete listing shows.
    """

    inputs: Inputs
    roles: pl.DataFrame
    assignments: pl.DataFrame
    days: pl.DataFrame
    coverage: pl.DataFrame
    units: pl.DataFrame

    @cached_property
    def actions(self) -> pl.DataFrame:
        """Return the actions."""
        return _actions(self.roles, self.days)

    @cached_property
    def grants(self) -> pl.DataFrame:
        """Return the actions that roles allow."""
        return _grants(self.roles, self.actions)

    @cached_property
    def membership(self) -> pl.DataFrame:
        """Return which principals reach whose assignments."""
        return _membership(self.inputs, self.assignments, self.days)

    @property
    def is_empty(self) -> bool:
        """Return whether nobody is known to hold a directory role."""
        return self.assignments.is_empty()

    @classmethod
    def read(cls, table_of: Callable[[str], pl.DataFrame]) -> DirectoryTables:
        """Read and prepare the tables, each got through `table_of`; if nobody has a role, only those of roles."""
        roles = _roles(table_of("directory_roles"))
        coverage = table_of("coverage").filter((pl.col("source") == AUDIT_LOG) & (pl.col("state") != "missing"))
        days = _days(table_of("usage_days"), coverage)
        assignments = _assignments(table_of("directory_role_assignments"), roles)
        units = _units(table_of("administrative_unit_members"), table_of("listings"))
        inputs = Inputs.of() if assignments.is_empty() else Inputs.read(table_of)
        return cls(inputs, roles, assignments, days, coverage.select("day").unique(), units)


def _units(members: pl.DataFrame, listings: pl.DataFrame) -> pl.DataFrame:
    complete = listings.filter(pl.col("complete").fill_null(False) & (pl.col("listing") == "unitMembers"))
    known = complete.select(unit=folded(pl.col("of"))).unique()
    found = members.select(folded(pl.col("member_id")), unit=folded(pl.col("unit_id")))
    return known.join(found, on="unit", how="left").unique().sort("unit", "member_id")


def directory_window(tables: DirectoryTables, asked: WindowOptions) -> Window:
    """Return the window; without `as_of` it ends with the newest day that the audit log covers or shows.

    Where it does neither, the window is that of Azure RBAC.
    """
    seen = (tables.coverage["day"].max(), tables.days.filter(~pl.col("by_graph"))["day"].max())
    newest = next((day for day in seen if isinstance(day, dt.date)), None)
    as_of = asked.as_of
    if as_of is None and newest is not None:
        as_of = newest + dt.timedelta(days=1)
    inputs = tables.inputs
    if not tables.coverage.is_empty():
        log = tables.coverage.select("day", source=pl.lit(AUDIT_LOG), scope=pl.lit("/"), state=pl.lit("observed"))
        inputs = Inputs.of(coverage=log)
    return choose_window(inputs, as_of, *asked.span)


def _roles(table: pl.DataFrame) -> pl.DataFrame:
    rows = {fold(row["directory_role_id"]): row for row in table.iter_rows(named=True)}
    found = []
    for role, row in sorted(rows.items()):
        chain, waiting = [], [role]
        while waiting:
            one = waiting.pop()
            if one in rows and one not in chain:
                chain.append(one)
                waiting.extend(fold(name) for name in rows[one]["inherits"] or ())
        free = _all(rows[one]["actions"] for one in chain)
        bound = _all(rows[one]["conditional_actions"] for one in chain) - free
        found.append(
            {name: row[name] for name in ("role_name", "is_built_in", "is_enabled", "is_privileged")}
            | {"role": role, "actions": sorted(free | bound), "conditional": sorted(bound)}
        )
    schema: dict[str, pl.DataType] = {
        "role": pl.String(),
        "role_name": pl.String(),
        "is_built_in": pl.Boolean(),
        "is_enabled": pl.Boolean(),
        "is_privileged": pl.Boolean(),
        "actions": pl.List(pl.String()),
        "conditional": pl.List(pl.String()),
    }
    return pl.DataFrame(found, schema=schema)


def _all(lists: Iterable[list[str] | None]) -> set[str]:
    return {action for actions in lists for action in actions or ()}


def _days(table: pl.DataFrame, coverage: pl.DataFrame) -> pl.DataFrame:
    """Return use from the audit log and, where that log does not cover the action or day, from calls to Graph.

    A call to Graph does not show the object that was acted on. Where it was refused, it does not show whether a role or
    a permission was missing. It shows that a role was needed.
    """
    audited = table.filter(
        (pl.col("plane") == "directory") & pl.col("operation").str.to_lowercase().str.starts_with(_PREFIX)
    )
    called = _called(table.filter(pl.col("plane") == "graph"))
    logged = pl.Series([fold(action) for action in logged_actions()])
    called = called.filter(
        ~folded(called["operation"]).is_in(logged.implode()) | ~pl.col("day").is_in(coverage["day"].unique().implode())
    )
    return pl.concat([_use(audited, by_graph=False), _use(called, by_graph=True).filter(pl.col("use") > 0)])


def _called(calls: pl.DataFrame) -> pl.DataFrame:
    """Return calls to Graph, one row per action that may have been needed; the action in place of the operation."""
    needed = [(operation, action) for operation in calls["operation"].drop_nulls().unique().sort()
              for action in actions_of_request(operation)]  # fmt: skip
    actions = pl.DataFrame(needed, schema={"operation": pl.String, "action": pl.String}, orient="row")
    found = calls.join(actions, on="operation").drop("operation").rename({"action": "operation"})
    return found.with_columns(denied=pl.lit(0, dtype=pl.Int64)).select(calls.columns)


def _use(mine: pl.DataFrame, *, by_graph: bool) -> pl.DataFrame:
    use = pl.sum_horizontal(pl.col(outcome).fill_null(0) for outcome in ("succeeded", "failed", "started"))
    return mine.select(
        "principal_name",
        "operation",
        "scope",
        "day",
        "first_seen",
        "last_seen",
        principal_id=folded(mine["principal_id"]),
        name=folded(mine["operation"]),
        place=place_of(mine["scope"]),
        use=pl.max_horizontal(use - pl.col("suspect").fill_null(0), 0),
        suspect=pl.min_horizontal(use, pl.col("suspect").fill_null(0)),
        denied=pl.col("denied").fill_null(0),
        by_graph=pl.lit(by_graph),
    )


def _actions(roles: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    named = [*logged_actions(), *roles["actions"].explode().drop_nulls(), *days["operation"].drop_nulls().unique()]
    spelt: dict[str, str] = {}
    for action in named:
        spelt[fold(action)] = min(action, spelt.get(fold(action), action))
    names = sorted(spelt)
    schema = {"name": pl.String, "action": pl.String, "weight": pl.Int64}
    rows = [(name, spelt[name], weight_of(name)) for name in names]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _grants(roles: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Return `(role, name, conditional)`; an action is conditional where only conditional ones allow it."""
    held = roles.select("role", "conditional", held="actions").explode("held").drop_nulls("held")
    distinct = held["held"].unique().sort()
    patterns = [(action, pattern) for action in distinct for pattern in patterns_of(action)]
    by_pattern = pl.DataFrame(patterns, schema={"held": pl.String, "pattern": pl.String}, orient="row")
    pairs = matching_pairs(actions["name"], by_pattern["pattern"].unique().sort().to_list())
    allowed = by_pattern.join(pairs, on="pattern").select("held", "name").unique()
    return (
        held.with_columns(bound=pl.col("held").is_in(pl.col("conditional")))
        .join(allowed, on="held")
        .group_by("role", "name")
        .agg(conditional=pl.col("bound").all())
        .sort("role", "name")
    )


def ways_to(needed: pl.Series, tables: DirectoryTables) -> pl.DataFrame:
    """Return `(role, name, way)`: the action of each role that may have allowed each needed action.

    A role that has the action itself allowed it by that one. Another role may have allowed it by an action for some
    kinds of the object, since the log does not name the kind.
    """
    wanted = pl.DataFrame({"name": needed.unique().sort()})
    own = tables.grants.join(wanted, on="name").select("role", "name", way="name")
    kinds = [(name, pattern) for name in wanted["name"] for pattern in kinds_of(name)]
    by_kind = pl.DataFrame(kinds, schema={"name": pl.String, "pattern": pl.String}, orient="row")
    pairs = matching_pairs(tables.actions["name"], by_kind["pattern"].unique().sort().to_list()).rename({"name": "way"})
    narrower = by_kind.join(pairs, on="pattern").select("name", "way").unique()
    through = tables.grants.select("role", way="name").join(narrower, on="way").select("role", "name", "way")
    through = through.join(own, on=["role", "name"], how="anti")
    return pl.concat([own, through]).unique().sort("role", "name", "way")


def _assignments(table: pl.DataFrame, roles: pl.DataFrame) -> pl.DataFrame:
    known = roles.select("role", "role_name")
    return (
        table.with_columns(
            principal_id=folded(table["principal_id"]),
            role=folded(table["directory_role_id"]),
            place=place_of(table["scope"]),
        )
        .join(known, on="role", how="left", maintain_order="left")
        .with_columns(role_known=pl.col("role_name").is_not_null())
        .sort("role_assignment_id", "state")
        .with_row_index("a")
    )


def _membership(inputs: Inputs, assignments: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    named = pl.concat([assignments["principal_id"], days["principal_id"].drop_nulls(), principal_ids(inputs)]).unique()
    own = pl.DataFrame({"principal_id": named, "holder": named})
    active = pl.concat([own, members_of_groups(inputs)]).unique()
    extra = sleeping_memberships(inputs.group_schedule_instances, active)
    return (
        pl.concat([active.with_columns(eligible=False), extra.with_columns(eligible=True)])
        .drop_nulls()
        .sort("principal_id", "holder")
    )


def rebuild_activations(tables: DirectoryTables) -> pl.DataFrame:
    """Return one row per activation, as `activations.History`; `eligibility` is the id of an eligible assignment."""
    current = tables.assignments.filter(pl.col("state") == "activated")
    instances = records(
        current.with_columns(id="role_assignment_id", record="role_assignment_id", eligibility="eligibility_id"),
        "instance",
    )
    found = join_records(pl.concat([instances, asked(tables.inputs, "directory")]), noted(tables.inputs, "directory"))
    nothing = pl.DataFrame(schema={"id": pl.String, "deleted": pl.Datetime("us")})
    found = end_early(found, nothing, given_back(tables.inputs, "directory"))
    return _matched(found, tables)


def _matched(found: pl.DataFrame, tables: DirectoryTables) -> pl.DataFrame:
    held = tables.assignments.filter(pl.col("state") == "eligible").select(
        "role", holder="principal_id", held_at="place", matched="role_assignment_id"
    )
    pairs = found.select("activation_id", "principal_id", "role", "place").join(tables.membership, on="principal_id")
    behind = pairs.join(held, on=["role", "holder"]).filter(
        (pl.col("place") == pl.col("held_at")).fill_null(True) | (pl.col("held_at") == "/")
    )
    return with_best_match(found, behind, held["matched"]).with_columns(pl.col("place").fill_null("/"))


def use_of_activations(activations: pl.DataFrame, tables: DirectoryTables) -> pl.DataFrame:
    """Return the table `activations` for directory roles.

    The audit log names no assignment. An action of the holder while an activation ran, which its role allows, is its
    use.
    """
    used = tables.days.filter(pl.col("use") > 0)
    running = activations.select("activation_id", "principal_id", "role", "start_on", "end_on")
    during = used.join(running, on="principal_id").filter(
        (pl.col("first_seen") >= pl.col("start_on")) & (pl.col("last_seen") <= pl.col("end_on")).fill_null(False)
    )
    allowed = ways_to(during["name"], tables).select("role", "name").unique()
    done = during.join(allowed, on=["role", "name"], how="semi")
    return activation_table(activations, done.select("activation_id", "name", "operation", "use"), "directory")


_WORKLOADS = ("ServicePrincipal", "ManagedIdentity")
_AGENTS = tuple(fold(one) for one in ("agentIdentity", "agentUser", "agentIdentityBlueprintPrincipal"))


@dataclass(frozen=True, slots=True)
class Holders:
    """The facts on holders and their tenant that decide which replacements are possible.

    Attributes:
        types: The type of each principal.
        members: Users who are no guests: they may read most of the directory without a role.
        workloads: Service principals and managed identities, and groups that have one as a member.
        agents: Agent identities, agent users and principals of agent blueprints.
        sleepers: Principals that may hold an eligible role: people, and role-assignable groups of them.
        licensed: Whether an export shows eligible or activated access, which needs Entra ID P2 or Governance.
        premium: Whether an export shows something that needs Entra ID P1, which custom roles need.
    """

    types: dict[str, str]
    members: Set[str]
    workloads: Set[str]
    agents: Set[str]
    sleepers: Set[str]
    licensed: bool
    premium: bool


def read_holders(tables: DirectoryTables) -> Holders:
    """Return the facts on holders.

    Source of the licences: Microsoft Learn, "Microsoft Entra ID Governance licensing fundamentals", "Create a custom
    role in Microsoft Entra ID", "Administrative units", and the requirements of sign-in and Graph activity logs.
    """
    types = dict(described_principals(tables.inputs).select("principal_id", "principal_type").iter_rows())
    people = tables.inputs.principals.with_columns(holder=folded(pl.col("principal_id")))
    is_user = pl.col("principal_type") == "User"
    members = set(people.filter(is_user & (pl.col("user_type").fill_null("Member") != "Guest"))["holder"])
    workloads = {one for one, kind in types.items() if kind in _WORKLOADS}
    workloads |= set(tables.membership.filter(pl.col("principal_id").is_in(list(workloads)))["holder"])
    assignable = set(people.filter(pl.col("is_role_assignable").fill_null(False))["holder"])
    users = {one for one, kind in types.items() if kind == "User"}
    groups = {one for one, kind in types.items() if kind == "Group" and one in assignable}
    agents = set(people.filter(folded(pl.col("object_type")).is_in(_AGENTS))["holder"])
    licensed = bool(tables.assignments["state"].is_in(["eligible", "activated"]).any())
    return Holders(
        types=types,
        members=members,
        workloads=workloads,
        agents=agents,
        sleepers=(users | groups) - workloads - agents,
        licensed=licensed,
        premium=licensed
        or (tables.inputs.coverage["source"] == "sign_in_log").any()
        or tables.days["by_graph"].any()
        or (~tables.roles["is_built_in"].fill_null(True)).any()
        or tables.assignments["place"].str.starts_with("/administrativeunits/").any(),
    )


@dataclass(frozen=True, slots=True)
class BoundReach:
    """Decide whether a smaller role may do to the same accounts what only some roles may do to administrators.

    Attributes:
        administrators: By user the directory roles that it holds or may activate, `group` for a user who is only in a
            role-assignable group.
        units: By folded scope of an administrative unit whose members are all known, its members.
    """

    administrators: dict[str, frozenset[str]]
    units: dict[str, frozenset[str]]

    def is_kept(self, today: str, new: str, action: str, holder: str) -> bool:
        """Return whether `new` may perform a bound action on every account on which `today` may.

        The account of the holder is left out: people change their own passwords without a role.
        """
        reach = bound_reach(bound_kinds()[action])
        if today not in reach or new not in reach:
            return False
        return all(
            one == holder or not _reaches(reach[today], roles) or _reaches(reach[new], roles)
            for one, roles in self.administrators.items()
        )

    def is_plain(self, unit: str) -> bool:
        """Return whether no member of a unit is an administrator: roles of a unit act only on other members."""
        return not any(member in self.administrators for member in self.units.get(unit, ()))


def _reaches(targets: frozenset[str], roles: frozenset[str]) -> bool:
    return "*" in targets or roles <= targets


def read_bound_reach(tables: DirectoryTables, holders: Holders) -> BoundReach:
    """Return who is an administrator, and the members of the units whose members are all known."""
    held = tables.membership.join(
        tables.assignments.select("role", holder="principal_id"), on="holder"
    ).select("principal_id", "role")  # fmt: skip
    found: dict[str, set[str]] = {}
    for principal, role in held.unique().iter_rows():
        if holders.types.get(principal, "User") not in (*_WORKLOADS, "Group"):
            found.setdefault(principal, set()).add(role)
    groups = tables.inputs.principals.filter(pl.col("is_role_assignable").fill_null(False))
    inside = tables.membership.filter(pl.col("holder").is_in(folded(groups["principal_id"]).implode()))
    for principal in inside.filter(pl.col("principal_id") != pl.col("holder"))["principal_id"].unique():
        found.setdefault(principal, {"group"})
    units: dict[str, set[str]] = {}
    for unit, member in tables.units.iter_rows():
        units.setdefault(f"/administrativeunits/{unit}", set()).update([member] if member else [])
    return BoundReach(
        {one: frozenset(roles) for one, roles in found.items()},
        {unit: frozenset(found) for unit, found in units.items()},
    )
