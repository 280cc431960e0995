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
    CREDENTIAL_NAMED = "credential_named"
    ONLY_CREDENTIAL = "only_credential"
    POLICY = "policy"


class Unused(StrEnum):
    """The reasons why it is certain that an operation was not used."""

    COVERED = "covered"
    COVERED_IN_PART = "covered_in_part"
    NO_ARM_TOKEN = "no_arm_token"  # noqa: S105  a reason, not a secret
    NEVER_ACTIVATED = "never_activated"
    NO_SIGN_IN = "no_sign_in"
    NO_SUCH_RESOURCE = "no_such_resource"
    PROVIDER_NOT_REGISTERED = "provider_not_registered"


SHOWN = (Unused.COVERED.value, Unused.COVERED_IN_PART.value)
"""The reasons that rest on a log that would show the operation; also the states of such a log."""

BY_EXISTENCE = (Unused.NO_SUCH_RESOURCE, Unused.PROVIDER_NOT_REGISTERED)
"""The reasons that rest on what existed, and not on a log that would show the operation."""


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
    POLICIES_DECIDE = "policies_decide"
    NO_API_LOG = "no_api_log"
    AUDITED_IN_PART = "audited_in_part"
    NOT_IN_MAP = "not_in_map"
    SIGN_IN_SCOPE = "sign_in_scope"
    REQUEST_BODY = "request_body"
    CORRELATED = "correlated"
    CANNOT_TELL = "cannot_tell"
    DIRECTORY_READ = "directory_read"
    OTHER_SERVICE = "other_service"
    CREDENTIAL_NOT_SAID = "credential_not_said"
    OTHER_TENANTS = "other_tenants"


class OutOfCoverage(StrEnum):
    """The reasons why the logs that could have shown use do not decide."""

    DAYS_MISSING = "days_missing"
    SCOPE_NOT_COVERED = "scope_not_covered"
    SCOPE_TREE_UNKNOWN = "scope_tree_unknown"
    NO_LOG_LOADED = "no_log_loaded"
    QUARANTINED = "quarantined"
    USED_BEFORE_WINDOW = "used_before_window"
    DECLARED = "declared"
    UNEXPLAINED_USE = "unexplained_use"
    UNEXPLAINED_REQUEST = "unexplained_request"
    UNMAPPED_USE = "unmapped_use"
    UNNAMED_OPERATION = "unnamed_operation"
    ROLE_DEFINITION_MISSING = "role_definition_missing"
    NO_CATALOGUE = "no_catalogue"
    NOT_IN_CATALOGUE = "not_in_catalogue"
    NO_PERMISSION_MAP = "no_permission_map"
    UNKNOWN_CREDENTIAL = "unknown_credential"
    NO_SUCH_HOLDER = "no_such_holder"


