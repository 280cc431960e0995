"""Order an accepted plan into swaps and waves, and list what is left to people."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rightsize.analyze.reasons import SHOWN
from rightsize.change import bundle
from rightsize.change.vaults import vault_swaps
from rightsize.mining.cliques import hang_together
from rightsize.model.errors import GateError
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.plan import PROPOSAL_KINDS
from rightsize.model.role_forms import to_arm
from rightsize.model.text import fold
from rightsize.rbac.assignments import CUSTOM_ROLES_PER_TENANT, OWNER, Owner, assignment_id, owners_to_keep
from rightsize.rbac.conditions import may_restrict
from rightsize.rules.tables import rows_of

_NAMESPACE = uuid.UUID("2f0a4c9e-6f0b-5d51-9c0e-5a7f0f6f7f21")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RolloutTenant:
    """The facts about the tenant that a rollout needs, from the store.

    Attributes:
        assignments: Rows of `role_assignments`, in every state.
        members: Members of each group, nested ones included.
        types: Type of each principal, by id.
        enabled: Principals known to be enabled, and not deleted.
        disabled: Principals known to be disabled or deleted.
        roles: Custom roles of the tenant, by folded GUID.
        tree: Parent of each folded management group and subscription.
        permissions: Permission blocks of the tenant's roles and the built-in ones, by folded GUID.
    """

    assignments: Sequence[Row]
    members: Mapping[str, frozenset[str]]
    types: Mapping[str, str]
    enabled: frozenset[str] = frozenset()
    disabled: frozenset[str] = frozenset()
    roles: Mapping[str, RoleDefinition] = field(default_factory=dict)
    tree: Mapping[str, str] = field(default_factory=dict)
    permissions: Mapping[str, Sequence[PermissionBlock]] = field(default_factory=dict)


@dataclass(slots=True)
class _SwapPart:
    """One assignment of today that is removed, with all that replaces it."""

    row: Row
    proposals: list[str] = field(default_factory=list)
    creates: dict[str, bundle.Held] = field(default_factory=dict)
    rules: set[bundle.ScheduleRules] = field(default_factory=set)
    rests_on: set[str] = field(default_factory=set)
    risk: float = 0.0
    covered: int = 0
    blind: int = 0


def make_bundle(
    plan: Mapping[str, Any],
    plan_hash: str,
    roles: Mapping[str, RoleDefinition],
    tenant: RolloutTenant,
    *,
    emergency: Collection[str],
    order: bundle.Order = bundle.DEFAULT_ORDER,
) -> bundle.Bundle:
    """Return the bundle of a plan: its swaps in waves, and the assignments left out.

    Args:
        plan: The `plan.json`, verified against the store.
        plan_hash: Its hash.
        roles: The new roles of the plan, by GUID.
        tenant: The tenant that it was verified against.
        emergency: Emergency access accounts; their assignments and those of their groups are left alone.
        order: The principals of the first wave, the size of waves, and the accepted proposals.

    Raises:
        GateError: The new assignments do not fit into Azure's limits beside the existing ones.
    """
    held: dict[str, Mapping[str, Any]] = {
        fold(str(row["role_assignment_id"])): row
        for row in tenant.assignments
        if row["state"] in ("active", "eligible")
    }
    parts, left = _parts(plan, held, tenant, set(map(fold, order.only)))
    parts, left = _leave_out(parts, left, roles, tenant, held, frozenset(map(fold, emergency)))
    swaps = _swaps(parts, roles, set(map(fold, order.canaries)), tenant, order.wave_size)
    last = max((swap.wave for swap in swaps), default=0)
    named = frozenset(map(fold, emergency))

    def is_emergency(holder: str) -> bool:
        return bool(named & ({holder} | tenant.members.get(holder, frozenset())))

    switched, waiting, vault_roles = vault_swaps(plan, last + 1, set(map(fold, order.only)), is_emergency, _wait)
    swaps += switched
    left |= {one.role_assignment_id: one.reason for one in waiting}
    _check_room(swaps, held)
    needed = {role for swap in swaps for role in swap.roles}
    _check_roles(needed, tenant)
    old = {gone.role for swap in swaps for gone in swap.removes} & tenant.roles.keys()
    return bundle.Bundle(
        plan=plan_hash,
        emergency=tuple(sorted(map(fold, emergency))),
        swaps=tuple(swaps),
        left_out=tuple(
            sorted((bundle.LeftOut(key, why) for key, why in left.items()), key=lambda one: one.role_assignment_id)
        ),
        roles={role: vault_roles.get(role) or to_arm(roles[role]) for role in sorted(needed)},
        old_roles={role: to_arm(tenant.roles[role]) for role in sorted(old)},
        order=replace(order, canaries=tuple(sorted(order.canaries)), only=tuple(sorted(order.only))),
    )


def _parts(
    plan: Mapping[str, Any], held: Mapping[str, Row], tenant: RolloutTenant, only: set[str]
) -> tuple[dict[str, _SwapPart], dict[str, str]]:
    parts: dict[str, _SwapPart] = {}
    left: dict[str, str] = {}
    for proposal in plan["proposals"]:
        if proposal.get("plane") not in ("control", "data") or PROPOSAL_KINDS[proposal["kind"]].keeps:
            continue
        for replaced in map(fold, proposal["replaces"]):
            if only and fold(proposal["id"]) not in only:
                left[replaced] = "its proposal was not chosen for this rollout"
            elif replaced not in held:
                left[replaced] = "it is an activation: it changes with its eligible assignment"
            else:
                _add(parts.setdefault(replaced, _SwapPart(held[replaced])), proposal, tenant)
    return {key: part for key, part in parts.items() if key not in left}, left


def _add(part: _SwapPart, proposal: Mapping[str, Any], tenant: RolloutTenant) -> None:
    part.proposals.append(proposal["id"])
    part.risk = max(part.risk, float(proposal["break_probability_30d"]))
    evidence = proposal["evidence"]
    part.rests_on.update(map(fold, evidence.get("rests_on") or ()))
    removed = evidence.get("removed") or {}
    part.covered += sum(int(number) for reason, number in removed.items() if reason in SHOWN)
    part.blind += sum(int(number) for reason, number in removed.items() if reason not in SHOWN)
    for one in proposal["assignments"]:
        made = _created(one, proposal, part.row, tenant)
        part.creates[made.id] = made
        if made.is_managed:
            part.rules.add(
                bundle.ScheduleRules(
                    made.scope, made.role, str(part.row["scope"]), fold(str(part.row["role_definition_id"]))
                )
            )


def _created(one: Mapping[str, Any], proposal: Mapping[str, Any], row: Row, tenant: RolloutTenant) -> bundle.Held:
    principal = fold(one["principal_id"])
    condition, state = one.get("condition"), one["state"]
    made = assignment_id(one["scope"], one["role"], principal, condition)
    # The replacement of a time-bound assignment ends with it, and no later than the plan says.
    until = min(filter(None, (bundle.whole_seconds(row["end_on"]), one.get("end_on"))), default=None)
    activation = proposal["evidence"].get("activation") or {}
    return bundle.Held(
        id=made if state == "active" else str(uuid.uuid5(_NAMESPACE, f"{made}|{state}")),
        scope=one["scope"],
        role=fold(one["role"]),
        principal_id=principal,
        principal_type=tenant.types.get(principal, "User"),
        condition=condition,
        condition_version="2.0" if condition else None,
        description=f"rightsize {proposal['id']}",
        state=state,
        until=until,
        lasts=activation.get("maximum_eligibility") if state == "eligible" and until is None else None,
    )


def _leave_out(
    parts: dict[str, _SwapPart],
    left: dict[str, str],
    roles: Mapping[str, RoleDefinition],
    tenant: RolloutTenant,
    held: Mapping[str, Row],
    emergency: frozenset[str],
) -> tuple[dict[str, _SwapPart], dict[str, str]]:
    """Take out the assignments that must not change, and those whose change depends on them."""
    left = dict(left)
    for key, part in parts.items():
        row = part.row
        holder = fold(str(row["principal_id"]))
        if emergency & ({holder} | tenant.members.get(holder, frozenset())):
            left[key] = "an emergency access account holds it"
        elif fold(str(row["member_type"] or "Direct")) != "direct":
            left[key] = "it is inherited from a scope above or from a group: change it there"
        elif row["condition"] and any(_loses(made, row["condition"], roles, tenant) for made in part.creates.values()):
            left[key] = "its replacement does not keep its condition"
    for key in _last_owners(parts, held, left, tenant):
        left[key] = "no other enabled principal would be a permanent, unconditional Owner of a subscription"
    while True:
        # An assignment that another one covers stays where the other one is not changed as planned.
        open_ = {key for key, part in parts.items() if key not in left and part.rests_on & (left.keys() & parts.keys())}
        if not open_:
            return {key: part for key, part in parts.items() if key not in left}, left
        left |= dict.fromkeys(open_, "it depends on an assignment that is left out")


def _loses(made: bundle.Held, condition: str, roles: Mapping[str, RoleDefinition], tenant: RolloutTenant) -> bool:
    """Return whether a new assignment lacks today's condition, and its role may grant what the condition restricts."""
    if made.condition == condition:
        return False
    blocks = roles[made.role].permissions if made.role in roles else tenant.permissions.get(made.role)
    return made.condition is not None or blocks is None or may_restrict(condition, blocks)


