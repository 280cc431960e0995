"""What was loaded, what could not be used, and what the catalogue does not know."""

from rightsize.model.schema import Column, ColumnType, Table, key

TEXT, INT, TIME, DAY = ColumnType.TEXT, ColumnType.INT, ColumnType.TIME, ColumnType.DAY

BOOKKEEPING_TABLES = (
    Table(
        "loads",
        "one row a distinct file content that was loaded; loading it again changes nothing",
        (
            key("sha256", TEXT, "hash of the bytes as stored on disk"),
            key("source", TEXT, "shape it was recognised as"),
            Column("path", TEXT, "name of the file or archive member, the bytewise smallest it was loaded under"),
            Column("read", INT, "records read"),
            Column("rejected", INT, "records that could not be used"),
            Column(
                "unused_record",
                INT,
                "records that were read and say nothing that the store keeps; null for files loaded before this count",
            ),
        ),
    ),
    Table(
        "declared_windows",
        "one row a window of days for which somebody declares that a source was exported completely",
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
        "one row a listing of grants that a collection made completely, when it was made last",
        (
            key("source", TEXT, "what was listed, as `collect` calls it: role_assignments, app_role_assignments …"),
            key("place", TEXT, "the scope that was asked, folded; / for what is listed for the whole directory"),
            Column("taken_on", TIME, "when the newest collection that has all of it began"),
        ),
    ),
    Table(
        "grant_sightings",
        "one row a grant and listing of it by collections",
        (
            key("source", TEXT, "as in grant_listings"),
            key("place", TEXT, "as in grant_listings"),
            key("grant_id", TEXT, "id of the assignment or grant, as in its own table"),
            Column("last_listed_on", TIME, "when the newest collection began in whose listing it was"),
        ),
    ),
    Table(
        "vanished_grants",
        "one row a grant that the newest complete listing of every place where it had been listed has no more",
        (
            key("source", TEXT, "as in grant_listings"),
            key("grant_id", TEXT, "id of the assignment or grant; what is granted leaves it out"),
            Column("last_listed_on", TIME, "when the newest collection began that still had it"),
            Column("missing_on", TIME, "when the newest collection began that had it no more"),
        ),
        kind="view",
    ),
    Table(
        "rejects",
        "one row a record that could not be used",
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
        "one row an operation that events or roles name and the catalogue lacks",
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
