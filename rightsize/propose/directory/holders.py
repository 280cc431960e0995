"""Find out about the holders of directory roles: who has a member's reads, who is an agent, and who may be eligible."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.columns import folded
from rightsize.analyze.directory.tables import DirectoryTables
from rightsize.analyze.verdicts.coverage import described_principals
from rightsize.rbac.text import fold
from rightsize.rules.directory import bound_kinds, bound_reach

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
