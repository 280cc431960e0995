"""State the reasons for which an assignment stays, and the causes why use cannot be decided, each with its sentence.

No evidence would make a plan change what stays by design. Each of these reasons has what would be enough in the place
of the assignment, as advice for people. Their excess stands apart, and is in no denominator of what a plan removes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rightsize.analyze.reasons import OutOfCoverage, UnobservableReason, Verdict
from rightsize.model.plan_file import clause_of_tells

_NAMED = 3
"""Maximum number of causes that a reason names; the plan has all of them."""
_INVENTORY = "a complete inventory without a resource of their types"


@dataclass(frozen=True, slots=True)
class ByDesign:
    """The sentence of a reason, and what would be enough.

    `by_use` says whether the use of the window tells what would be enough.
    """

    sentence: str
    enough: str
    by_use: bool = False


BY_DESIGN: Mapping[str, ByDesign] = {
    "activated": ByDesign(
        "it is an activation; a plan changes the eligible assignment behind it",
        "the eligible assignment as its own proposal changes it",
    ),
    "eligible": ByDesign(
        "its activations show no use, or not all of its activations are known",
        "what its activations used, once the audit log has every activation of the window",
        by_use=True,
    ),
    "excluded": ByDesign("it was excluded by name", "what a plan without the exclusion proposes", by_use=True),
    "emergency_access": ByDesign(
        "its holder is or contains an emergency access account",
        "two such accounts for the tenant, each with an alert on its sign-ins",
    ),
    "first_party": ByDesign(
        "its holder is a Microsoft application", "the role that the documentation of its service asks for"
    ),
    "policy_remediation": ByDesign(
        "its holder remediates for a policy, and not all roles that its policies need are known",
        "the roles that the definitions of its policies name",
    ),
    "recovery": ByDesign(
        "its holder or its role is for backup and recovery, whose use may fall outside every window",
        "what a rehearsed restore used, at the vaults and at what they restore",
    ),
    "foreign": ByDesign("its holder belongs to another tenant", "what that tenant confirms that it uses", by_use=True),
    "system_managed": ByDesign(
        "Azure created it and would create it again", "nothing less, while the feature that it belongs to is on"
    ),
    "last_owner": ByDesign(
        "without it a subscription would have no owner who is enabled, permanent and unconditional",
        "a second permanent Owner of the subscription, enabled and unconditional; then this assignment can be narrowed",
        by_use=True,
    ),
    "conditional": ByDesign(
        "its role has a condition on some of its operations, which a new role could not have",
        "a role without the operations that the condition limits, beside this one for them alone",
        by_use=True,
    ),
    "root": ByDesign(
        "a part of it stays at the root, and Azure accepts no custom role there",
        "assignments at the management groups below, where Azure accepts a custom role",
        by_use=True,
    ),
    "data_at_management_group": ByDesign(
        "Azure accepts no custom role with data actions at a management group",
        "assignments at the subscriptions below, where Azure accepts such a role",
        by_use=True,
    ),
}

REASONS = {word: stays.sentence for word, stays in BY_DESIGN.items()} | {
    "ended": "it ended within or before the window",
    "activation_rules_unknown": "its activation settings are not loaded, so they cannot be carried over",
    "young_assignment": "it was created within the window or the grace period",
    "young_principal": "its holder was created within the window or the grace period",
    "unknown_age": "its age is not known: it has no creation time, and no complete log shows its creation",
    "unresolved_principal": "no loaded listing has its holder, and nothing proves that the holder was deleted",
    "role_not_loaded": "its role definition is not loaded",
    "unknown_members": "no complete listing has the members of the group",
    "scope_tree_unknown": "the scopes below its management group are not known",
    "beyond_containment": "the containment of its holder does not need a change of it",
    "waits": "nothing exists at its scope yet, or it is for recovery, and its holder used nothing: ask its owner "
    "whether it waits for something",
    "unknown_provider": "its role names a resource provider that the catalogue does not have",
}
"""The sentences of the reasons that speak of the assignment itself."""

LATE_REASONS = {
    "relied_upon": "another proposal rests on it",
    "endpoint_only": "its role works on the endpoint of a service alone, where no log shows a use: ask its owner",
    "no_able_owner": "no Owner of the subscription is known to be enabled, permanent and unconditional, so that all "
    "of them stay: load the listings of users and group members",
    "nothing_known": "its role grants no operation of the catalogue",
    "nothing_observed": "no log shows a use of it, and no existing role grants just what no log could show: ask its "
    "owner what it is for",
    "not_analysed": "the analysis has no verdicts on its operations",
    "idle_condition": "Azure accepts its condition only on a role with an operation it applies to, and none is kept",
    "other_condition": "Azure accepts one assignment of a role for a principal at a scope, and one with another "
    "condition is there",
    "other_end": "Azure accepts one assignment of a role for a principal at a scope, and one that ends sooner is there",
    "only_companions": "nothing was used of what stays at one of its scopes, and no existing role grants just that",
    "role_refused": "Azure would refuse a custom role with exactly what stays",
    "narrow_already": "beyond needs and reads, its built-in role has less than 2% of what a Contributor has there",
    "nothing_to_narrow": "today's assignments grant nothing beyond what was used and what cannot be decided",
}
"""The sentences of the reasons that come up while a plan is made."""


def keep_reason(word: str) -> str:
    """Return a reason as the plan states it: the word for machines, then the sentence for people.

    A word may bring its own sentence after a colon.
    """
    word, _, said = word.partition(": ")
    sentence = said or REASONS.get(word) or LATE_REASONS[word]
    return f"{word.replace('_', ' ')}: {sentence}"


def word_of(reason: str) -> str:
    """Return the word at the beginning of a reason for keeping an assignment."""
    return reason.partition(":")[0].replace(" ", "_")


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause why use cannot be decided: its name for counts, and what would tell; empty where nothing would."""

    name: str
    tells: str


