"""What was loaded, what could not be used, what exists by which listing, and what is missing from a store.

What others say: alerts, incidents and risk, the judgements of other tools, and what a watch told.
"""

from rightsize.model.schema import BOOL, DAY, INT, REAL, TEXT, TEXTS, TIME, Column, Table, key

BOOKKEEPING_TABLES = (
    Table(
        "loads",
        "one row per distinct file content that was loaded; loading it again changes nothing",
        (
            key("sha256", TEXT, "hash of the bytes as stored on disk"),
            key("source", TEXT, "shape it was recognised as"),
            Column("path", TEXT, "name of the file or archive member; of several names the bytewise smallest"),
            Column("read", INT, "records read"),
            Column("rejected", INT, "records that could not be used"),
            Column(
                "unused_record",
                INT,
                "records that were read and have nothing for the store; null for files loaded before this was counted",
            ),
        ),
    ),
    Table(
        "declared_windows",
        "one row per window of days for which somebody declares that a source was exported completely",
        (
            key(
                "source",
                TEXT,
                "activity_log, sign_in_log, or a log of a service, as storage_log",
            ),
            key("category", TEXT, "category, or * for all of the source"),
            key("scope", TEXT, "scope that the declaration speaks of, with everything below it"),
            key("first_day", DAY, "first whole UTC day"),
            key("last_day", DAY, "last whole UTC day"),
            key("declared_by", TEXT, "manifest or user"),
        ),
    ),
    Table(
        "declared_needs",
        "one row per operation that loaded code declares for a principal, and scope where the code needs it",
        (
            key("principal_id", TEXT, "the principal that deploys the code; folded"),
            key("operation", TEXT, "the operation"),
            key("scope", TEXT, "where it is needed: the part of the id that the code says; folded"),
            key("sha256", TEXT, "hash of the file"),
            Column("file", TEXT, "name of the file"),
            Column("resource", TEXT, "address of the resource in the code that needs it"),
            Column("rule", TEXT, "why the resource needs it"),
            Column("declared_on", DAY, "the day on which it was loaded"),
            Column("until", DAY, "the last day on which it counts, against the end of the window"),
        ),
    ),
    Table(
        "grant_listings",
        "one row per listing of assignments or permissions that collections made completely, as of the newest",
        (
            key("source", TEXT, "what was listed, as `collect` calls it: role_assignments, app_role_assignments …"),
            key("place", TEXT, "the scope that was listed, folded; / for the whole directory"),
            Column("taken_on", TIME, "start of the newest collection that has all of it"),
        ),
    ),
    Table(
        "grant_sightings",
        "one row per assignment or permission and collected listing that had it",
        (
            key("source", TEXT, "as in grant_listings"),
            key("place", TEXT, "as in grant_listings"),
            key("grant_id", TEXT, "id of the assignment or grant, as in its own table"),
            Column("last_listed_on", TIME, "start of the newest collection whose listing had it"),
        ),
    ),
    Table(
        "vanished_grants",
        "one row per removed assignment or permission: the newest complete listing of each of its places lacks it",
        (
            key("source", TEXT, "as in grant_listings"),
            key("grant_id", TEXT, "id of the assignment or grant, which no longer counts as granted"),
            Column("last_listed_on", TIME, "start of the newest collection that still had it"),
            Column("missing_on", TIME, "start of the newest collection that no longer had it"),
        ),
        kind="view",
    ),
    Table(
        "rejects",
        "one row per record that could not be used",
        (
            key("sha256", TEXT, "hash of the file"),
            key("line", INT, "line of the file, or index of the record in an array, from 1"),
            key("reason", TEXT, "why"),
            Column("source", TEXT, "shape of the file"),
            Column("path", TEXT, "name of the file"),
            Column("raw", TEXT, "the record's text, first 64 KiB"),
        ),
    ),
    Table(
        "unknown_operations",
        "one row per operation that events or roles name and the catalogue lacks",
        (
            key("operation", TEXT, "as it was written"),
            key("plane", TEXT, "control or data"),
            Column("events", INT, "calls that name it"),
            Column("first_seen", TIME, "first call"),
            Column("last_seen", TIME, "last call"),
        ),
        kind="view",
    ),
)


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


