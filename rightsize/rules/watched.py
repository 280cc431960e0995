"""What a watch tells of the logs: the operations that give, take or change access, and how much that weighs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rightsize.rbac.text import fold
from rightsize.rules.tables import rows_of

SEVERITIES = ("low", "medium", "high", "critical")


@dataclass(frozen=True, slots=True)
class Watched:
    """One operation that is told: `kind` of change, `severity` as a word of `SEVERITIES`, `what` in the past tense."""

    kind: str
    severity: str
    what: str


def watched_operations() -> Mapping[str, Watched]:
    """Return the rules by folded operation."""
    return {fold(row["operation"]): Watched(row["kind"], row["severity"], row["what"]) for row in rows_of("watched")}


def through_privileged_access(operation: str) -> bool:
    """Return whether an operation, folded, is a request to Privileged Identity Management by itself."""
    return operation.endswith("schedulerequests/write")
