"""What the monitoring says: alerts, incidents and risk, and whom and what they name."""

from rightsize.model.schema import Column, ColumnType, Table, key

TEXT, TEXTS, BOOL, REAL, TIME = (
    ColumnType.TEXT,
    ColumnType.TEXTS,
    ColumnType.BOOL,
    ColumnType.REAL,
    ColumnType.TIME,
)

SIGNAL_TABLES = (
    Table(
        "signals",
        "one row an alert, incident, risk detection or risky principal, in its newest state",
        (
            key("signal_id", TEXT, "where it comes from and its id there: security_alert/…, risk_detection/…"),
            Column(
                "source",
                TEXT,
                "security_alert and security_incident (Log Analytics), defender_alert (ARM), graph_alert and "
                "graph_incident, risk_detection, risky_user, risky_service_principal",
            ),
            Column("kind", TEXT, "alert, incident, risk_detection or risky_principal"),
            Column("product", TEXT, "what raised it"),
            Column("original_id", TEXT, "its id with the product that raised it, the same in every export; folded"),
            Column("name", TEXT, "its title, or the type of risk; its words may quote an attacker's"),
            Column("severity", TEXT, "high, medium, low, informational, hidden, none or unknown"),
            Column("status", TEXT, "state of the alert or of the risk, as its source calls it, folded"),
            Column("classification", TEXT, "what people judged it to be, or the detail of the risk; folded"),
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
        "one row a principal, resource, address, session, sign-in, alert or incident that a signal names",
        (
            key("signal_id", TEXT, "the signal"),
            key("entity_kind", TEXT, "principal, resource, ip, session, sign_in, alert or incident"),
            key("value", TEXT, "as the signal names it: an id, UPN, address; folded"),
            Column("principal_id", TEXT, "of a principal its object id, where the signal or the directory says it"),
            Column("scope", TEXT, "of a resource its id"),
        ),
    ),
)