OBSERVABILITY_TABLES: tuple[Table, ...] = (
    Table(
        "observability_options",
        "one row a missing listing, log, setting or declaration that would decide something, by the last `status logs`",
        (
            key(
                "item", TEXT, "the missing thing, for example inventory, activity_log or log:microsoft.keyvault/vaults"
            ),
            Column("title", TEXT, "the same in words"),
            Column("rank", INT, "its place in the order of what it would decide"),
            Column("excess", INT, "excess that it would decide at most: weight by risk times reach of the assignment"),
            Column("excess_alone", INT, "the part of it for which nothing else is missing"),
            Column("share", REAL, "excess, as a share of all excess that is undecided, 0 to 1"),
            Column("expected", INT, "the part that is unused if it is as in like scopes; null where none is alike"),
            Column("operations", INT, "undecided operations behind it, over all assignments"),
            Column("assignments", INT, "assignments that grant them"),
            Column("needs", TEXTS, "other missing things that a part of the excess also needs, sorted"),
            Column("gb_per_month", REAL, "gigabytes a month; null where nothing says it"),
            Column("gb_source", TEXT, "where the volume comes from: rows of this store, a stated figure, or assumed"),
            Column("is_assumed", BOOL, "nothing at hand says the number of records, so it is assumed"),
            Column("records_per_month", INT, "records a month by the rows of like sources, else assumed; or null"),
            Column("price_per_month", REAL, "price of a month; 0 for what is free or paid; null where it is not known"),
            Column("currency", TEXT, "currency of the price"),
            Column("plan", TEXT, "plan or destination of the price"),
            Column("price_as_of", DAY, "day on which the oldest of its prices was read"),
            Column("price_source", TEXT, "where the prices were read"),
            Column("is_sent", BOOL, "diagnostic settings send it already: it only has to be loaded"),
            Column("licence", TEXT, "licence that it takes, if any"),
            Column("decides_on", DAY, "day on which it decides if it is switched on at the end of the window"),
            Column("chosen", BOOL, "in the best set under --budget, or a part of it; null without a budget"),
            Column("commands", TEXTS, "what to do, in order"),
            Column("policy_commands", TEXTS, "instead of a setting: the commands that assign built-in policies"),
        ),
        kind="answer",
    ),
    Table(
        "observability_parts",
        "one row a missing thing and scope, of what is missing scope by scope, by the last run of `status logs`",
        (
            key("item", TEXT, "the missing thing, as in observability_options"),
            key("scope", TEXT, "subscription, management group or / where it is missing; empty where nothing tells"),
            Column("rank", INT, "its place among the scopes of the missing thing"),
            Column("excess", INT, "excess that it would decide at most at this scope"),
            Column("excess_alone", INT, "the part of it for which nothing else is missing, at other scopes either"),
            Column("share", REAL, "excess, as a share of all excess that is undecided, 0 to 1"),
            Column("operations", INT, "undecided operations behind it, over all assignments"),
            Column("gb_per_month", REAL, "gigabytes a month; null where nothing says it"),
            Column("records_per_month", INT, "records a month, as in observability_options"),
            Column("is_assumed", BOOL, "nothing at hand says the number of records, so it is assumed"),
            Column("price_per_month", REAL, "price of a month, as in observability_options"),
            Column("chosen", BOOL, "in the best set under --budget; null without a budget"),
            Column("commands", TEXTS, "what to do at this scope, in order"),
            Column("policy_commands", TEXTS, "instead of a setting: the commands that assign built-in policies"),
        ),
        kind="answer",
    ),
    Table(
        "observability_promises",
        "one row a missing thing, assignment and plane: what `status logs` promised, to hold against what came",
        (
            key("item", TEXT, "the missing thing"),
            key("promised_on", DAY, "day after the window of the promise"),
            key("role_assignment_id", TEXT, "the assignment or other grant"),
            key("state", TEXT, "its state"),
            key("plane", TEXT, "control, data, graph or directory"),
            Column("excess", INT, "excess that would become decidable at most"),
            Column("undecided", INT, "all undecided excess of the assignment on the plane on that day"),
        ),
        kind="answer",
    ),
)


