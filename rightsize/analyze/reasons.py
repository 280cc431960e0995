"""Define the reason of each verdict: one word for the store, one sentence for people.

`Attribution` says how a call was attributed to an assignment, `Unused` why it is certain that nothing was used,
`UnobservableReason` why no log could have shown use, `OutOfCoverage` why the logs that could have shown use do not
decide, and `Unexplained` why no assignment explains a call.
"""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """The verdicts on the use of a granted operation, and `unexplained` for use that no grant explains."""

    USED = "used"
    UNUSED = "unused"
    UNOBSERVABLE = "unobservable"
    OUT_OF_COVERAGE = "out_of_coverage"
    UNEXPLAINED = "unexplained"


class Attribution(StrEnum):
    """The ways in which a call was attributed to the assignment that it is credited to."""

    EVIDENCE = "evidence"
    ACTIVATION = "activation"
    PAST_ACTIVATION = "past_activation"
    GROUP_ACTIVATION = "group_activation"
    ELIMINATION = "elimination"
    FEWEST = "fewest"
    READING = "reading"
    GRAPH_CALL = "graph_call"


class Unused(StrEnum):
    """The reasons why it is certain that an operation was not used."""

    COVERED = "covered"
    NO_ARM_TOKEN = "no_arm_token"  # noqa: S105  a reason, not a secret
    NEVER_ACTIVATED = "never_activated"
    NO_SIGN_IN = "no_sign_in"


class UnobservableReason(StrEnum):
    """The reasons why no log could have shown use."""

    ARM_READ = "arm_read"
    LINKED_CHECK = "linked_check"
    DATA_ENDPOINT = "data_endpoint"
    NOT_KNOWN_TO_BE_LOGGED = "not_known_to_be_logged"
    NO_DIAGNOSTIC_INVENTORY = "no_diagnostic_inventory"
    NO_DIAGNOSTIC_SETTING = "no_diagnostic_setting"
    NO_RESOURCE = "no_resource"
    NO_RESOURCE_LOG = "no_resource_log"
    OWN_ROLES = "own_roles"
    NO_API_LOG = "no_api_log"
    NOT_IN_MAP = "not_in_map"
    SIGN_IN_SCOPE = "sign_in_scope"
    REQUEST_BODY = "request_body"
    CORRELATED = "correlated"
    CANNOT_TELL = "cannot_tell"
    DIRECTORY_READ = "directory_read"
    OTHER_SERVICE = "other_service"


class OutOfCoverage(StrEnum):
    """The reasons why the logs that could have shown use do not decide."""

    DAYS_MISSING = "days_missing"
    SCOPE_NOT_COVERED = "scope_not_covered"
    SCOPE_TREE_UNKNOWN = "scope_tree_unknown"
    NO_LOG_LOADED = "no_log_loaded"
    QUARANTINED = "quarantined"
    USED_BEFORE_WINDOW = "used_before_window"
    UNEXPLAINED_USE = "unexplained_use"
    UNEXPLAINED_REQUEST = "unexplained_request"
    UNMAPPED_USE = "unmapped_use"
    UNNAMED_OPERATION = "unnamed_operation"
    ROLE_DEFINITION_MISSING = "role_definition_missing"
    NO_CATALOGUE = "no_catalogue"
    NOT_IN_CATALOGUE = "not_in_catalogue"
    NO_PERMISSION_MAP = "no_permission_map"


class Unexplained(StrEnum):
    """The reasons why no assignment explains a call."""

    PRINCIPAL_UNRESOLVED = "principal_unresolved"
    ASSIGNMENT_GONE = "assignment_gone"
    GRANT_CHANGED = "grant_changed"
    GRANTED_LATER = "granted_later"
    ROLE_DEFINITION_MISSING = "role_definition_missing"
    SCOPE_TREE_UNKNOWN = "scope_tree_unknown"
    NO_GRANT = "no_grant"
    NOT_MAPPED = "not_mapped"
    OTHER_ACCESS = "other_access"
    NO_PERMISSION = "no_permission"
    NOT_IN_MAP = "request_not_in_map"
    FIRST_PARTY = "first_party"
    DEFAULT_OR_OWNED = "default_or_owned"


