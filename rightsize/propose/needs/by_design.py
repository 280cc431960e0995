"""List the reasons for which an assignment stays by design: no evidence would make a plan change it.

Each reason has its word, its sentence, and what would be enough in the place of the assignment, as advice for people.
Their excess stands apart, and is in no denominator of what a plan removes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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


def word_of(reason: str) -> str:
    """Return the word at the beginning of a reason for keeping an assignment."""
    return reason.partition(":")[0].replace(" ", "_")