SIGNAL_TABLES = (
    Table(
        "signals",
        "one row per alert, incident, risk detection or risky principal, in its newest state",
        (
            key("signal_id", TEXT, "where it comes from and its id there: security_alert/…, risk_detection/…"),
            Column(
                "source",
                TEXT,
                "security_alert and security_incident (Log Analytics), defender_alert (ARM), graph_alert and "
                "graph_incident, risk_detection, risky_user, risky_service_principal, risky_sign_in",
            ),
            Column("kind", TEXT, "alert, incident, risk_detection, risky_sign_in or risky_principal"),
            Column("product", TEXT, "what raised it"),
            Column("original_id", TEXT, "its id with the product that raised it, the same in every export; folded"),
            Column("name", TEXT, "its title, or the type of risk; its words may quote an attacker's"),
            Column("severity", TEXT, "high, medium, low, informational, hidden, none or unknown"),
            Column("status", TEXT, "state of the alert or of the risk, as its source calls it, folded"),
            Column("classification", TEXT, "classification that people gave it, or the detail of the risk; folded"),
            Column("first_time", TIME, "first activity that it is about; of a risky principal its last change"),
            Column("last_time", TIME, "last activity that it is about"),
            Column("created_on", TIME, "when it was raised"),
            Column("updated_on", TIME, "when its state changed last"),
            Column("confidence", REAL, "confidence of the product, 0 to 1, null where it says none"),
            Column("tactics", TEXTS, "MITRE ATT&CK tactics that it names"),
            Column(
                "dismissed",
                BOOL,
                "whether it is a false positive: by its state, by the newest state of the same alert in another "
                "export, or by that of its incident",
            ),
        ),
    ),
    Table(
        "signal_entities",
        "one row per principal, resource, address, session, sign-in, alert or incident that a signal names",
        (
            key("signal_id", TEXT, "the signal"),
            key("entity_kind", TEXT, "principal, resource, ip, session, sign_in, alert or incident"),
            key("value", TEXT, "as the signal names it: an id, UPN, address; folded"),
            Column("principal_id", TEXT, "of a principal its object id, where the signal or the directory says it"),
            Column("scope", TEXT, "of a resource its id"),
        ),
    ),
    Table(
        "signal_decisions",
        "one row per decision of a person about suspect calls, from the newest file of decisions",
        (
            key("signal_id", TEXT, "the signal it is about; null where it is about a principal"),
            key("principal", TEXT, "the principal it is about, by id or name; null where it is about a signal"),
            key("from_time", TIME, "start of the decided time, for a principal"),
            key("to_time", TIME, "end of the decided time, for a principal"),
            Column("decision", TEXT, "trust or quarantine"),
            Column("reason", TEXT, "why"),
            Column("owner", TEXT, "person or team that is responsible for it"),
            Column("expires", DAY, "the last day on which it holds, against the newest day of the logs and signals"),
        ),
    ),
    Table(
        "quarantine_windows",
        "one row per time in which calls of a principal are suspect because of a signal",
        (
            key("signal_id", TEXT, "the signal, or the decision of a person"),
            key("principal_id", TEXT, "who; null where only addresses are named"),
            key(
                "basis",
                TEXT,
                "principal; address (calls from an address that the signal names); machine (an identity attached to a "
                "resource that it names); decision",
            ),
            Column("start_on", TIME, "from when"),
            Column("end_on", TIME, "until when"),
        ),
        kind="derived",
    ),
    Table(
        "quarantine",
        "one row per quarantined call and signal behind it; the call is kept and shown, and nothing is learnt from it",
        (
            key("signal_id", TEXT, "the signal, or the decision of a person"),
            Column("basis", TEXT, "decision, token, session, address, principal or machine: the surest link to it"),
            Column("time", TIME, "time of the call, UTC"),
            Column("source", TEXT, "the log that shows it"),
            Column("plane", TEXT, "control, data, graph or directory"),
            Column("principal_id", TEXT, "who acted"),
            Column("principal_name", TEXT, "the UPN, name or application id that the row names"),
            Column("operation", TEXT, "the permission that was used"),
            Column("scope", TEXT, "where"),
            Column("outcome", TEXT, "succeeded, failed, denied, started or other"),
            Column("ip", TEXT, "address of the caller"),
            key("event_key", TEXT, "identity of the call, as in events"),
        ),
        kind="view",
    ),
    Table(
        "behaviour_findings",
        "one row per principal and day with unusual behaviour that a person should look at",
        (
            key("principal_id", TEXT, "who"),
            key("day", DAY, "UTC day"),
            Column("score", REAL, "bits of surprise, summed over its facts"),
            Column("kinds", TEXTS, "kinds of its facts: operation, spree, network, hour, after_privilege and so on"),
            Column("operations", TEXTS, "operations that it used for the first time, since `since` if that is set"),
            Column(
                "since",
                DAY,
                "first day of the first uses that added up over weeks to this finding, null where the day alone is one",
            ),
            Column("first_time", TIME, "first new call"),
            Column("last_time", TIME, "last call of the day"),
            Column("sentence", TEXT, "description in one sentence"),
            Column("days_before", INT, "days of all principals that were judged before that day"),
            Column("days_alike", INT, "of these, the days that scored at least as high"),
        ),
        kind="answer",
    ),
)


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


WATCH_TABLES = (
    Table(
        "watch_changes",
        "one row per change that `watch` found; changes that were delivered everywhere are deleted after 90 days",
        (
            key("change_id", TEXT, "id of the change; the same whenever it is found"),
            Column("seq", INT, "number in the order of finding"),
            Column("kind", TEXT, "grant, grant_outside, revocation, credential, unused, escalation and so on"),
            Column("severity", TEXT, "low, medium, high or critical"),
            Column("time", TIME, "when it happened, as a log or a listing has it; null for what is concluded"),
            Column("day", DAY, "the day whose end it was concluded for; of an event its day"),
            Column("principal_id", TEXT, "principal that it concerns: the holder, or the one that can do something"),
            Column("actor_id", TEXT, "who did it, where a log or a listing says so"),
            Column("scope", TEXT, "where"),
            Column("text", TEXT, "one sentence"),
            Column("detail", TEXT, "details, as JSON"),
            Column("pending", TEXTS, "destinations to which it is not yet delivered"),
        ),
        kind="answer",
    ),
)
