"""Read the operations that `watch` reports: those that grant, remove or change access, each with a severity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rightsize.rbac.text import fold
from rightsize.rules.tables import rows_of

SEVERITIES = ("low", "medium", "high", "critical")


@dataclass(frozen=True, slots=True)
class Watched:
    """A reported operation: `kind` of change, `severity` as a word of `SEVERITIES`, `what` in the past tense."""

    kind: str
    severity: str
    what: str


def watched_operations() -> Mapping[str, Watched]:
    """Return the rules by folded operation."""
    return {fold(row["operation"]): Watched(row["kind"], row["severity"], row["what"]) for row in rows_of("watched")}


def through_privileged_access(operation: str) -> bool:
    """Return whether a folded operation is itself a request to Privileged Identity Management."""
    return operation.endswith("schedulerequests/write")
