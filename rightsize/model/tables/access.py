"""What is granted: role definitions, assignments, denies, and the catalogue of operations."""

from rightsize.model.schema import Column, ColumnType, Table, key

TEXT, TEXTS, BOOL, INT, TIME = (
    ColumnType.TEXT,
    ColumnType.TEXTS,
    ColumnType.BOOL,
    ColumnType.INT,
    ColumnType.TIME,
)

ACCESS_TABLES = (
    Table(
        "role_definitions",
        "one row a role definition, the newest version that was loaded",
        (
            key("role_definition_id", TEXT, "dashed lower-case GUID"),
            Column("role_name", TEXT, "display name of the role"),
            Column("role_type", TEXT, "BuiltInRole or CustomRole"),
            Column("description", TEXT, "description"),
            Column("assignable_scopes", TEXTS, "scopes where the role may be assigned, in the file's order"),
            Column("permissions", TEXT, "the permission blocks as canonical JSON, conditions included"),
            Column("created_on", TIME, "when it was made"),
            Column("updated_on", TIME, "when it was last changed"),
        ),
    ),
    Table(
        "role_permissions",
        "one row a string of a permission block; a block without strings has no row",
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
        "one row an assignment in one state; PIM eligibilities and activations stand beside standing ones",
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
            Column("created_on", TIME, "when it was made"),
            Column("created_by", TEXT, "object id of who made it"),
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
        "one row a deny assignment",
        (
            key("deny_assignment_id", TEXT, "GUID (name)"),
            Column("deny_assignment_name", TEXT, "display name"),
            Column("description", TEXT, "description"),
            Column("scope", TEXT, "where it applies"),
            Column("does_not_apply_to_child_scopes", BOOL, "holds at the scope itself only"),
            Column("is_system_protected", BOOL, "made by Azure"),
            Column("principal_ids", TEXTS, "who is denied, sorted; the zero GUID is everybody"),
            Column("exclude_principal_ids", TEXTS, "who is not, sorted"),
            Column("permissions", TEXT, "the permission blocks as canonical JSON"),
            Column("condition", TEXT, "condition"),
        ),
    ),
    Table(
        "operations",
        "one row an operation of the catalogue, case-folded duplicates merged",
        (
            key("operation", TEXT, "name in ARM's spelling"),
            Column("is_data_action", BOOL, "true, false, or null where no source says it"),
            Column("is_data_action_source", TEXT, "where is_data_action comes from"),
            Column("is_guess", BOOL, "is_data_action was inferred, and decides no verdict"),
            Column("provider", TEXT, "resource provider"),
            Column("resource_type", TEXT, "provider and types"),
            Column("verb", TEXT, "read, write, delete, action, or empty"),
            Column("description", TEXT, "description"),
            Column("risk", TEXT, "class of the privilege it gives (rules/), null for none"),
            Column("layer", TEXT, "layer of defence it can weaken (rules/), null for none"),
            Column("observable_by", TEXT, "log that shows it (rules/), null where none is known to"),
            Column("unobservable_reason", TEXT, "why no log shows it, null where one does"),
        ),
    ),
    Table(
        "role_operations",
        "one row a (role, operation) that the role grants over the catalogue",
        (
            key("role_definition_id", TEXT, "the role"),
            key("operation", TEXT, "the operation in ARM's spelling"),
            key("plane", TEXT, "control or data"),
            Column("conditional", BOOL, "granted only by blocks that have a condition"),
        ),
        kind="derived",
    ),
)
