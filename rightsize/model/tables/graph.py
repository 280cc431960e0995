"""Microsoft Graph: what its permissions allow, who holds and uses them, agents among them, and what calls changed."""

from rightsize.model.schema import BOOL, DAY, INT, TEXT, TEXTS, TIME, Column, Table, key

GRAPH_TABLES = (
    Table(
        "api_permissions",
        "one row per permission that an API publishes: an app role, or a delegated permission",
        (
            key("api_app_id", TEXT, "application id of the API"),
            key("permission_id", TEXT, "GUID of the app role or of the delegated permission"),
            key("access", TEXT, "application (app role) or delegated"),
            Column("permission", TEXT, "its name, the value in tokens; null for a role without one"),
            Column("display_name", TEXT, "description that the consent page shows"),
            Column("is_enabled", BOOL, "it can be granted"),
        ),
    ),
    Table(
        "app_role_assignments",
        "one row per app role that a principal holds of an API",
        (
            key("app_role_assignment_id", TEXT, "id of the assignment"),
            Column("principal_id", TEXT, "who holds it"),
            Column("principal_type", TEXT, "ServicePrincipal, User or Group"),
            Column("principal_name", TEXT, "name in the export"),
            Column("resource_id", TEXT, "object id of the API's service principal"),
            Column("resource_name", TEXT, "name of the API in the export"),
            Column("app_role_id", TEXT, "GUID of the app role; the zero GUID is access without a role"),
            Column("created_on", TIME, "when it was created"),
        ),
    ),
    Table(
        "permission_grants",
        "one row per delegated permission grant: what an application may do for its users",
        (
            key("permission_grant_id", TEXT, "id of the grant"),
            Column("client_id", TEXT, "object id of the application's service principal"),
            Column("consent_type", TEXT, "AllPrincipals (tenant-wide) or Principal (one user)"),
            Column("principal_id", TEXT, "the user, for a grant of one user"),
            Column("resource_id", TEXT, "object id of the API's service principal"),
            Column("permissions", TEXTS, "names of the delegated permissions, sorted"),
        ),
    ),
    Table(
        "graph_permissions",
        "one row per permission of Microsoft Graph and kind of access, from the imported map",
        (
            key("permission", TEXT, "its name"),
            key("access", TEXT, "application or delegated"),
            Column("privilege_level", INT, "1 (least) to 5 as the map has it, null where it says nothing"),
            Column("needs_admin_consent", BOOL, "it requires the consent of an administrator"),
            Column("display_name", TEXT, "description that the consent page shows"),
        ),
    ),
    Table(
        "graph_permission_paths",
        "one row per request that a permission allows, from the imported map",
        (
            key("permission", TEXT, "name of the permission"),
            key("access", TEXT, "application or delegated"),
            key("method", TEXT, "HTTP method"),
            key("path", TEXT, "path with {id} and {value}, ASCII lower case"),
            Column("is_least", BOOL, "the map calls it the least privileged one for the request"),
            Column("also_requires", TEXTS, "further permissions, of which the request also needs one, sorted"),
        ),
    ),
    Table(
        "first_party_apps",
        "one row per application of Microsoft, from an imported list",
        (
            key("app_id", TEXT, "application id"),
            Column("display_name", TEXT, "its name"),
            Column("owner_tenant_id", TEXT, "the tenant that owns it"),
        ),
    ),
)

GRAPH_VIEWS = (
    Table(
        "m365_usage_days",
        "one row per application, who acted, kind of access, operation of the unified audit log and day",
        (
            key("app_id", TEXT, "application that acted in Exchange, SharePoint or Teams"),
            key("principal_id", TEXT, "user on whose behalf it acted; null where it acted as itself"),
            key("access", TEXT, "application or delegated"),
            key("operation", TEXT, "workload and operation, and the API where the record names it"),
            key("day", DAY, "UTC day"),
            Column("first_seen", TIME, "first record of the day"),
            Column("last_seen", TIME, "last record of the day"),
            Column("succeeded", INT, "records that did not fail"),
            Column("suspect", INT, "records in quarantine, also counted in `succeeded`"),
        ),
        kind="view",
    ),
    Table(
        "graph_usage_days",
        "one row per application, who acted, kind of access, request and day",
        (
            key("app_id", TEXT, "application that made the request; null where the log does not say it"),
            key("principal_id", TEXT, "user of a delegated request, else the service principal"),
            key("access", TEXT, "application or delegated"),
            key("operation", TEXT, "method and normalised path"),
            key("day", DAY, "UTC day"),
            Column("first_seen", TIME, "first request of the day"),
            Column("last_seen", TIME, "last request of the day"),
            Column("succeeded", INT, "requests answered with 2xx or 3xx"),
            Column("failed", INT, "requests that failed after authorisation; they count as use"),
            Column("started", INT, "requests without an answer in the log; they count as use"),
            Column("denied", INT, "requests refused with 401 or 403; they never count as use"),
            Column("suspect", INT, "requests in quarantine that were not refused, also counted in their outcome"),
            Column("other", INT, "requests throttled, or answered without a sign of whether they were authorised"),
        ),
        kind="view",
    ),
)


AGENT_TABLES = (
    Table(
        "token_permissions",
        "one row per application, kind of access, set of permissions and day: what the tokens of its calls held",
        (
            key("source", TEXT, "the log that shows the calls: graph_activity_log"),
            key("app_id", TEXT, "application of the calls; of an agent identity its object id"),
            key("access", TEXT, "application (the claim roles) or delegated (the claim scp)"),
            key("permissions", TEXT, "names of the permissions, sorted, with a space between"),
            key("day", DAY, "UTC day"),
            Column("last_seen", TIME, "last call of the day with such a token"),
        ),
    ),
    Table(
        "agent_sightings",
        "one row per principal and application that a sign-in log calls an agent",
        (
            key("principal_id", TEXT, "who signed in: the agent, or the user for whom it acts"),
            key("app_id", TEXT, "client application of the sign-in"),
            key("agent_type", TEXT, "agentType as the log writes it, as agenticAppInstance"),
            key("subject_type", TEXT, "agentSubjectType as the log writes it; empty where it says none"),
            key("blueprint_app_id", TEXT, "application id of the blueprint (parentAppId); empty where it says none"),
            key("parent_id", TEXT, "object id above the subject (agentSubjectParentId); empty where it says none"),
            Column("last_seen", TIME, "last such sign-in"),
        ),
    ),
)


CHANGED_OBJECT_TABLES = (
    Table(
        "changed_objects",
        "one row per successful call to the directory that may leave access behind, or takes it away, with its objects",
        (
            key("event_key", TEXT, "the call, as in events"),
            Column("activity", TEXT, "activity of the audit log, folded; of a request to Graph method and path"),
            Column("object_id", TEXT, "first object of the change; of a request to Graph the first id in its path"),
            Column("object_type", TEXT, "its type as the log writes it; of a request the first step of the path"),
            Column("object_name", TEXT, "its display name or UPN; whoever made the object chose it"),
            Column("other_id", TEXT, "second object: the group, role or application that got or lost the first"),
            Column("other_type", TEXT, "its type as the log writes it"),
            Column("other_name", TEXT, "its display name or UPN"),
            Column(
                "properties", TEXT, "changed properties as a JSON list of name, old and new, cut to 16,000 characters"
            ),
        ),
    ),
)
