"""What logs show of AI agents: the permissions in their tokens, and sign-ins that name an agent."""

from rightsize.model.schema import Column, ColumnType, Table, key

TEXT, TIME, DAY = ColumnType.TEXT, ColumnType.TIME, ColumnType.DAY

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
