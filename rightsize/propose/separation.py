"""Separation: roles of those who alone defeat several layers of defence, split so that two of them sleep.

Identity control and monitoring guard all other layers: who can change who may do what, and switch off what would show
it, needs nothing else. So the operations of a role that defeat one of these two become a role of their own, eligible
where its holder is a person or a group of people, and the rest stays standing. Both together grant what the role
grants, for all strings, and neither grants what the other does: that is proved of each role before it is shown.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from rightsize.analyze.layers import harmful
from rightsize.analyze.tenant import Tenant
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.plan import Advice
from rightsize.propose.eligibility import WHY_ACTIVE, Eligibility
from rightsize.rbac.algebra import contains, grants
from rightsize.rbac.text import fold
from rightsize.rules.layers import LAYER_BITS, layers_in

_CANNOT = ("workload_holder", "workload_member", "unknown_holder", "unknown_members", "root_scope")
APART = ("identity_control", "monitoring")
_MASK = sum(LAYER_BITS[layer] for layer in APART)
_NAMESPACE = uuid.UUID("5c1d7d5a-0f58-5a6e-9d53-6c0f5c2f4e0b")
_LONGEST_NAME = 128

Blocks = tuple[PermissionBlock, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """A role in two.

    Attributes:
        role: Its folded id, and `name` what it is called.
        daily: What stays standing: the role without the operations that are set apart.
        apart: These operations.
        layers: The layers that `apart` defeats.
        left: Those that `daily` still does.
        operations: The number of operations that are set apart.
        witness: What both together grant otherwise than the role, or grant both; None where that is proved not to be.
    """

    role: str
    name: str
    daily: RoleDefinition
    apart: RoleDefinition
    layers: tuple[str, ...]
    left: tuple[str, ...]
    operations: int
    witness: str | None


@dataclass(frozen=True, slots=True)
class Separation:
    """A split for one assignment.

    Attributes:
        holder: Who holds the role, `place` where.
        split: The role in two.
        state: What the part that is set apart would be: `eligible`, or `active` where its holder cannot activate.
        word: Why that is, or what has to be known first, as a word of `eligibility.WHY_ACTIVE`; may be empty.
        principals: Who alone defeats several layers there through it.
    """

    holder: str
    place: str
    split: Split
    state: str
    word: str
    principals: tuple[str, ...]


def separate(
    assigned: pl.DataFrame,
    granted: pl.DataFrame,
    violators: Collection[str],
    roles: Mapping[str, tuple[str, Blocks]],
    tenant: Tenant,
    eligibility: Eligibility,
    spelling: Mapping[str, str],
) -> list[Separation]:
    """Return the splits for those who violate independence, by holder, place and role.

    Args:
        assigned: As `layers.ASSIGNED_SCHEMA`.
        granted: `(role, name, plane, conditional)` of their roles.
        violators: Folded ids of who alone defeats two or more layers of a subscription.
        roles: Name and blocks of each role, by folded id.
        tenant: Who is a member of what, and the operations.
        eligibility: Who may be eligible.
        spelling: Folded scope to how it is spelled.
    """
    harm = harmful(tenant.operations)
    masks = (
        granted.join(harm, on=["name", "plane"]).group_by("role", maintain_order=True).agg("operation", "plane", "mask")
    )
    known = {row["role"]: row for row in masks.to_dicts()}
    reached = tenant.membership.filter(pl.col("principal_id").is_in(list(violators)))
    grouped = reached.group_by("holder").agg(pl.col("principal_id").unique().sort())
    through = {holder: tuple(who) for holder, who in grouped.iter_rows()}
    standing = assigned.filter(
        (pl.col("state") == "active") & pl.col("condition").is_null() & pl.col("holder").is_in(list(through))
    )
    splits: dict[str, Split | None] = {}
    found = []
    for holder, place, role in (
        standing.select("holder", "place", "role").unique().sort("holder", "place", "role").iter_rows()
    ):
        if role not in known or role not in roles or place == "/":
            continue
        if role not in splits:
            splits[role] = split_role(role, *roles[role], known[role], ())
        split = splits[role]
        if split is None:
            continue
        word = eligibility.refusal(holder, place, role, place)
        here = replace(
            split,
            daily=_at(split.daily, spelling.get(place, place)),
            apart=_at(split.apart, spelling.get(place, place)),
        )
        found.append(
            Separation(holder, place, here, "active" if word in _CANNOT else "eligible", word, through[holder])
        )
    return found


def split_role(role: str, name: str, blocks: Blocks, harm: Mapping[str, Any], scopes: Sequence[str]) -> Split | None:
    """Return a role in two, or None where there is nothing to set apart, nothing else, or a condition in the way."""
    if any(block.condition for block in blocks):
        return None
    rows = list(zip(harm["operation"], harm["plane"], harm["mask"], strict=True))
    taken = sorted((operation, plane) for operation, plane, mask in rows if mask & _MASK)
    left = sum({LAYER_BITS[layer] for _, _, mask in rows if not mask & _MASK for layer in layers_in(mask)})
    if not taken or not left:
        return None
    daily = tuple(_without(block, taken) for block in blocks)
    apart = (
        PermissionBlock(
            actions=tuple(operation for operation, plane in taken if plane == "control"),
            data_actions=tuple(operation for operation, plane in taken if plane == "data"),
        ),
    )
    lost = contains([*daily, *apart], blocks) or contains(blocks, [*daily, *apart])
    both = next((operation for operation, plane in taken if grants(daily, operation, plane) != "no"), None)
    defeated = 0
    for _, _, mask in rows:
        defeated |= mask & _MASK
    return Split(
        role,
        name,
        _definition(role, name, "without identity control and monitoring", daily, scopes),
        _definition(role, name, "identity control and monitoring only", apart, scopes),
        layers_in(defeated),
        layers_in(left),
        len(taken),
        both or (f"{lost.operation} ({lost.plane})" if lost else None),
    )


def _without(block: PermissionBlock, taken: Sequence[tuple[str, str]]) -> PermissionBlock:
    here = [(operation, plane) for operation, plane in taken if grants((block,), operation, plane) != "no"]
    actions = tuple(operation for operation, plane in here if plane == "control")
    data = tuple(operation for operation, plane in here if plane == "data")
    # What is named as it stands is left out; a pattern is subtracted from.
    names = {fold(operation) for operation, _ in here}
    rest = replace(
        block,
        actions=tuple(text for text in block.actions if fold(text) not in names),
        data_actions=tuple(text for text in block.data_actions if fold(text) not in names),
    )
    return replace(
        rest,
        not_actions=(*rest.not_actions, *(one for one in actions if grants((rest,), one, "control") != "no")),
        not_data_actions=(*rest.not_data_actions, *(one for one in data if grants((rest,), one, "data") != "no")),
    )


def _definition(role: str, name: str, part: str, blocks: Blocks, scopes: Sequence[str]) -> RoleDefinition:
    text = f"{name}, {part}"
    return RoleDefinition(
        role_definition_id=str(uuid.uuid5(_NAMESPACE, f"{role} {part}")),
        role_name=text if len(text) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - len(part) - 3]}…, {part}",
        permissions=tuple(block for block in blocks if block.actions or block.data_actions),
        description=f"Part of {name}: {part}. Both parts together grant what it grants.",
        assignable_scopes=tuple(scopes),
    )


def _at(role: RoleDefinition, scope: str) -> RoleDefinition:
    parts = scope.split("/")
    home = "/".join(parts[:3]) if fold(scope).startswith("/subscriptions/") else scope
    return replace(role, assignable_scopes=(home,))


def advise_separations(separations: Sequence[Separation]) -> list[Advice]:
    """Return one advice an assignment that could be split, with what is proved of it."""
    return [
        Advice(
            one.holder,
            f"through {one.split.name} at {one.place} {len(one.principals)} "
            f"{'identity alone defeats' if len(one.principals) == 1 else 'identities alone defeat'} several layers: "
            f"assign `{one.split.daily.role_name}` standing, and `{one.split.apart.role_name}` "
            + ("eligible" if one.state == "eligible" else "to an identity of its own")
            + (f" ({WHY_ACTIVE[one.word]})" if one.word else "")
            + f", {one.split.operations} operations; proved to grant together what the role grants, and nothing twice",
        )
        for one in separations
        if one.split.witness is None
    ]
