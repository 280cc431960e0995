"""Declare the tables about what exists: listings with their readers, registrations of providers, resource types."""

from rightsize.model.schema import Column, ColumnType, Table, key

TEXT, BOOL, INT, TIME, DAY = ColumnType.TEXT, ColumnType.BOOL, ColumnType.INT, ColumnType.TIME, ColumnType.DAY

EXISTENCE_TABLES: tuple[Table, ...] = (
    Table(
        "inventories",
        "one row a listing of one subscription for which a manifest, a collection or a user vouches",
        (
            key("scope", TEXT, "resource id of the subscription, ASCII lower case"),
            key("kind", TEXT, "resource_list, resource_graph or providers"),
            key("reader_id", TEXT, "object id of the principal that read it, ASCII lower case"),
            key("read_on", TIME, "when the reading began"),
            Column("finished_on", TIME, "when the reading ended"),
            Column("query", TEXT, "the command or query, as the manifest has it"),
            Column("rows", INT, "number of records in the file"),
            Column(
                "complete",
                BOOL,
                "the query has no filter, its last page was read, and the file has as many records as the manifest "
                "says; whether the reader may read everything is decided by the analysis",
            ),
            Column("problem", TEXT, "why it is not complete; null where it is"),
            Column("vouched_by", TEXT, "manifest, collection or user"),
        ),
    ),
    Table(
        "provider_registrations",
        "one row a resource provider and subscription, as it was last listed",
        (
            key("scope", TEXT, "resource id of the subscription, ASCII lower case"),
            key("namespace", TEXT, "namespace of the provider, ASCII lower case, for example microsoft.web"),
            Column("state", TEXT, "Registered, NotRegistered, Registering or Unregistering"),
            Column("policy", TEXT, "RegistrationRequired or RegistrationFree"),
            Column("reader_id", TEXT, "object id of the principal that read it, where a manifest says it"),
            Column("updated_on", TIME, "when it was read, where a manifest says it"),
        ),
    ),
    Table(
        "resource_types",
        "one row a type of top-level resource that a role grants, with what listings show of it",
        (
            key("resource_type", TEXT, "for example Microsoft.Web/sites"),
            Column("provider", TEXT, "its namespace, for example Microsoft.Web"),
            Column(
                "registered", INT, "subscriptions in which the provider is registered; null where no listing says it"
            ),
            Column("resources", INT, "resources of the type that listings show"),
            Column("decidable", BOOL, "a listing can prove that there is none"),
        ),
        kind="answer",
    ),
    Table(
        "resource_existence",
        "one row a subscription and type of top-level resource, over the window of the last analysis",
        (
            key("scope", TEXT, "resource id of the subscription, ASCII lower case"),
            key("resource_type", TEXT, "for example Microsoft.Web/sites"),
            Column("state", TEXT, "exists, existed, absent or unknown"),
            Column("reason", TEXT, "what proves it; where the state is unknown, what is missing"),
            Column("first_day", DAY, "first day of the window on which one is known to exist"),
            Column("last_day", DAY, "last day of the window on which one is known to exist"),
            Column("reader_id", TEXT, "who read the listing that proves an absence"),
            Column("read_on", TIME, "when it was read"),
        ),
        kind="answer",
    ),
)
