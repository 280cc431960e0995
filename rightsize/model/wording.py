"""Write numbers of things for people."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: `1 role`, `2,000 roles`; `many` is for a plural without an `s` at its end."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
