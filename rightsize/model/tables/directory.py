"""Who there is: principals, their aliases, groups, the scopes of the tenant, and directory roles with their holders."""

from rightsize.model.schema import BOOL, INT, TEXT, TEXTS, TIME, Column, Table, key

DIRECTORY_TABLES = (
    Table(
        "principals",
        "one row per principal that a listing names",
        (
            key("principal_id", TEXT, "object id, dashed lower-case GUID"),
            Column(
                "principal_type",
                TEXT,
                "User, Group, ServicePrincipal, ManagedIdentity, ForeignGroup or Unknown; null where nothing says it",
            ),
            Column(
                "display_name",
                TEXT,
                "display name; whoever created the principal chose it, so do not trust it",
            ),
            Column("user_principal_name", TEXT, "UPN of a user"),
            Column("app_id", TEXT, "application (client) id of a service principal, dashed lower-case GUID"),
            Column("account_enabled", BOOL, "whether sign-in is allowed"),
            Column("user_type", TEXT, "Member or Guest"),
            Column("created_on", TIME, "when the principal was created"),
            Column("deleted_on", TIME, "when it was deleted, where it was seen among the deleted items"),
            Column("owner_tenant_id", TEXT, "tenant that owns the application (appOwnerOrganizationId)"),
            Column("alternative_names", TEXTS, "for a managed identity the resource it belongs to"),
            Column("is_synced", BOOL, "comes from an on-premises directory"),
            Column("group_types", TEXTS, "groupTypes of a group; DynamicMembership among them means rule-based"),
            Column("is_role_assignable", BOOL, "group that can hold directory roles"),
            Column("last_sign_in", TIME, "latest of signInActivity's successful or attempted sign-ins"),
            Column(
                "listed",
                BOOL,
                "seen in a directory listing of its own, not only as a member or among the deleted items",
            ),
            Column(
                "object_type",
                TEXT,
                "Graph's type of the object where it is more specific than user, group or service principal: "
                "agentIdentity, agentUser, agentIdentityBlueprintPrincipal, or one that no rule knows",
            ),
            Column("blueprint_app_id", TEXT, "application id of the blueprint that an agent identity was made from"),
            Column("parent_id", TEXT, "object id of the agent identity that an agent user belongs to"),
        ),
    ),
    Table(
        "principal_aliases",
        "one row per alias; a name of two principals has no row",
        (
            key("kind", TEXT, "upn or app_id"),
            key("alias", TEXT, "the alias, ASCII lower case"),
            Column("principal_id", TEXT, "the principal it names"),
        ),
        kind="derived",
    ),
    Table(
        "group_members",
        "one row per direct or transitive membership that a listing states",
        (
            key("group_id", TEXT, "object id of the group"),
            key("member_id", TEXT, "object id of the member"),
            key("listing", TEXT, "members (direct) or transitiveMembers"),
            Column("member_type", TEXT, "User, Group, ServicePrincipal or Device, where the listing says it"),
        ),
    ),
    Table(
        "group_closure",
        "one row per (group, member) pair, direct or through other groups; a group is never its own member",
        (
            key("group_id", TEXT, "object id of the group"),
            key("member_id", TEXT, "object id of the member, a group or not"),
            Column(
                "depth",
                INT,
                "length of the shortest chain of direct memberships; null where only a transitive listing says it",
            ),
        ),
        kind="derived",
    ),
    Table(
        "object_owners",
        "one row per owner of an application, service principal or group",
        (
            key("object_id", TEXT, "object id of what is owned"),
            key("owner_id", TEXT, "object id of the owner"),
            Column("app_id", TEXT, "application id, of applications and service principals"),
        ),
    ),
    Table(
        "object_sponsors",
        "one row per sponsor of an agent identity, agent user or blueprint: who answers for it, without the right to "
        "change it",
        (
            key("object_id", TEXT, "object id of what is sponsored"),
            key("sponsor_id", TEXT, "object id of the sponsor, a user or a group"),
            Column("app_id", TEXT, "application id, of blueprints and their principals"),
        ),
    ),
    Table(
        "agent_blueprints",
        "one row per agent identity blueprint: the application that agent identities are made from",
        (
            key("blueprint_app_id", TEXT, "application id of the blueprint, which its principal has as well"),
            Column("object_id", TEXT, "object id of the application; its principal has another"),
            Column("display_name", TEXT, "display name"),
            Column("publisher", TEXT, "name of the verified publisher, null where it has none"),
            Column("disabled_status", TEXT, "disabledByMicrosoftStatus, null where Microsoft has not disabled it"),
            Column("created_on", TIME, "when it was created"),
        ),
    ),
    Table(
        "inheritable_permissions",
        "one row per blueprint, API and kind of access: which permissions of the blueprint's principal its agent "
        "identities inherit; exports that disagree have a row each",
        (
            key(
                "blueprint_id",
                TEXT,
                "object id of the blueprint's application, or its application id where the page names that",
            ),
            key("resource_app_id", TEXT, "application id of the API"),
            key("access", TEXT, "delegated (inheritableScopes) or application (inheritableRoles)"),
            key(
                "mode",
                TEXT,
                "allAllowed, enumerated or none; unsaid where the record does not say it; any other word as Graph "
                "writes it",
            ),
            Column("permissions", TEXTS, "the permissions of an enumerated list, sorted"),
        ),
    ),
    Table(
        "federated_credentials",
        "one row per outside subject that an application or a user-assigned identity trusts",
        (
            key("object_id", TEXT, "object id of the application, or resource id of the identity, ASCII lower case"),
            key("name", TEXT, "name of the credential, unique within its object, ASCII lower case"),
            Column("app_id", TEXT, "application id, of applications"),
            Column("issuer", TEXT, "issuer of the tokens that are trusted"),
            Column(
                "subject",
                TEXT,
                "subject of these tokens; where an expression is matched instead, the expression; null where the "
                "export does not show it",
            ),
            Column("is_expression", BOOL, "the subject is an expression, which many subjects may match"),
            Column("credential_id", TEXT, "id in Graph, or resource id; ASCII lower case"),
            Column("spelling", TEXT, "name of the credential as it is written"),
            Column("audiences", TEXTS, "audiences that tokens must have"),
            Column("description", TEXT, "description of the credential"),
            Column("language_version", INT, "version of the language of the expression"),
            Column("sign_in_audience", TEXT, "who may use the application: AzureADMyOrg for this tenant alone"),
        ),
    ),
    Table(
        "observed_subjects",
        "one row per subject that presented a token of an outside issuer, as the logs of its runs say",
        (
            key("issuer", TEXT, "issuer of the token, without a slash at its end"),
            key("subject", TEXT, "subject of the token"),
            key("time", TIME, "when, UTC"),
            key("app_id", TEXT, "application id or client id that the run signed in as; empty where not known"),
            Column("credential_id", TEXT, "federated credential that was used, where known"),
            Column("job_workflow_ref", TEXT, "workflow that ran, a claim of GitHub's tokens"),
            Column("run", TEXT, "name or address of the run"),
        ),
    ),
    Table(
        "administrative_units",
        "one row per administrative unit of the directory",
        (
            key("unit_id", TEXT, "object id of the unit"),
            Column("display_name", TEXT, "display name"),
            Column("is_restricted", BOOL, "only directory roles with the unit as their scope may change its members"),
        ),
    ),
    Table(
        "administrative_unit_members",
        "one row per direct member of an administrative unit; members of a group in it are none",
        (
            key("unit_id", TEXT, "object id of the unit"),
            key("member_id", TEXT, "object id of the member"),
            Column("member_type", TEXT, "User, Group or Device, where the listing says it"),
        ),
    ),
    Table(
        "listings",
        "one row per listing, with whether it is complete; also for a subscription or group that has none",
        (
            key(
                "listing",
                TEXT,
                "users, groups, servicePrincipals, deletedItems, members, transitiveMembers, unitMembers, "
                "inheritablePermissions, owners, sponsors, resources, role_assignments, role_eligibility_instances, "
                "role_definitions, deny_assignments",
            ),
            key(
                "of",
                TEXT,
                "the scope for assignments; the group or unit id for members; the role for role_definitions; the "
                "blueprint for inheritablePermissions; for owners and sponsors the set of objects that they belong to, "
                "folded, as serviceprincipals/microsoft.graph.agentidentity; the subscription and the type of "
                "resource, with a space between, for resources; else empty",
            ),
            Column(
                "complete",
                BOOL,
                "nothing speaks against it: no refusal, no manifest, no rejected record, no next page that is missing",
            ),
            Column("rejected", INT, "largest number of records that were rejected on one of its pages"),
            Column("why", TEXT, "why it is not complete; null where it is, or where nobody says it"),
            Column("command", TEXT, "the command that gets it, where it is not complete", computed=True),
        ),
    ),
    Table(
        "scope_listings",
        "one row per management group or subscription that a listing states",
        (
            key("scope", TEXT, "resource id as listed"),
            Column("kind", TEXT, "management_group or subscription"),
            Column("parent_scope", TEXT, "the management group above it, null where the listing does not say it"),
            Column("display_name", TEXT, "display name"),
        ),
    ),
    Table(
        "scope_tags",
        "one row per tag of a scope in a listing; a tag that changed has a row for each value",
        (
            key("scope", TEXT, "resource id of the subscription, resource group or resource, ASCII lower case"),
            key("name", TEXT, "name of the tag, ASCII lower case, since Azure compares names so"),
            key("value", TEXT, "its value, as it is written"),
        ),
    ),
    Table(
        "resources",
        "one row per resource that a listing states, with its newest settings",
        (
            key("scope", TEXT, "resource id, ASCII lower case"),
            Column("resource_type", TEXT, "for example Microsoft.KeyVault/vaults"),
            Column("sku", TEXT, "its tier, where the listing says it"),
            Column(
                "settings",
                TEXT,
                "the settings that decide who gets at its data (rules/), as canonical JSON; null until a listing with "
                "properties is loaded",
            ),
            Column("created_on", TIME, "when it was created"),
            Column("updated_on", TIME, "when it was last changed"),
        ),
    ),
    Table(
        "vaults",
        "one row per key vault that a listing states, with what decides about its data",
        (
            key("scope", TEXT, "resource id, ASCII lower case"),
            Column("model", TEXT, "roles or policies; null until a listing with properties is loaded"),
            Column("tenant_id", TEXT, "the tenant whose policies count"),
            Column("policies_known", BOOL, "a listing with its access policies is loaded"),
            Column("enabled_for_deployment", BOOL, "machines get certificates from it without a permission"),
            Column("enabled_for_disk_encryption", BOOL, "disk encryption gets secrets from it without a permission"),
            Column("enabled_for_template_deployment", BOOL, "Resource Manager gets secrets from it for deployments"),
            Column("purge_protection", BOOL, "nobody can purge it or what is in it"),
        ),
        kind="view",
    ),
    Table(
        "vault_policies",
        "one row per permission that an access policy of a key vault gives, and data action that it allows",
        (
            key("scope", TEXT, "the vault, ASCII lower case"),
            key("principal_id", TEXT, "who holds the policy"),
            key("app_id", TEXT, "the application through which alone it holds; empty where it holds by itself"),
            key("kind", TEXT, "key, secret, certificate or storage"),
            key("permission", TEXT, "as the policy has it, ASCII lower case; all is every permission of the kind"),
            Column("is_foreign", BOOL, "the policy names another tenant than the vault, and so allows nothing"),
            key("operation", TEXT, "data action of Azure RBAC that it allows whole or in part; null where none is"),
        ),
        kind="view",
    ),
    Table(
        "resource_identities",
        "one row per managed identity that a listing attaches to a resource, or that is a resource of its own",
        (
            key("scope", TEXT, "resource id, ASCII lower case"),
            key("kind", TEXT, "system, user, or self where the resource is a user-assigned identity"),
            key("identity_scope", TEXT, "resource id of a user-assigned identity, ASCII lower case; else empty"),
            Column("principal_id", TEXT, "object id of the identity, where the listing says it"),
        ),
    ),
    Table(
        "resource_references",
        "one row per resource that the record of another resource names, as its properties, identity or manager",
        (
            key("scope", TEXT, "id of the resource that refers, ASCII lower case"),
            key("target", TEXT, "id of the resource or child that it names, ASCII lower case"),
        ),
    ),
    Table(
        "diagnostic_settings",
        "one row per category, or group of categories, of a diagnostic setting",
        (
            key("scope", TEXT, "resource whose log it sends, ASCII lower case; of storage accounts the service"),
            key("name", TEXT, "name of the setting, ASCII lower case"),
            key("category", TEXT, "category or group of categories, ASCII lower case"),
            key("is_group", BOOL, "it is a group: allLogs or audit"),
            Column("enabled", BOOL, "whether the category is sent"),
        ),
    ),
    Table(
        "scopes",
        "one row per scope that a listing, an assignment or an event names, ancestors included",
        (
            key("scope", TEXT, "resource id; / is the root; spelt as ARM spells it where that is known"),
            Column(
                "kind",
                TEXT,
                "root, management_group, subscription, resource_group, resource or tenant_resource",
            ),
            Column("parent_scope", TEXT, "the next scope above; null for the root"),
            Column("subscription_id", TEXT, "GUID of the subscription, null above subscriptions"),
            Column("resource_group", TEXT, "name of the resource group"),
            Column("resource_type", TEXT, "for example Microsoft.Compute/virtualMachines"),
            Column("display_name", TEXT, "name from a listing"),
            Column("listed", BOOL, "seen in a listing of scopes, not only named by an assignment or an event"),
        ),
        kind="derived",
    ),
)


