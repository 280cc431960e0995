"""Directory roles: what they allow in Microsoft Entra, and who holds them where."""

from rightsize.model.schema import Column, ColumnType, Table, key

TEXT, TEXTS, BOOL, TIME = (ColumnType.TEXT, ColumnType.TEXTS, ColumnType.BOOL, ColumnType.TIME)

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
