"""`rightsize watch`: load what is new, compare with the last pass, and deliver the changes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.azure import exchange, wire
from rightsize.cli import options
from rightsize.cli.command import Common, command
from rightsize.cli.commands.collect import SourceOptions
from rightsize.cli.narration import complain, say
from rightsize.cli.output import show, write
from rightsize.guard.watch import conclude, containment, run
from rightsize.model.errors import RightsizeError, UsageError
from rightsize.model.options import DEFAULT_FORGET_DAYS
from rightsize.render import watch as watch_lines
from rightsize.workflow.data import collect as collecting

_COLUMNS = ("severity", "kind", "time", "text")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_COLLECT_DAYS = 90


class WatchFormat(StrEnum):
    """The output format of changes on stdout."""

    JSONL = "jsonl"
    TABLE = "table"
    GITHUB = "github"


@command()
def watch(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", help="Folders that receive exports or collected runs."),
    ] = None,
    collect: Annotated[
        Path | None,
        typer.Option(
            "--collect", help="First collect new data of the tenant into this folder of runs.", show_default=False
        ),
    ] = None,
    every: Annotated[
        str | None,
        typer.Option("--every", help="Repeat at this interval: 90s, 15m, 1h, 1d. Default: one pass."),
    ] = None,
    automation: Annotated[
        list[str] | None,
        typer.Option("--automation", help="Principal that assigns by code: id, UPN, name, application id. Repeatable."),
    ] = None,
    applied: Annotated[
        list[Path] | None,
        typer.Option("--applied", help="Folder of an applied plan or rollout whose roles must stay. Repeatable."),
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option("--fail-on", help="Exit with 3 on this kind of change, or this severity or higher. Repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Append changes to this file as JSON lines, each exactly once.")
    ] = None,
    webhook: Annotated[
        list[str] | None,
        typer.Option("--webhook", help="Send to teams=URL, slack=URL or json=URL; env:NAME reads the URL. Repeatable."),
    ] = None,
    contain: Annotated[
        Path | None,
        typer.Option("--contain", help="Write a containment plan for each principal that a strong signal names here."),
    ] = None,
    contain_rules: Annotated[
        Path | None,
        typer.Option("--contain-rules", help="TOML file: rules for making containments and queueing their rollouts."),
    ] = None,
    min_window: options.WholeWindow = 90,
    min_days: options.MinDays = None,
    forget_days: options.ForgetDays = DEFAULT_FORGET_DAYS,
    *,
    sources: SourceOptions,
    trust_collections: options.TrustCollections = False,
    output: Annotated[WatchFormat, typer.Option("-o", "--output", help="How to write changes.")] = WatchFormat.JSONL,
    trusted: options.PlanSigners,
    common: Common,
) -> None:
    """Load new data, and report each change exactly once.

    Each pass is compared with the last one. The first pass takes everything as known. Later passes report new
    assignments and who made them, assignments made outside PIM and code, newly unused access, new ways to gain rights,
    new violations of layer independence, and drift of applied roles.
    """
    seconds = _seconds(every)
    run.check_gate(fail_on or ())
    if not paths and collect is None and not common.db.exists():
        raise UsageError("there is nothing to watch", hint="name a folder of exports, or --collect RUNS")
    rules = containment.read_rules(contain_rules)
    if contain_rules is not None and contain is None:
        raise UsageError("`--contain-rules` needs `--contain DIR`")
    clock = exchange.Clock()
    question = conclude.WatchSettings(
        tuple(automation or ()), tuple(applied or ()), trusted.asked, min_window, forget_days, min_days
    )
    outlets = run.Outlets(_shower(output), out, tuple(run.read_webhook(text) for text in webhook or ()))
    gather = None
    if collect is not None:
        gather = _collector(collect, common.db, days=_COLLECT_DAYS, may_ask=not common.no_input, **sources.arguments())

    def one() -> run.WatchResult:
        return run.run_pass(
            common.db,
            paths or (),
            question,
            outlets,
            collect=gather,
            contain=(contain, rules) if contain is not None else None,
            clock=clock,
            trusts=lambda _: trust_collections,
        )

    if seconds is None:
        _end(one(), outlets, fail_on or ())
        if output is WatchFormat.TABLE:
            common.say_next("the same command, when there is new data, or with `--every 1h`")
        return
    _stay(run.passes(one, seconds, clock), outlets, fail_on or (), clock)


def _end(done: run.WatchResult, outlets: run.Outlets, fail_on: list[str] | tuple[str, ...]) -> None:
    _say_pass(done, outlets)
    refusal = run.gate(done.reported, fail_on)
    if refusal is not None:
        raise refusal


def _stay(found: Any, outlets: run.Outlets, fail_on: list[str] | tuple[str, ...], clock: exchange.Clock) -> None:
    """Report each pass until the user stops; a running pass is finished, and a failed gate is only reported."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: clock.stop())
    try:
        for done in found:
            try:
                if isinstance(done, RightsizeError):
                    raise done
                _end(done, outlets, fail_on)
            except RightsizeError as error:
                complain(error.message, error.hint)
    except wire.StoppedError:
        pass
    say("stopped")


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isdigit() or int(number) == 0:
        raise UsageError(f"`--every {text}` is not an interval", hint="for example 90s, 15m, 1h or 1d")
    return float(int(number) * _UNITS[unit])


def _collector(folder: Path, db: Path, **asked: Any) -> Callable[[], dict[str, str]]:
    def collect() -> dict[str, str]:
        report = collecting.collect_tenant(folder, db=db, **asked)
        say(f"collected {sum(row.rows for row in report.rows):,} records into {report.folder}")
        failed = {
            row.source: f"{row.state}, {row.missing or row.reason}"
            for row in report.rows
            if row.state in ("refused", "incomplete")
        }
        for source, why in failed.items():
            say(f"{source}: {why}")
        return failed

    return collect


def _shower(output: WatchFormat) -> Callable[[Any], None]:
    def shower(changes: Any) -> None:
        if output is WatchFormat.TABLE:
            show(changes, _COLUMNS, options.OutputFormat.TABLE, table_columns=("severity", "kind", "text"), every=True)
        else:
            write(
                watch_lines.write_lines(changes)
                if output is WatchFormat.JSONL
                else watch_lines.write_annotations(changes)
            )
        sys.stdout.flush()

    return shower


def _say_pass(done: run.WatchResult, outlets: run.Outlets) -> None:
    concluded = done.concluded
    if done.taken is not None:
        say(f"loaded {done.taken.files} new files with {done.taken.new:,} new records")
        for note in done.taken.doubted:
            say(note)
    if concluded.is_first:
        say(f"first pass: {concluded.standing:,} items are known up to {concluded.as_of}; later passes report changes")
    else:
        say(f"{concluded.changes} changes up to {concluded.as_of}")
    if concluded.fitting_days is not None:
        say(
            f"the logs fit a window of {concluded.fitting_days} days, which is shorter: access counts as newly unused "
            "when they are evidence for the whole window, and not before"
        )
    for one in done.delivered:
        if one.problem:
            say(f"{one.sink}: {one.problem}; the next pass tries again")
    for sink, count in done.waiting.items():
        if sink not in outlets.sinks:
            say(f"{count} changes wait for {sink}, which this command does not name")
        elif sink != "stdout":
            say(f"{count} changes wait for {sink}")