LISTED_MEMBER = "directoryRoles/"
"""The prefix of the id of an assignment from the older listing of roles, `directoryRoles/ROLE/MEMBER`."""

DIRECTORY_ROLE_TABLES = (
    Table(
        "directory_roles",
        "one row per directory role, built-in or custom",
        (
            key("directory_role_id", TEXT, "GUID; of a built-in role that of its template"),
            Column("role_name", TEXT, "display name"),
            Column("is_built_in", BOOL, "created by Microsoft"),
            Column("is_enabled", BOOL, "may be assigned; null where nothing says it"),
            Column("is_privileged", BOOL, "Microsoft marks it as privileged; null where nothing says it"),
            Column("tier", TEXT, "tier of the enterprise access model where a catalogue names it, 0 the highest"),
            Column("description", TEXT, "description"),
            Column("inherits", TEXTS, "roles whose permissions it also has, sorted"),
            Column("actions", TEXTS, "resource actions that it allows whatever the object, sorted"),
            Column("conditional_actions", TEXTS, "resource actions that it allows of certain objects only, sorted"),
        ),
    ),
    Table(
        "directory_role_assignments",
        "one row per assignment of a directory role in one state",
        (
            key(
                "role_assignment_id",
                TEXT,
                "id of the assignment; for an eligible one of its schedule instance, for a member from the older "
                "listing of roles directoryRoles/ROLE/MEMBER",
            ),
            key("state", TEXT, "active, eligible or activated"),
            Column("principal_id", TEXT, "who holds it"),
            Column("directory_role_id", TEXT, "the role"),
            Column("scope", TEXT, "directory scope: /, /administrativeUnits/ID, or the id of an application after a /"),
            Column("start_on", TIME, "start of a time-bound assignment"),
            Column("end_on", TIME, "end of a time-bound assignment, null for permanent ones"),
            Column("created_on", TIME, "when it was created, where the export says it"),
            Column("member_type", TEXT, "Direct, Group or Inherited, for PIM instances"),
            Column("eligibility_id", TEXT, "for an activation, the eligibility behind it"),
        ),
    ),
)
