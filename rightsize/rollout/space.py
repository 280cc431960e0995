"""Compute how many bytes the journal of a bundle takes at most, the rollback included."""

from __future__ import annotations

import json
from dataclasses import asdict

from rightsize.rollout.bundle import Bundle, Held, Swap

_LINE = 640
"""Bytes of a line without its data: names of fields, ids, a time, two hashes."""
_LINES_A_SWAP, _LINES_AN_ASSIGNMENT, _LINES_A_ROLE = 12, 6, 6
_REASON = 2_048
"""Bytes of Azure's text on a refusal, cut at 300 characters of up to six bytes each."""
_RULES = 65_536
"""Bytes of a role's rules in Privileged Identity Management, which no bundle has."""
_SET_BY_AZURE = 4_096
"""Bytes that Azure adds to a definition or an assignment (who made it and when)."""


def room_for(bundle: Bundle) -> int:
    """Return the number of bytes to reserve for the journal of a bundle."""
    return sum(_of_swap(swap, bundle) for swap in bundle.swaps) + 2 * _LINE


def _of_swap(swap: Swap, bundle: Bundle) -> int:
    held = [*swap.creates, *swap.removes]
    lines = _LINES_A_SWAP + _LINES_AN_ASSIGNMENT * len(held) + _LINES_A_ROLE * len(swap.roles)
    old = {one.role for one in swap.removes} & bundle.old_roles.keys()
    definitions = sum(2 * _size(bundle.old_roles[role]) + _SET_BY_AZURE + 3 * _LINE for role in old)
    kept = sum(_of_held(one) for one in held)
    return lines * _LINE + definitions + kept + len(swap.rules) * (_RULES + 4 * _LINE) + 4 * _REASON


def _of_held(one: Held) -> int:
    return 2 * _size(asdict(one)) + 4 * len(one.scope) + _SET_BY_AZURE


def _size(document: object) -> int:
    return len(json.dumps(document, ensure_ascii=True))
