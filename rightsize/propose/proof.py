"""The proof of each proposal: used ⊆ proposed ⊆ granted, decided on the roles as they will be written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.scoping import ScopeTree, containing
from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Proof
from rightsize.propose.reach import GRANTS_SCHEMA, Evaluator
from rightsize.rbac.algebra import contains

Blocks = tuple[PermissionBlock, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """One proposal, as what has to be proved of it.

    Attributes:
        name: What the proposal is recognised by.
        role: Key of the role that is replaced; None where what it grants is not known and nothing is assigned.
        place: Its folded scope.
        proposed: (key of a role, folded scope) that is assigned in its place.
        resting_on: (key of a role, folded scope) of assignments of today that stay and cover a part of the use.
    """

    name: str
    role: str | None
    place: str
    proposed: tuple[tuple[str, str], ...]
    resting_on: tuple[tuple[str, str], ...] = ()


def prove(
    claims: Sequence[Claim], uses: pl.DataFrame, roles: Mapping[str, Blocks], tree: ScopeTree
) -> dict[str, Proof]:
    """Prove every claim.

    Args:
        claims: What is to be proved.
        uses: Distinct `(claim, plane, operation, place)`, folded: what was used under what each claim replaces.
        roles: Permission blocks by the key of a role.
        tree: Management groups and subscriptions.
    """
    unproved = _first_by_claim(_uncovered(claims, uses, Evaluator(roles, tree)))
    is_within = _within(claims, tree)
    witnesses: dict[tuple[str, str], str | None] = {}
    proofs = {}
    for claim in claims:
        missing = unproved.get(claim.name)
        new = _new_grant(claim, roles, is_within, witnesses)
        proofs[claim.name] = Proof(missing is None, new is None, missing or new)
    return proofs


def _uncovered(claims: Sequence[Claim], uses: pl.DataFrame, evaluator: Evaluator) -> pl.DataFrame:
    rows = [
        (claim.name, place, role, "")
        for claim in claims
        for role, place in dict.fromkeys((*claim.proposed, *claim.resting_on))
    ]
    assigned = pl.DataFrame(rows, schema=GRANTS_SCHEMA, orient="row")
    names = pl.Series("claim", [claim.name for claim in claims], dtype=pl.String)
    asked = uses.filter(pl.col("claim").is_in(names.implode())).sort("claim", "plane", "operation", "place")
    asked = asked.with_row_index("use").rename({"claim": "holder"})
    allowed = evaluator.allowed(asked, assigned)["use"].unique()
    return asked.filter(~pl.col("use").is_in(allowed.implode()))


def _first_by_claim(uncovered: pl.DataFrame) -> dict[str, str]:
    first = uncovered.unique("holder", keep="first", maintain_order=True)
    return {
        name: f"{operation} ({plane}) at {place} was used and is not granted"
        for name, operation, plane, place in first.select("holder", "operation", "plane", "place").iter_rows()
    }


def _within(claims: Iterable[Claim], tree: ScopeTree) -> Callable[[str, str], bool]:
    pairs = {(place, claim.place) for claim in claims for _, place in claim.proposed}
    inner = pl.Series("place", sorted({place for place, _ in pairs}), dtype=pl.String)
    outer = pl.Series("assigned", sorted({place for _, place in pairs}), dtype=pl.String)
    found = set(containing(inner, outer, tree).select("place", "assigned").iter_rows())
    return lambda place, assigned: (place, assigned) in found


def _new_grant(
    claim: Claim,
    roles: Mapping[str, Blocks],
    is_within: Callable[[str, str], bool],
    witnesses: dict[tuple[str, str], str | None],
) -> str | None:
    """Return what a proposal would grant that is not granted today, or None."""
    for role, place in claim.proposed:
        if claim.role is None or claim.role not in roles:
            return "what is granted today is not known"
        if not is_within(place, claim.place):
            return f"{place} is not below {claim.place}"
        key = (claim.role, role)
        if key not in witnesses:
            found = contains(roles[claim.role], roles[role])
            witnesses[key] = None if found is None else f"{found.operation} ({found.plane}) is not granted today"
        if witnesses[key] is not None:
            return witnesses[key]
    return None
