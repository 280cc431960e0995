"""Read tables of logs: the Activity Log of the portal and of PowerShell, and use that KQL queries reduced.

Neither says which filter it had, nor whether it was cut (`Get-AzActivityLog` ends after 1,000 events), so their events
have a category of their own, which covers no day. The CSV has no claims, no permission and no code of an error. It has
the display name of an operation, which the store looks up in the catalogue, and of a caller the UPN, the object id, or
the display name of an application.
Sources: downloads named `QueryResult.csv` in public repositories, such as amitap16/azurefundamentals and
Zahbee/COE_DE_week5_assignment; Azure/azure-powershell, PSEventData, PSEventDataAuthorization and PSDictionaryElement.

The key of a row ends with `received`, the hour in which its calls were received. One answer has all rows of an hour.

Rows that a KQL query counted are rows of a table of Log Analytics, each for equal requests. Such a row is read by the
table's own log, as one record is, and becomes use with the number of its requests. So a query counts, and only
`queries/reduce/` says what a request means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from rightsize.ingest.entities.shape import IS_LOCAL_DATE, IS_NUMBER, NUMBER, Context, Look, local_date
from rightsize.ingest.files.readers import select_record_fields
from rightsize.ingest.files.records import MAX_RAW_CHARACTERS
from rightsize.ingest.logs.values import CLAIMS, FAMILIES, POWERSHELL_EVENT, RECORD_FAMILY
from rightsize.model.text import GUID, fold
from rightsize.rules.log_sources import LOG_SOURCES
from rightsize.rules.log_sources.activity import DIAGNOSTICS_TABLE
from rightsize.store.merging.staging import DOWNLOADED, keyed, stage_events
from rightsize.store.sql import folded, literal

SOURCE = "activity_log_download"
PORTAL_COLUMNS = (
    "Correlation id",
    "Operation name",
    "Status",
    "Event category",
    "Level",
    "Time",
    "Subscription",
    "Event initiated by",
    "Resource type",
    "Resource group",
    "Resource",
)
"""The columns of "Download as CSV" of the Activity Log, in their order."""

_UNREAD = {"Level", "Subscription", "Resource type", "Resource group"}


_HERE = "<relation>"


def _cell(name: str) -> str:
    return f"nullif(trim(record ->> {literal(chr(36) + '.' + chr(34) + name + chr(34))}), '')"


# A row that failed does not say whether the caller was refused, so the call is neither use nor demand unless another of
# its rows shows that it was accepted. A row without a caller is nobody's.
_OF_PORTAL = f"""
SELECT file_id, line, record, 'Time' AS time_name, "time", 'Correlation id' AS id_name, correlation, category, status,
    json_object(
        'correlationId', correlation, 'operationName', operation, 'category', category, 'eventTimestamp', "time",
        'caller', caller, 'resourceId', resource, 'status', CASE
            WHEN caller IS NULL OR (bool_or(is_failed) OVER call AND NOT bool_or(is_accepted) OVER call) THEN NULL
            ELSE status END
    ) AS made
