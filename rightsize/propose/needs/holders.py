"""Read who holds access: the members of groups, whom a role may be eligible for, and who can be Owner.

A group's role grants everything to every member. If only few of many members used an operation, these members may get
assignments of their own, so that the others are not granted it. The plan never changes the members of a group, and
gives nobody access that the group does not give today.

Azure makes users and groups eligible, not workloads, and only with a licence for Privileged Identity Management. A
person who worked without activation so far must get the approval, factors and duration that today's role asks for. So
these settings have to be known before anything becomes eligible. An eligible assignment may have a condition: its
request has a field for one. The page on delegation said in 2023 that Privileged Identity Management refuses conditions
on the assignment of roles; if it does, the rollout undoes the swap.
Source: Microsoft Learn, "Assign Azure resource roles in Privileged Identity Management", "PIM licence fundamentals",
and the REST reference "Role Eligibility Schedule Requests - Create" (2020-10-01: `condition`, `conditionVersion`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, folded, place_of
from rightsize.analyze.principals import able_principals
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.coverage import described_principals, groups_with_known_members
from rightsize.analyze.window import Window
from rightsize.mining.bitsets import bits_of
from rightsize.model.text import Folded
from rightsize.propose.core.operation_sets import Reach, Scale
from rightsize.propose.needs.assignments import KEY, Key, Subject, masks_of
from rightsize.propose.needs.unlogged import top_level_type
from rightsize.rbac.assignments import OWNER, Owner, owners_to_keep

FEW = 3
"""Maximum number of members that get assignments of their own for an operation; if more use it, the group keeps it."""
SHARE = 4
"""The operation also has to be used by at most one in this number of members."""
ODD_SHARE = 10
"""In a group of at least this many members, what a single one used is that member's, and no work of the group."""

Singled = Mapping[Key, Mapping[Folded, Mapping[Folded, int]]]
"""By assignment and folded place, the operations that only few members used there, by the folded id of each member."""


@dataclass(frozen=True, slots=True)
class MemberWork:
    """What single members of groups used: their own work, and none of the group.

    Attributes:
        by_place: The operations by assignment, place and member.
        of_member: By folded group and member, the operations that it used through any assignment of the group, and
            that nobody else of the group used.
        of_others: By folded group, what the others used through any of its assignments.
    """

    by_place: Singled = field(default_factory=dict)
    of_member: Mapping[Folded, Mapping[Folded, int]] = field(default_factory=dict)
    of_others: Mapping[Folded, int] = field(default_factory=dict)
    _group_of: Mapping[Key, Folded] = field(default_factory=dict)

    def without(self, usual: Mapping[Folded, int]) -> MemberWork:
        """Return it without some operations of each group: these are the work of the group after all."""
        by_place: dict[Key, dict[Folded, dict[Folded, int]]] = {}
        for key, places in self.by_place.items():
            gone = usual.get(self._group_of[key], 0)
            for place, masks in places.items():
                if kept := {member: left for member, mask in masks.items() if (left := mask & ~gone)}:
                    by_place.setdefault(key, {})[place] = kept
        of_member = {
            group: {member: mask & ~usual.get(group, 0) for member, mask in masks.items()}
            for group, masks in self.of_member.items()
        }
        of_others = {group: mask | usual.get(group, 0) for group, mask in self.of_others.items()}
        return MemberWork(by_place, of_member, of_others, self._group_of)


@dataclass(frozen=True, slots=True)
class Groups:
    """The members of the groups that hold assignments, and their use.

    Attributes:
        people: Folded id of a group to its number of members that are not groups, nested ones included; groups without
            any are left out.
        singled: The operations that only few members used.
        odd: The part of these that is risky, that a single member of a large group used, or that one member used
            alone, on the type of a risky change which it alone used.
        used_cells: For each assignment of a group, pairs (bit, number): the bit of an operation, and the number of
            different (member, place) that used it.
    """

    people: Mapping[Folded, int] = field(default_factory=dict)
    singled: MemberWork = field(default_factory=MemberWork)
    odd: MemberWork = field(default_factory=MemberWork)
    used_cells: Mapping[Key, Sequence[tuple[int, int]]] = field(default_factory=dict)

    def people_of(self, principal_id: Folded) -> int:
        """Return the number of principals that act through a folded holder: 1 if it is not a group."""
        return max(1, self.people.get(principal_id, 1))


