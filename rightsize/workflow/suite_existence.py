"""Count for each subscription of a suite tenant what listings and logs decide about resources, and what they do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from rightsize.analyze.reasons import Unused
from rightsize.analyze.verdicts.absence import NONE
from rightsize.analyze.verdicts.existence import states_of
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.demo.suite.model import SuiteTenant
from rightsize.rbac.text import fold


def existence_of(tenant: SuiteTenant, analysis: Analysis) -> list[dict[str, Any]]:
    """Return one row a subscription: its number of types by what is known, and of assignments that proofs judge.

    `judged` are assignments at or below the subscription whose operations on absent types are unused, and `waiting`
    those that are not judged since they may be for what has not come yet.
    """
    states: dict[str, Counter[tuple[str, str]]] = {}
    for node, state, reason in states_of(analysis.existence).select("node", "state", "reason").iter_rows():
        states.setdefault(node, Counter())[state, reason] += 1
    places = dict(analysis.tenant.assignments.select("a", "place").iter_rows())
    judged = [places[a] for a, absent in analysis.absences.of.select("a", "absent").iter_rows() if absent != NONE]
    waiting = [places[a] for a in analysis.absences.waiting["a"] if a in places]
    rows = []
    for one in tenant.subscriptions:
        node = fold(one.scope)
        found = states.get(node, Counter())
        by_state = {state: sum(number for key, number in found.items() if key[0] == state) for state, _ in found}
        unregistered = found["absent", Unused.PROVIDER_NOT_REGISTERED.value]
        why = sorted({reason for state, reason in found if state == "unknown" and reason not in _OF_TYPES})
        rows.append({
            "tenant": tenant.name,
            "subscription": one.name,
            "there": by_state.get("exists", 0) + by_state.get("existed", 0),
            "absent": by_state.get("absent", 0) - unregistered,
            "not registered": unregistered,
            "unknown": by_state.get("unknown", 0),
            "judged": _below(node, judged),
            "waiting": _below(node, waiting),
            "why": " ".join(why),
        })  # fmt: skip
    return rows


_OF_TYPES = ("named_only", "not_decidable")
"""Reasons that are about a type, not about a subscription."""


def _below(node: str, places: Iterable[str]) -> int:
    return sum(f"{place}/".startswith(f"{node}/") for place in places)
