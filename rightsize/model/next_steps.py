"""Define the order in which the changes of a plan are best made: steps in waves, and what no role is made for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rightsize.model.proposal_kinds import ProposalKind

WAVES: Mapping[int, str] = {
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


@dataclass(frozen=True, slots=True)
class NextStep:
    """The change to one assignment of today, at its place in the order.

    Attributes:
        rank: Its place, from 1.
        wave: Its wave, a key of `WAVES`.
        plane: `azure_roles`, `directory` or `graph`.
        proposal: The id of its proposal.
        also: The ids of further proposals for the same assignment: parts that become eligible.
        together_with: The ids of proposals for other assignments that have to go in the same wave.
        principal_id: The holder.
        role: Today's role or permission.
        scope: Today's scope.
        kind: The kind of its proposal.
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


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An assignment that stays since a new role for it is not worth one.

    Attributes:
        proposal: The id of its proposal.
        principal_id: The holder.
        role: Its role.
        scope: Its scope.
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
        return {id_: step for step in self.steps for id_ in (step.proposal, *step.also)}

    def ranks(self) -> dict[str, int]:
        """Return the rank of each proposal that changes something, by its id."""
        return {id_: step.rank for id_, step in self.by_proposal().items()}