@dataclass(frozen=True, slots=True)
class AccessWeights:
    """The weights of operations, the reach of scopes, and the members of the groups that hold assignments."""

    scale: Scale
    reach: Reach
    groups: Groups

    def cells(self, principal_id: Folded, place: Folded) -> int:
        """Return the number of resource groups times people that one operation of a holder at a place reaches."""
        return self.reach.of(place) * self.groups.people_of(principal_id)


def read_groups(inputs: Inputs, tenant: Tenant, window: Window, placed: pl.DataFrame, risky: int) -> Groups:
    """Return the member counts of groups, and the operations that only few members used.

    Groups with members younger than the window are not split: the needs of young members are known only from the use
    of the others.

    Args:
        inputs: The tables.
        tenant: The membership.
        window: The observation window.
        placed: As `assignments.place_uses` returns it.
        index: The operations.
        risky: The risky changes.
    """
    of_group = _people(inputs, tenant)
    counted = of_group.group_by("holder").agg(people=pl.len())
    held = inputs.role_assignments.select(
        *KEY, holder=folded(pl.col("principal_id")), at=place_of(pl.col("scope"))
    ).join(counted, on="holder")
    uses = (
        placed.join(held, on=KEY)
        .filter(pl.col("bit").is_not_null())
        .select(
            *KEY,
            "target",
            "bit",
            "holder",
            "people",
            "at",
            member=folded(pl.col("principal_id")),
            type=top_level_type(pl.col("name")),
            is_risky=pl.col("bit").is_in(list(bits_of(risky))),
        )
        .unique()
    )
    cells = uses.filter(pl.col("member").is_not_null()).group_by(*KEY, "bit").len().sort(*KEY, "bit")
    used_cells: dict[Key, list[tuple[int, int]]] = defaultdict(list)
    for id_, state, bit, number in cells.iter_rows():
        used_cells[id_, state].append((bit, number))
    young = folded(inputs.principals.filter(pl.col("created_on") >= window.start)["principal_id"])
    with_young = of_group.filter(pl.col("member").is_in(young.implode()))["holder"].unique()
    uses = _with_use_below(uses)
    few = _few(uses, of_group, with_young)
    is_odd = (pl.col("of_all") == 1) & (pl.col("people") >= ODD_SHARE) | pl.col("is_risky") | pl.col("is_own")
    return Groups(
        people=dict(counted.sort("holder").iter_rows()),
        singled=_member_work(uses, few),
        odd=_member_work(uses, few.filter(is_odd)),
        used_cells=used_cells,
    )


def _people(inputs: Inputs, tenant: Tenant) -> pl.DataFrame:
    """Return `(holder, member)` of groups and their members that are not groups."""
    groups = folded(inputs.principals.filter(pl.col("principal_type") == "Group")["principal_id"])
    through = tenant.membership.filter(pl.col("principal_id") != pl.col("holder"))
    nested = pl.concat([groups, through["holder"]]).unique()
    return (
        through.filter(~pl.col("principal_id").is_in(nested.implode()))
        .select("holder", member="principal_id")
        .unique()
        .sort("holder", "member")
    )


def _with_use_below(uses: pl.DataFrame) -> pl.DataFrame:
    """Return the uses with those of each place counted at the places above where the same operation was used, too.

    A need at a place is not repeated below it. So whoever used an operation below needs it where it is granted above.
    """
    key = [*KEY, "bit"]
    places = uses.select(*key, "target").unique()
    is_below = pl.col("below").str.starts_with(pl.col("target") + "/")
    return (
        uses.rename({"target": "below"})
        .join(places, on=key)
        .filter((pl.col("below") == pl.col("target")) | (pl.col("target") == pl.col("at")) | is_below)
        .drop("below", "at")
        .unique()
    )