FROM (
    SELECT *, coalesce(meaning = 'failed', false) AS is_failed,
        coalesce(meaning = 'succeeded' OR {folded("status")} IN ('accepted', 'accept'), false) AS is_accepted
    FROM (
        SELECT file_id, line, record, {_cell("Correlation id")} AS correlation, {_cell("Operation name")} AS operation,
            {_cell("Status")} AS status, {_cell("Event category")} AS category, {_cell("Time")} AS "time",
            {_cell("Event initiated by")} AS caller, {_cell("Resource")} AS resource
        FROM {_HERE}
    ) LEFT JOIN log_statuses ON field = 'status' AND spelling = {folded("status")}
)
WINDOW call AS (
    PARTITION BY file_id, {folded("correlation")}, {folded("operation")}, {folded("resource")}
)"""


def _text(*paths: str) -> str:
    """Return SQL for the first of some values of a record that is a text."""
    texts = (
        f"CASE WHEN json_type(record, {at}) = 'VARCHAR' THEN nullif(trim(record ->> {at}), '') END"
        for at in map(literal, paths)
    )
    return f"coalesce({', '.join(texts)}, NULL)"


def _shown(text: str, name: str) -> str:
    """Return SQL for a value in the text that PowerShell shows of an object: a line for each, `name : value`."""
    return f"nullif(trim(regexp_extract({text}, {literal(f'(?m)^ *{name} *: (.*)$')}, 1)), '')"


def _opened(name: str, keys: Sequence[str]) -> str:
    """Return SQL for the dictionary of a member: an object, or read from the text that a table has in its place."""
    content, text = literal(f"$.{name}.Content"), _text(f"$.{name}")
    shown = ", ".join(f"{literal(key)}, {_shown(text, key.replace('.', '[.]'))}" for key in keys)
    return (
        f"CASE WHEN json_type(record, {content}) = 'OBJECT' THEN json_extract(record, {content}) "
        f"WHEN {text} IS NOT NULL THEN json_object({shown}) END"
    )


def _moment(name: str) -> str:
    """Return SQL for a time; Windows PowerShell writes the milliseconds since 1970 in UTC as `/Date(N)/`."""
    text = _text(f"$.{name}", f"$.{name}.value")
    digits = f"TRY_CAST(nullif(regexp_extract({text}, '^/Date[(]([0-9]{{1,15}})[)]/$', 1), '') AS BIGINT)"
    return f"coalesce(strftime(make_timestamp({digits} * 1000), '%Y-%m-%dT%H:%M:%S.%fZ'), {text})"


def _words(name: str) -> str:
    """Return SQL for a word, or for the value of a word with its translation."""
    return _text(f"$.{name}.Value", f"$.{name}.LocalizedValue", f"$.{name}")


_CLAIM_KEYS = tuple(key for spellings in CLAIMS.values() for key in spellings)
_RULE = _text("$.Authorization")
_OF_POWERSHELL = f"""
SELECT file_id, line, record, 'EventTimestamp' AS time_name, {_moment("EventTimestamp")} AS "time",
    'CorrelationId' AS id_name, {_text("$.CorrelationId")} AS correlation, {_words("Category")} AS category,
    {_words("Status")} AS status,
    json_object(
        'authorization', json_object(
            'action', coalesce({_text("$.Authorization.Action")}, {_shown(_RULE, "Action")}),
            'scope', coalesce({_text("$.Authorization.Scope")}, {_shown(_RULE, "Scope")})),
        'claims', {_opened("Claims", _CLAIM_KEYS)},
        'properties', {_opened("Properties", ("statusCode", "statusMessage"))},
        'httpRequest', json_object('clientIpAddress',
            coalesce({_text("$.HttpRequest.ClientIpAddress")}, {_shown(_text("$.HttpRequest"), "ClientIpAddress")})),
        'correlationId', {_text("$.CorrelationId")}, 'operationName', {_words("OperationName")},
        'category', {_words("Category")}, 'status', {_words("Status")}, 'subStatus', {_words("SubStatus")},
        'caller', {_text("$.Caller")}, 'resourceId', {_text("$.ResourceId")}, 'id', {_text("$.Id")},
        'eventDataId', {_text("$.EventDataId")}, 'eventTimestamp', {_moment("EventTimestamp")},
        'submissionTimestamp', {_moment("SubmissionTimestamp")}
    ) AS made
FROM {_HERE}"""

_MADE = f"""
CREATE OR REPLACE TEMP TABLE download_records AS
SELECT file_id AS file_no, line, record AS given, CAST(made AS JSON) AS record, CASE
    WHEN correlation IS NULL THEN 'it has no `' || id_name || '`'
    WHEN {IS_NUMBER.format("correlation")} THEN {NUMBER.format("{id_name}").replace("{id_name}", "' || id_name || '")}
    WHEN "time" IS NULL THEN 'it has no `' || time_name || '`'
    WHEN {IS_LOCAL_DATE.format('"time"')}
        THEN {local_date("{time_name}", '"time"').replace("{time_name}", "' || time_name || '")}
    WHEN {folded("category")} = 'administrative'
        AND {folded("status")} NOT IN (SELECT spelling FROM log_statuses WHERE field = 'status')
        THEN 'its `Status` is no word that the Activity Log has in English'
