"""Declare what is known of a log: how its records are recognised and read, what they show, and who sends it.

A log source is one file in `rules/log_sources/` and one line in the table there. All layers read these declarations, so
no other module tests for a log by its name. What SQL a declaration has is text: DuckDB runs it in `ingest/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

Spellings = Mapping[str, tuple[str, ...]]
"""By name of a field or column, the keys or JSON paths that may hold it, the preferred one first."""


class Stage(IntEnum):
    """The part of a record that a condition looks at; the first condition that holds names the log of the record.

    Conditions of an earlier stage come before those of a later one, and within a stage in the order of the table.
    """

    TABLE = 1
    """The name of a table of Log Analytics."""
    MARK = 2
    """A field or category that decides, whatever else the record has; or a table that no log declares."""
    SERVICE = 3
    """The category of a log of requests."""
    SERVICE_FIELDS = 4
    """Fields that only one log of requests has."""
    CATEGORY = 5
    """The category of another log, or fields that only it has."""
    CALLER = 6
    """A caller with claims, or a category of the Activity Log."""
    LIKELY = 7
    """Fields that are usual for a log."""
    LAST = 8
    """Any record that no earlier stage recognised."""


Records = Literal[
    "",
    "activity",
    "cloud_audit",
    "storage",
    "sign_in",
    "entra_audit",
    "graph_activity",
    "azure_ad_graph",
    "m365_audit",
    "requests",
    "signals",
]


@dataclass(frozen=True, slots=True)
class Opened:
    """JSON text within a record, and the columns that are read from it.

    Attributes:
        text: SQL for the text, over the fields and the columns that were read before.
        columns: The JSON paths of each column.
    """

    text: str
    columns: Spellings


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How equal rows of a log's tables are counted in KQL, where the log is.

    The query merges rows of one request, and counts rows that are equal in `columns`. A column may be cut to what its
    reading depends on: what is cut never changes the event that `load` makes of the row.

    Attributes:
        steps: Steps of the query that come first, such as a filter, and values that several columns read.
        request: The id of a request.
        parts: What tells apart the calls within a request.
        code: The HTTP status of a row, as text.
        who: The columns of the answer that name the principal, the first that is not empty.
        columns: By the name of a column of the answer, its value.
    """

    steps: tuple[str, ...] = ()
    request: str
    parts: tuple[str, ...]
    code: str
    who: tuple[str, ...]
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSource:
    """All that is said of a log.

    Attributes:
        name: The word for it within a load.
        source: The word for it in `loads`, in the output of `load`, in `coverage` and in events.
        records: How its records are normalised, one of `ingest.logs.record_kinds`; empty if they are only counted.
        sent_by: Who sends it: the `tenant`, a `subscription`, or each `resource` by its own diagnostic settings.
        by_service: Whether a resource has settings at each of its services, and not for itself.
        splits: Whether one record may become several rows.
        covered: The categories that a declaration of whole days covers; empty if it cannot be declared.
        is_evidence: Whether its days are coverage; false for a log that shows no use of a permission that is judged.
        needed: The fields `correlation_id` and `operation_name` that a record cannot lack; a file where one does is
            read again record by record, because its keys may be in other capitals.
        needed_within: Such fields that only this log has.
        camel: The keys of fields that only this log has, in records of diagnostic settings and REST interfaces.
        pascal: The same in tables of Log Analytics.
        tables: Its tables of Log Analytics, folded.
        collected: The tables of workspaces that `collect` reads, as Azure spells them.
        categories: The categories by which its records are recognised, folded.
        recognised: More conditions for its records, over the fields, `table_key`, `category_key` and `resource_key`
            (folded), `is_unnamed` (neither table nor category) and `is_other_table` (a table that no log declares), by
            what they look at.
        category_stage: The stage of its categories.
        plain: A condition on unfolded fields that holds for nearly all records of one log, and for no other record
            that has neither a table nor one of the `marks` of the logs.
        marks: The fields that a record of the log with a `plain` condition never has.
        likely_categories: Folded categories that logs of other services have, too.
        likely_keys: Sets of folded keys; a first record with all keys of a set is probably of this log.
        row_keys: Folded keys by which a row without the usual time is one of its tables, even if the table has no name.
        row_time: The folded key of the time in its tables, where that is not `timegenerated`.
        timed_within: Whether its records have their time only in their properties.
        opened: For logs of requests: the JSON texts that are opened, in order.
        columns: For logs of requests: SQL for raw columns of `queries/reduce/requests.sql`, over the fields and the
            opened columns. A column without SQL is the field of its name if all logs have it, else null.
        rules: Rows of rule files about this log, without the heading, by name of the file. They apply before the rows
            of the file itself.
        counted: How rows of its tables are counted where the log is, if they are not reduced there.
    """

    name: str
    source: str
    records: Records = ""
    sent_by: Literal["tenant", "subscription", "resource"] = "resource"
    by_service: bool = False
    splits: bool = False
    covered: tuple[str, ...] = ()
    is_evidence: bool = True
    needed: tuple[str, ...] = ("operation_name",)
    needed_within: tuple[str, ...] = ()
    camel: Spellings = field(default_factory=dict)
    pascal: Spellings = field(default_factory=dict)
    tables: tuple[str, ...] = ()
    collected: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    recognised: tuple[tuple[Stage, str], ...] = ()
    category_stage: Stage = Stage.SERVICE
    plain: str = ""
    marks: tuple[str, ...] = ()
    likely_categories: tuple[str, ...] = ()
    likely_keys: tuple[frozenset[str], ...] = ()
    row_keys: frozenset[str] = frozenset()
    row_time: str = ""
    timed_within: bool = False
    opened: tuple[Opened, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, str] = field(default_factory=dict)
    counted: Counted | None = None
