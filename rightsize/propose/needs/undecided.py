"""Say what cannot be decided of an assignment that is kept, by cause, and what would tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rightsize.analyze.reasons import OutOfCoverage, UnobservableReason, Verdict
from rightsize.model.plan_defaults import clause_of_tells

_NAMED = 3
"""Maximum number of causes that a reason names; the plan has all of them."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause why use cannot be decided: its name for counts, and what would tell; empty where nothing would."""

    name: str
    tells: str


CAUSES: Mapping[str, Cause] = {
    UnobservableReason.ARM_READ: Cause(
        "reads", "sign-in logs of the whole window, if they show no token for Azure Resource Manager"
    ),
    UnobservableReason.LINKED_CHECK: Cause("linked checks", "a complete inventory without a resource of their types"),
    UnobservableReason.DATA_ENDPOINT: Cause(
        "on endpoints of services", "a complete inventory without a resource of their types"
    ),
    UnobservableReason.NOT_KNOWN_TO_BE_LOGGED: Cause(
        "in no known log", "a complete inventory without a resource of their types"
    ),
    UnobservableReason.NO_DIAGNOSTIC_INVENTORY: Cause(
        "data actions without diagnostic settings loaded", "the diagnostic settings of the resources, and their logs"
    ),
    UnobservableReason.NO_DIAGNOSTIC_SETTING: Cause(
        "data actions on resources that log none", "a diagnostic setting for the data plane, and its log"
    ),
    UnobservableReason.NO_RESOURCE: Cause(
        "data actions without a known resource", "a complete inventory without a resource of their types"
    ),
    UnobservableReason.NO_RESOURCE_LOG: Cause(
        "of services without a log", "a complete inventory without a resource of their types"
    ),
    UnobservableReason.OWN_ROLES: Cause("of services with roles of their own", "the roles inside the service"),
    OutOfCoverage.DAYS_MISSING: Cause("on days without a log", "the log of the missing days"),
    OutOfCoverage.SCOPE_NOT_COVERED: Cause("at scopes without a log", "the Activity Log of every subscription below"),
    OutOfCoverage.SCOPE_TREE_UNKNOWN: Cause(
        "below an unknown scope", "a complete listing of management groups and subscriptions"
    ),
    OutOfCoverage.NO_LOG_LOADED: Cause("of a log that is not loaded", "the log that shows them"),
    OutOfCoverage.QUARANTINED: Cause("in quarantine", "a decision on the quarantine (`rightsize signals`)"),
    OutOfCoverage.USED_BEFORE_WINDOW: Cause("used before the window", "`--forget-days`"),
    OutOfCoverage.UNEXPLAINED_USE: Cause(
        "possible grants of an unexplained call", "a listing of the caller, its groups or the scope"
    ),
    OutOfCoverage.UNNAMED_OPERATION: Cause("on a type with an unnamed call", "the operation of that call"),
    OutOfCoverage.ROLE_DEFINITION_MISSING: Cause("of a role that is not loaded", "the role definition"),
    OutOfCoverage.NO_CATALOGUE: Cause("without a catalogue", "a catalogue of operations"),
    OutOfCoverage.NOT_IN_CATALOGUE: Cause("not in the catalogue", "a newer catalogue of operations"),
}
"""The causes of the verdicts on Azure roles."""


def count_causes(reasons: Mapping[tuple[str, str], int], mask: int, verdict: Verdict) -> dict[str, int]:
    """Return the number of operations of a set with a verdict, by its reason, the most first."""
    found = {reason: (members & mask).bit_count() for (said, reason), members in reasons.items() if said == verdict}
    return {reason: found[reason] for reason in sorted(found, key=lambda one: (-found[one], one)) if found[reason]}


def describe_causes(counts: Mapping[str, int]) -> str:
    """Return counts of causes in words: the most frequent ones, and the number of the others."""
    named = [f"{number} {cause_of(reason).name}" for reason, number in list(counts.items())[:_NAMED]]
    rest = sum(list(counts.values())[_NAMED:])
    return ", ".join([*named, *([f"{rest} others"] if rest else [])])


def what_would_tell(counts: Mapping[str, int]) -> list[str]:
    """Return what would decide the causes, in their order, each once."""
    return list(dict.fromkeys(tells for reason in counts if (tells := cause_of(reason).tells)))


def describe_tells(counts: Mapping[str, int]) -> str:
    """Return the clause that says what would tell; empty where nothing is undecided."""
    return clause_of_tells(what_would_tell(counts))


def cause_of(reason: str) -> Cause:
    """Return the cause of a reason; a word that no rule knows has its own name."""
    return CAUSES.get(reason) or Cause(reason.replace("_", " "), "")
