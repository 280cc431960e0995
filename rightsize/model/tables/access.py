"""What is granted: role definitions, assignments, denies, operations, policies that need rights, activations.

Microsoft Graph: what its permissions allow, who holds and uses them, agents among them, and what calls changed.
"""

from rightsize.model.schema import BOOL, DAY, INT, REAL, TEXT, TEXTS, TIME, Column, Table, key

ACCESS_TABLES = (
    Table(
        "role_definitions",
        "one row per role definition, the newest version that was loaded",
        (
            key("role_definition_id", TEXT, "dashed lower-case GUID"),
            Column("role_name", TEXT, "display name of the role"),
            Column("role_type", TEXT, "BuiltInRole or CustomRole"),
            Column("description", TEXT, "description"),
            Column("assignable_scopes", TEXTS, "scopes where the role may be assigned, in the file's order"),
            Column("permissions", TEXT, "the permission blocks as canonical JSON, conditions included"),
            Column("created_on", TIME, "when it was created"),
            Column("updated_on", TIME, "when it was last changed"),
        ),
    ),
    Table(
        "role_permissions",
        "one row per string of a permission block; a block without strings has no row",
        (
            key("role_definition_id", TEXT, "the role"),
            key("block", INT, "index of the permission block, from 0"),
            key("kind", TEXT, "action, not_action, data_action or not_data_action"),
            key("pattern", TEXT, "the string as the role has it, surrounding spaces trimmed"),
            Column("condition", TEXT, "condition of the block"),
        ),
        kind="derived",
    ),
    Table(
        "role_assignments",
        "one row per assignment in one state; eligible assignments and activations of PIM have rows of their own",
        (
            key(
                "role_assignment_id",
                TEXT,
                "GUID (name) of the assignment; for an eligible one of its schedule instance",
            ),
            key("state", TEXT, "active, eligible or activated"),
            Column("principal_id", TEXT, "who holds it"),
            Column(
                "principal_type",
                TEXT,
                "as the export says; Unknown means that the directory no longer knows it",
            ),
            Column(
                "principal_name",
                TEXT,
                "name in the export; empty means that the directory no longer knows it",
            ),
            Column("role_definition_id", TEXT, "GUID of the role"),
            Column("role_name", TEXT, "name of the role where the export gives it"),
            Column("scope", TEXT, "where it is assigned"),
            Column("condition", TEXT, "condition of the assignment"),
            Column("condition_version", TEXT, "version of the condition language"),
            Column("description", TEXT, "description"),
            Column("created_on", TIME, "when it was created"),
            Column("created_by", TEXT, "object id of the principal that created it"),
            Column("updated_on", TIME, "when it was last changed"),
            Column("start_on", TIME, "start of an eligibility or activation"),
            Column("end_on", TIME, "end of a time-bound assignment, null for permanent ones"),
            Column("member_type", TEXT, "Direct, Group or Inherited, for PIM instances"),
            Column("eligibility_id", TEXT, "for an activation, the eligibility schedule instance behind it"),
            Column("principal_tenant_id", TEXT, "home tenant of a foreign principal (Lighthouse, guest tenant)"),
        ),
    ),
    Table(
        "deny_assignments",
        "one row per deny assignment",
        (
            key("deny_assignment_id", TEXT, "GUID (name)"),
            Column("deny_assignment_name", TEXT, "display name"),
            Column("description", TEXT, "description"),
            Column("scope", TEXT, "where it applies"),
            Column("does_not_apply_to_child_scopes", BOOL, "applies at the scope itself only"),
            Column("is_system_protected", BOOL, "created by Azure"),
            Column("principal_ids", TEXTS, "who is denied, sorted; the zero GUID is everybody"),
            Column("exclude_principal_ids", TEXTS, "who is excluded from the deny, sorted"),
            Column("permissions", TEXT, "the permission blocks as canonical JSON"),
            Column("condition", TEXT, "condition"),
        ),
    ),
    Table(
        "role_management_policies",
        "one row per policy of Privileged Identity Management: the rules for activating a role at a scope",
        (
            key("policy_id", TEXT, "GUID (name) of the policy; of directory roles and groups Graph's id of it"),
            Column(
                "scope",
                TEXT,
                "where it holds; scopes below have policies of their own; / for directory roles, /groups/ID for groups",
            ),
            Column(
                "role_definition_id",
                TEXT,
                "GUID of the role, member or owner for groups; null until an assignment of the policy is loaded",
            ),
            Column("maximum_activation", TEXT, "how long an activation may last, as ISO 8601 writes it"),
            Column("requires_mfa", BOOL, "an activation requires multifactor authentication"),
            Column("requires_justification", BOOL, "an activation requires a reason"),
            Column("requires_ticket", BOOL, "an activation requires a ticket number"),
            Column("authentication_context", TEXT, "the Conditional Access context that an activation requires"),
            Column("requires_approval", BOOL, "an activation requires an approval"),
            Column("approver_ids", TEXTS, "who may approve, sorted"),
            Column("maximum_eligibility", TEXT, "how long an eligible assignment may last, null for permanent"),
            Column("rules", TEXT, "all rules as canonical JSON, null until a listing with rules is loaded"),
            Column("updated_on", TIME, "when the rules were last changed"),
        ),
    ),
    Table(
        "operations",
        "one row per operation of the catalogue, case-folded duplicates merged",
        (
            key("operation", TEXT, "name in ARM's spelling"),
            Column("is_data_action", BOOL, "true, false, or null where no source says it"),
            Column("is_data_action_source", TEXT, "where is_data_action comes from"),
            Column("is_guess", BOOL, "is_data_action was inferred; no verdict depends on it"),
            Column("provider", TEXT, "resource provider"),
            Column("resource_type", TEXT, "provider and types"),
            Column("verb", TEXT, "read, write, delete, action, or empty"),
            Column("description", TEXT, "description"),
            Column("display_name", TEXT, "display name that the provider gives it, null without one"),
            Column("risk", TEXT, "class of its risk (rules/), null for none"),
            Column("layer", TEXT, "layer of defence that it defeats first (rules/), null for none"),
            Column("observable_by", TEXT, "log that shows it (rules/), null where no log is known to"),
            Column("unobservable_reason", TEXT, "why no log shows it, null where one does"),
        ),
    ),
    Table(
        "operation_layers",
        "one row per layer of defence that an operation of the catalogue can weaken, disable or bypass",
        (
            key("operation", TEXT, "the operation in ARM's spelling"),
            key(
                "layer",
                TEXT,
                "host_integrity, compute_isolation, network_segmentation, data_protection, identity_control or "
                "monitoring",
            ),
            Column("plane", TEXT, "control or data"),
            Column("effect", TEXT, "disable, bypass or weaken; the worst of several rules"),
            Column("control", TEXT, "the control that it defeats"),
        ),
        kind="derived",
    ),
    Table(
        "role_operations",
        "one row per (role, operation) that the role may grant over the catalogue; `X/*/y` may grant `X/y`",
        (
            key("role_definition_id", TEXT, "the role"),
            key("operation", TEXT, "the operation in ARM's spelling"),
            key("plane", TEXT, "control or data"),
            Column("conditional", BOOL, "granted only by blocks that have a condition"),
        ),
        kind="derived",
    ),
)


