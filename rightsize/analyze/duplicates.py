"""Find assignments that another assignment makes superfluous, by the algebra of permissions and without usage.

An assignment is contained by another that is active and permanent, belongs to the same principal or to a group that
contains it, stands at the same or a wider scope, has no condition or the same one, and whose role grants everything
that its own does. Only an assignment that is not contained itself is named as the containing one, so a plan can remove
every contained assignment at once.
"""

from __future__ import annotations

import polars as pl

from rightsize.analyze.inputs import containing
from rightsize.analyze.tenant import Tenant
from rightsize.model.nouns import PermissionBlock
from rightsize.rbac.algebra import contains
from rightsize.rbac.permissions import Permissions, read_permissions

_AT_ONCE = 20_000
"""The number of assignments compared at a time with all assignments of their holders: dozens of pairs for each."""


def find_duplicates(tenant: Tenant) -> pl.DataFrame:
    """Return `(role_assignment_id, state, contained_by)`, one row per superfluous assignment.

    Of two that contain each other the one with the smaller id stays. `contained_by` itself is contained by none.
    """
    pairs = _candidate_pairs(tenant)
    distinct = pairs.select("big_role", "small_role").unique().sort("big_role", "small_role")
    compared = pl.concat([distinct["big_role"], distinct["small_role"]])
    roles = blocks_of(tenant.patterns.filter(pl.col("role").is_in(compared.implode())))
    holds = [_contains(roles, big, small) for big, small in distinct.iter_rows()]
    held = distinct.filter(pl.Series(holds, dtype=pl.Boolean))
    related = pairs.join(held, on=["big_role", "small_role"], how="semi").select("big", "small")
    mutual = related.join(related, left_on=["big", "small"], right_on=["small", "big"], how="semi")
    # Assignments are numbered by id, so the smaller number is the smaller id.
    reversed_pairs = mutual.filter(pl.col("big") > pl.col("small"))
    contained = related.join(reversed_pairs, on=["big", "small"], how="anti")
    final = contained.filter(~pl.col("big").is_in(contained["small"].unique().implode()))
    names = tenant.assignments.select("a", "role_assignment_id", "state")
    return (
        final.group_by("small")
        .agg(pl.col("big").min())
        .join(names, left_on="small", right_on="a")
        .join(names.select("a", contained_by="role_assignment_id"), left_on="big", right_on="a")
        .select("role_assignment_id", "state", "contained_by")
        .sort("role_assignment_id", "state")
    )


def blocks_of(patterns: pl.DataFrame) -> dict[str, Permissions]:
    """Return the permission blocks of each role, from its patterns."""
    strings: dict[tuple[str, int], dict[str, list[str]]] = {}
    conditions: dict[tuple[str, int], str | None] = {}
    rows = patterns.sort("role", "block", "kind", "pattern").select("role", "block", "kind", "pattern", "condition")
    for role, block, kind, pattern, condition in rows.iter_rows():
        strings.setdefault((role, block), {}).setdefault(kind, []).append(pattern)
        conditions[role, block] = condition
    roles: dict[str, list[PermissionBlock]] = {}
    for (role, block), kinds in strings.items():
        roles.setdefault(role, []).append(_block(kinds, conditions[role, block]))
    return {role: read_permissions(blocks) for role, blocks in roles.items()}


def _block(kinds: dict[str, list[str]], condition: str | None) -> PermissionBlock:
    return PermissionBlock(
        actions=tuple(kinds.get("action", ())),
        not_actions=tuple(kinds.get("not_action", ())),
        data_actions=tuple(kinds.get("data_action", ())),
        not_data_actions=tuple(kinds.get("not_data_action", ())),
        condition=condition,
    )


def _candidate_pairs(tenant: Tenant) -> pl.DataFrame:
    """Return `(big, small, big_role, small_role)`: pairs whose principal, scope, state and condition allow it."""
    known = tenant.assignments.filter(pl.col("role_known") & ~pl.col("twin"))
    big = known.filter((pl.col("state") == "active") & pl.col("end_on").is_null()).select(
        "principal_id", big="a", big_role="role", assigned="place", big_condition="condition", big_id="id"
    )
    small = known.filter(pl.col("state") != "activated").select(
        "principal_id", "place", small="a", small_role="role", condition="condition", small_id="id"
    )
    no_more = pl.col("big_condition").is_null() | (pl.col("big_condition") == pl.col("condition")).fill_null(False)
    within = containing(small["place"], big["assigned"], tenant.tree).lazy()
    found = [
        part.lazy()
        .join(tenant.membership.lazy(), on="principal_id")
        .join(big.lazy(), left_on="holder", right_on="principal_id")
        .filter((pl.col("big") != pl.col("small")) & (pl.col("big_id") != pl.col("small_id")) & no_more)
        .join(within, on=["place", "assigned"], how="semi")
        .select("big", "small", "big_role", "small_role")
        .unique()
        .collect()
        for part in (small.slice(first, _AT_ONCE) for first in range(0, max(1, small.height), _AT_ONCE))
    ]
    return pl.concat(found)


def _contains(roles: dict[str, Permissions], big: str, small: str) -> bool:
    if big == small:
        return True
    # A role without patterns grants nothing, so any role contains it.
    nothing = read_permissions([])
    return contains(roles.get(big, nothing), roles.get(small, nothing)) is None
