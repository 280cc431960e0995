"""Find the known names nearest to a name that nothing knows."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

FEW = 3


def nearest(name: str, known: Iterable[str], few: int = FEW) -> list[str]:
    """Return the known names that are most like `name`, the most alike first; case does not matter."""
    spelled: dict[str, str] = {}
    for one in sorted(known):
        spelled.setdefault(one.lower(), one)
    return [spelled[one] for one in get_close_matches(name.lower(), spelled, few, 0.6)]


def nearest_operations(operation: str, known: Iterable[str]) -> list[str]:
    """Return the known operations that are most like one, of its provider where that is known."""
    provider = operation.partition("/")[0].lower()
    names = list(known)
    providers = {one.partition("/")[0].lower() for one in names}
    if provider not in providers:
        near = nearest(provider, providers, 1)
        provider = near[0] if near else ""
        operation = f"{provider}/{operation.partition('/')[2]}"
    return nearest(operation, (one for one in names if one.lower().startswith(f"{provider}/")))


def hint_of(found: list[str], otherwise: str) -> str:
    """Return the hint that names the nearest, or another one where nothing is near."""
    return "the nearest known are " + ", ".join(f"`{one}`" for one in found) if found else otherwise
