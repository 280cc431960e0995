"""Refuse to judge Azure RBAC where what is loaded does not support it."""

from __future__ import annotations

from rightsize.analyze.inputs import Inputs
from rightsize.model.errors import EvidenceError


def has_rbac(inputs: Inputs) -> bool:
    """Return whether any data about Azure RBAC is loaded."""
    return not (inputs.role_assignments.is_empty() and inputs.usage_days.is_empty())


def require_rbac(inputs: Inputs) -> None:
    """Raise EvidenceError where no data about Azure RBAC is loaded.

    Raises:
        EvidenceError: There is none.
    """
    if not has_rbac(inputs):
        raise EvidenceError(
            "neither assignments nor use are loaded",
            hint="load an export of role assignments and one of the Activity Log: `rightsize load PATH`",
        )


def require_catalogue(inputs: Inputs) -> None:
    """Raise EvidenceError where no catalogue of operations is loaded.

    Raises:
        EvidenceError: There is none.
    """
    if inputs.operations.is_empty():
        raise EvidenceError(
            "no catalogue of operations is loaded, so the operations that a role grants are unknown",
            hint="export one with `az provider operation list -o json > operations.json`, then "
            "`rightsize catalog import operations.json`",
        )