def _few(uses: pl.DataFrame, of_group: pl.DataFrame, young: pl.Series) -> pl.DataFrame:
    """Return `(role_assignment_id, state, target, bit, member, people, of_all, is_own)` of what few members used.

    Use by a principal not known as a member stays with the group. `of_all` is the number of members who used the
    operation at any place. `is_own` is what one of several members used alone, on a type of which it alone used
    something risky.
    """
    known = uses.join(of_group.with_columns(is_member=pl.lit(True)), on=["holder", "member"], how="left")
    member = pl.col("member").n_unique()
    alone = (member.over(*KEY, "bit") == 1) & (pl.col("people") > 1)
    known = known.with_columns(
        of_all=member.over(*KEY, "bit"),
        is_own=alone & (alone & pl.col("is_risky")).any().over(*KEY, "member", "type"),
    )
    is_few = (pl.col("members") <= FEW) & (pl.col("members") * SHARE <= pl.col("people"))
    few = (
        known.filter(~pl.col("holder").is_in(young.implode()))
        .group_by(*KEY, "target", "bit")
        .agg(
            pl.col("people", "is_own").first(),
            members=member,
            all_known=pl.col("is_member").fill_null(False).all() & pl.col("member").is_not_null().all(),
        )
        .filter(pl.col("all_known") & (is_few | pl.col("is_own")))
    )
    return known.join(few, on=[*KEY, "target", "bit"], how="semi")


def _member_work(uses: pl.DataFrame, few: pl.DataFrame) -> MemberWork:
    """Return the rows of `_few` as sets of operations, and the other uses of the groups."""
    by_place: dict[Key, dict[Folded, dict[Folded, int]]] = {}
    for id_, state, target, member, mask in masks_of(few, *KEY, "target", "member"):
        by_place.setdefault((id_, state), {}).setdefault(target, {})[member] = mask
    others = uses.join(few, on=[*KEY, "target", "bit", "member"], how="anti")
    of_others = dict(masks_of(others, "holder"))
    of_member: dict[Folded, dict[Folded, int]] = {}
    for holder, member, mask in masks_of(few, "holder", "member"):
        of_member.setdefault(holder, {})[member] = mask & ~of_others.get(holder, 0)
    group_of = {(id_, state): holder for id_, state, holder in few.select(*KEY, "holder").unique().iter_rows()}
    return MemberWork(by_place, of_member, of_others, group_of)


WHY_ACTIVE = {
    "workload_holder": "its holder is a workload, and only users and groups can be eligible",
    "agent_holder": "its holder is the user account of an agent, and nobody is there to activate a role",
    "workload_member": "a member of the group is a workload, which cannot activate a role",
    "unknown_holder": "nothing loaded shows that its holder is a user or a group",
    "unknown_members": "no complete listing has the members of the group, and one of them may be a workload",
    "resource_scope": "the portal cannot make anybody eligible at a single resource, only Resource Manager can",
    "root_scope": "no role is made eligible at the root",
    "no_licence": "no export shows an eligible assignment, so nothing shows a licence for one",
    "policy_unknown": "the activation settings of today's role are not loaded, so they cannot be carried over",
}
"""The reason why privileged access stays active instead of eligible, one sentence a word."""

_PEOPLE = ("User", "Group", "Device")
"""The types of group members that are not workloads; a device does not sign in by itself."""
_AGENT_USER = "AgentUser"
_WORD_OF_TYPE = {
    "User": "",
    _AGENT_USER: "agent_holder",
    "ServicePrincipal": "workload_holder",
    "ManagedIdentity": "workload_holder",
}
"""The word of `WHY_ACTIVE` for each type of principal but groups; empty if it can be eligible."""
GROUP_SEGMENTS = 4
"""The number of segments of a resource group's scope: /subscriptions/ID/resourceGroups/NAME."""