def _last_owners(
    parts: Mapping[str, _SwapPart], held: Mapping[str, Row], left: Mapping[str, str], tenant: RolloutTenant
) -> set[str]:
    owners = [
        Owner(
            key,
            fold(str(row["scope"])).rstrip("/") or "/",
            fold(str(row["principal_id"])),
            row["state"] == "active" and row["condition"] is None and row["end_on"] is None,
        )
        for key, row in held.items()
        if fold(str(row["role_definition_id"])) == OWNER
    ]
    known = {fold(place) for place in tenant.tree} | {one.scope for one in owners}
    kept = owners_to_keep(
        sorted(owners, key=lambda one: one.id),
        parts.keys() - left.keys(),
        enabled=tenant.enabled,
        members=tenant.members,
        tree=tenant.tree,
        subscriptions={place for place in known if place.startswith("/subscriptions/") and place.count("/") == 2},
    )
    return set(kept)


def _swaps(
    parts: Mapping[str, _SwapPart],
    roles: Mapping[str, RoleDefinition],
    canaries: set[str],
    tenant: RolloutTenant,
    wave_size: int,
) -> list[bundle.Swap]:
    groups = _hang_together(parts)
    found = []
    for keys in groups:
        members = [parts[key] for key in keys]
        creates: dict[str, bundle.Held] = {}
        for made in (made for part in members for made in part.creates.values()):
            creates[made.id] = _longer(made, creates.get(made.id, made))
        found.append(
            bundle.Swap(
                id=str(uuid.uuid5(_NAMESPACE, "|".join(keys))),
                wave=0,
                proposals=tuple(sorted({one for part in members for one in part.proposals})),
                creates=tuple(creates[key] for key in sorted(creates)),
                removes=tuple(_removed(parts[key].row, tenant) for key in keys),
                roles=tuple(sorted({made.role for made in creates.values()} & roles.keys())),
                wait=max((_wait(made, roles.get(made.role)) for made in creates.values()), default=0),
                wait_back=max(_wait(_removed(parts[key].row, tenant), None) for key in keys),
                risk=max(part.risk for part in members),
                covered=sum(part.covered for part in members),
                blind=sum(part.blind for part in members),
                rules=tuple(
                    sorted((one for part in members for one in part.rules), key=lambda one: (one.key, one.of_scope))
                ),
            )
        )
    first = [swap for swap in found if canaries & {fold(one.principal_id) for one in swap.removes}]
    rest = sorted((swap for swap in found if swap not in first), key=lambda swap: (swap.risk, swap.id))
    start = 2 if first else 1
    waved = [replace(swap, wave=1) for swap in first]
    waved += [replace(swap, wave=start + number // max(wave_size, 1)) for number, swap in enumerate(rest)]
    return sorted(waved, key=lambda swap: (swap.wave, swap.id))


def _longer(one: bundle.Held, other: bundle.Held) -> bundle.Held:
    """Return the one of two equal assignments that ends later, or never."""
    return max(one, other, key=lambda held: (held.until is None, held.until or ""))


def _hang_together(parts: Mapping[str, _SwapPart]) -> list[list[str]]:
    """Return the groups of assignments that change together: of one principal, or depending on each other."""
    links: dict[str, list[str]] = {}
    by_holder: dict[str, str] = {}
    for key, part in sorted(parts.items()):
        holders = {fold(str(part.row["principal_id"])), *(made.principal_id for made in part.creates.values())}
        links[key] = [*(by_holder.setdefault(holder, key) for holder in holders), *part.rests_on]
    return hang_together(links)


def _removed(row: Row, tenant: RolloutTenant) -> bundle.Held:
    principal = fold(str(row["principal_id"]))
    return bundle.Held(
        id=str(row["role_assignment_id"]),
        scope=str(row["scope"]),
        role=fold(str(row["role_definition_id"])),
        principal_id=principal,
        principal_type=tenant.types.get(principal, row["principal_type"] or "User"),
        condition=row["condition"],
        condition_version=row["condition_version"],
        description=row["description"],
        state=str(row["state"]),
        until=bundle.whole_seconds(row["end_on"]),
    )


def _wait(made: bundle.Held, role: RoleDefinition | None = None) -> int:
    seconds = {row["kind"]: int(row["seconds"]) for row in rows_of("propagation")}
    at_group = fold(made.scope).startswith("/providers/microsoft.management/")
    # The plan does not say whether a built-in role has data actions; at a management group it may have some.
    has_data = role is None or any(block.data_actions for block in role.permissions)
    kind = "data_at_management_group" if at_group and has_data else made.principal_type
    return seconds.get(kind, seconds["User"])


def _check_room(swaps: Sequence[bundle.Swap], held: Mapping[str, Row]) -> None:
    """Raise GateError where new assignments do not fit beside the old ones, which are removed later."""
    taken: dict[str, int] = {}
    # Eligible assignments do not count (Microsoft Learn: Troubleshoot Azure RBAC limits).
    for row in (row for row in held.values() if row["state"] == "active"):
        home = bundle.home_of(str(row["scope"]))
        taken[home] = taken.get(home, 0) + 1
    for wave in sorted({swap.wave for swap in swaps}):
        members = [swap for swap in swaps if swap.wave == wave]
        for made in (made for swap in members for made in swap.creates if made.state == "active"):
            taken[bundle.home_of(made.scope)] = taken.get(bundle.home_of(made.scope), 0) + 1
        for home, number in sorted(taken.items()):
            most = bundle.most_at(home)
            if number > most:
                raise GateError(
                    f"with wave {wave} `{home}` would have {number} assignments, and Azure allows {most}",
                    hint="plan smaller waves with `--wave-size`, or choose fewer proposals with `--proposal`",
                )
        for gone in (gone for swap in members for gone in swap.removes if gone.state == "active"):
            taken[bundle.home_of(gone.scope)] -= 1


def _check_roles(needed: set[str], tenant: RolloutTenant) -> None:
    """Raise GateError where the new roles exceed Azure's limit together with the existing ones."""
    number = len(needed | tenant.roles.keys())
    if needed - tenant.roles.keys() and number > CUSTOM_ROLES_PER_TENANT:
        raise GateError(
            f"there would be {number} custom roles, and Azure allows {CUSTOM_ROLES_PER_TENANT}",
            hint="delete roles that nobody holds, or choose fewer proposals with `--proposal`",
        )
