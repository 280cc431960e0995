"""Reduce logs under a path on Spark to rows of use and sign-ins, and stage them with their files and rejects."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from rightsize.ingest.logs.projections import create_reference_tables, raw_events
from rightsize.ingest.logs.record_kinds import USED_LOGS, kind_of
from rightsize.ingest.logs.values import FIELDS, SOURCES, Family, Fields, family_of, with_log
from rightsize.ingest.spark.carry import LINES, TABLE, Nested, columns_of, fields_of_lines, fields_of_table, to_spark
from rightsize.ingest.spark.session import Landing, Part, find_parts, is_connect, open_part, parquet, pruning_of
from rightsize.model.errors import InputError
from rightsize.model.text import fold
from rightsize.store.queries import query_text
from rightsize.store.sql import folded

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


_KINDS = ("activity", "storage", "sign_in", "requests", "graph_activity")
REDUCED_LOGS = tuple(log.name for log in USED_LOGS.values() if log.records in _KINDS)
"""The logs that are reduced; records of other logs are only counted, because they are loaded whole."""

_SAMPLES = 200
EXAMPLES = 1000
"""Maximum examples of unusable records kept for each reason; all are counted."""

_REFERENCES = (
    "log_statuses", "log_error_codes", "log_storage_operations", "log_storage_actions", "log_request_operations",
    "log_kubernetes_verbs", "log_kubernetes_groups",
)  # fmt: skip
_SPARK_TYPES = {"bool": "boolean"}
_TIMES = ("received", "first_seen", "last_seen")


@dataclass(slots=True)
class SparkReduction:
    """The result of reducing the logs under one path.

    Attributes:
        path: The path as the user named it.
        read: The number of records by log; records of no known log are under the empty word.
        refused: The number of unusable records, by log and reason.
        examples: The first few unusable records, as (log, reason, text).
        results: The landed rows, as (log, file or folder of Parquet), with the columns that `load` reads.
        whole: The whole records that landed, as (log, file or folder of JSON lines).
        unread: The number of files in a form that is not read here.
        pruning: What Spark's plan says of the partitions of a table that it leaves out.
    """

    path: str
    read: Counter[str] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: list[tuple[str, str, str]] = field(default_factory=list)
    results: list[tuple[str, Path]] = field(default_factory=list)
    whole: list[tuple[str, Path]] = field(default_factory=list)
    unread: int = 0
    pruning: str = ""


def reduce_path(session: SparkSession, path: str, landing: Landing) -> SparkReduction:
    """Return the reduced logs under a path.

    The logs are read twice: to count their records by log, and to reduce them. Only counts, examples of unusable
    records, reduced rows, and calls that create or delete role assignments leave Spark.

    Raises:
        InputError: Nothing under the path is a known log.
    """
    create_references(session)
    parts, unread = find_parts(session, path)
    reduction = SparkReduction(path, unread=unread)
    for part in parts:
        _reduce_part(session, part, reduction, landing)
    if not any(reduction.read[log] for log in SOURCES):
        raise InputError(f"`{path}` has no known log")
    return reduction


def reduce_table(session: SparkSession, name: str, where: str, landing: Landing) -> SparkReduction:
    """Return the reduced logs in a table of Spark's catalog, in any format that this Spark reads.

    Raises:
        InputError: The table or the condition cannot be read, or nothing in it is a known log.
    """
    create_references(session)
    part = Part(name, "table", where=where)
    reduction = SparkReduction(name, pruning=pruning_of(session, part) if where else "")
    _reduce_part(session, part, reduction, landing)
    if not any(reduction.read[log] for log in SOURCES):
        raise InputError(f"the table `{name}` has no known log")
    return reduction


def _reduce_part(session: SparkSession, part: Part, reduction: SparkReduction, landing: Landing) -> None:
    records = _Records(session, part)
    recognised = with_log("SELECT * FROM record_fields")
    records.lay_out(recognised)
    session.sql(to_spark(recognised)).createOrReplaceTempView("recognised_records")
    landed = landing.rows(session.sql(_COUNTED), "counts")
    with duckdb.connect() as con:
        counts = con.execute(
            f"SELECT log, damage, sum(records) FROM {parquet(landed)} GROUP BY log, damage ORDER BY ALL"
        ).fetchall()
    present = set()
    for log, damage, number in counts:
        known = "" if damage is not None else log or ""
        reduction.read[known] += int(number)
        present |= {known}
        if not known:
            reduction.refused["", damage or _NO_LOG] += int(number)
    if "" in present:
        _keep_examples(
            session,
            f"SELECT coalesce(damage, '{_NO_LOG}') AS problem, raw FROM recognised_records "
            "WHERE log IS NULL OR damage IS NOT NULL",
            reduction,
            "",
        )
    records.are_checked = all(damage is None for _, damage, _ in counts)
    if (calls := landing.lines(landed, "whole", SOURCES["activity"])) is not None:
        reduction.whole.append(("activity", calls))
    for log in REDUCED_LOGS:
        if log in present:
            _reduce_log(session, records, log, reduction, landing)


# The bodies of these calls name the assigned role and principal. The calls are few and loaded whole. JSON may have a
# backslash before a slash. A pattern is slow on a whole record, and nearly no record has the word.
_COUNTED = r"""
SELECT log, damage, count(*) AS records, CASE
    WHEN log = 'activity' AND damage IS NULL AND contains(lower(said), '/roleassignments')
        AND said RLIKE '(?i)/roleassignments\\\\?/(write|delete)' THEN raw