POLICY_TABLES = (
    Table(
        "policy_assignments",
        "one row per assignment of Azure Policy, of a definition or of a set of them",
        (
            key("policy_assignment_id", TEXT, "its resource id, folded"),
            Column("scope", TEXT, "where it holds"),
            Column("display_name", TEXT, "display name, else the name in its id"),
            Column("policy_definition_id", TEXT, "resource id of the definition or the set, folded"),
            Column("definition_version", TEXT, "the version of the definition or the set, null for the newest"),
            Column(
                "principal_ids",
                TEXTS,
                "object ids of the identities that remediate for it, sorted; null where not listed",
            ),
            Column("updated_on", TIME, "when it was last changed"),
        ),
    ),
    Table(
        "policy_definitions",
        "one row per definition of Azure Policy, or a set of them",
        (
            key("policy_definition_id", TEXT, "its resource id, folded"),
            Column("is_set", BOOL, "whether it is a set (initiative), null where its rule was not listed"),
            Column("display_name", TEXT, "display name, else the name in its id"),
            Column("version", TEXT, "its version"),
            Column("role_definition_ids", TEXTS, "GUIDs of the roles that remediation needs; null where not known"),
            Column("member_ids", TEXTS, "of a set the resource ids of its definitions, folded and sorted"),
            Column("member_versions", TEXTS, "the version of each, in the same order; empty where the set names none"),
            Column("updated_on", TIME, "when it was last changed"),
        ),
    ),
)


