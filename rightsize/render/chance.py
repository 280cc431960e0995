"""Write the chance that a change breaks something: the expected chance, and its upper bound beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def bound_of(evidence: Mapping[str, Any]) -> float | None:
    """Return the upper bound of a proposal's chance of breaking something; None where its evidence has none."""
    bound = (evidence.get("break_probability") or {}).get("bound")
    return None if bound is None else float(bound)


def describe_chance(expected: float, evidence: Mapping[str, Any]) -> str:
    """Return such as `4.2 % (≤ 9.1 %)` for a proposal; without the bound where its evidence has none."""
    return chance_text(expected, bound_of(evidence))


def chance_text(expected: float, bound: float | None) -> str:
    """Return such as `4.2 % (≤ 9.1 %)`; without the bound where there is none."""
    return f"{100 * expected:.1f} %" + ("" if bound is None else f" (≤ {100 * bound:.1f} %)")
