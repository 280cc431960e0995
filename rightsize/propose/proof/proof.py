"""The proof of each proposal: used ⊆ proposed ⊆ granted, decided on the roles as they will be written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from rightsize.analyze.scoping import ScopeTree, containing
from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Proof
from rightsize.propose.core.expiry import last_of, lasts_as_long
from rightsize.propose.proof.access_evaluator import GRANTS_SCHEMA, Evaluator
from rightsize.rbac.algebra import contains

Blocks = tuple[PermissionBlock, ...]


@dataclass(frozen=True, slots=True)
class ProvedGrant:
    """An assignment as a proof sees it.

    Attributes:
        role: Key of the role.
        place: Its folded scope.
        member: Folded id of the one member of a group that it concerns; empty for everybody whom the claim concerns.
        state: `active` or `eligible`.
        condition: The condition of the assignment.
        end_on: When it ends, as `ends` has it.
    """

    role: str
    place: str
    member: str = ""
    state: str = "active"
    condition: str | None = None
    end_on: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """One proposal, as what has to be proved of it.

    Attributes:
        name: What the proposal is recognised by.
        proposed: What is assigned in place of an assignment of today.
        resting_on: What else its holders have after the plan.
        today: What its holders have today.
        conditions: Those under which all use of the assignment was allowed; a grant under another one covers none.
        end_on: When what is replaced ends; a grant that ends sooner covers no use.
        replaces: Key of the role that is replaced: what it allows by one reading only is covered by what does alike.
    """

    name: str
    proposed: tuple[ProvedGrant, ...]
    resting_on: tuple[ProvedGrant, ...] = ()
    today: tuple[ProvedGrant, ...] = ()
    conditions: frozenset[str | None] = frozenset([None])
    end_on: str | None = None
    replaces: str = ""


def prove(
    claims: Sequence[Claim],
    uses: pl.DataFrame,
    roles: Mapping[str, Blocks],
    tree: ScopeTree,
    requests: pl.DataFrame | None = None,
) -> dict[str, Proof]:
    """Prove every claim.

    Args:
        claims: What is to be proved.
        uses: Distinct `(claim, principal_id, plane, operation, place)`, folded: what was used by whom under what each
            claim replaces.
        roles: Permission blocks by the key of a role.
        tree: Management groups and subscriptions.
        requests: What calls that assign roles asked for, as `role_requests.read_role_requests` returns it.
    """
    evaluator = Evaluator(roles, tree) if requests is None else Evaluator(roles, tree, requests)
    unproved = _first_by_claim(_uncovered(claims, uses, evaluator))
    judge = _Judge(roles, _within(claims, tree))
    proofs = {}
    for claim in claims:
        missing = unproved.get(claim.name)
        new = judge.new_grant(claim)
        proofs[claim.name] = Proof(missing is None, new is None, missing or new)
    return proofs


def _uncovered(claims: Sequence[Claim], uses: pl.DataFrame, evaluator: Evaluator) -> pl.DataFrame:
    """Return the uses that neither what a claim proposes nor what else it rests on covers."""
    # Claims of one holder rest on the same, and each would say all of it again; the tuple tells that by being the same.
    shared = [f"{id(claim.resting_on)} {sorted(map(str, claim.conditions))} {claim.end_on}" for claim in claims]
    numbers = {key: str(number) for number, key in enumerate(dict.fromkeys(shared))}
    named = pl.DataFrame(
        {"claim": [claim.name for claim in claims], "shared": [numbers[key] for key in shared]},
        schema={"claim": pl.String, "shared": pl.String},
    )
    left = uses.join(named, on="claim").sort("claim", "plane", "operation", "place", "principal_id")
    left = _resting_on(left, claims, evaluator).with_row_index("use")
    proposed = [(claim.name, grant, claim) for claim in claims for grant in claim.proposed]
    first = {numbers[key]: claim for key, claim in zip(reversed(shared), reversed(claims), strict=True)}
    resting = [(number, grant, claim) for number, claim in sorted(first.items()) for grant in claim.resting_on]
    for column, grants in (("claim", proposed), ("shared", resting)):
        assigned = _assigned(grants)
        for holder in (pl.col(column), pl.col(column) + " " + pl.col("principal_id")):
            allowed = evaluator.kept(left.with_columns(holder=holder), assigned)["use"].unique()
            left = left.filter(~pl.col("use").is_in(allowed.implode()))
    return left


def _resting_on(uses: pl.DataFrame, claims: Sequence[Claim], evaluator: Evaluator) -> pl.DataFrame:
    """Add `by` as `Evaluator.kept` takes it: the role that a claim replaces, where it allows the use by one reading."""
    schema = {"claim": pl.String, "role": pl.String}
    replaced = pl.DataFrame([(one.name, one.replaces) for one in claims], schema=schema, orient="row")
    asked = uses.join(replaced, on="claim").select("role", "plane", "operation").unique()
    doubtful = asked.filter(pl.Series([evaluator.is_doubtful(*row) for row in asked.iter_rows()], dtype=pl.Boolean))
    by = doubtful.with_columns(by=pl.concat_list("role"))
    named = uses.join(replaced, on="claim", maintain_order="left")
    return named.join(by, on=["role", "plane", "operation"], how="left", maintain_order="left").drop("role")


def _assigned(grants: Iterable[tuple[str, ProvedGrant, Claim]]) -> pl.DataFrame:
    """Return grants as the evaluator takes them; the holder is a name, with the one member that it concerns."""
    rows = [
        (
            f"{name} {grant.member}".rstrip(),
            grant.place,
            grant.role,
            "",
            None if grant.condition in claim.conditions else grant.condition,
            last_of(grant.end_on),
        )
        for name, grant, claim in grants
        if lasts_as_long(grant.end_on, claim.end_on)
    ]
    return pl.DataFrame(rows, schema=GRANTS_SCHEMA, orient="row")


def _first_by_claim(uncovered: pl.DataFrame) -> dict[str, str]:
    first = uncovered.unique("claim", keep="first", maintain_order=True)
    return {
        name: f"{operation} ({plane}) at {place} was used and is not granted"
        for name, operation, plane, place in first.select("claim", "operation", "plane", "place").iter_rows()
    }


def _within(claims: Iterable[Claim], tree: ScopeTree) -> Callable[[str, str], bool]:
    places = {grant.place for claim in claims for grant in claim.proposed}
    assigned = {held.place for claim in claims if claim.proposed for held in claim.today}
    inner = pl.Series("place", sorted(places), dtype=pl.String)
    outer = pl.Series("assigned", sorted(assigned), dtype=pl.String)
    found = set(containing(inner, outer, tree).select("place", "assigned").iter_rows())
    return lambda place, assigned: (place, assigned) in found


@dataclass(slots=True)
class _Judge:
    roles: Mapping[str, Blocks]
    is_within: Callable[[str, str], bool]
    _witnesses: dict[tuple[tuple[str, ...], str], str | None] = field(default_factory=dict)

    def new_grant(self, claim: Claim) -> str | None:
        """Return what a proposal would grant that is not granted today, or None."""
        for grant in claim.proposed:
            held = [one for one in claim.today if self.is_within(grant.place, one.place) and _permits(one, grant)]
            if not held:
                return f"nothing is granted today at {grant.place}"
            key = tuple(sorted({one.role for one in held})), grant.role
            if key not in self._witnesses:
                self._witnesses[key] = self._witness(*key)
            if self._witnesses[key] is not None:
                return self._witnesses[key]
        return None

    def _witness(self, held: tuple[str, ...], role: str) -> str | None:
        if role in held:
            return None
        # A single role mostly suffices, and the fewer blocks the quicker the answer.
        known = [self.roles[one] for one in held if one in self.roles]
        if any(contains(blocks, self.roles[role]) is None for blocks in known):
            return None
        found = contains(tuple(block for blocks in known for block in blocks), self.roles[role])
        return None if found is None else f"{found.operation} ({found.plane}) is not granted today"


def _permits(held: ProvedGrant, grant: ProvedGrant) -> bool:
    """Return whether what is held today may stand behind a grant: no less standing or lasting, no more conditional."""
    return (
        held.member in ("", grant.member)
        and held.state in ("active", grant.state)
        and held.condition in (None, grant.condition)
        and lasts_as_long(held.end_on, grant.end_on)
    )