PIM_TABLES = (
    Table(
        "schedule_requests",
        "one row per request to Privileged Identity Management, for a role in Azure, in the directory or in a group",
        (
            key("request_id", TEXT, "GUID (name) of the request"),
            Column("plane", TEXT, "control, directory or group: what the request is about"),
            Column("asks_for", TEXT, "assignment or eligibility"),
            Column("request_type", TEXT, "folded, as selfactivate, selfdeactivate, adminassign or adminremove"),
            Column("status", TEXT, "folded, as provisioned, granted, revoked or denied"),
            Column("principal_id", TEXT, "principal that the request is for"),
            Column("requestor_id", TEXT, "who asked"),
            Column("role_definition_id", TEXT, "GUID of the role; for a group owner or member"),
            Column("scope", TEXT, "where: an Azure scope, a directory scope, or /groups/ID"),
            Column("role_assignment_id", TEXT, "the assignment that the request made, where it names it"),
            Column("eligibility_schedule_id", TEXT, "the eligibility schedule behind it, where it names it"),
            Column("requested_on", TIME, "when it was requested"),
            Column("start_on", TIME, "when it begins"),
            Column("end_on", TIME, "when it ends; null without an end, or where the export does not say"),
            Column("justified", BOOL, "a reason was given"),
            Column("ticketed", BOOL, "a ticket was named"),
            Column("approval_id", TEXT, "the approval that it waited for, null where none was needed"),
        ),
    ),
    Table(
        "group_schedule_instances",
        "one row per membership or ownership of a group that Privileged Identity Management governs, in one state",
        (
            key("instance_id", TEXT, "id of the schedule instance"),
            key("state", TEXT, "active, eligible or activated"),
            Column("principal_id", TEXT, "principal that is, or can become, a member or owner"),
            Column("group_id", TEXT, "the group"),
            Column("access", TEXT, "member or owner"),
            Column("start_on", TIME, "start"),
            Column("end_on", TIME, "end, null for permanent ones"),
            Column("member_type", TEXT, "direct or group"),
        ),
    ),
    Table(
        "pim_records",
        "one row per record of the directory audit log about an activation",
        (
            key("record_id", TEXT, "id of the record"),
            Column("time", TIME, "when it was written"),
            Column("step", TEXT, "requested, approved, denied, activated, deactivated or expired"),
            Column("plane", TEXT, "control, directory or group: by the record's category"),
            Column("principal_id", TEXT, "principal whose activation it is"),
            Column("role_definition_id", TEXT, "GUID of the role where the record names it"),
            Column("group_id", TEXT, "the group where the record names one"),
            Column("start_on", TIME, "when the activation begins"),
            Column("end_on", TIME, "when it ends"),
            Column("justified", BOOL, "a reason was given"),
            Column("ticketed", BOOL, "a ticket was named"),
            Column("succeeded", BOOL, "the step succeeded"),
            Column("correlation_id", TEXT, "correlation id"),
        ),
    ),
)

ACTIVATION_TABLES = (
    Table(
        "activations",
        "one row per activation of an eligible assignment that the last analysis could rebuild, including ended ones",
        (
            key("activation_id", TEXT, "the assignment that it made, else the request or audit record that shows it"),
            Column("plane", TEXT, "control or directory; group for an activated membership"),
            Column("principal_id", TEXT, "who activated"),
            Column("role_definition_id", TEXT, "GUID of the role; for a group owner or member"),
            Column("scope", TEXT, "where it was active"),
            Column("role_assignment_id", TEXT, "the assignment that logs name, null where nothing shows it"),
            Column("eligibility_id", TEXT, "the eligibility behind it that is listed today, null where none is"),
            Column("start_on", TIME, "when it began"),
            Column("end_on", TIME, "when it ended, null where nothing says it"),
            Column("hours", REAL, "how long it lasted"),
            Column("justified", BOOL, "a reason was given; null where nothing says whether"),
            Column("approved", BOOL, "somebody approved it; null where nothing says whether"),
            Column("seen_in", TEXTS, "what shows it: instance, request, activity_log, audit_log"),
            Column("operations", INT, "distinct operations that the logs show under it, without reads of resources"),
            Column("events", INT, "calls under it"),
            Column("done", TEXTS, "up to twenty of the operations"),
        ),
        kind="answer",
    ),
)


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
