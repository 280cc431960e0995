"""Azure Policy, as far as it needs rights: who remediates for which assignment, and which roles that takes."""

from rightsize.model.schema import Column, ColumnType, Table, key

TEXT, TEXTS, BOOL, TIME = ColumnType.TEXT, ColumnType.TEXTS, ColumnType.BOOL, ColumnType.TIME

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
