"""What was done: events, the daily usage they reduce to, sign-ins, and what the logs cover."""

from rightsize.model.schema import BOOL, DAY, INT, TEXT, TIME, Column, Table, key

_KINDS = (
    "interactive, non_interactive, service_principal, managed_identity, or microsoft_service_principal, which is of "
    "Microsoft's own applications"
)

EVENT_COLUMNS = (
    Column("time", TIME, "earliest time of the call, UTC"),
    Column("source", TEXT, "the log that shows it: activity_log, storage_log, graph_activity_log and so on"),
    Column("plane", TEXT, "control, data, graph or directory"),
    Column(
        "principal_id",
        TEXT,
        "who acted: from the claims, else the caller; null where a row names only a UPN or application id",
    ),
    Column("principal_type", TEXT, "User or ServicePrincipal where the row says it"),
    Column("principal_name", TEXT, "UPN or name in the row"),
    Column("app_id", TEXT, "client application"),
    Column(
        "operation",
        TEXT,
        "the permission that was used: authorization.action, else operationName; of Graph method and normalised path",
    ),
    Column("scope", TEXT, "the scope: authorization.scope, else resourceId; / for the tenant"),
    Column("outcome", TEXT, "succeeded, failed, denied, started or other"),
    Column("role_assignment_id", TEXT, "assignment that the log names as evidence, dashed GUID"),
    Column("role_definition_id", TEXT, "role that the log names as evidence, dashed GUID"),
    Column("evidence_principal_id", TEXT, "holder of that assignment: the principal or a group"),
    Column("correlation_id", TEXT, "correlation id; of a request to Graph the request id"),
    Column(
        "event_id",
        TEXT,
        "event data id of the row that gave the outcome; of a request to Graph the id of its token's sign-in",
    ),
    Column("ip", TEXT, "address of the caller, without a port"),
)

_RESOLVED = Column("principal_id", TEXT, "who acted, aliases resolved; null while no listing resolves the name")

USAGE_COLUMNS = (
    key("principal_id", TEXT, "who acted, aliases resolved; null while no listing resolves the name"),
    key("principal_name", TEXT, "the UPN or application id a row named, where it gave no object id"),
    key("operation", TEXT, "the permission that was used"),
    key("scope", TEXT, "where"),
    key("plane", TEXT, "control, data, graph or directory"),
    key("role_assignment_id", TEXT, "assignment named as evidence, null where the log names none"),
    key("day", DAY, "UTC day"),
    Column("first_seen", TIME, "first call of the day"),
    Column("last_seen", TIME, "last call of the day"),
    Column("succeeded", INT, "calls that succeeded"),
    Column("failed", INT, "calls that failed after authorisation; they count as use"),
    Column("started", INT, "authorised calls without an end in the log; they count as use"),
    Column("denied", INT, "calls that were refused; they never count as use"),
    Column("suspect", INT, "calls in quarantine that were not refused, also counted in their outcome"),
)

