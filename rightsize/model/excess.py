"""Sum the excess of a plan: live, latent, and what stays by design, each for itself.

*Latent* excess is on resource types that provably do not exist where they are granted; all other excess is *live*. What
stays *by design* no plan would change, whatever evidence comes: it is in no denominator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rightsize.model.plan import Proposal
from rightsize.model.proposal_kinds import PROPOSAL_KINDS


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
        reasons: The number of these assignments for each reason word.
    """

    live: Change = Change()
    latent: Change = Change()
    by_design: float = 0.0
    reasons: Mapping[str, int] = field(default_factory=dict)

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
    live, latent, by_design = [0.0, 0.0], [0.0, 0.0], 0.0
    reasons: Counter[str] = Counter()
    for kind, before, after, evidence in rows:
        if evidence.get("by_design"):
            by_design += before
            reasons[str(evidence["by_design"])] += 1
            continue
        absent = latent_of(kind, evidence)
        latent = [latent[0] + absent.before, latent[1] + absent.after]
        live = [live[0] + max(0.0, before - absent.before), live[1] + max(0.0, after - absent.after)]
    return ExcessTotals(Change(*live), Change(*latent), by_design, reasons)