END AS whole
FROM recognised_records GROUP BY log, damage, whole"""

_NO_LOG = "it is not a record of a known log"


class _Records:
    """The records of a part; their fields become the view `record_fields` for each statement that reads them.

    Attributes:
        are_checked: Whether it is known that all lines are records.

    Raises:
        InputError: None of its first records is a record of a known log.
    """

    def __init__(self, session: SparkSession, part: Part) -> None:
        """Read the first records; their envelope decides how all records are read."""
        self._session = session
        self.are_checked = False
        rows = open_part(session, part)
        self._is_table = part.form != "text"
        if not self._is_table:
            rows.createOrReplaceTempView(LINES)
            self._samples = [record for (line,) in rows.limit(_SAMPLES).collect() if (record := _record(line))]
            self._columns: list[tuple[str, str]] = []
        else:
            rows.createOrReplaceTempView(TABLE)
            self._samples = [dict.fromkeys(rows.columns)]
            self._columns = rows.dtypes
        self._family = _family(self._samples, part)

    def lay_out(self, statement: str) -> dict[str, Nested]:
        """Create the view of the fields that a DuckDB statement reads; return those that are read as objects."""
        names, nested = columns_of(statement)
        opened = {}
        if not self._is_table:
            opened = {name: nested[name] for name in nested if name in FIELDS and not self._is_text(name)}
            wanted = [name for name in FIELDS if name in names]
            fields = fields_of_lines(self._family, self._samples, wanted, opened, checked=self.are_checked)
        else:
            fields = fields_of_table(self._family, self._columns)
        self._session.sql(fields).createOrReplaceTempView("record_fields")
        return opened

    def _is_text(self, name: str) -> bool:
        """Return whether none of the samples has a field as an object."""
        keys = {fold(key) for key in self._family.spellings.get(name, ())}
        return not any(isinstance(record[key], dict) for record in self._samples for key in record if fold(key) in keys)


def _record(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _family(samples: Sequence[Mapping[str, Any]], part: Part) -> Family:
    for record in samples:
        if family := family_of(record):
            return family
    raise InputError(
        f"`{part.path}` has none of the columns or keys of a known log",
        hint="load other exports without `--engine spark`",
    )


def _reduce_log(
    session: SparkSession, records: _Records, log: str, reduction: SparkReduction, landing: Landing
) -> None:
    from pyspark.sql import Observation, functions  # noqa: PLC0415  there is a session, so there is Spark

    kind = kind_of(log)
    projected = kind.project(USED_LOGS[log])(Fields("SELECT * FROM record_fields WHERE damage IS NULL"))
    # The row number is a fence: without it, Spark would repeat the projection wherever a later step filters by it.
    fenced = f"SELECT *, row_number() OVER () AS fence FROM ({projected}) WHERE log = '{log}'"
    raw = f"SELECT * FROM ({fenced}) WHERE fence >= 0"
    if kind.is_event:
        raw = raw_events(log, raw)
    session.sql(to_spark(raw, records.lay_out(raw))).createOrReplaceTempView(kind.relation)
    if log == "graph_activity":
        reduction.results.append((log, landing.rows(session.sql(_COUNTED_REQUESTS), SOURCES[log])))
        return
    seen = Observation()
    normalised = session.sql(to_spark(kind.query()))
    normalised.observe(seen, functions.count("problem").alias("problems")).createOrReplaceTempView("observed")
    normalised.createOrReplaceTempView("normalised")
    usable = session.sql("SELECT * FROM observed WHERE problem IS NULL")
    if log == "sign_in":
        usable.createOrReplaceTempView("sign_in_rows")
        query = "reduce/sign_in_days"
    else:
        # Rows of one call go to one place first, so they are sorted once: nearly all calls have too few rows for a
        # first merge on the way to save anything.
        usable.repartition("key_correlation", "key_operation", "key_scope").createOrReplaceTempView("event_rows")
        session.sql(to_spark(query_text("reduce/collapse"))).createOrReplaceTempView("calls")
        query = "reduce/summarise"
    reduction.results.append((log, landing.rows(_as_exported(session, to_spark(query_text(query))), SOURCES[log])))
    # After a lost executor, Spark repeats work and counts it again, so the number shows only whether there is any
    # problem. A session in this process never says it of rows that it sends: to ask for it would wait for ever.
    is_said = landing.is_shared or is_connect(session)
    if not is_said or seen.get.get("problems", 1):
        _count_refused(session, log, reduction)


_OF_REQUEST = "method, status, user_id, object_id, token_type, service_principal_id, app_id, token_roles, token_scopes"
_ID = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"

# Requests to Graph are counted here, as `LogSource.counted` says, and their paths are read when they are loaded.
_COUNTED_REQUESTS = f"""
SELECT 'MicrosoftGraphActivityLogs' AS log_table, received, min(happened) AS first_seen, max(happened) AS last_seen,
    count(*) AS records, method AS RequestMethod, folded_uri AS RequestUri, status AS ResponseStatusCode,
    user_id AS UserId, service_principal_id AS ServicePrincipalId, app_id AS AppId, token_roles AS Roles,
    token_scopes AS Scopes,
    to_json(named_struct('UserPrincipalObjectID', object_id, 'C_Idtyp', token_type)) AS Properties
