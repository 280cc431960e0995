"""What calls changed in the directory: the objects that records of its audit log and requests to Graph name."""

from rightsize.model.schema import Column, ColumnType, Table, key

TEXT = ColumnType.TEXT

CHANGED_OBJECT_TABLES = (
    Table(
        "changed_objects",
        "one row per successful call to the directory that may leave access behind, or takes it away, with its objects",
        (
            key("event_key", TEXT, "the call, as in events"),
            Column("activity", TEXT, "activity of the audit log, folded; of a request to Graph method and path"),
            Column("object_id", TEXT, "first object of the change; of a request to Graph the first id in its path"),
            Column("object_type", TEXT, "its type as the log writes it; of a request the first step of the path"),
            Column("object_name", TEXT, "its display name or UPN; whoever made the object chose it"),
            Column("other_id", TEXT, "second object: the group, role or application that got or lost the first"),
            Column("other_type", TEXT, "its type as the log writes it"),
            Column("other_name", TEXT, "its display name or UPN"),
            Column(
                "properties", TEXT, "changed properties as a JSON list of name, old and new, cut to 16,000 characters"
            ),
        ),
    ),
)