CAUSES: Mapping[str, Cause] = {
    UnobservableReason.ARM_READ: Cause(
        "reads", "sign-in logs of the whole window, if they show no token for Azure Resource Manager"
    ),
    UnobservableReason.LINKED_CHECK: Cause("linked checks", _INVENTORY),
    UnobservableReason.DATA_ENDPOINT: Cause("on endpoints of services", _INVENTORY),
    UnobservableReason.NOT_KNOWN_TO_BE_LOGGED: Cause("in no known log", _INVENTORY),
    UnobservableReason.NO_DIAGNOSTIC_INVENTORY: Cause(
        "data actions without diagnostic settings loaded", "the diagnostic settings of the resources, and their logs"
    ),
    UnobservableReason.NO_DIAGNOSTIC_SETTING: Cause(
        "data actions on resources that log none", "a diagnostic setting for the data plane, and its log"
    ),
    UnobservableReason.NO_RESOURCE: Cause("data actions without a known resource", _INVENTORY),
    UnobservableReason.NO_RESOURCE_LOG: Cause("of services without a log", _INVENTORY),
    UnobservableReason.OWN_ROLES: Cause("of services with roles of their own", "the roles inside the service"),
    UnobservableReason.POLICIES_DECIDE: Cause(
        "that take effect when vaults are switched to roles", "the switch of the vaults to roles"
    ),
    OutOfCoverage.DAYS_MISSING: Cause("on days without a log", "the log of the missing days"),
    OutOfCoverage.SCOPE_NOT_COVERED: Cause("at scopes without a log", "the Activity Log of every subscription below"),
    OutOfCoverage.SCOPE_TREE_UNKNOWN: Cause(
        "below an unknown scope", "a complete listing of management groups and subscriptions"
    ),
    OutOfCoverage.NO_LOG_LOADED: Cause("of a log that is not loaded", "the log that shows them"),
    OutOfCoverage.QUARANTINED: Cause("in quarantine", "a decision on the quarantine (`rightsize signals`)"),
    OutOfCoverage.USED_BEFORE_WINDOW: Cause("used before the window", "`--forget-days`"),
    OutOfCoverage.DECLARED: Cause("declared by code", "`rightsize load --declared FILE --for PRINCIPAL --until DAY`"),
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
