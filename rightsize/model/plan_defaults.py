"""Leave out of a proposal in `plan.json` what goes without saying, and fill it in again: writer and readers share this.

The JSON Schema of `plan.json` has the same defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NUMBERS = ("break_probability_30d", "excess_before", "excess_after", "risk_before", "risk_after")
_PROOF: Mapping[str, Any] = {"used_subset": True, "granted_superset": True, "witness": None, "tomorrow": []}
_PLACE: Mapping[str, Any] = {"condition": None, "state": "active"}
_PLANE, _STATE = "control", "active"


def shortened(proposal: Mapping[str, Any]) -> dict[str, Any]:
    """Return a whole proposal without what `filled` fills in."""
    numbers = {name: _short(proposal[name]) for name in _NUMBERS if proposal[name] != 0}
    proof = {name: value for name, value in proposal["proof"].items() if value != _PROOF[name]}
    evidence = proposal["evidence"]
    shorter = {
        **({} if proposal["plane"] == _PLANE else {"plane": proposal["plane"]}),
        "assignments": [_shortened_place(one, proposal) for one in proposal["assignments"]],
        "evidence": {name: value for name, value in evidence.items() if (name, value) != ("state", _STATE)},
        **({"proof": proof} if proof else {}),
        **numbers,
    }
    every = (*_NUMBERS, "plane", "proof")
    return {name: shorter.get(name, value) for name, value in proposal.items() if name in shorter or name not in every}


def filled(proposal: Mapping[str, Any]) -> dict[str, Any]:
    """Return a proposal of `plan.json` as a whole; a value of the wrong type stays as it is, for a check to find."""
    found = {"plane": _PLANE, **dict.fromkeys(_NUMBERS, 0.0), **proposal}
    for name in _NUMBERS:
        if type(found[name]) is int and abs(found[name]) < 2**53:
            found[name] = float(found[name])
    proof = found.get("proof", {})
    if isinstance(proof, dict):
        found["proof"] = {**_PROOF, "tomorrow": [], **proof}
    if isinstance(found.get("evidence"), dict):
        found["evidence"] = {"state": _STATE, **found["evidence"]}
    if isinstance(found.get("assignments"), list):
        today = _of_today(found)
        found["assignments"] = [
            {**today, **_PLACE, **one} if isinstance(one, dict) else one for one in found["assignments"]
        ]
    return found


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
