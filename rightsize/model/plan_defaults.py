"""Leave out of a proposal in `plan.json` what goes without saying, and fill it in again: writer and readers share this.

The JSON Schema of `plan.json` has the same defaults. What many proposals would repeat, the plan says once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_NUMBERS = ("break_probability_30d", "excess_before", "excess_after", "risk_before", "risk_after")
_BEFORE = {"excess_after": "excess_before", "risk_after": "risk_before"}
_PROOF: Mapping[str, Any] = {"used_subset": True, "granted_superset": True, "witness": None, "tomorrow": []}
_PLACE: Mapping[str, Any] = {"condition": None, "state": "active"}
_PLANE, _STATE = "control", "active"
_NAMED = 3
"""The largest number of things that would tell that a reason names."""
_TOLD = "; what would tell: see `would_tell`"
"""The end of a reason in `plan.json` for the words that the plan has under `would_tell`."""


@dataclass(frozen=True, slots=True)
class SaidOnce:
    """What a plan says once for all proposals.

    Attributes:
        grows: Why an assigned role may come to grant more, by role.
        would_tell: What would decide the use that kept assignments leave undecided, by the words of `kept_unseen`.
    """

    grows: Mapping[str, str] = field(default_factory=dict)
    would_tell: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> SaidOnce:
        """Return what a document of `plan.json` says once; whatever is no text is left out."""
        return cls(*(_texts(document.get(name)) for name in ("grows", "would_tell")))

    def tomorrow(self, assignments: Sequence[Any]) -> list[dict[str, str]]:
        """Return the roles of assignments that may come to grant more."""
        roles = {str(one.get("role")) for one in assignments if isinstance(one, dict)}
        return [{"role": role, "because": self.grows[role]} for role in sorted(roles & self.grows.keys())]

    def tells(self, words: Iterable[str]) -> str:
        """Return the end of a reason: what would decide these words of `kept_unseen`."""
        return clause_of_tells(self.would_tell[word] for word in words if word in self.would_tell)


def clause_of_tells(tells: Iterable[str]) -> str:
    """Return the end of a reason that says what would tell; empty where nothing would."""
    named = list(dict.fromkeys(tells))[:_NAMED]
    return f"; what would tell: {', or '.join(named)}" if named else ""


def _texts(value: object) -> dict[str, str]:
    found = value if isinstance(value, dict) else {}
    return {name: text for name, text in found.items() if isinstance(text, str)}


def shortened(proposal: Mapping[str, Any], once: SaidOnce) -> dict[str, Any]:
    """Return a whole proposal without what `filled` fills in."""
    numbers = {name: _short(proposal[name]) for name in _NUMBERS if proposal[name] != _usual(name, proposal)}
    usual = {**_PROOF, "tomorrow": once.tomorrow(proposal["assignments"])}
    proof = {name: value for name, value in proposal["proof"].items() if value != usual[name]}
    evidence, reason = proposal["evidence"], proposal["reason"]
    told = once.tells(evidence.get("kept_unseen", ()))
    shorter = {
        "reason": reason.removesuffix(told) + _TOLD if told and reason.endswith(told) else reason,
        **({} if proposal["plane"] == _PLANE else {"plane": proposal["plane"]}),
        "assignments": [_shortened_place(one, proposal) for one in proposal["assignments"]],
        "evidence": {name: value for name, value in evidence.items() if (name, value) != ("state", _STATE)},
        **({"proof": proof} if proof else {}),
        **numbers,
    }
    every = (*_NUMBERS, "plane", "proof")
    return {name: shorter.get(name, value) for name, value in proposal.items() if name in shorter or name not in every}


def filled(proposal: Mapping[str, Any], once: SaidOnce) -> dict[str, Any]:
    """Return a proposal of `plan.json` as a whole; a value of the wrong type stays as it is, for a check to find."""
    found = {"plane": _PLANE, **{name: _usual(name, proposal) for name in _NUMBERS}, **proposal}
    for name in _NUMBERS:
        if type(found[name]) is int and abs(found[name]) < 2**53:
            found[name] = float(found[name])
    proof, assignments, reason = found.get("proof", {}), found.get("assignments"), found.get("reason")
    if isinstance(proof, dict):
        tomorrow = once.tomorrow(assignments if isinstance(assignments, list) else ())
        found["proof"] = {**_PROOF, "tomorrow": tomorrow, **proof}
    if isinstance(found.get("evidence"), dict):
        found["evidence"] = {"state": _STATE, **found["evidence"]}
        kept = found["evidence"].get("kept_unseen")
        if isinstance(reason, str) and reason.endswith(_TOLD) and isinstance(kept, dict):
            found["reason"] = reason.removesuffix(_TOLD) + once.tells(kept)
    if isinstance(assignments, list):
        today = _of_today(found)
        found["assignments"] = [{**today, **_PLACE, **one} if isinstance(one, dict) else one for one in assignments]
    return found


def _usual(name: str, proposal: Mapping[str, Any]) -> Any:
    """Return the value of a number that is left out: 0, and after a `keep` what was before."""
    before = _BEFORE.get(name) if proposal.get("kind") == "keep" else None
    return proposal.get(before, 0.0) if before else 0.0


def _of_today(proposal: Mapping[str, Any]) -> dict[str, Any]:
    """Return scope and holder of the grant of today: those of a new assignment that names no others."""
    evidence, holders = proposal.get("evidence"), proposal.get("principal_ids")
    today = {"scope": evidence["scope"]} if isinstance(evidence, dict) and "scope" in evidence else {}
    return today | ({"principal_id": holders[0]} if isinstance(holders, list) and len(holders) == 1 else {})


def _shortened_place(one: Mapping[str, Any], proposal: Mapping[str, Any]) -> dict[str, Any]:
    known = {**_of_today(proposal), **_PLACE}
    return {name: value for name, value in one.items() if name not in known or value != known[name]}


def _short(number: float) -> float:
    """Return a whole number as such: `12` in place of `12.0`."""
    return int(number) if isinstance(number, float) and number.is_integer() and abs(number) < 2**53 else number