FROM (
    SELECT *, concat(substr(happened, 1, 13), ':00:00Z') AS received, CASE
        WHEN user_id <> '' AND contains(lower(uri), lower(user_id)) THEN uri
        ELSE regexp_replace(regexp_replace(uri, '(?i)[$]?skiptoken=[^&#]*', ''), '{_ID}', '{{id}}') END AS folded_uri
    FROM (
        SELECT min(time) AS happened, uri, {_OF_REQUEST} FROM raw_graph_requests
        GROUP BY coalesce(nullif(lower(trim(request_id)), ''), concat_ws('|', time, operation_group)), uri,
            {_OF_REQUEST}
    )
)
GROUP BY received, folded_uri, {_OF_REQUEST}"""


def _count_refused(session: SparkSession, log: str, reduction: SparkReduction) -> None:
    counts = _keep_examples(
        session,
        "SELECT n.problem, f.raw FROM record_fields AS f JOIN "
        "(SELECT DISTINCT line, problem FROM normalised WHERE problem IS NOT NULL) AS n ON f.line = n.line",
        reduction,
        log,
    )
    for problem, records in counts.items():
        reduction.refused[log, problem] += records


def _as_exported(session: SparkSession, reduced: str) -> DataFrame:
    """Return reduced rows in the form of an answer of the workspace, with times as text."""
    times = ", ".join(f"date_format({name}, \"yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'\") AS {name}" for name in _TIMES)
    return session.sql(
        f"SELECT * EXCEPT (day, {', '.join(_TIMES)}), date_format(day, 'yyyy-MM-dd') AS day, {times} FROM ({reduced})"
    )


def _keep_examples(session: SparkSession, rows: str, reduction: SparkReduction, log: str) -> dict[str, int]:
    """Add the first distinct texts of each problem to the examples; return the number of rows by problem."""
    kept = session.sql(
        "SELECT problem, raw, records FROM (SELECT problem, raw, sum(copies) OVER (PARTITION BY problem) AS records, "
        "row_number() OVER (PARTITION BY problem ORDER BY raw) AS place "
        f"FROM (SELECT problem, raw, count(*) AS copies FROM ({rows}) GROUP BY problem, raw)) "
        f"WHERE place <= {EXAMPLES}"
    ).collect()
    reduction.examples += [(log, problem, raw) for problem, raw, _ in kept]
    return {problem: records for problem, _, records in kept}


def create_references(session: SparkSession) -> None:
    """Create views of the rules that the queries join, the same as on DuckDB."""
    from pyspark.sql import functions  # noqa: PLC0415  there is a session, so there is Spark

    with duckdb.connect() as con:
        create_reference_tables(con)
        for name in _REFERENCES:
            table = con.sql(f"FROM {name}").to_arrow_table()
            columns = ", ".join(f"{one.name} {_SPARK_TYPES.get(str(one.type), 'string')}" for one in table.schema)
            rows = [tuple(row.values()) for row in table.to_pylist()]
            # Broadcast, so that a join with a few dozen rules does not shuffle all records.
            functions.broadcast(session.createDataFrame(rows, columns)).createOrReplaceTempView(name)


_OF_ASSIGNMENTS = "'microsoft.authorization/roleassignments/write', 'microsoft.authorization/roleassignments/delete'"


def stage_reductions(con: duckdb.DuckDBPyConnection, *, found: Sequence[SparkReduction]) -> None:
    """Name the landed files after the path they were reduced from, and stage the examples of unusable records.

    Args:
        con: A connection whose staging tables hold the landed rows.
        found: The reductions.
    """
    for reduction in found:
        for log, landed in reduction.whole:
            _leave_other_calls(con, landed)
            _name_file(con, landed, f"{reduction.path} ({SOURCES[log]}, calls on role assignments)")
        for log, landed in reduction.results:
            _name_file(con, landed, f"{reduction.path} ({SOURCES[log]}, reduced on Spark)")
    _stage_refused(con, found)


_OF_FILE = "path = $landed OR starts_with(path, $landed || '/')"


def _leave_other_calls(con: duckdb.DuckDBPyConnection, landed: Path) -> None:
    """Delete whole records that only mention role assignments: their use is already in the reduced rows."""
    files = f"SELECT file_id FROM stage_files WHERE {_OF_FILE}"
    values = {"landed": str(landed)}
    con.execute(
        f"DELETE FROM stage_events WHERE file_id IN ({files}) AND operation_no NOT IN ("
        f"SELECT operation_no FROM stage_event_operations WHERE {folded('operation')} IN ({_OF_ASSIGNMENTS}))",
        values,
    )
    # The reduction already counts and shows unusable records.
    con.execute(f"DELETE FROM stage_rejects WHERE file_id IN ({files})", values)
    con.execute(
        f"UPDATE stage_files SET rejected = 0, read = (SELECT count(*) FROM stage_events AS e "
        f"WHERE e.file_id = stage_files.file_id) WHERE {_OF_FILE}",
        values,
    )


def _name_file(con: duckdb.DuckDBPyConnection, landed: Path, name: str) -> None:
    con.execute(
        f"UPDATE stage_files SET path = $name WHERE {_OF_FILE}",
        {"name": name, "landed": str(landed)},
    )


def _stage_refused(con: duckdb.DuckDBPyConnection, reductions: Sequence[SparkReduction]) -> None:
    """Stage the examples of unusable records, for each path and log as a separate file."""
    (last,) = con.execute("SELECT coalesce(max(file_id), 0) FROM stage_files").fetchall()[0]
    groups = [
        (found.path, log, list(rows))
        for found in reductions
        for log, rows in groupby(sorted(found.examples), itemgetter(0))
    ]
    for number, (path, log, examples) in enumerate(groups, last + 1):
        rows = [(number, line, reason, raw) for line, (_, reason, raw) in enumerate(examples, 1)]
        con.executemany("INSERT INTO stage_rejects (file_id, line, reason, raw) VALUES (?, ?, ?, ?)", rows)
        con.execute(
            "INSERT INTO stage_files (file_id, path, source, sha256, read, rejected) "
            "SELECT $id, $path, $source, sha256(string_agg(reason || raw, chr(30) ORDER BY line)), count(*), "
            "count(*) FROM stage_rejects WHERE file_id = $id",
            {
                "id": number,
                "path": f"{path} (examples of what could not be used)",
                "source": SOURCES.get(log, "refused"),
            },
        )
