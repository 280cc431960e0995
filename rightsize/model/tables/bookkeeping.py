"""What was loaded, what could not be used, and what the catalogue does not know."""

from rightsize.model.schema import Column, ColumnType, Table, key

TEXT, INT, TIME, DAY = ColumnType.TEXT, ColumnType.INT, ColumnType.TIME, ColumnType.DAY

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
