"""Leave out of a proposal in `plan.json` what goes without saying, and fill it in again: writer and readers share this.

The JSON Schema of `plan.json` has the same defaults. What many proposals would repeat, the plan says once. What a
proposal for Azure roles says of today's grant stands in tables of evidence (`analyze.plan_evidence` reads it back).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rightsize.model.plan import PLANES_BEYOND
from rightsize.model.plan_evidence import GRANTS, KEPT_UNSEEN, REMOVED
from rightsize.model.proposal_kinds import PROPOSAL_KINDS

_NUMBERS = ("break_probability_30d", "excess_before", "excess_after", "risk_before", "risk_after")
_STATE = "active"
_NAMED = 3
"""The largest number of things that would tell that a reason names."""
_DETAILS = re.compile(r": |; ")
"""Where the details begin in the reason of an assignment that stays."""
_USUAL = re.compile(r"( operations at [\d,]+ scopes?|, and the logs would have shown it)$")
"""The usual ends of the reason of a change, which the rest of its line implies."""
IN_TABLES = frozenset({one.name for one in GRANTS.columns} | {"latent", KEPT_UNSEEN, REMOVED, "break_probability"})
"""The keys of the evidence of a proposal for Azure roles that stand in tables."""
_OF_GRANT = ("role", "scope")


@dataclass(frozen=True, slots=True)
class SaidOnce:
    """The facts that a plan states once for all its proposals.

    Attributes:
        grows: Why an assigned role may come to grant more, by role.
    """

    grows: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> SaidOnce:
        """Return what a document of `plan.json` says once; whatever is no text is left out."""
        return cls(_texts(document.get("grows")))

    def tomorrow(self, assignments: Sequence[Any]) -> list[dict[str, str]]:
        """Return the roles of assignments that may come to grant more."""
        roles = {str(one.get("role")) for one in assignments if isinstance(one, dict)}
        return [{"role": role, "because": self.grows[role]} for role in sorted(roles & self.grows.keys())]


def clause_of_tells(tells: Iterable[str]) -> str:
    """Return the end of a reason that says what would tell; empty where nothing would."""
    named = list(dict.fromkeys(tells))[:_NAMED]
    return f"; what would tell: {', or '.join(named)}" if named else ""


def _texts(value: object) -> dict[str, str]:
    found = value if isinstance(value, dict) else {}
    return {name: text for name, text in found.items() if isinstance(text, str)}


def short_reason(kind: str, reason: str) -> str:
    """Return the beginning of a reason that stands in `plan.json`: `cannot narrow`, or `keeps 4 of 28`."""
    if PROPOSAL_KINDS[kind].keeps:
        return _DETAILS.split(reason, maxsplit=1)[0]
    return _USUAL.sub("", reason)


def shortened(proposal: Mapping[str, Any], once: SaidOnce) -> dict[str, Any]:
    """Return a whole proposal without what `filled` fills in and what tables of evidence have.

    What programs read of every proposal stays: its plane, assignments, proof and numbers. For a person, the beginning
    of the reason stays, and today's role and scope where access goes and nothing takes its place.
    """
    proof, evidence, reason = dict(proposal["proof"]), proposal["evidence"], proposal["reason"]
    if proof["tomorrow"] == once.tomorrow(proposal["assignments"]):
        del proof["tomorrow"]
    left_out: Collection[str] = ()
    if proposal["plane"] not in PLANES_BEYOND:
        reason = short_reason(proposal["kind"], reason)
        goes = not proposal["assignments"] and PROPOSAL_KINDS[proposal["kind"]].changes
        left_out = IN_TABLES - {"state", *(_OF_GRANT if goes else ())}
    said = {name: value for name, value in evidence.items() if name not in left_out}
    if said.get("state") == _STATE:
        del said["state"]
    return {
        **proposal,
        "reason": reason,
        "evidence": said,
        "proof": proof,
        **{name: _short(proposal[name]) for name in _NUMBERS},
    }


def filled(proposal: Mapping[str, Any], once: SaidOnce) -> dict[str, Any]:
    """Return a proposal of `plan.json` with its defaults; a value of the wrong type stays, for a check to find.

    What stands in tables of evidence is not filled in.
    """
    found = dict(proposal)
    for name in _NUMBERS:
        if type(found.get(name)) is int and abs(found[name]) < 2**53:
            found[name] = float(found[name])
    proof, assignments = found.get("proof"), found.get("assignments")
    if isinstance(proof, dict):
        tomorrow = once.tomorrow(assignments if isinstance(assignments, list) else ())
        found["proof"] = {"tomorrow": tomorrow, **proof}
    if isinstance(found.get("evidence"), dict):
        found["evidence"] = {"state": _STATE, **found["evidence"]}
    return found


def _short(number: float) -> float:
    """Return a whole number as such: `12` in place of `12.0`."""
    return int(number) if isinstance(number, float) and number.is_integer() and abs(number) < 2**53 else number
