"""`rightsize load`: load exports of any form into the store."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import erase_progress, say, say_place
from rightsize.cli.options import DEFAULT_DB, DEFAULT_PLAN, Memory, Spill, TrustCollections
from rightsize.model.errors import UsageError
from rightsize.model.times import read_day
from rightsize.render.escape import for_terminal
from rightsize.workflow.data import declare, load_spark, next_command
from rightsize.workflow.data import load as workflow

COLUMNS = ("source", "path", "read", "new", "duplicate", "rejected", "unused_record")
_FEW, _COSTS = 20, 5


class Engine(StrEnum):
    """The engine that reads the logs."""

    DUCKDB = "duckdb"
    SPARK = "spark"


Paths = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATHS...", help="Exports: files, folders, .gz, .zip, or - for stdin.", show_default=False),
]


@command(rows=True)
def load(
    paths: Paths = None,
    covers: Annotated[
        str | None,
        typer.Option("--covers", help="FROM..TO, whole UTC days for which the log was exported completely."),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="The log of --covers: activity_log, sign_in_log, …")
    ] = None,
    scope: Annotated[
        str | None,
        typer.Option(
            "--scope", help="The subscription or management group of --covers: its id, or its name if it is loaded."
        ),
    ] = None,
    inventory_by: Annotated[
        str | None,
        typer.Option(
            "--inventory-by",
            help="READER of the listings of resources and providers that no manifest names: an object id, a UPN or a "
            "name. Declares that each lists its whole subscription.",
        ),
    ] = None,
    inventory_on: Annotated[
        str | None, typer.Option("--inventory-on", help="The UTC time when that reading began, in ISO 8601.")
    ] = None,
    declared: Annotated[
        list[Path] | None,
        typer.Option(
            "--declared",
            help="Code that --for deploys, as `rightsize needs` reads it: plans keep its needs. Repeatable.",
        ),
    ] = None,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="PRINCIPAL", help="Who deploys the code of --declared.")
    ] = None,
    until: Annotated[
        dt.date | None,
        typer.Option(
            "--until", parser=read_day, metavar="DAY", help="The last day on which --declared counts. Default: a year."
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="SCOPE", help="Where the code of --declared is deployed, if it does not say it."),
    ] = None,
    trust_collections: TrustCollections = False,
    memory_limit: Memory = None,
    spill_folder: Spill = None,
    engine: Annotated[
        Engine, typer.Option("--engine", help="Read logs on this machine, or reduce them on a Spark cluster first.")
    ] = Engine.DUCKDB,
    spark: Annotated[
        str,
        typer.Option("--spark", envvar="SPARK_REMOTE", help="Spark master, or sc://HOST:PORT for Spark Connect."),
    ] = "local[*]",
    table: Annotated[
        list[str] | None,
        typer.Option("--table", help="Table of Spark's catalog, as CATALOG.SCHEMA.TABLE, read by Spark. Repeatable."),
    ] = None,
    where: Annotated[str, typer.Option("--where", help="Rows of these tables in Spark SQL: day >= '2026-09-01'.")] = "",
    spark_conf: Annotated[
        list[str] | None, typer.Option("--spark-conf", help="Setting of Spark, as NAME=VALUE. Repeatable.")
    ] = None,
    spark_results: Annotated[
        str | None,
        typer.Option(
            "--spark-results",
            help="Folder for reduced rows that do not fit in memory: Spark writes it and this machine reads it.",
        ),
    ] = None,
    *,
    common: Common,
) -> None:
    """Load exports; loading the same one again changes nothing.

    Each file is recognised by its content. The table has one row for each source; with -v and in other formats it has
    one for each file. With `--engine spark` the paths are addresses that Spark reads (JSON lines, Parquet, Delta
    tables), and the store gets only distinct use.
    """
    paths = paths or []
    if declared:
        if paths or table:
            raise UsageError("`--declared` takes no other exports", hint="load them by a command of their own")
        _declare(declared, for_, until, at, common)
        return
    if for_ or until or at:
        raise UsageError("`--declared FILE` is missing", hint="`rightsize load --help` shows what it loads")
    if not paths and not table:
        raise UsageError("nothing to load is named", hint="name files or folders, or with `--engine spark` a `--table`")
    if not common.db.exists():
        say_place(common.db, DEFAULT_DB, "--db")
    if engine is Engine.SPARK:
        if inventory_by or inventory_on:
            raise UsageError("`--inventory-by` and `--inventory-on` are about files that this machine reads")

        report = load_spark.load_on_spark(
            common.db,
            paths,
            spark,
            tables=table or (),
            where=where,
            settings=_settings(spark_conf or []),
            results=spark_results,
            covers=covers,
            source=source,
            scope=scope,
            memory_limit=memory_limit,
            spill_folder=spill_folder,
        )
    else:
        if spark_conf or spark_results or table or where:
            raise UsageError("`--table`, `--where`, `--spark-conf` and `--spark-results` need `--engine spark`")

        report = workflow.load_paths(
            common.db,
            paths,
            covers=covers,
            source=source,
            scope=scope,
            inventory_by=inventory_by,
            inventory_on=inventory_on,
            memory_limit=memory_limit,
            spill_folder=spill_folder,
            trusts=lambda folder: trust_collections or (not common.no_input and _is_believed(folder)),
        )
    show_report(report, common, by_file=common.verbose > 0)
    workflow.require_recognised(report)
    if not common.quiet:
        _say_what_follows(report, common)


def _declare(files: Sequence[Path], who: str | None, until: dt.date | None, at: str | None, common: Common) -> None:
    """Load what code declares for a principal, and show it as a load."""
    today = dt.datetime.now(dt.UTC).date()
    found = declare.declare_needs(common.db, files, who, today=today, until=until, at=at or "")
    shown = _by_source(found.rows) if common.is_table and not common.verbose else found.rows
    common.show(shown, ("source", "files", *COLUMNS[2:]) if common.is_table and not common.verbose else COLUMNS)
    for note in found.notes[:_FEW]:
        say(note)
    say(declare.describe(found, who or "", until or today + dt.timedelta(days=declare.USUAL_DAYS)))
    common.say_next_of_store(is_changed=True)


def _is_believed(folder: Path) -> bool:
    """Ask a person whether the word of a collection counts; where nobody can answer, it does not."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    erase_progress()

    shown = for_terminal(str(folder))
    return typer.confirm(
        f"This machine did not collect {shown}. Believe it which logs and listings it has completely?", err=True
    )


