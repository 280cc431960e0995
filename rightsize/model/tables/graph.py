"""Microsoft Graph: what its permissions allow, who holds them, and which requests were made with them."""

from rightsize.model.schema import Column, ColumnType, Table, key

TEXT, TEXTS, BOOL, INT, TIME, DAY = (
    ColumnType.TEXT,
    ColumnType.TEXTS,
    ColumnType.BOOL,
    ColumnType.INT,
    ColumnType.TIME,
    ColumnType.DAY,
)

GRAPH_TABLES = (
    Table(
        "api_permissions",
        "one row a permission that an API publishes: an app role, or a delegated permission",
        (
            key("api_app_id", TEXT, "application id of the API"),
            key("permission_id", TEXT, "GUID of the app role or of the delegated permission"),
            key("access", TEXT, "application (app role) or delegated"),
            Column("permission", TEXT, "its name, the value in tokens; null for a role without one"),
            Column("display_name", TEXT, "what a consent says of it"),
            Column("is_enabled", BOOL, "it can be granted"),
        ),
    ),
    Table(
        "app_role_assignments",
        "one row an app role that a principal holds of an API",
        (
            key("app_role_assignment_id", TEXT, "id of the assignment"),
            Column("principal_id", TEXT, "who holds it"),
            Column("principal_type", TEXT, "ServicePrincipal, User or Group"),
            Column("principal_name", TEXT, "name in the export"),
            Column("resource_id", TEXT, "object id of the API's service principal"),
            Column("resource_name", TEXT, "name of the API in the export"),
            Column("app_role_id", TEXT, "GUID of the app role; the zero GUID is access without a role"),
            Column("created_on", TIME, "when it was made"),
        ),
    ),
    Table(
        "permission_grants",
        "one row a delegated permission grant: what an application may do for its users",
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
        "one row a permission of Microsoft Graph and kind of access, from the imported map",
        (
            key("permission", TEXT, "its name"),
            key("access", TEXT, "application or delegated"),
            Column("privilege_level", INT, "1 (least) to 5 as the map has it, null where it says nothing"),
            Column("needs_admin_consent", BOOL, "an administrator has to consent"),
            Column("display_name", TEXT, "what a consent says of it"),
        ),
    ),
    Table(
        "graph_permission_paths",
        "one row a request that a permission allows, from the imported map",
        (
            key("permission", TEXT, "name of the permission"),
            key("access", TEXT, "application or delegated"),
            key("method", TEXT, "HTTP method"),
            key("path", TEXT, "path with {id} and {value}, ASCII lower case"),
            Column("is_least", BOOL, "the map calls it the least privileged one for the request"),
            Column("also_requires", TEXTS, "permissions of which one is needed besides, sorted"),
        ),
    ),
    Table(
        "first_party_apps",
        "one row an application of Microsoft, from an imported list",
        (
            key("app_id", TEXT, "application id"),
            Column("display_name", TEXT, "its name"),
            Column("owner_tenant_id", TEXT, "the tenant that owns it"),
        ),
    ),
)

GRAPH_VIEWS = (
    Table(
        "graph_usage_days",
        "one row an application, who acted, kind of access, request and day",
        (
            key("app_id", TEXT, "application that made the request; null where the log does not say it"),
            key("principal_id", TEXT, "user of a delegated request, else the service principal"),
            key("access", TEXT, "application or delegated"),
            key("operation", TEXT, "method and normalised path"),
            key("day", DAY, "UTC day"),
            Column("first_seen", TIME, "first request of the day"),
            Column("last_seen", TIME, "last request of the day"),
            Column("succeeded", INT, "answered with 2xx or 3xx"),
            Column("failed", INT, "failed after it was authorised: still use"),
            Column("started", INT, "no answer seen: use, labelled"),
            Column("denied", INT, "401 or 403: demand, never use"),
            Column("suspect", INT, "requests in quarantine that were not refused, also counted in their outcome"),
            Column("other", INT, "throttled, or an answer that says nothing of authorisation"),
        ),
        kind="view",
    ),
)
