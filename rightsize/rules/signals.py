"""Read the states of alerts and risk signals, and which recommendations of other tools are about the use of access.

The rows of `signal_states.csv` name the field and the word, each with its source. A signal that no person dismissed
stays open.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache

from rightsize.rbac.text import fold
from rightsize.rules.tables import rows_of


@cache
def words_that_mean(meaning: str, field: str) -> tuple[str, ...]:
    """Return the folded words of a field with a meaning: `open`, `confirmed` or `dismissed`."""
    return tuple(
        fold(row["word"]) for row in rows_of("signal_states") if row["field"] == field and row["means"] == meaning
    )


def is_dismissed(status: str, classification: str) -> bool | None:
    """Return True for an alert or incident that people dismissed, False for a confirmed one, None for others."""
    if fold(classification) in words_that_mean("confirmed", "classification"):
        return False
    dismissed = fold(classification) in words_that_mean("dismissed", "classification")
    return True if dismissed or fold(status) in words_that_mean("dismissed", "alert_status") else None


@cache
def window_of(kind: str, basis: str) -> tuple[int, int] | None:
    """Return the hours before and after a signal of a kind in which calls are suspect; None without a rule.

    `basis` is `principal`, or `address` for calls from an address that the signal names.
    """
    for row in rows_of("signal_windows"):
        if (row["kind"], row["basis"]) == (kind, basis):
            return int(row["before_hours"]), int(row["after_hours"])
    return None


def says_of(key: str, title: str) -> str | None:
    """Return `overprovisioned` or `inactive` for a recommendation about identities, None for another one."""
    for row in rows_of("tool_recommendations"):
        if (row["key"] and row["key"] == fold(key)) or fnmatchcase(fold(title), row["title"]):
            return row["says"]
    return None
