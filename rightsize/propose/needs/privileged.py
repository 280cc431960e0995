"""Split off needs that give privilege or read secrets on few days into roles of their own, eligible where possible.

Deployments, machines and sites are a developer's daily work and stay together. The rule file `split_off` lists the
operations to split off, with a source for each row. Without the split, one stolen session has all privileged access.
With it, the dangerous part is small, has a name, and needs an activation if a person holds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from rightsize.analyze.activation_use import duration
from rightsize.propose.core.bitsets import OperationIndex
from rightsize.propose.core.read_patterns import READ, is_read
from rightsize.propose.core.role_catalog import KnownRole, Need
from rightsize.propose.needs.delegation import ADMINISTRATOR, WHY_UNCONSTRAINED, Delegation, Delegations, area_of
from rightsize.propose.needs.drafts import Draft, Key, Subject
from rightsize.propose.needs.eligibility import GROUP_SEGMENTS, WHY_ACTIVE, Eligibility
from rightsize.propose.needs.grant_requests import GrantRequest
from rightsize.propose.needs.layer_parts import BESIDE, DAILY, GUARDS, LayerParts, as_granted, may_open
from rightsize.propose.needs.needs import Needs, Profile
from rightsize.propose.needs.use_rows import UseRows
from rightsize.rbac.text import Folded
from rightsize.rules.operations import split_off

FEW_DAYS = 30
"""A secret is read "on few days" if it is read on at most one in this number of days: 3 days in a window of 90."""
PRIVILEGED = "privileged"
"""The word for the part that is split off from a need that is not split by layer."""
NAMED = 20
"""Maximum number of operations that a proposal names one by one."""


@dataclass(frozen=True, slots=True)
class Privilege:
    """The operations that are split off from needs, and the facts that decide about their state.

    Attributes:
        always: The operations that give privilege.
        secrets: The operations that read secrets.
        rare: By assignment, the secret reads that were used under it on few days.
        seldom: By assignment used fewer hours a month than the option `standing_hours`, the changes made under it.
        hours: For the same assignments, the length in hours of an activation that is enough for 95 of 100 days of work.
        eligibility: The facts on which principals may become eligible.
        delegations: The principals that assign roles, and the roles that they assign.
        layers: The principals and scopes whose needs are split by layer of defence.
    """

    always: int = 0
    secrets: int = 0
    rare: Mapping[Key, int] = field(default_factory=dict)
    seldom: Mapping[Key, int] = field(default_factory=dict)
    hours: Mapping[Key, float] = field(default_factory=dict)
    eligibility: Eligibility = field(default_factory=Eligibility)
    delegations: Delegations = field(default_factory=Delegations)
    layers: LayerParts = field(default_factory=LayerParts)

    def part_of(self, key: Key, profile: Profile | None) -> int:
        """Return the operations that are split off from an assignment.

        Use on few days counts only if a log would have shown use on other days. Operations that give privilege are
        split off whether they were seen or not.
        """
        hidden = profile.hidden | profile.open | profile.linked if profile is not None else 0
        return self.always | self.rare.get(key, 0) & ~hidden


def read_privilege(
    operations: pl.DataFrame,
    index: OperationIndex,
    rows: UseRows,
    days: int,
    eligibility: Eligibility,
    worked: Mapping[Key, Mapping[str, float]],
    delegations: Delegations,
) -> Privilege:
    """Return the operations to split off by the rules and the use, with the given facts.

    Args:
        operations: The operations of a `Tenant`.
        index: The index that numbers them.
        rows: The use.
        days: Length of the window in days.
        eligibility: The facts on which principals may become eligible.
        worked: The assignments that are used few hours a month, with `hours_needed`.
        delegations: The principals that assign roles, and the roles that they assign.
    """
    split = operations.select("plane", "name", split=split_off(operations))
    always = index.mask(split.filter(pl.col("split") == "always").select("plane", "name").iter_rows())
    rarely = index.mask(split.filter(pl.col("split") == "rarely_used").select("plane", "name").iter_rows())
    few = max(1, days // FEW_DAYS)
    rare = {key: found & rarely for key, found in rows.bits(index, most_days=few).items() if found & rarely}
    reads = index.mask(operations.filter(pl.col("name").str.ends_with(READ)).select("plane", "name").iter_rows())
    seldom = {key: found & ~reads for key, found in rows.bits(index, among=worked).items()}
    return Privilege(
        always,
        rarely,
        rare,
        seldom,
        {key: row["hours_needed"] for key, row in worked.items()},
        eligibility,
        delegations,
    )


def split(demand: GrantRequest, profile: Profile | None, privilege: Privilege) -> Iterator[GrantRequest]:
    """Yield the parts of a demand: daily work, privileged parts with roles of their own, and constrained delegation."""
    by_layer = privilege.layers.splits(demand.principal_id, demand.place, demand.subject)
    if by_layer:
        apart = privilege.layers.harmful | privilege.always
        demand = replace(demand, need=privilege.layers.spelt_out(demand.need, apart))
    delegated = _delegated(demand, profile, privilege, GUARDS[0] if by_layer else PRIVILEGED)
    if delegated is not None:
        yield delegated
        left = demand.need.operations & ~delegated.need.operations
        demand = replace(demand, need=replace(demand.need, operations=left))
    if demand.state == "eligible":
        # All of it is eligible already, and is activated as a whole.
        if demand.need:
            yield demand
        return
    apart = demand.need.operations & privilege.part_of(demand.subject.key, profile)
    seldom = demand.need.operations & privilege.seldom.get(demand.subject.key, 0)
    if seldom and not why_active(_apart(demand, apart | seldom, privilege, PRIVILEGED), privilege):
        # Changes made in few hours a month are split off only if they become eligible: an active extra role is no gain.
        apart |= seldom
    if by_layer:
        yield from _by_layer(demand, apart, privilege)
        return
    if not apart:
        if demand.need:
            yield demand
        return
    rest = replace(demand.need, operations=demand.need.operations & ~apart)
    if rest:
        yield replace(demand, need=rest)
    yield _asleep(_apart(demand, apart, privilege, PRIVILEGED), privilege)


def _by_layer(demand: GrantRequest, asleep: int, privilege: Privilege) -> Iterator[GrantRequest]:
    """Yield a part for each layer that the operations of a demand defeat, and the rest, which defeats no layer.

    Parts of the guarding layers become eligible where possible, like the operations in `asleep`. Others stay active.
    """
    left = demand.need.operations
    for layer, mask in privilege.layers.masks.items():
        own = left & mask
        left &= ~mask
        sleeping = own if layer in GUARDS else own & asleep
        if sleeping:
            yield _asleep(_apart(demand, sleeping, privilege, layer), privilege)
        if own & ~sleeping:
            yield replace(demand, need=Need(own & ~sleeping), apart=layer)
    if left & asleep:
        yield _asleep(_apart(demand, left & asleep, privilege, BESIDE), privilege)
    rest = replace(demand.need, operations=left & ~asleep)
    if rest:
        yield replace(demand, need=rest, apart=DAILY)


def _delegated(demand: GrantRequest, profile: Profile | None, privilege: Privilege, word: str) -> GrantRequest | None:
    """Return the part of a demand that assigns roles, limited to the roles seen; None if it cannot be limited."""
    found = privilege.delegations.of(demand, profile)
    if not isinstance(found, Delegation):
        return None
    part = _apart(demand, demand.need.operations & privilege.delegations.operations, privilege, word)
    held = replace(part, condition=found.condition, role_definition_id=ADMINISTRATOR)
    asleep = _asleep(held, privilege)
    return None if privilege.delegations.clashes(asleep) else asleep


def _asleep(part: GrantRequest, privilege: Privilege) -> GrantRequest:
    """Return a part as eligible if it can be eligible, else unchanged."""
    return part if why_active(part, privilege) else replace(part, state="eligible")


def _apart(demand: GrantRequest, operations: int, privilege: Privilege, word: str) -> GrantRequest:
    """Return the part of a demand that is split off, at its resource group if only there it can be eligible."""
    part = replace(demand, need=Need(operations), apart=word)
    return _lifted(part, privilege) if why_active(part, privilege) == "resource_scope" else part


def why_active(demand: GrantRequest, privilege: Privilege) -> str:
    """Return the reason why a demand has to stay active, as a word of `WHY_ACTIVE`; empty if it can be eligible."""
    subject = demand.subject
    return privilege.eligibility.refusal(demand.principal_id, demand.place, subject.role_definition_id, subject.place)


def _lifted(part: GrantRequest, privilege: Privilege) -> GrantRequest:
    """Return the demand at its resource group if it can become eligible there within today's grant, else unchanged.

    Eligible access to the whole group exposes less than active access to one resource of it.
    """
    group = Folded("/".join(part.place.split("/")[: GROUP_SEGMENTS + 1]))
    if part.subject.place.startswith(group + "/"):
        return part
    wider = replace(part, place=group)
    return part if why_active(wider, privilege) else wider


def may_split(subject: Subject, profile: Profile, needs: Needs, privilege: Privilege, reads: int) -> bool:
    """Return whether to split an assignment although all of it is needed.

    True if a part can become eligible and the rest is only reads, which existing roles grant. Otherwise the new role
    would list a whole role without a few operations, which does not help a reviewer.

    Args:
        subject: The assignment.
        profile: The verdicts on its unused operations.
        needs: The needs behind it.
        privilege: The operations that are split off.
        reads: The operations that are reads.
    """
    found = False
    for place, need in needs.by_scope.items():
        for part in split(GrantRequest(subject, place, need, subject.principal_id), profile, privilege):
            if part.apart not in ("", DAILY):
                found = found or part.state == "eligible"
            elif part.need.operations & ~reads or not all(
                is_read(text) for one in part.need.parts for text in one.patterns
            ):
                return False
    return found


def opened_by_layer(
    subject: Subject, role: KnownRole, needs: Needs, privilege: Privilege, index: OperationIndex
) -> Needs | None:
    """Return everything that a fully needed assignment grants, as needs to split by layer; None if that has no use.

    The rest keeps the patterns of its role, with not-patterns for the operations that are split off.
    """
    layers = privilege.layers
    if not layers.splits(subject.principal_id, subject.place, subject) or not may_open(subject, role):
        return None
    found = layers.layers_of(role.granted)
    word = privilege.eligibility.refusal(subject.principal_id, subject.place, subject.role_definition_id, subject.place)
    if len(found) > 1 or (not word and not set(GUARDS).isdisjoint(found)):
        return replace(needs, by_scope={subject.place: as_granted(role, index)})
    return None


def privileged_evidence(
    draft: Draft,
    parts: Sequence[GrantRequest],
    privilege: Privilege,
    index: OperationIndex,
    names: Mapping[Folded, str],
) -> dict[str, Any]:
    """Return a proposal's evidence on its split-off parts: operations, delegations and reasons for staying active.

    Args:
        draft: The draft whose placements the proposal lists.
        parts: The parts that were split off from the assignment.
        privilege: The operations that are split off.
        index: The operations.
        names: The names of roles by id.
    """
    given = {(one.principal_id, one.place, one.state) for one in draft.placements}
    shown = [part for part in parts if (part.principal_id, part.place, part.state) in given]
    if not shown:
        return {}
    described = [(part, _part_json(part, draft.profile, privilege, index, names)) for part in shown]
    by_word = {
        "privileged": [said for part, said in described if part.apart not in privilege.layers.masks],
        "separated": [
            {"layer": part.apart, **said} for part, said in described if part.apart in privilege.layers.masks
        ],
    }
    found: dict[str, Any] = {word: said for word, said in by_word.items() if said}
    subject = draft.subject
    if subject.key in privilege.hours:
        found["seldom"] = {
            "activation": duration(privilege.hours[subject.key]),
            "meaning": "an activation of this length would have covered the use on 95 of 100 days of work",
        }
    return found


def activation_evidence(draft: Draft, privilege: Privilege) -> dict[str, Any]:
    """Return the activation settings for a draft that makes access eligible: those of today's role; else empty."""
    subject = draft.subject
    activation = privilege.eligibility.policies.get((subject.place, subject.role_definition_id))
    if activation is None or not any(one.state == "eligible" for one in draft.placements):
        return {}
    return {
        "activation": activation.as_json()
        | {
            "policy_id": activation.policy_id,
            "of_role": subject.role_definition_id,
            "of_scope": subject.scope,
            "meaning": "set these on the role management policy of each assigned role and scope before anybody uses "
            "it; the policy holds for everybody who is eligible for the role there",
        }
    }


