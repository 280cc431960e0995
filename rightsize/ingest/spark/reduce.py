"""The reduction on Spark: logs under a path to the rows of `queries/reduce/summarise.sql` and `sign_in_days.sql`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from rightsize.ingest.families import FAMILIES, SOURCES, Family, with_log
from rightsize.ingest.projections import Fields, project_activity, project_sign_ins, project_storage, raw_events
from rightsize.ingest.reference import create_reference_tables
from rightsize.ingest.spark.carry import to_spark
from rightsize.ingest.spark.fields import LINES, TABLE, fields_of_lines, fields_of_table
from rightsize.ingest.spark.lake import Part, find_parts, open_part
from rightsize.ingest.spark.landing import Land
from rightsize.model.errors import InputError
from rightsize.store.queries import query_text

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

REDUCED_LOGS = ("activity", "storage", "sign_in")
"""The logs that are reduced; records of others are counted, for they are loaded whole."""

_SAMPLES = 200
EXAMPLES = 1000
"""Of records that cannot be used, so many are kept for each reason; all are counted."""

_REFERENCES = ("log_statuses", "log_error_codes", "log_storage_operations", "log_storage_actions")
_PROJECTIONS: Mapping[str, Callable[[Fields], str]] = {
    "activity": project_activity,
    "storage": project_storage,
    "sign_in": project_sign_ins,
}
_TIMES = ("received", "first_seen", "last_seen")


@dataclass(slots=True)
class Reduction:
    """What the logs under one path gave.

    Attributes:
        path: The path as it was named.
        read: Records by log; those that are of none under the empty word.
        refused: Records that cannot be used, by log and reason.
        examples: Of these the first few as (reason, text).
        results: What landed, as (log, file or folder of Parquet), with the columns that `load` takes.
        unread: Files of no form that Spark reads here.
    """

    path: str
    read: Counter[str] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: list[tuple[str, str]] = field(default_factory=list)
    results: list[tuple[str, Path]] = field(default_factory=list)
    unread: int = 0


def reduce_path(session: SparkSession, path: str, land: Land) -> Reduction:
    """Reduce the logs under a path.

    The logs are read twice: to count what they are, and to reduce them. Nothing but counts, examples of what cannot be
    used, and reduced rows leaves Spark.

    Raises:
        InputError: Nothing under the path is a log that is known.
    """
    _create_references(session)
    parts, unread = find_parts(session, path)
    reduction = Reduction(path, unread=unread)
    for part in parts:
        _reduce_part(session, part, reduction, land)
    if not any(reduction.read[log] for log in SOURCES):
        raise InputError(f"`{path}` holds no log that is known")
    return reduction


def _reduce_part(session: SparkSession, part: Part, reduction: Reduction, land: Land) -> None:
    session.sql(_fields(open_part(session, part), part)).createOrReplaceTempView("record_fields")
    session.sql(to_spark(with_log("SELECT * FROM record_fields"))).createOrReplaceTempView("told_records")
    counts = session.sql("SELECT log, damage, count(*) FROM told_records GROUP BY log, damage").collect()
    present = set()
    for log, damage, records in counts:
        known = "" if damage is not None else log or ""
        reduction.read[known] += records
        present |= {known}
        if not known:
            reduction.refused["", damage or _NO_LOG] += records
    if "" in present:
        _keep_examples(
            session,
            f"SELECT coalesce(damage, '{_NO_LOG}') AS problem, raw FROM told_records "
            "WHERE log IS NULL OR damage IS NOT NULL",
            reduction,
        )
    for log in REDUCED_LOGS:
        if log in present:
            _reduce_log(session, log, reduction, land)


_NO_LOG = "it is no record of a known log"


def _fields(rows: DataFrame, part: Part) -> str:
    """Return Spark SQL for the fields of a part, and lay out the view that it reads.

    Raises:
        InputError: Nothing in it looks like a record of a log.
    """
    if part.form == "text":
        rows.createOrReplaceTempView(LINES)
        samples = [record for (line,) in rows.limit(_SAMPLES).collect() if (record := _record(line)) is not None]
        return fields_of_lines(_family(samples, part), samples)
    rows.createOrReplaceTempView(TABLE)
    return fields_of_table(_family([dict.fromkeys(rows.columns)], part), rows.dtypes)


def _record(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _family(samples: Sequence[Mapping[str, Any]], part: Part) -> Family:
    for record in samples:
        for family in FAMILIES:
            if family.recognises(record):
                return family
    raise InputError(
        f"`{part.files[0]}` is no log that is known", hint="other exports are loaded without `--engine spark`"
    )


def _reduce_log(session: SparkSession, log: str, reduction: Reduction, land: Land) -> None:
    from pyspark.sql import Observation, functions  # noqa: PLC0415  there is a session, so there is Spark

    projected = _PROJECTIONS[log](Fields("SELECT * FROM record_fields WHERE damage IS NULL"))
    raw = f"SELECT * FROM ({projected}) WHERE log = '{log}'"
    relation, query = "raw_sign_ins", "reduce/sign_ins"
    if log != "sign_in":
        relation, query, raw = "raw_events", "reduce/normalise", raw_events(log, raw)
    session.sql(to_spark(raw)).createOrReplaceTempView(relation)
    seen = Observation()
    normalised = session.sql(to_spark(query_text(query)))
    normalised.observe(seen, functions.count("problem").alias("problems")).createOrReplaceTempView("observed")
    normalised.createOrReplaceTempView("normalised")
    usable = session.sql("SELECT * FROM observed WHERE problem IS NULL")
    if log == "sign_in":
        usable.createOrReplaceTempView("sign_in_rows")
        query = "reduce/sign_in_days"
    else:
        usable.createOrReplaceTempView("event_rows")
        session.sql(to_spark(query_text("reduce/collapse"))).createOrReplaceTempView("calls")
        query = "reduce/summarise"
    reduction.results.append((log, land(_as_exported(session, to_spark(query_text(query))), log)))
    # What a lost executor makes Spark do again is counted again, so the number says only whether there is any. Not
    # every way of fetching rows brings it.
    if seen.get.get("problems", 1):
        _count_refused(session, log, reduction)


def _count_refused(session: SparkSession, log: str, reduction: Reduction) -> None:
    refused = session.sql(
        "SELECT problem, count(DISTINCT line) FROM normalised WHERE problem IS NOT NULL GROUP BY problem"
    ).collect()
    for problem, records in refused:
        reduction.refused[log, problem] += records
    _keep_examples(
        session,
        "SELECT DISTINCT n.problem, f.raw FROM record_fields AS f JOIN "
        "(SELECT DISTINCT line, problem FROM normalised WHERE problem IS NOT NULL) AS n ON f.line = n.line",
        reduction,
    )


def _as_exported(session: SparkSession, reduced: str) -> DataFrame:
    """Return reduced rows as an answer of the workspace has them, with times as text."""
    times = ", ".join(f"date_format({name}, \"yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'\") AS {name}" for name in _TIMES)
    return session.sql(
        f"SELECT * EXCEPT (day, {', '.join(_TIMES)}), date_format(day, 'yyyy-MM-dd') AS day, {times} FROM ({reduced})"
    )


def _keep_examples(session: SparkSession, rows: str, reduction: Reduction) -> None:
    kept = session.sql(
        "SELECT problem, raw FROM (SELECT *, row_number() OVER (PARTITION BY problem ORDER BY raw) AS place "
        f"FROM ({rows})) WHERE place <= {EXAMPLES}"
    ).collect()
    reduction.examples += sorted((problem, raw) for problem, raw in kept)


def _create_references(session: SparkSession) -> None:
    """Lay out the rules that the queries join, as they are on DuckDB."""
    with duckdb.connect() as con:
        create_reference_tables(con)
        for name in _REFERENCES:
            table = con.sql(f"FROM {name}").to_arrow_table()
            columns = ", ".join(f"{column} string" for column in table.column_names)
            rows = [tuple(row.values()) for row in table.to_pylist()]
            session.createDataFrame(rows, columns).createOrReplaceTempView(name)