END AS problem
FROM ({_HERE})"""


@dataclass(frozen=True, slots=True)
class DownloadShape:
    """One form of the Activity Log that does not say what it leaves out.

    Attributes:
        name: Its name.
        columns: Members that its records have.
        made: SQL that makes a record of the REST interface of each record of a relation.
    """

    name: str
    columns: frozenset[str]
    made: str
    source: str = SOURCE

    def recognises(self, look: Look, context: Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record has the columns of this form."""
        return self.columns <= look.record.keys()

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the events of the records of `relation` into the staging tables, and what cannot be used."""
        from rightsize.ingest.logs.batches import normalise_rows  # noqa: PLC0415  it reads the shapes of signals
        from rightsize.ingest.logs.projections import project_activity  # noqa: PLC0415
        from rightsize.ingest.logs.record_kinds import stage_requests  # noqa: PLC0415

        con.execute(_MADE.replace(_HERE, self.made.replace(_HERE, relation)))
        keys = {field: tuple(keys) for field, keys in RECORD_FAMILY.spellings.items()}
        fields = select_record_fields(keys, "(SELECT * FROM download_records WHERE problem IS NULL)")
        con.execute(f"CREATE OR REPLACE TEMP TABLE ingest_raw AS {project_activity(fields)}")
        normalise_rows(con, "activity")
        # Only a UPN shows that the caller is a person; the portal writes the display name of an application.
        stage_events(
            con,
            keyed(
                "file_no",
                f"(SELECT * REPLACE ('{DOWNLOADED}' AS category, CASE WHEN principal_id IS NOT NULL "
                "OR principal_name LIKE '%_@_%' THEN principal_type END AS principal_type) "
                "FROM ingest_rows WHERE problem IS NULL)",
            ),
        )
        stage_requests(con, "file_no")
        con.execute(f"""
            INSERT INTO stage_rejects (file_id, line, reason, raw)
            SELECT file_no, line, coalesce(r.problem, n.problem), CAST(given AS VARCHAR)[:{MAX_RAW_CHARACTERS}]
            FROM download_records AS r LEFT JOIN ingest_rows AS n USING (file_no, line)
            WHERE coalesce(r.problem, n.problem) IS NOT NULL""")
        con.execute("DROP TABLE download_records")


DOWNLOAD_SHAPES = (
    DownloadShape("activity_log_portal", frozenset(PORTAL_COLUMNS) - _UNREAD, _OF_PORTAL),
    DownloadShape("activity_log_powershell", POWERSHELL_EVENT, _OF_POWERSHELL),
)


_COUNTS = ("succeeded", "failed", "started", "denied", "other")
_TIMES = ("received", "first_seen", "last_seen")
# What a table of Log Analytics adds to the rows that a summary rule writes into it, beside names with an underscore.
_OF_A_SUMMARY = frozenset(
    {"TenantId", "TimeGenerated", "Type", "SourceSystem", "MG", "ManagementGroupName", "Computer", "RawData"}
)


@dataclass(frozen=True, slots=True)
class ReducedShape:
    """The rows of one reduction.

    Attributes:
        table: The staging table that they fill.
        texts: Columns of text; an empty text means unknown.
        ids: Columns of text that are GUIDs or unknown.
        counts: Columns of numbers.
        newer: Columns that an older query does not return.
        problem: SQL for the reason why a row cannot be used, apart from wrong types; null if it can.
    """

    name: str
    source: str
    table: str
    texts: tuple[str, ...]
    ids: tuple[str, ...]
    counts: tuple[str, ...]
    problem: str
    newer: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Return all columns, in order."""
        return (*self.texts, *self.ids, "day", *_TIMES, *self.counts)

    def recognises(self, look: Look, context: Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record has the columns of the reduction, or of an older one, even from a summary rule."""
        own = {key for key in look.record if not key.startswith("_") and key not in _OF_A_SUMMARY}
        return own in (set(self.columns), set(self.columns) - set(self.newer))

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the rows of `relation` into the staging table, and unusable rows into `stage_rejects`."""
        values = [f"nullif(record ->> '$.{name}', '') AS {name}" for name in (*self.texts, *self.ids)]
        values.append("TRY_CAST(substr(record ->> '$.day', 1, 10) AS DATE) AS day")
        values += [
            f"TRY_CAST(rtrim(substr(record ->> '$.{name}', 1, 26), 'Z') AS TIMESTAMP) AS {name}" for name in _TIMES
        ]
        values += [f"{self._count(name)} AS {name}" for name in self.counts]
        unknown = " OR ".join(f"{name} IS NULL" for name in ("day", *_TIMES, *self.counts))
        wrong = " OR ".join(f"NOT regexp_full_match({name}, '{GUID}')" for name in self.ids)
        con.execute(f"""
            CREATE OR REPLACE TEMP TABLE reduced_rows AS
            SELECT *, CASE
                WHEN {unknown} THEN 'one of its times or counts cannot be read'
                WHEN {" OR ".join(f"{name} < 0" for name in self.counts)} THEN 'one of its counts is below zero'
                WHEN first_seen > last_seen OR first_seen::DATE <> day OR last_seen::DATE <> day
                    THEN 'its calls are not within its day'
                WHEN first_seen < TIMESTAMP '2010-01-01 00:00:00' OR last_seen >= TIMESTAMP '2050-01-01 00:00:00'
                    THEN 'its time is before 2010 or after 2049'
                WHEN {wrong} THEN 'one of its ids is not a GUID'
                ELSE {self.problem} END AS problem
            FROM (SELECT file_id, line, record, {", ".join(values)} FROM {relation})""")
        con.execute(f"""
            INSERT INTO {self.table} (file_id, line, {", ".join(self.columns)})
            SELECT file_id, line, {", ".join(self.columns)} FROM reduced_rows WHERE problem IS NULL""")
        con.execute(f"""
            INSERT INTO stage_rejects (file_id, line, reason, raw)
            SELECT file_id, line, problem, CAST(record AS VARCHAR)[:{MAX_RAW_CHARACTERS}]
            FROM reduced_rows WHERE problem IS NOT NULL""")
        con.execute("DROP TABLE reduced_rows")

    def _count(self, name: str) -> str:
        value = f"TRY_CAST(record ->> '$.{name}' AS BIGINT)"
        return f"CASE WHEN json_exists(record, '$.{name}') THEN {value} ELSE 0 END" if name in self.newer else value


_LOGS_OF_USE = ", ".join(
    f"'{log.source}'" for log in LOG_SOURCES if log.records in ("activity", "storage", "requests", "graph_activity")
)

REDUCED_SHAPES = (
    ReducedShape(
        "reduced_usage",
        "reduced_usage",
        "stage_reduced_usage",
        ("log", "category", "plane", "principal_name", "principal_type", "operation", "scope", "access"),
        ("principal_id", "app_id", "role_assignment_id"),
        _COUNTS,
        """CASE
            WHEN log IS NULL OR log NOT IN (_LOGS_OF_USE_) THEN 'its log is unknown'
            WHEN plane IS NULL OR plane NOT IN ('control', 'data', 'graph') THEN 'its plane is unknown'
            WHEN operation IS NULL THEN 'it names no operation'
            WHEN scope IS NULL OR scope NOT LIKE '/%' THEN 'it names no resource or scope'
            WHEN access IS NOT NULL AND (log IN ('activity_log', 'graph_activity_log') OR access NOT IN ('roles',
                'key', 'sas', 'anonymous', 'unsaid', 'unmapped', 'access_policy', 'own_roles', 'none'))
                THEN 'its way of access is unknown' END""".replace("_LOGS_OF_USE_", _LOGS_OF_USE),
        newer=("access", "other"),
    ),
    ReducedShape(
        "reduced_sign_ins",
        "reduced_sign_ins",
        "stage_reduced_sign_ins",
        ("sign_in_kind", "principal_name", "resource_name"),
        ("principal_id", "app_id", "resource_id"),
        ("succeeded", "failed"),
        """CASE
            WHEN sign_in_kind IS NULL OR sign_in_kind NOT IN
                ('interactive', 'non_interactive', 'service_principal', 'managed_identity',
                'microsoft_service_principal')
                THEN 'its kind of sign-in is unknown'
            WHEN coalesce(principal_id, principal_name) IS NULL THEN 'it names nobody who signed in' END""",
    ),
)


# Rows of AzureDiagnostics are of any log of requests; each of them takes its own.
_LOGS = {fold(table): (log,) for log in LOG_SOURCES if log.counted is not None for table in log.collected} | {
    fold(DIAGNOSTICS_TABLE): tuple(log for log in LOG_SOURCES if log.records == "requests")
}
_OWN = frozenset({"log_table", "received", "first_seen", "last_seen", "records"})
_KEYS = {**FAMILIES[1].spellings, "table_name": ("log_table",), "time": ("first_seen",)}
_RANKS = {"succeeded": 4, "failed": 3, "started": 1, "denied": 2, "other": 0}
_SEEN = "TRY_CAST(rtrim(substr(record ->> '$.{0}', 1, 26), 'Z') AS TIMESTAMP) AS {0}"

_COUNTED = f"""
SELECT file_id AS file_no, line, record, lower(record ->> '$.log_table') AS log_table,
    {", ".join(_SEEN.format(name) for name in ("received", "first_seen", "last_seen"))},
    TRY_CAST(record ->> '$.records' AS BIGINT) AS records,
    CASE
        WHEN coalesce(log_table, '') NOT IN ({", ".join(map(repr, _LOGS))}) THEN 'its log is unknown'
        WHEN received IS NULL OR first_seen IS NULL OR last_seen IS NULL OR records IS NULL
            THEN 'one of its times or counts cannot be read'
        WHEN records < 1 THEN 'one of its counts is below one'
        WHEN first_seen > last_seen OR first_seen < received OR last_seen >= received + INTERVAL 1 HOUR
            THEN 'its requests are not within its hour'
    END AS problem
FROM """


class CountedShape:
    """Rows of tables that a query counted."""

    name = "counted_rows"
    source = "reduced_usage"

    def recognises(self, look: Look, context: Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record has the columns that such a query adds."""
        return look.record.keys() >= _OWN

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the use in rows of `relation` into `stage_reduced_usage`, and unusable rows into `stage_rejects`."""
        from rightsize.ingest.logs.batches import normalise_rows  # noqa: PLC0415  it reads the shapes of signals
        from rightsize.ingest.logs.record_kinds import kind_of, stage_token_permissions  # noqa: PLC0415

        con.execute(f"CREATE OR REPLACE TEMP TABLE counted_rows AS {_COUNTED} {relation}")
        fields = select_record_fields(_KEYS, "(SELECT * FROM counted_rows WHERE problem IS NULL)")
        _reject(con, "SELECT file_no, line, problem FROM counted_rows")
        tables = con.execute("SELECT DISTINCT log_table FROM counted_rows WHERE problem IS NULL").fetchall()
        for log in {log.name: log for (table,) in sorted(tables) for log in _LOGS[table]}.values():
            kind = kind_of(log.name)
            con.execute(f"CREATE OR REPLACE TEMP TABLE ingest_raw AS {kind.project(log)(fields)}")
            normalise_rows(con, log.name)
            con.execute(_STAGED)
            _reject(con, "SELECT file_no, line, problem FROM ingest_rows")
            if kind.relation == "raw_graph_requests":
                stage_token_permissions(con, "file_no", ())
        con.execute("DROP TABLE counted_rows")


_STAGED = f"""
INSERT INTO stage_reduced_usage BY NAME
SELECT file_no AS file_id, line, line AS counted_line, source AS log, category, plane, principal_id, principal_name,
    principal_type, app_id, operation, scope, role_assignment_id, access, first_seen::DATE AS day, received, first_seen,
    last_seen,
    {", ".join(f"CASE WHEN rank = {rank} THEN records ELSE 0 END AS {name}" for name, rank in _RANKS.items())}
FROM ingest_rows AS n JOIN (SELECT file_no, line, received, first_seen, last_seen, records FROM counted_rows) AS c
    USING (file_no, line)
WHERE n.problem IS NULL"""


def _reject(con: duckdb.DuckDBPyConnection, problems: str) -> None:
    con.execute(f"""
        INSERT INTO stage_rejects (file_id, line, reason, raw)
        SELECT file_no, line, p.problem, CAST(record AS VARCHAR)[:{MAX_RAW_CHARACTERS}]
        FROM ({problems}) AS p JOIN counted_rows AS c USING (file_no, line) WHERE p.problem IS NOT NULL""")