@dataclass(frozen=True, slots=True)
class Activation:
    """The activation settings of a role at a scope; the columns of the table `role_management_policies`."""

    policy_id: str
    maximum_activation: str
    requires_mfa: bool
    requires_justification: bool
    requires_ticket: bool
    authentication_context: str | None
    requires_approval: bool
    approver_ids: Sequence[str]
    maximum_eligibility: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the settings in the JSON form of a proposal."""
        found = {
            "maximum_activation": self.maximum_activation,
            "requires_approval": self.requires_approval,
            "requires_justification": self.requires_justification,
            "requires_mfa": self.requires_mfa,
            "requires_ticket": self.requires_ticket,
            "approver_ids": list(self.approver_ids) if self.requires_approval else None,
            "authentication_context": self.authentication_context or None,
            "maximum_eligibility": self.maximum_eligibility or None,
        }
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Eligibility:
    """The licence, the principals and the activation policies that decide what may become eligible.

    Attributes:
        licensed: Whether an export shows eligible or activated access, which needs a licence.
        holders: By folded id of a principal, the word why it may not be eligible, or the empty string if it may.
        policies: By (folded scope, folded role), the activation settings.
    """

    licensed: bool = False
    holders: Mapping[str, str] = field(default_factory=dict)
    policies: Mapping[tuple[str, str], Activation] = field(default_factory=dict)

    def knows(self, subject: Subject) -> bool:
        """Return whether the activation settings of an assignment's role at its scope are loaded."""
        return (subject.place, subject.role_definition_id) in self.policies

    def refusal(self, principal_id: str, place: str, subject: Subject) -> str:
        """Return the reason why access may not become eligible, as a word of `WHY_ACTIVE`; empty if it may.

        Args:
            principal_id: Folded id of the principal that would be eligible.
            place: The folded scope of the eligible assignment.
            subject: Today's assignment.
        """
        word = self.holders.get(principal_id, "unknown_holder")
        if word:
            return word
        if place == "/":
            return "root_scope"
        if place.startswith("/subscriptions/") and place.count("/") > GROUP_SEGMENTS:
            return "resource_scope"
        if not self.licensed:
            return "no_licence"
        return "" if self.knows(subject) else "policy_unknown"


def read_eligibility(inputs: Inputs) -> Eligibility:
    """Return the eligibility facts from the tables of assignments, principals, groups and activation policies."""
    states = inputs.role_assignments["state"]
    return Eligibility(
        licensed=bool(states.is_in(["eligible", "activated"]).any()),
        holders=_holders(inputs),
        policies=_policies(inputs.role_management_policies),
    )


def _holders(inputs: Inputs) -> dict[str, str]:
    agents = folded(inputs.principals.filter(folded(pl.col("object_type")) == "agentuser")["principal_id"])
    is_agent = pl.col("principal_id").is_in(agents.implode())
    described = described_principals(inputs).with_columns(
        principal_type=pl.when(is_agent).then(pl.lit(_AGENT_USER)).otherwise("principal_type")
    )
    known = groups_with_known_members(inputs, described)
    people = pl.col("member_type").is_in(list(_PEOPLE)).fill_null(False)
    mixed = _members(inputs, described).filter(~people)["group_id"].unique()
    group = (
        pl.when(~pl.col("principal_id").is_in(known.implode()))
        .then(pl.lit("unknown_members"))
        .when(pl.col("principal_id").is_in(mixed.implode()))
        .then(pl.lit("workload_member"))
        .otherwise(pl.lit(""))
    )
    word = pl.col("principal_type").replace_strict(_WORD_OF_TYPE, default="unknown_holder", return_dtype=pl.String)
    word = pl.when(pl.col("principal_type") == "Group").then(group).otherwise(word)
    return dict(described.select("principal_id", word=word).iter_rows())


