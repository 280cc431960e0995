"""What others say: alerts, incidents and risk, the judgements of other tools, and what a watch told."""

from rightsize.model.schema import BOOL, DAY, INT, REAL, TEXT, TEXTS, TIME, Column, Table, key

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
