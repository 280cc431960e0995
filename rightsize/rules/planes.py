"""The planes that an operation is known to be on: from its row in the catalogue, and from `dual_operations.csv`."""

from __future__ import annotations

from functools import cache

from rightsize.rbac.expand import Planes
from rightsize.rbac.permissions import PLANES
from rightsize.rbac.text import fold
from rightsize.rules.tables import rows_of


def planes_of(operation: str, *, is_data_action: bool | None) -> Planes:
    """Return the planes that an operation is known to be on, none where nobody knows.

    Args:
        operation: Its name.
        is_data_action: What ARM or a role says of it; None where nobody does, or where it is only a guess.
    """
    if fold(operation) in dual_operations():
        return PLANES
    return () if is_data_action is None else ("data",) if is_data_action else ("control",)


@cache
def dual_operations() -> frozenset[str]:
    """Return the folded operations that Azure has on both planes, whatever a catalogue with one row for each says."""
    return frozenset(fold(row["operation"]) for row in rows_of("dual_operations"))
