"""What other tools say of access: permissions of applications in use, identities without use or with too much."""

from rightsize.model.schema import Column, ColumnType, Table, key

TEXT, TIME = ColumnType.TEXT, ColumnType.TIME

JUDGEMENT_TABLES = (
    Table(
        "tool_judgements",
        "one row per permission, identity or scope that another tool judges, in its newest state",
        (
            key("judgement_id", TEXT, "the tool and its id there: of a permission application, access, API and name"),
            Column("tool", TEXT, "app_governance (OAuthAppInfo), defender_ciem or azure_advisor"),
            Column("plane", TEXT, "graph for permissions of APIs, control for Azure"),
            Column("says", TEXT, "used, unused, inactive, overprovisioned, or unknown where the tool says nothing"),
            Column("principal_id", TEXT, "the principal, where the tool names its object id"),
            Column("app_id", TEXT, "the application, where the tool names it"),
            Column("principal_name", TEXT, "name of the principal or application in the export"),
            Column("access", TEXT, "of a permission: application or delegated"),
            Column("api_app_id", TEXT, "of a permission: application id of the API"),
            Column("permission", TEXT, "name of the permission"),
            Column("scope", TEXT, "of an Azure judgement: the subscription"),
            Column("title", TEXT, "title of the recommendation"),
            Column("status", TEXT, "state of the recommendation or application, as the tool calls it"),
            Column("last_used", TIME, "last use of the application, where the tool says it"),
            Column("read_on", TIME, "when the tool judged or wrote the record"),
        ),
    ),
)