class Choice(StrEnum):
    """The reasons why an option of a plan removes operations whose use no log could have shown."""

    TYPE_NOT_USED = "type_not_used"
    NOTHING_REFERS = "nothing_refers"


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
    Attribution.EVIDENCE: "the log names this assignment as the one that allowed the call",
    Attribution.ACTIVATION: "the log names an activation of this eligibility",
    Attribution.GROUP_ACTIVATION: "only a group membership that the caller has to activate first grants the call",
    Attribution.PAST_ACTIVATION: "the log names an activation that has ended, and this eligibility grants the call",
    Attribution.ELIMINATION: "no other assignment of the principal or its groups grants the call",
    Attribution.GRAPH_CALL: "the principal sent Microsoft Graph a request that needs the action",
    Attribution.CREDENTIAL_NAMED: "sign-ins name this credential",
    Attribution.ONLY_CREDENTIAL: "sign-ins name a federated credential, and the identity has only this one",
    Attribution.POLICY: "the vault's log has the request, and this access policy allows it",
    Attribution.FEWEST: "several assignments allow the call; the fewest and least powerful that explain all were kept",
    Attribution.READING: "this assignment may have allowed the call: that depends on how Azure reads `/*/` in a role",
    Unused.COVERED: "a log that shows it covers every day and scope of the window, and does not name it",
    Unused.COVERED_IN_PART: "a log that shows it covers enough days of the window, and does not name it on any of them",
    Unused.NO_ARM_TOKEN: "the sign-in logs cover the window and show no token for Azure Resource Manager",
    Unused.NEVER_ACTIVATED: "nobody activated it on any day of the window, and an activation would have been logged",
    Unused.NO_SIGN_IN: "the sign-in logs cover the window and show no sign-in of anybody who holds it",
    Unused.NO_SUCH_RESOURCE: "no resource of its type existed at or below the scope on any day of the window",
    Unused.PROVIDER_NOT_REGISTERED: "its resource provider was not registered there on any day of the window",
    UnobservableReason.DIRECTORY_READ: "Microsoft Entra ID does not log reads of the directory",
    UnobservableReason.OTHER_SERVICE: "another service than the directory checks it, and has logs of its own",
    UnobservableReason.ARM_READ: "no log is known to have every read of a resource",
    UnobservableReason.LINKED_CHECK: "it is checked inside the write of another resource, and no log names it there",
    UnobservableReason.DATA_ENDPOINT: "it runs on the service's own endpoint, which the Activity Log does not see",
    UnobservableReason.NOT_KNOWN_TO_BE_LOGGED: "no log is known to show it",
    UnobservableReason.NO_DIAGNOSTIC_INVENTORY: "it is not known which resources log their data plane",
    UnobservableReason.NO_DIAGNOSTIC_SETTING: "a resource where it could be used sends no log of its data plane",
    UnobservableReason.NO_RESOURCE: "no resource is known at the scope on which it could be used",
    UnobservableReason.NO_RESOURCE_LOG: "the service has no log that names it",
    UnobservableReason.OWN_ROLES: "the service decides by roles of its own, which Azure roles do not replace",
    UnobservableReason.POLICIES_DECIDE: (
        "access policies decide about every key vault there: the role takes effect when they are switched to roles"
    ),
    UnobservableReason.AUDITED_IN_PART: "the unified audit log shows a part of what uses it, and names no use of it",
    UnobservableReason.NO_API_LOG: "the API has no log of requests",
    UnobservableReason.NOT_IN_MAP: "the permission map of Microsoft Graph has no request that it allows",
    UnobservableReason.SIGN_IN_SCOPE: "it is used when tokens are issued, and not by requests to Microsoft Graph",
    UnobservableReason.REQUEST_BODY: "only the body of a request shows whether it was needed, and no log has the body",
    UnobservableReason.CORRELATED: "without it requests return less, and no log shows whether the rest was read",
    UnobservableReason.CANNOT_TELL: "several permissions allow a part of a request, and no log says which one was used",
    UnobservableReason.CREDENTIAL_NOT_SAID: "sign-ins in the loaded logs do not say which credential they used",
    UnobservableReason.OTHER_TENANTS: (
        "the application may also be used in other tenants, whose logs have the sign-ins there; no listing says that "
        "it is for this tenant alone"
    ),
    OutOfCoverage.UNKNOWN_CREDENTIAL: "sign-ins name a federated credential whose id no listing has",
    OutOfCoverage.NO_SUCH_HOLDER: "no loaded listing has the principal that it signs in as",
    OutOfCoverage.NO_PERMISSION_MAP: "the permission map of Microsoft Graph is not loaded",
    OutOfCoverage.DAYS_MISSING: "days of the window have no log",
    OutOfCoverage.SCOPE_NOT_COVERED: "a scope where it could be used has no log in the window",
    OutOfCoverage.SCOPE_TREE_UNKNOWN: "it is not known which subscriptions lie below the scope",
    OutOfCoverage.NO_LOG_LOADED: "no log that could show it is loaded",
    OutOfCoverage.QUARANTINED: "its only use is in quarantine",
    OutOfCoverage.USED_BEFORE_WINDOW: "it was used before the window, on a loaded day that `--forget-days` counts",
    OutOfCoverage.DECLARED: "loaded code that its holder deploys declares it, and nothing shows that it was used",
    OutOfCoverage.UNMAPPED_USE: "the log has operations of the service that no rule maps to a permission",
    OutOfCoverage.UNNAMED_OPERATION: "the log has a call on its resource type whose operation cannot be read",
    OutOfCoverage.UNEXPLAINED_USE: "it may have allowed a call whose caller, groups or scope are not known",
    OutOfCoverage.UNEXPLAINED_REQUEST: (
        "it may have allowed a request to the same part of Graph that no held permission is known to allow in full"
    ),
    OutOfCoverage.ROLE_DEFINITION_MISSING: "the role definition is not loaded, so its operations are not known",
    OutOfCoverage.NO_CATALOGUE: "no catalogue of operations is loaded, so the unused ones cannot be listed",
    OutOfCoverage.NOT_IN_CATALOGUE: "the catalogue has no operation that the role grants",
    Choice.TYPE_NOT_USED: "no log could show it; `--unobservable touched` removes it: its resource type was not used",
    Choice.NOTHING_REFERS: "Azure checks it only as a part of other writes. No write that is kept is known to need it, "
    "or nothing of its type exists there",
    Unexplained.PRINCIPAL_UNRESOLVED: "no listing has the principal that the log names",
    Unexplained.ASSIGNMENT_GONE: "the assignment that the log names no longer exists, and no other grants the call",
    Unexplained.GRANT_CHANGED: "the assignment that the log names no longer grants the call, nor does another",
    Unexplained.GRANTED_LATER: "only assignments that were created after the call grant it",
    Unexplained.NO_PERMISSION: "no permission of the application is known to allow the request; a directory role may",
    Unexplained.NOT_IN_MAP: "the permission map of Microsoft Graph does not have the request",
    Unexplained.FIRST_PARTY: "the caller is a Microsoft application, which needs no permission for it",
    Unexplained.DEFAULT_OR_OWNED: "no directory role allows it; ownership of the object or a default permission may",
    Unexplained.NO_GRANT: "no assignment of the principal or its groups grants the call",
    Unexplained.NOT_MAPPED: "no rule says which permission the operation of the log used",
    Unexplained.OTHER_ACCESS: "the resource decides by access policies or by its own roles, and not by Azure roles",
}


def covered_of(days: int, window_days: int) -> str:
    """Return the text that says how many days of the window the logs behind a verdict cover."""
    return f"covered {days} of {window_days} days"


def sentence(reason: str) -> str:
    """Return the sentence for a reason; a word that is not in `SENTENCES` is returned as it is."""
    return SENTENCES.get(reason, reason)


def sentence_on(reason: str, covered_days: int | None, window_days: int) -> str:
    """Return the sentence for a reason; `covered_days` as in the table `verdicts`."""
    said = sentence(reason)
    return said if covered_days is None else f"{covered_of(covered_days, window_days)}: {said}"