USAGE_TABLES = (
    Table(
        "events",
        "one row per call, merged from its start, accept and end records in all exports",
        (
            *(_RESOLVED if column.name == "principal_id" else column for column in EVENT_COLUMNS),
            Column(
                "logged_principal_id",
                TEXT,
                "the object id that the rows themselves have; null where they name only a UPN or application id",
            ),
            Column(
                "access",
                TEXT,
                "how a request of the data plane was authorised: roles, key, sas, anonymous, access_policy, own_roles; "
                "none where no permission was needed, unmapped where no rule knows the operation, unsaid where the "
                "record does not say who asked; null for other calls",
            ),
            Column("token_id", TEXT, "id of the token that the call came with, where the log has it"),
            Column("session_id", TEXT, "id of the session in which the token was issued, where the log has it"),
            Column("event_key", TEXT, "folded (correlation_id, operation, scope), the key of the call"),
        ),
        kind="view",
    ),
    Table(
        "usage_days",
        "one row per principal, operation, scope, plane, assignment and day",
        USAGE_COLUMNS,
        kind="view",
    ),
    Table(
        "usage",
        "one row per principal, operation, scope, plane and assignment: usage_days summed over days",
        (
            *(column for column in USAGE_COLUMNS if column.name != "day"),
            Column("days", INT, "days with a call"),
        ),
        kind="view",
    ),
    Table(
        "role_assignment_requests",
        "one row per call that creates or deletes a role assignment, with the assignment as its bodies describe it",
        (
            key("correlation_id", TEXT, "correlation id of the call"),
            key("operation", TEXT, "Microsoft.Authorization/roleAssignments/write or delete"),
            key("scope", TEXT, "the assignment that is created or deleted"),
            Column("principal_id", TEXT, "who acted, aliases resolved; null while no listing resolves the name"),
            Column("principal_name", TEXT, "the UPN, name or application id that the row names"),
            Column("time", TIME, "earliest time of the call, UTC"),
            Column("outcome", TEXT, "succeeded, failed, denied, started or other"),
            Column("assigned_role_id", TEXT, "GUID of the role of the assignment, null where no body shows it"),
            Column("assigned_type", TEXT, "type of who is assigned it, null where no body shows it"),
            Column("asked_type", TEXT, "the type as the request itself names it, null where it does not"),
            Column("assigned_principal_id", TEXT, "who is assigned it, null where no body shows it"),
        ),
        kind="view",
    ),
    Table(
        "request_access",
        "one row per log, resource, way of access, principal and day: requests of the data plane",
        (
            key("source", TEXT, "the log"),
            key("resource", TEXT, "the resource that was asked, ASCII lower case"),
            key("access", TEXT, "what let the requests through, as in events"),
            key("principal_id", TEXT, "who asked; null where keys hide it or no listing resolves the name"),
            key("principal_name", TEXT, "the UPN, name or application id that the rows name"),
            key("day", DAY, "UTC day"),
            Column("events", INT, "requests"),
            Column("last_seen", TIME, "last request of the day"),
        ),
        kind="view",
    ),
    Table(
        "unmapped_operations",
        "one row per log and operation of it that no rule maps to a permission",
        (
            key("source", TEXT, "the log"),
            key("operation", TEXT, "as the log writes it"),
            Column("events", INT, "requests"),
            Column("resources", INT, "resources that were asked"),
            Column("first_seen", TIME, "first request"),
            Column("last_seen", TIME, "last request"),
        ),
        kind="view",
    ),
    Table(
        "sign_ins",
        "one row per principal, application, resource, kind of sign-in and day",
        (
            key("principal_id", TEXT, "who signed in"),
            key("app_id", TEXT, "client application"),
            key("resource_id", TEXT, "application id of the resource the token was for"),
            key("kind", TEXT, _KINDS),
            key("day", DAY, "UTC day"),
            Column("resource_name", TEXT, "display name of the resource"),
            Column("succeeded", INT, "sign-ins that gave a token"),
            Column("failed", INT, "sign-ins that did not"),
            Column("last_seen", TIME, "last sign-in of the day"),
        ),
        kind="view",
    ),
    Table(
        "sign_in_events",
        "one row per sign-in in the logs; summarised sign-ins are not included",
        (
            Column("time", TIME, "when, UTC"),
            Column("sign_in_id", TEXT, "id of the sign-in, which risk detections call request id"),
            Column("principal_id", TEXT, "who signed in; null while no listing resolves the name"),
            Column("principal_name", TEXT, "the UPN or name in the row"),
            Column("app_id", TEXT, "client application"),
            Column("resource_id", TEXT, "application id of the resource the token was for"),
            Column("resource_name", TEXT, "display name of the resource"),
            Column("kind", TEXT, _KINDS),
            Column("succeeded", BOOL, "whether it gave a token"),
            Column("correlation_id", TEXT, "correlation id"),
            Column("token_id", TEXT, "id of the token it gave, which the calls made with the token carry"),
            Column("session_id", TEXT, "id of the session, the same for all tokens of one interactive sign-in"),
            Column("ip", TEXT, "address, without a port"),
            Column("country", TEXT, "two letters of the country that the log places the address in"),
            Column("network_number", TEXT, "number of the autonomous system that the address belongs to"),
            Column(
                "federated_credential_id",
                TEXT,
                "federated credential that was used, ASCII lower case; empty for none, null where the log does not say",
            ),
        ),
        kind="view",
    ),
    Table(
        "credential_sign_ins",
        "one row per workload, application, resource, kind of sign-in, federated credential and day",
        (
            key("principal_id", TEXT, "who signed in; null while no listing resolves the name"),
            key("app_id", TEXT, "client application"),
            key("resource_id", TEXT, "application id of the resource the token was for"),
            key("kind", TEXT, "service_principal or managed_identity"),
            key("federated_credential_id", TEXT, "as in sign_in_events; null also for reduced rows"),
            key("day", DAY, "UTC day"),
            Column("resource_name", TEXT, "display name of the resource"),
            Column("succeeded", INT, "sign-ins that gave a token"),
            Column("failed", INT, "sign-ins that did not"),
            Column("first_seen", TIME, "first sign-in of the day that gave a token"),
            Column("last_seen", TIME, "last sign-in of the day that gave a token"),
        ),
        kind="view",
    ),
    Table(
        "vault_use_days",
        "one row per principal, application, operation, scope and day of requests to key vaults with access policies",
        (
            key("principal_id", TEXT, "who asked; null while no listing resolves the name"),
            key("principal_name", TEXT, "the UPN or application id that the rows name"),
            key("app_id", TEXT, "application of the request; null where the rows do not say it"),
            key("operation", TEXT, "data action that the request would need under Azure roles"),
            key("scope", TEXT, "the secret, key or certificate, or the vault"),
            key("day", DAY, "UTC day"),
            Column("events", INT, "requests that were let through"),
            Column("suspect", INT, "those of them in quarantine"),
            Column("first_seen", TIME, "first request of the day"),
            Column("last_seen", TIME, "last request of the day"),
        ),
        kind="view",
    ),
    Table(
        "credential_changes",
        "one row per day and application or user-assigned identity on which a call may have changed its federated "
        "credentials",
        (
            key("object_id", TEXT, "as in federated_credentials"),
            key("name", TEXT, "name of the credential, ASCII lower case; empty where the log does not say it"),
            key("day", DAY, "UTC day"),
        ),
        kind="view",
    ),
    Table(
        "token_calls",
        "one row per token, log, plane and caller: what was done with a token, and the sign-in that gave it",
        (
            key("token_id", TEXT, "id of the token"),
            key("source", TEXT, "the log that shows the calls"),
            key("plane", TEXT, "control, data, graph or directory"),
            key("principal_id", TEXT, "who called; null while no listing resolves the name"),
            key("app_id", TEXT, "client application of the calls"),
            key("session_id", TEXT, "id of the session in the log of the calls, else in that of the sign-in"),
            Column("calls", INT, "calls"),
            Column("operations", INT, "distinct operations"),
            Column("denied", INT, "calls refused"),
            Column("first_seen", TIME, "first call"),
            Column("last_seen", TIME, "last call"),
            Column("addresses", INT, "distinct addresses of the calls"),
            Column("signed_in", TIME, "time of the sign-in; null where no sign-in log shows the token"),
            Column("sign_in_id", TEXT, "id of the sign-in"),
            Column("sign_in_kind", TEXT, _KINDS),
            Column("sign_in_principal_id", TEXT, "who signed in"),
            Column("sign_in_ip", TEXT, "address of the sign-in"),
            Column("resource_id", TEXT, "application id of the resource the token was for"),
        ),
        kind="view",
    ),
    Table(
        "coverage",
        "one row per source, category, scope and day",
        (
            key(
                "source",
                TEXT,
                "activity_log, sign_in_log, or the log of a service: storage_log, key_vault_log and so on",
            ),
            key("category", TEXT, "Administrative, StorageRead, AuditEvent, interactive and so on"),
            key(
                "scope",
                TEXT,
                "subscription, management group, / for the tenant, or the resource whose diagnostic settings send the "
                "log: of a storage account each service",
            ),
            key("day", DAY, "UTC day"),
            Column("events", INT, "rows seen"),
            Column("state", TEXT, "observed, declared_empty, quiet or missing"),
            Column("declared_by", TEXT, "manifest or user where somebody declared the window, else null"),
        ),
        kind="view",
    ),
)