def _settings(texts: Sequence[str]) -> dict[str, str]:
    settings = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UsageError(
                f"`--spark-conf {text}` is not NAME=VALUE", hint="for example --spark-conf spark.executor.memory=4g"
            )
        settings[name] = value
    return settings


def show_report(report: workflow.LoadReport, common: Common, *, by_file: bool) -> None:
    """Write the result of a load: counts to stdout, one row a file or a source; notes and unknown files to stderr."""
    # A store that was never pruned has no late records.
    names = (*COLUMNS, "late") if any(row.late for row in report.rows) else COLUMNS
    rows = [{name: getattr(row, name) for name in names} for row in report.rows]
    unknown = [row["path"] for row in rows if row["source"] == "unknown"]
    for path in unknown[:_FEW]:
        say(f"cannot recognise `{path}`: not an Azure, Entra or log export")
    for note in report.all_notes[:_FEW]:
        say(note)
    for said, kind in ((unknown, "files that cannot be recognised"), (report.all_notes, "notes")):
        if len(said) > _FEW:
            say(f"and {len(said) - _FEW:,} more {kind}")
    if common.is_table and not by_file:
        common.show(_by_source(rows), ("source", "files", *names[2:]))
    else:
        common.show(rows, names)
    if any(row["rejected"] for row in rows):
        say('`rightsize sql "SELECT path, line, reason FROM rejects"` lists the records that could not be used')


def _say_what_follows(report: workflow.LoadReport, common: Common) -> None:
    """Say at the end what the load leaves undecided, the costliest first, and the next command."""
    rejected = [row.path for row in report.rows if row.rejected]
    after = next_command.look_after(common.db, rejected, DEFAULT_PLAN)
    for text in after.costs[:_COSTS]:
        say(text)
    if len(after.costs) > _COSTS:
        say(f"and {len(after.costs) - _COSTS:,} more; `rightsize status -v` names what is missing")
    common.say_next(common.with_db(after.command))


def _by_source(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        total = found.setdefault(row["source"], {"source": row["source"], "files": 0})
        total["files"] += 1
        for name in list(row)[2:]:
            total[name] = total.get(name, 0) + row[name]
    return [found[source] for source in sorted(found)]