def _part_json(
    part: GrantRequest,
    profile: Profile | None,
    privilege: Privilege,
    index: OperationIndex,
    role_names: Mapping[Folded, str],
) -> dict[str, Any]:
    names = [name for _, name in index.members(part.need.operations)]
    found: dict[str, Any] = {
        "scope": part.place,
        "principal_id": part.principal_id,
        "state": part.state,
        "operations": len(names),
        "operation_names": names[:NAMED],
    }
    word = why_active(part, privilege)
    if word and is_to_sleep(part, privilege):
        found |= {"why_active": word, "meaning": WHY_ACTIVE[word]}
    if part.need.operations & privilege.delegations.operations:
        found["delegation"] = _delegation_json(part, profile, privilege.delegations, role_names)
    return found


def is_to_sleep(part: GrantRequest, privilege: Privilege) -> bool:
    """Return whether a split-off part becomes eligible where possible: all but parts of layers that guard no other."""
    return part.apart in GUARDS or part.apart not in privilege.layers.masks


def _delegation_json(
    part: GrantRequest, profile: Profile | None, delegations: Delegations, names: Mapping[Folded, str]
) -> dict[str, Any]:
    """Return the roles that a part may assign, or the reason why it may assign any role."""
    if part.role_definition_id is not None:
        return delegations.found[part.principal_id, area_of(part.place)].as_json(names)
    found = delegations.of(part, profile)
    if isinstance(found, Delegation):
        return {
            "why_unconstrained": "assigned_there",
            "meaning": WHY_UNCONSTRAINED["assigned_there"],
            "condition": found.condition,
        }
    return {"why_unconstrained": found, "meaning": WHY_UNCONSTRAINED[found]}
