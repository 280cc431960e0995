"""What a watch told: changes, and whom they still have to be sent to."""

from rightsize.model.schema import Column, ColumnType, Table, key

TEXT, TEXTS, INT, TIME, DAY = ColumnType.TEXT, ColumnType.TEXTS, ColumnType.INT, ColumnType.TIME, ColumnType.DAY

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