SENTENCES: dict[str, str] = {
    Attribution.EVIDENCE: "the log names this assignment as what allowed the call",
    Attribution.ACTIVATION: "the log names an activation of this eligibility",
    Attribution.GROUP_ACTIVATION: "nothing but a membership that its caller would have to activate grants the call",
    Attribution.PAST_ACTIVATION: "the log names an activation that has ended, and this eligibility grants the call",
    Attribution.ELIMINATION: "nothing else that the principal or its groups hold grants the call",
    Attribution.GRAPH_CALL: "the principal called Microsoft Graph for something that needs the action",
    Attribution.FEWEST: "several grants allow the call; the fewest and least powerful that explain all were kept",
    Attribution.READING: "how Azure reads `/*/` in a role decides what allowed the call, and this grant may have",
    Unused.COVERED: "a log that shows it covers every day and scope of the window, and does not name it",
    Unused.NO_ARM_TOKEN: "the sign-in logs cover the window and show no token for Azure Resource Manager",
    Unused.NEVER_ACTIVATED: "nobody activated it on any day of the window, and an activation would have been logged",
    Unused.NO_SIGN_IN: "the sign-in logs cover the window and show no sign-in of anybody who holds it",
    UnobservableReason.DIRECTORY_READ: "the directory does not log what is read of it",
    UnobservableReason.OTHER_SERVICE: "a service beside the directory checks it, in logs of its own",
    UnobservableReason.ARM_READ: "Azure does not log reads of resources",
    UnobservableReason.LINKED_CHECK: "it is checked inside the write of another resource, and no log names it there",
    UnobservableReason.DATA_ENDPOINT: "it runs on the service's own endpoint, which the Activity Log does not see",
    UnobservableReason.NOT_KNOWN_TO_BE_LOGGED: "no log is known to show it",
    UnobservableReason.NO_DIAGNOSTIC_INVENTORY: "it is not known which resources log their data plane",
    UnobservableReason.NO_DIAGNOSTIC_SETTING: "a resource where it could be used sends no log of its data plane",
    UnobservableReason.NO_RESOURCE: "no resource on which it could be used is known there",
    UnobservableReason.NO_RESOURCE_LOG: "the service has no log that names it",
    UnobservableReason.OWN_ROLES: "the service decides by roles of its own, which Azure roles do not replace",
    UnobservableReason.NO_API_LOG: "the API has no log of requests",
    UnobservableReason.NOT_IN_MAP: "the map of Graph knows no request that it allows",
    UnobservableReason.SIGN_IN_SCOPE: "it is used where tokens are issued, and not at Graph",
    UnobservableReason.REQUEST_BODY: "whether a request needed it stands in its body, which no log shows",
    UnobservableReason.CORRELATED: "requests return less without it, and no log shows whether that was read",
    UnobservableReason.CANNOT_TELL: "several permissions that allow a part of a request may have allowed it",
    OutOfCoverage.NO_PERMISSION_MAP: "no map of Graph's permissions is loaded",
    OutOfCoverage.DAYS_MISSING: "days of the window have no log",
    OutOfCoverage.SCOPE_NOT_COVERED: "a scope where it could be used has no log in the window",
    OutOfCoverage.SCOPE_TREE_UNKNOWN: "it is not known which subscriptions lie below the scope",
    OutOfCoverage.NO_LOG_LOADED: "no log that could show it is loaded",
    OutOfCoverage.QUARANTINED: "its only use lies inside a quarantined window",
    OutOfCoverage.USED_BEFORE_WINDOW: "it was used before the window, on a day that is loaded and not forgotten",
    OutOfCoverage.UNMAPPED_USE: "the log names operations of the service that no rule maps to a permission",
    OutOfCoverage.UNNAMED_OPERATION: "a call on its type is in the log whose operation cannot be read",
    OutOfCoverage.UNEXPLAINED_USE: "it may have allowed a call whose actor, groups or place are not known",
    OutOfCoverage.UNEXPLAINED_REQUEST: (
        "it may have allowed a request to the same part of Graph that no held permission is known to allow in full"
    ),
    OutOfCoverage.ROLE_DEFINITION_MISSING: "the role definition is not loaded, so its operations are not known",
    OutOfCoverage.NO_CATALOGUE: "no catalogue of operations is loaded, so the unused ones cannot be listed",
    OutOfCoverage.NOT_IN_CATALOGUE: "the role grants something, and the catalogue lists no operation of it",
    Unexplained.PRINCIPAL_UNRESOLVED: "no listing says who the name in the log is",
    Unexplained.ASSIGNMENT_GONE: "the assignment that the log names is gone, and nothing else grants the call",
    Unexplained.GRANT_CHANGED: "the assignment that the log names no longer grants the call, nor does another",
    Unexplained.GRANTED_LATER: "only assignments that were made after the call grant it",
    Unexplained.NO_PERMISSION: "no permission of the application is known to allow the request; a directory role may",
    Unexplained.NOT_IN_MAP: "the map of Graph does not know the request",
    Unexplained.FIRST_PARTY: "an application of Microsoft's, which needs no grant for it",
    Unexplained.DEFAULT_OR_OWNED: "no directory role allows it; owning the object or a default permission may",
    Unexplained.NO_GRANT: "no assignment of the principal or its groups grants the call",
    Unexplained.NOT_MAPPED: "no rule says which permission the operation of the log used",
    Unexplained.OTHER_ACCESS: "the resource does not decide by Azure roles, but by access policies or roles of its own",
}


def sentence(reason: str) -> str:
    """Return the sentence for a reason; a word that is not in `SENTENCES` is returned as it is."""
    return SENTENCES.get(reason, reason)
