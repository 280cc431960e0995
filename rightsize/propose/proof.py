"""Prove each proposal, used ⊆ proposed ⊆ granted, on the roles exactly as they will be written, and judge new roles.

What a platform lead would refuse is no role. The evidence of a new role has to show:

1. Something in it was used by a holder of it.
2. Every other string is used by others of its job, comes along with a used change by a rule that the evidence names,
   or stays undecided beside the holder's work, and says why.
3. Nothing is in it that only calls in quarantine used.
4. Against the best roles without it, it saves what is asked of a role; add-ons beside another new role keep risk apart.

The rules read the written evidence alone, so that `plan verify` asks the same of a plan that somebody else sends. Of
such a plan it also asks the logs in the store for each use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from rightsize.analyze.inputs import ScopeTree, containing
from rightsize.analyze.reasons import OutOfCoverage, UnobservableReason
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.plan import Proof
from rightsize.model.progress import step, through
from rightsize.model.text import Folded, fold
from rightsize.propose.core.role_catalog import RoleContent
from rightsize.propose.core.role_patterns import strings_of
from rightsize.propose.needs.assignments import last_of, lasts_as_long
from rightsize.propose.needs.needs import (
    ADOPTED,
    COMPANION,
    IMAGES_WORD,
    JOB,
    NOT_IN_CATALOGUE,
    ONE_READING,
    STATUS_READ,
    TOUCHED,
    USED,
    USED_BEFORE,
    USED_ELSEWHERE,
)
from rightsize.propose.needs.unlogged import NAMESPACE_READ, SIBLING_READ
from rightsize.propose.replay import GRANTS_SCHEMA, Evaluator
from rightsize.rbac.algebra import contains
from rightsize.rbac.conditions import unrestricted

Blocks = tuple[PermissionBlock, ...]
CLAIMS_AT_ONCE = 20_000
"""The number of claims in one part: the uses of each are copied, sorted and joined."""


@dataclass(frozen=True, slots=True)
class ProvedGrant:
    """An assignment in the form that the proof needs.

    Attributes:
        role: Key of the role.
        place: Its folded scope.
        member: Folded id of the one group member that it concerns; empty for all people that the claim concerns.
        state: `active` or `eligible`.
        condition: The condition of the assignment.
        end_on: The time when it ends, as `needs.assignments` writes it.
    """

    role: Folded
    place: str
    member: str = ""
    state: str = "active"
    condition: str | None = None
    end_on: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The statement to be proved of one proposal.

    Attributes:
        name: The name of the proposal in proofs.
        proposed: The assignments that replace an assignment of today.
        resting_on: The other assignments of its holders after the plan.
        today: The assignments of its holders today.
        conditions: The conditions under which all use of the assignment was allowed. A use has to be known to meet
            any other condition.
        end_on: The time when the replaced assignment ends; a grant that ends sooner covers no use.
        replaces: Key of the replaced role. A use that it allows by one reading only is covered by a role that allows
            it by the same reading.
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
    roles: Mapping[Folded, Blocks],
    tree: ScopeTree,
    requests: pl.DataFrame | None = None,
) -> dict[str, Proof]:
    """Return the proof of every claim by its name.

    Args:
        claims: The claims.
        uses: Distinct `(claim, principal_id, plane, operation, place)`, folded: the uses under the assignment that
            each claim replaces.
        roles: Permission blocks by the key of a role.
        tree: Management groups and subscriptions.
        requests: The requests of calls that assign roles, as `usage.read_role_requests` returns them.
    """
    evaluator = Evaluator(roles, tree) if requests is None else Evaluator(roles, tree, requests)
    unproved = _first_by_claim(_uncovered(claims, uses, evaluator))
    within, places = Containment(dict(roles)), _within(claims, tree)
    proofs = {}
    for claim in through(claims, "proving that nobody gets more", "assignments"):
        missing = unproved.get(claim.name)
        new = _new_grant(claim, within, places)
        proofs[claim.name] = Proof(missing is None, new is None, missing or new)
    return proofs


def _uncovered(claims: Sequence[Claim], uses: pl.DataFrame, evaluator: Evaluator) -> pl.DataFrame:
    """Return the uses that neither the proposed assignments of a claim nor its `resting_on` cover."""
    # Claims of one holder share one `resting_on` tuple. Its identity shows that, so its grants are checked once.
    shared = [f"{id(claim.resting_on)} {sorted(map(str, claim.conditions))} {claim.end_on}" for claim in claims]
    numbers = {key: str(number) for number, key in enumerate(dict.fromkeys(shared))}
    named = pl.DataFrame(
        {
            "claim": [claim.name for claim in claims],
            "shared": [numbers[key] for key in shared],
            "role": [claim.replaces for claim in claims],
        },
        schema={"claim": pl.String, "shared": pl.String, "role": pl.String},
    )
    proposed = [(claim.name, grant, claim) for claim in claims for grant in claim.proposed]
    first = {numbers[key]: claim for key, claim in zip(reversed(shared), reversed(claims), strict=True)}
    resting = [(number, grant, claim) for number, claim in sorted(first.items()) for grant in claim.resting_on]
    granted = {"claim": _assigned(proposed), "shared": _assigned(resting)}
    # A use is covered or not whatever the others are, so only uncovered ones of each part are kept.
    parts = list(named.iter_slices(CLAIMS_AT_ONCE)) or [named]
    step("proving that what was used stays")
    return pl.concat([_left_of(uses.join(part, on="claim"), granted, evaluator) for part in parts])


def _left_of(uses: pl.DataFrame, granted: Mapping[str, pl.DataFrame], evaluator: Evaluator) -> pl.DataFrame:
    """Return the uses that no grant covers, sorted; `granted` is by the column whose value begins their holder."""
    left = uses.sort("claim", "plane", "operation", "place", "principal_id")
    left = _resting_on(left, evaluator).with_row_index("use")
    for column, assigned in granted.items():
        for holder in (pl.col(column), pl.col(column) + " " + pl.col("principal_id")):
            allowed = evaluator.kept(left.with_columns(holder=holder), assigned)["use"].unique()
            left = left.filter(~pl.col("use").is_in(allowed.implode()))
    return left


def _resting_on(uses: pl.DataFrame, evaluator: Evaluator) -> pl.DataFrame:
    """Make of `role`, the replaced role, the column `by` for `Evaluator.kept`: it is null unless readings differ."""
    asked = uses.select("role", "plane", "operation").unique()
    doubtful = asked.filter(pl.Series([evaluator.is_doubtful(*row) for row in asked.iter_rows()], dtype=pl.Boolean))
    by = doubtful.with_columns(by=pl.concat_list("role"))
    return uses.join(by, on=["role", "plane", "operation"], how="left", maintain_order="left").drop("role")


def _assigned(grants: Iterable[tuple[str, ProvedGrant, Claim]]) -> pl.DataFrame:
    """Return grants as `GRANTS_SCHEMA`; the holder is the given name, followed by the one member concerned, if any."""
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


def _within(claims: Iterable[Claim], tree: ScopeTree) -> set[tuple[str, str]]:
    places = {grant.place for claim in claims for grant in claim.proposed}
    assigned = {held.place for claim in claims if claim.proposed for held in claim.today}
    inner = pl.Series("place", sorted(places), dtype=pl.String)
    outer = pl.Series("assigned", sorted(assigned), dtype=pl.String)
    return set(containing(inner, outer, tree).select("place", "assigned").iter_rows())


@dataclass(slots=True)
class Containment:
    """Answers whether roles of today together grant all that a role grants; each question is answered once.

    Attributes:
        roles: Permission blocks by id, also of the parts of roles that `held_role` made.
        answers: The answers that `beyond` has given.
    """

    roles: dict[Folded, Blocks]
    answers: dict[tuple[tuple[Folded, ...], Folded], str | None] = field(default_factory=dict)

    def beyond(self, big: Iterable[Folded], small: Folded) -> str | None:
        """Return an operation that the role `small` grants and the roles `big` together do not, or None."""
        key = (tuple(sorted(set(big))), small)
        if key not in self.answers:
            self.answers[key] = None if small in key[0] else self._beyond(*key)
        return self.answers[key]

    def _beyond(self, big: tuple[Folded, ...], small: Folded) -> str | None:
        wanted = self.roles.get(small, ())
        known = [self.roles.get(role, ()) for role in big]
        # One of the roles mostly contains the other, and a check against fewer blocks is faster.
        if any(contains(blocks, wanted) is None for blocks in known):
            return None
        found = contains([block for blocks in known for block in blocks], wanted)
        return None if found is None else f"{found.operation} ({found.plane})"

    def held_role(self, role: Folded, held: str | None, condition: str | None) -> Folded:
        """Return the role of an assignment of today, or the part of it that a planned assignment may rest on.

        Without the condition of today's assignment (`held`), that is what the condition never restricts.
        """
        if held in (None, condition):
            return role
        part = Folded(f"{role} outside {held}")
        if part not in self.roles:
            self.roles[part] = unrestricted(self.roles.get(role, ()), held)
        return part


def _new_grant(claim: Claim, within: Containment, places: Set[tuple[str, str]]) -> str | None:
    """Return a sentence that names access which a proposal would add to today's, or None.

    `places` has the pairs of a planned scope and a scope of today at or above it.
    """
    for grant in claim.proposed:
        held = [one for one in claim.today if (grant.place, one.place) in places and _permits(one, grant)]
        if not held:
            return f"nothing is granted today at {grant.place}"
        big = {within.held_role(one.role, one.condition, grant.condition) for one in held}
        if (beyond := within.beyond(big, grant.role)) is not None:
            return f"{beyond} is not granted today"
    return None


def _permits(held: ProvedGrant, grant: ProvedGrant) -> bool:
    """Return whether an assignment of today justifies a grant: for the same people, as active and as lasting."""
    return (
        held.member in ("", grant.member)
        and held.state in ("active", grant.state)
        and lasts_as_long(held.end_on, grant.end_on)
    )


_USED = frozenset({USED, USED_BEFORE, USED_ELSEWHERE, NOT_IN_CATALOGUE})
"""The words for use by a holder; a pattern stands for a used operation that the catalogue lacks."""
_COMPANIONS = frozenset(
    {SIBLING_READ, NAMESPACE_READ, STATUS_READ, TOUCHED, IMAGES_WORD, UnobservableReason.LINKED_CHECK.value}
)
"""The words that name the rule by which a string comes along with a used change."""
_UNDECIDED = frozenset(map(str, (*UnobservableReason, *OutOfCoverage))) - {OutOfCoverage.QUARANTINED.value}
"""The words for what stays undecided in part beside the work of a holder."""
_GIVEN = frozenset({JOB, COMPANION, ADOPTED, ONE_READING})
_CLOSE = 1e-6
"""How far two written shares may differ by rounding."""


def refused_roles(
    definitions: Mapping[Folded, RoleDefinition], evidence: Mapping[Folded, Mapping[str, Any]]
) -> dict[RoleContent, str]:
    """Return the contents of the new roles that may not be written, each with what speaks against it.

    Args:
        definitions: The roles, by id.
        evidence: Their evidence, by id.
    """
    found = {}
    for id_, role in sorted(definitions.items()):
        if fault := next(gate_faults(evidence[id_]), ""):
            found[RoleContent.of(role)] = fault
    return found


def gate_faults(evidence: Mapping[str, Any]) -> Iterator[str]:
    """Yield what speaks against a new role, as clauses, by its evidence as the plan has it."""
    actions: Sequence[Mapping[str, Any]] = evidence["actions"]
    if not any(_is_used(one) for one in actions):
        yield "nothing in it was used"
    present = {str(one["action"]): one for one in actions}
    for one in actions:
        fault = _fault_of(one, present)
        if fault:
            yield f"`{one['action']}` {fault}"
    yield from _worth_faults(evidence)


def _is_used(one: Mapping[str, Any]) -> bool:
    words = set(str(one["why"]).split())
    return bool(words & _USED) or any(_is_used(part) for part in one.get("stands_for", ()))


def _fault_of(one: Mapping[str, Any], present: Mapping[str, Mapping[str, Any]]) -> str:
    """Return why a string may not be in a role, or an empty text."""
    words = set(str(one["why"]).split())
    if words & _USED:
        return ""
    if words == {OutOfCoverage.QUARANTINED.value}:
        return "was used by calls in quarantine only"
    if not words & (_COMPANIONS | _UNDECIDED | _GIVEN):
        return "has no reason"
    if not one.get("meaning"):
        return "does not say why it stays"
    if JOB in words and not one.get("principals"):
        return "names nobody with the same job who used it"
    if COMPANION in words:
        brings = present.get(str(one.get("with")))
        if not one.get("rule") or brings is None or COMPANION in str(brings["why"]).split():
            return "names no change of the role and no rule that brings it along"
    return ""


def _worth_faults(evidence: Mapping[str, Any]) -> Iterator[str]:
    saves = evidence.get("saves")
    if saves is None:
        if not evidence.get("is_add_on"):
            yield "it does not say what it saves"
        return
    if saves["live"] < saves["least_live"] or saves["share"] < saves["least_share"] - _CLOSE:
        yield (
            f"it saves {saves['live']:,} of live excess and {saves['share']:.2%} of what one of its holders has; "
            f"it has to save {saves['least_live']:,} and {saves['least_share']:.0%}"
        )


@dataclass(frozen=True, slots=True)
class RoleFault:
    """What speaks against a new role of a plan: its folded id, and a clause."""

    role: Folded
    detail: str


def judge_roles(
    roles: Mapping[Folded, RoleDefinition], evidence: Mapping[Folded, Mapping[str, Any]], uses: pl.DataFrame
) -> tuple[RoleFault, ...]:
    """Return what speaks against the new roles; one without evidence is refused.

    Args:
        roles: The new roles, from their files.
        evidence: By id, their evidence as it was written, which somebody may have changed.
        uses: The use that counts, as `distinct_uses` returns it.
    """
    seen = set(uses.select("plane", "operation").unique().iter_rows())
    return tuple(
        RoleFault(id_, fault)
        for id_, role in sorted(roles.items())
        for fault in _faults_of_written(role, evidence.get(id_, {}), seen)
    )


def _faults_of_written(role: RoleDefinition, evidence: Mapping[str, Any], seen: set[tuple[str, str]]) -> Iterator[str]:
    try:
        yield from _string_faults(role, evidence, seen)
        yield from gate_faults(evidence)
    except (KeyError, TypeError, ValueError, AttributeError):
        yield "its evidence is not that of a role"


def _string_faults(role: RoleDefinition, evidence: Mapping[str, Any], seen: set[tuple[str, str]]) -> Iterator[str]:
    """Yield the strings of a role without evidence, and those whose use the store does not have."""
    why = {(one["plane"], fold(one["action"])): one["why"] for one in evidence["actions"]}
    for one in (one for block in role.permissions for one in strings_of(block)):
        if one.key not in why:
            yield f"`{one.text}` is not in its evidence"
        elif why[one.key] == USED and one.key not in seen and "*" not in one.text:
            yield f"`{one.text}` was not used, by the logs in the store"