def _members(inputs: Inputs, described: pl.DataFrame) -> pl.DataFrame:
    """Return `(group_id, member_type)` of direct and nested members; the directory's type has priority."""
    member = folded(pl.col("member_id"))
    listed = inputs.group_members.select(member_id=member, said="member_type").drop_nulls()
    return (
        inputs.group_closure.select(group_id=folded(pl.col("group_id")), member_id=member)
        .join(described.select(member_id="principal_id", known="principal_type"), on="member_id", how="left")
        .join(listed.group_by("member_id").agg(pl.col("said").max()), on="member_id", how="left")
        .select("group_id", member_type=pl.coalesce("known", "said"))
    )


def _policies(table: pl.DataFrame) -> dict[tuple[str, str], Activation]:
    """Return the complete policies by (place, role); if two policies have the same role and scope, neither is used."""
    asked = ("requires_mfa", "requires_justification", "requires_ticket", "requires_approval")
    whole = table.drop_nulls(["role_definition_id", "rules", "maximum_activation"]).with_columns(
        folded(pl.col("policy_id")),
        pl.col(asked).fill_null(False),
        pl.col("approver_ids").fill_null([]),
        place=place_of(pl.col("scope")),
        role=folded(pl.col("role_definition_id")),
    )
    single = whole.filter(pl.len().over("place", "role") == 1)
    settings = single.select(one.name for one in fields(Activation))
    keys = single.select("place", "role").iter_rows()
    return {key: Activation(**row) for key, row in zip(keys, settings.iter_rows(named=True), strict=True)}


@dataclass(frozen=True, slots=True)
class OwnerFacts:
    """The facts that decide which assignments of Owner can give access back to others.

    Attributes:
        enabled: The folded principals that are known to be enabled.
        members: The members of each group, nested ones included, folded.
        tree: The parent of each folded management group and subscription.
        ending: The assignments that end by themselves: activations, and what Azure shows beside them.
    """

    enabled: Collection[str]
    members: Mapping[str, Collection[str]]
    tree: Mapping[str, str]
    ending: Set[Key] = frozenset()

    def to_keep(self, owners: Iterable[Subject], going: Collection[Key]) -> dict[Key, bool]:
        """Return the assignments of Owner that must stay among those that go (`rbac.assignments.owners_to_keep`).

        Args:
            owners: The assignments of Owner, the preferred ones first.
            going: The assignments that are to be removed or replaced.
        """
        known = {" ".join(one.key): one for one in owners if one.role_definition_id == OWNER}
        rows = []
        for id_, one in known.items():
            lasts = one.state == "active" and one.condition is None and one.end_on is None
            rows.append(Owner(id_, one.place, one.principal_id, lasts and one.key not in self.ending))
        places = {*self.tree, *(one.place for one in known.values())}
        kept = owners_to_keep(
            rows,
            {id_ for id_, one in known.items() if one.key in going},
            enabled=self.enabled,
            members=self.members,
            tree=self.tree,
            subscriptions={place for place in places if place.startswith("/subscriptions/") and place.count("/") == 2},
        )
        return {known[id_].key: can_act for id_, can_act in kept.items()}


def read_owner_facts(inputs: Inputs, ending: Set[Key]) -> OwnerFacts:
    """Return the facts from the tables; `ending` is that of `OwnerFacts`."""
    closure = inputs.group_closure.select(folded(pl.col("group_id")), folded(pl.col("member_id")))
    tree = inputs.scopes.filter(pl.col("kind").is_in(["management_group", "subscription"])).select(
        place_of(pl.col("scope")), parent=place_of(pl.col("parent_scope"))
    )
    members = {group: frozenset(found) for group, found in closure.group_by("group_id").agg("member_id").iter_rows()}
    parents = dict(tree.drop_nulls().sort("scope").iter_rows())
    return OwnerFacts(frozenset(able_principals(inputs.principals)), members, parents, ending)
