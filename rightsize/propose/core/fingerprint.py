"""Hash the tenant data that a plan rests on: assignments, role definitions, group members, denies and policy needs.

A hash covers only data that decides access: no name, no description, no time of a load, no internal id of the store.
Use is not hashed, because new use that the plan covers does not change the plan.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from rightsize.analyze.inputs import Inputs, folded, place_of
from rightsize.analyze.principals import read_policy_needs
from rightsize.model.nouns import PermissionBlock
from rightsize.model.role_forms import permissions_from_json
from rightsize.model.text import Folded, fold
from rightsize.propose.core.role_catalog import blocks_by_role

Readings = dict[str, dict[str, str]]
"""For each word of `WHAT`, the hash of each item by its id."""

POLICY_NEEDS = "policy_needs"
"""The word for the roles that an identity's policies need; older plans have no such hashes."""

WHAT = (
    "role_assignments",
    "eligible_assignments",
    "role_definitions",
    "group_members",
    "deny_assignments",
    POLICY_NEEDS,
)
_STATES = {"role_assignments": "active", "eligible_assignments": "eligible"}


def take_readings(
    inputs: Inputs, planned: Iterable[Folded] = (), earlier: Mapping[str, Iterable[str]] | None = None
) -> Readings:
    """Return the hashes of the tenant data that a plan of these tables rests on, sorted.

    Activations are left out, and so are the active assignments that Azure shows for them: they come and go by the
    hour, and a plan does not change them.

    Args:
        inputs: The tables.
        planned: Ids of the roles that the plan assigns.
        earlier: Ids that an earlier plan has read, by word of `WHAT`: they are read again even if nothing uses them
            today.
    """
    known = earlier or {}
    read: Readings = {word: _assignments(inputs, state) for word, state in _STATES.items()}
    assigned = inputs.role_assignments["role_definition_id"]
    roles = {*folded(assigned.drop_nulls().unique()), *planned, *map(fold, known.get("role_definitions", ()))}
    read["role_definitions"] = _definitions(inputs, roles)
    read["group_members"] = _memberships(inputs, set(known.get("group_members", ())))
    read["deny_assignments"] = _denies(inputs)
    read[POLICY_NEEDS] = _policy_needs(inputs)
    return {word: dict(sorted(read[word].items())) for word in WHAT}


def hash_of_blocks(blocks: Sequence[PermissionBlock]) -> str:
    """Return the hash of permission blocks; case, order and repeats of their strings do not change it."""
    return _hash(_plain_blocks(blocks))


def hash_of(value: object) -> str:
    """Return the hash of a value of JSON; the order of keys does not change it."""
    return hashlib.sha256(json.dumps(value, ensure_ascii=True, sort_keys=True).encode()).hexdigest()


def grant_proposal_id(plane: str, grant: str) -> str:
    """Return the id of the proposal for a grant of a plane beyond Azure RBAC; it does not depend on its content."""
    return f"{plane}-{hashlib.sha256(grant.encode()).hexdigest()[:16]}"


def _assignments(inputs: Inputs, state: str) -> dict[str, str]:
    table = inputs.role_assignments
    activated = folded(table.filter(pl.col("state") == "activated")["role_assignment_id"])
    rows = table.filter(pl.col("state") == state).select(
        folded(pl.col("role_assignment_id")),
        folded(pl.col("principal_id")),
        folded(pl.col("role_definition_id")),
        place_of(pl.col("scope")),
        pl.col("condition").fill_null(""),
        pl.col("end_on").dt.to_string("%Y-%m-%dT%H:%M:%S%.f").fill_null(""),
    )
    assigned = rows.filter(~pl.col("role_assignment_id").is_in(activated.implode()))
    return {id_: _hash(fields) for id_, *fields in assigned.iter_rows()}


def _definitions(inputs: Inputs, wanted: set[Folded]) -> dict[str, str]:
    loaded = folded(inputs.role_definitions["role_definition_id"])
    strings = inputs.role_permissions.with_columns(folded(pl.col("role_definition_id")))
    blocks = blocks_by_role(strings.filter(pl.col("role_definition_id").is_in(list(wanted))))
    return {role: hash_of_blocks(blocks.get(role, ())) for role in sorted(wanted.intersection(loaded))}


def _plain_blocks(blocks: Iterable[PermissionBlock]) -> list[list[object]]:
    plain: list[list[object]] = [
        [
            *(
                sorted({fold(text) for text in texts})
                for texts in (block.actions, block.not_actions, block.data_actions, block.not_data_actions)
            ),
            block.condition or "",
        ]
        for block in blocks
    ]
    return sorted(plain, key=_text)


def _memberships(inputs: Inputs, earlier: set[str]) -> dict[str, str]:
    """Return for each group that an assignment or a deny names the hash of its direct and nested members."""
    closure = inputs.group_closure.select(group=folded(pl.col("group_id")), member=folded(pl.col("member_id")))
    assignments = inputs.role_assignments.select("principal_type", holder=folded(pl.col("principal_id")))
    denies = inputs.deny_assignments
    named = set(assignments["holder"]) | earlier
    for column in ("principal_ids", "exclude_principal_ids"):
        named |= {fold(principal) for principals in denies[column].drop_nulls() for principal in principals}
    groups = set(assignments.filter(pl.col("principal_type") == "Group")["holder"]) | set(closure["group"].unique())
    groups |= set(folded(inputs.principals.filter(pl.col("principal_type") == "Group")["principal_id"]))
    members: dict[str, list[str]] = dict(
        closure.filter(pl.col("group").is_in(sorted(named)))
        .group_by("group")
        .agg(pl.col("member").unique().sort())
        .iter_rows()
    )
    return {group: _hash(members.get(group, [])) for group in named & groups}


def _denies(inputs: Inputs) -> dict[str, str]:
    found: dict[str, list[object]] = defaultdict(list)
    place = place_of(inputs.deny_assignments["scope"])
    for at, row in zip(place, inputs.deny_assignments.iter_rows(named=True), strict=True):
        found[fold(row["deny_assignment_id"])].append(
            [
                at or "",
                sorted({fold(name) for name in row["principal_ids"] or ()}),
                sorted({fold(name) for name in row["exclude_principal_ids"] or ()}),
                bool(row["does_not_apply_to_child_scopes"]),
                _plain_blocks(permissions_from_json(row["permissions"])),
                row["condition"] or "",
            ]
        )
    return {id_: _hash(sorted(rows, key=_text)) for id_, rows in found.items()}


def _policy_needs(inputs: Inputs) -> dict[str, str]:
    """Return for each identity the hash of its policies' needs: their scopes, and the roles that they name."""
    return {
        principal: _hash(sorted([one.policy_assignment_id, one.place, _named(one.roles)] for one in needs))
        for principal, needs in read_policy_needs(inputs).items()
    }


def _named(roles: Mapping[str, str] | None) -> str:
    return "not known" if roles is None else " ".join(sorted(roles))


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


def _hash(value: object) -> str:
    # 128 bits: finding a second assignment with the same hash is infeasible.
    return hashlib.sha256(_text(value).encode()).hexdigest()[:32]
