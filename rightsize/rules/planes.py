"""Find the known planes of an operation, from its row in the catalogue and from `dual_operations.csv`."""

from __future__ import annotations

from functools import cache

from rightsize.rbac.expand import Planes
from rightsize.rbac.permissions import PLANES
from rightsize.rbac.text import fold
from rightsize.rules.tables import rows_of


def planes_of(operation: str, *, is_data_action: bool | None) -> Planes:
    """Return the known planes of an operation; empty if they are unknown.

    Args:
        operation: Its name.
        is_data_action: The statement of ARM or of a role; None if there is none, or only a guess.
    """
    if fold(operation) in dual_operations():
        return PLANES
    return () if is_data_action is None else ("data",) if is_data_action else ("control",)


@cache
def dual_operations() -> frozenset[str]:
    """Return the folded operations that exist on both planes, although a catalogue has only one row for each."""
    return frozenset(fold(row["operation"]) for row in rows_of("dual_operations"))
