"""Load logs that Spark reduces where they lie; only distinct use enters the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from rightsize.ingest.logs.record_kinds import USED_LOGS
from rightsize.ingest.logs.values import SOURCES
from rightsize.ingest.spark.reduce import REDUCED_LOGS, SparkReduction, reduce_path, reduce_table, stage_reductions
from rightsize.ingest.spark.session import Landing, runs_here, spark_session
from rightsize.model.progress import counted
from rightsize.store.limits import limits_of, scratch_folder
from rightsize.workflow.data.load import LoadReport, declarations_of, load_staged


def load_on_spark(
    db: Path | str,
    paths: Sequence[str],
    url: str,
    *,
    tables: Sequence[str] = (),
    where: str = "",
    settings: Mapping[str, str] | None = None,
    results: str | None = None,
    covers: str | None = None,
    source: str | None = None,
    scope: str | None = None,
    memory_limit: str | None = None,
    spill_folder: Path | None = None,
) -> LoadReport:
    """Reduce logs on Spark and load the reduced rows.

    The rows of the report count reduced rows and rejected records; the notes say what was read.

    Args:
        db: The store.
        paths: Addresses as Spark reads them: files or folders of JSON lines or Parquet, Delta tables.
        url: A Spark master, or `sc://HOST:PORT`.
        tables: Names of tables in Spark's catalog; Spark alone knows where their files are.
        where: Spark SQL for the rows of the tables to read, such as those of some days.
        settings: Settings of Spark.
        results: A folder that Spark writes reduced rows into and this machine reads. Without one, those of a Spark
            elsewhere come through the session, and must fit in memory.
        covers: As `load_paths`.
        source: As `load_paths`.
        scope: As `load_paths`.
        memory_limit: Of DuckDB, as `load_paths`.
        spill_folder: Of DuckDB, as `load_paths`.

    Raises:
        InputError: A path holds no known log.
        ServiceError: Spark cannot be reached, or a path cannot be read there.
        UsageError: The declaration makes no sense, or a package is missing.
    """
    declared = declarations_of(covers, source, scope)
    limits = limits_of(memory_limit, spill_folder)
    with scratch_folder() as folder:
        with spark_session(url, settings) as session:
            shared = str(folder) if results is None and runs_here(session) else results
            landing = Landing(str(folder), shared)
            reductions = [reduce_path(session, path, landing) for path in paths]
            reductions += [reduce_table(session, name, where, landing) for name in tables]
        landed = [path for found in reductions for _, path in (*found.results, *found.whole)]
        report = load_staged(
            Path(db),
            landed,
            declared,
            partial(stage_reductions, found=reductions),
            limits,
        )
    return LoadReport(report.rows, (*_notes(reductions), *report.notes), lacking=report.lacking)


def _notes(reductions: Sequence[SparkReduction]) -> list[str]:
    notes = []
    for found in reductions:
        for log, records in sorted(found.read.items()):
            if log in REDUCED_LOGS:
                notes.append(f"`{found.path}`: {records:,} records of {SOURCES[log]} reduced on Spark")
            elif log and log not in USED_LOGS:
                notes.append(f"`{found.path}`: {records:,} records of {SOURCES[log]} are not used")
            elif log:
                notes.append(
                    f"`{found.path}`: {records:,} records of {SOURCES[log]} left where they are; "
                    "load them without `--engine spark`"
                )
        for (_, reason), records in sorted(found.refused.items()):
            notes.append(f"`{found.path}`: {counted(records, 'record')} rejected: {reason}")
        if found.pruning:
            notes.append(f"`{found.path}`: Spark reads only some partitions: {found.pruning}")
        if found.unread:
            notes.append(f"`{found.path}`: {found.unread:,} files are not JSON lines, Parquet or a Delta table")
    return notes
