"""Sum the excess of a plan, and define the order in which its changes are best made: steps in waves.

*Latent* excess is on resource types that provably do not exist where they are granted; all other excess is *live*. What
stays *by design* no plan would change, whatever evidence comes: it is a part of `all_live`, the denominator of shares
that people see, and in no total of what a plan can remove.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rightsize.model.plan import PROPOSAL_KINDS, Proposal, ProposalKind


@dataclass(frozen=True, slots=True)
class Change:
    """An excess today and under a plan."""

    before: float = 0.0
    after: float = 0.0

    @property
    def removed(self) -> float:
        """Return the share that the plan removes, 0 where there is none."""
        return (self.before - self.after) / self.before if self.before else 0.0

    def as_json(self) -> dict[str, float]:
        """Return the numbers as `plan.json` has them."""
        return {"before": round(self.before, 4), "after": round(self.after, 4), "removed": round(self.removed, 4)}


@dataclass(frozen=True, slots=True)
class ExcessTotals:
    """The excess of all proposals for Azure roles.

    Attributes:
        live: On types that may exist, without what stays by design.
        latent: On types that provably do not exist there, without what stays by design.
        by_design: The excess, live and latent, of the assignments that stay by design.
        live_by_design: The live part of it.
        reasons: The number of these assignments for each reason word.
    """

    live: Change = Change()
    latent: Change = Change()
    by_design: float = 0.0
    live_by_design: float = 0.0
    reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def all_live(self) -> Change:
        """Return all live excess, with what stays by design: the one denominator of percentages for people."""
        return Change(self.live.before + self.live_by_design, self.live.after + self.live_by_design)

    def parts_of_live(self) -> dict[str, float]:
        """Return the shares of all live excess: `removed`, `by_design` and `left`; empty where there is no excess."""
        whole = self.all_live.before
        if not whole:
            return {}
        return {
            "removed": (self.live.before - self.live.after) / whole,
            "by_design": self.live_by_design / whole,
            "left": self.live.after / whole,
        }

    @property
    def share_by_design(self) -> float:
        """Return the share of today's excess that stays by design."""
        whole = self.live.before + self.latent.before + self.by_design
        return self.by_design / whole if whole else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the totals as `plan.json` has them."""
        return {
            "live": self.live.as_json(),
            "latent": self.latent.as_json(),
            "by_design": {
                "excess": round(self.by_design, 4),
                "share": round(self.share_by_design, 4),
                "assignments": sum(self.reasons.values()),
                "reasons": dict(sorted(self.reasons.items())),
            },
            "of_all_live": {name: round(share, 4) for name, share in self.parts_of_live().items()},
        }


def total_excess(proposals: Iterable[Proposal]) -> ExcessTotals:
    """Return the totals of proposals; those for other planes than Azure roles are left out."""
    return _totals((one.kind, one.excess_before, one.excess_after, one.evidence) for one in proposals if one.is_of_rbac)


def total_excess_of(documents: Iterable[Mapping[str, Any]]) -> ExcessTotals:
    """Return the totals of proposals as `plan.json` has them, all of them for Azure roles."""
    return _totals((one["kind"], one["excess_before"], one["excess_after"], one["evidence"]) for one in documents)


def latent_of(kind: str, evidence: Mapping[str, Any]) -> Change:
    """Return the latent excess of a proposal, from its evidence; a kept assignment keeps its own."""
    found = evidence.get("latent") or {}
    before = float(found.get("before", 0.0))
    return Change(before, before if PROPOSAL_KINDS[kind].keeps else float(found.get("after", 0.0)))


def _totals(rows: Iterable[tuple[str, float, float, Mapping[str, Any]]]) -> ExcessTotals:
    live, latent, by_design, live_by_design = [0.0, 0.0], [0.0, 0.0], 0.0, 0.0
    reasons: Counter[str] = Counter()
    for kind, before, after, evidence in rows:
        if evidence.get("by_design"):
            by_design += before
            live_by_design += max(0.0, before - latent_of(kind, evidence).before)
            reasons[str(evidence["by_design"])] += 1
            continue
        absent = latent_of(kind, evidence)
        latent = [latent[0] + absent.before, latent[1] + absent.after]
        live = [live[0] + max(0.0, before - absent.before), live[1] + max(0.0, after - absent.after)]
    return ExcessTotals(Change(*live), Change(*latent), by_design, live_by_design, reasons)


TODAY = 0
"""The wave of what gives the tenant away; it also has assignments that the plan keeps, as questions."""
WAVES: Mapping[int, str] = {
    TODAY: "today, what gives the tenant away",
    1: "orphans and duplicates",
    2: "removals that are proved unused",
    3: "the five that buy most",
    4: "the rest",
}
"""The names of the waves. Each plane has its own five that buy most."""


@dataclass(frozen=True, slots=True)
class Reached:
    """The number of people and of workloads that an assignment reaches: its holder, or the members of a group."""

    people: int = 0
    workloads: int = 0

    @property
    def all(self) -> int:
        """Return the number of both."""
        return self.people + self.workloads


@dataclass(frozen=True, slots=True, order=True)
class Danger:
    """Why an assignment gives the tenant away; sorted as the first wave is.

    Attributes:
        is_emergency: Whether its holder is an emergency access account, so that it stays.
        power: 1 is Global Administrator or can become it, 2 acts as anyone or assigns roles at the root, 3 assigns
            roles at a management group, 4 lets outsiders sign in to less.
        is_used: Whether a log shows a use.
        what: What its holder does with it, without a subject.
        owners: The owners of the application that holds it, who can sign in as it.
    """

    is_emergency: bool
    power: int
    is_used: bool
    what: str
    owners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NextStep:
    """The change to one assignment of today, at its place in the order; in the wave of today also one that stays.

    Attributes:
        rank: Its place, from 1.
        wave: Its wave, a key of `WAVES`.
        plane: `azure_roles`, `directory` or `graph`.
        also: The ids of further proposals for the same assignment: parts that become eligible.
        together_with: The ids of proposals for other assignments that have to go in the same wave.
        principal_id: The holder.
        role: Today's role or permission.
        scope: Today's scope.
        becomes: The roles that come, by id; permissions and directory roles by name.
        removes: The live excess that it removes, weighted by risk.
        latent: The latent excess that it removes, which counts in no share.
        share: Its share of the live excess that the plan can remove in its plane.
        total: The share of all steps up to this one, in its plane.
        new_roles: The ids of the new roles that it needs.
        makes_roles: Those of them that no earlier step makes.
        reached: The people and workloads that it touches.
        chance: The expected chance that it breaks something within 30 days.
        bound: The upper bound of that chance; None where the plan has none.
        reason: The reason, one clause.
        grant: The id of today's assignment.
        of_all: Its share of all live excess of its plane, with what the plan keeps.
        total_of_all: The same share of all steps up to this one.
        danger: Why it gives the tenant away; None where it does not.
    """

    rank: int
    wave: int
    plane: str
    proposal: str
    also: tuple[str, ...]
    together_with: tuple[str, ...]
    principal_id: str
    role: str
    scope: str
    kind: ProposalKind
    becomes: tuple[str, ...]
    removes: float
    latent: float
    share: float
    total: float
    new_roles: tuple[str, ...]
    makes_roles: tuple[str, ...]
    reached: Reached
    chance: float
    bound: float | None
    reason: str
    grant: str
    state: str
    of_all: float
    total_of_all: float
    danger: Danger | None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An assignment that stays since a new role for it is not worth one.

    Attributes:
        principal_id: The holder.
        excess: Its live excess: the most that a new role could free.
        saves: What a new role would save, and what is asked, in words.
    """

    proposal: str
    principal_id: str
    role: str
    scope: str
    excess: float
    saves: str


@dataclass(frozen=True, slots=True)
class NextSteps:
    """The changes of a plan in the order in which they are best made.

    Attributes:
        steps: Sorted by rank.
        left_out: What is not worth a role, the largest excess first.
        removable: The live excess that the plan can remove, by plane.
    """

    steps: tuple[NextStep, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    removable: Mapping[str, float] = field(default_factory=dict)

    def of_wave(self, wave: int) -> tuple[NextStep, ...]:
        """Return the steps of a wave."""
        return tuple(step for step in self.steps if step.wave == wave)

    def by_proposal(self) -> dict[str, NextStep]:
        """Return the step of each proposal that changes something, by its id."""
        return {id_: step for step in self.steps if step.kind.changes for id_ in (step.proposal, *step.also)}

    def ranks(self) -> dict[str, int]:
        """Return the rank of each proposal that changes something, by its id."""
        return {id_: step.rank for id_, step in self.by_proposal().items()}
