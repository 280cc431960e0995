"""`rightsize signals`: list alerts, risk and odd days, and the calls that they hold in quarantine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.cli.narration import say, say_next, set_verbosity
from rightsize.cli.options import DEFAULT_DB, AllRows, Db, NoInput, Output, OutputFormat, Quiet, Verbose, with_db
from rightsize.cli.output import short_name, show


class SignalsShow(StrEnum):
    """The kind of rows to list."""

    SIGNALS = "signals"
    QUARANTINE = "quarantine"
    BEHAVIOUR = "behaviour"


_COLUMNS: dict[SignalsShow, tuple[tuple[str, ...], tuple[str, ...]]] = {
    SignalsShow.SIGNALS: (
        ("signal_id", "kind", "name", "severity", "first_time", "last_time", "who", "state", "status",
         "classification", "calls", "operations"),
        ("name", "severity", "day", "who", "state", "calls"),
    ),
    SignalsShow.QUARANTINE: (
        ("principal_id", "name", "operation", "scope", "plane", "calls", "first_seen", "last_seen", "other_calls",
         "only_evidence", "signals", "basis"),
        ("name", "operation", "at", "calls", "other_calls"),
    ),
    SignalsShow.BEHAVIOUR: (
        ("principal_id", "day", "score", "kinds", "operations", "first_time", "last_time", "sentence", "days_before",
         "days_alike"),
        ("day", "score", "sentence"),
    ),
}  # fmt: skip


def signals(
    listed: Annotated[SignalsShow, typer.Option("--show", help="What to list.")] = SignalsShow.SIGNALS,
    decisions: Annotated[
        Path | None,
        typer.Option(
            "--decisions",
            help="First replace all decisions by those of this file (.toml, .json, .csv).",
            show_default=False,
        ),
    ] = None,
    db: Db = DEFAULT_DB,
    every: AllRows = False,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """List alerts and risks with the principals that they name, calls in quarantine, or unusual days."""
    from rightsize.workflow.signals import decide_signals, show_signals  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    if decisions is not None:
        say(f"{decide_signals(db, decisions)} decisions are stored; `rightsize analyze` applies them")
    found = show_signals(db)
    rows: list[dict[str, Any]] = getattr(found, listed.value)
    columns, brief = _COLUMNS[listed]
    if output is OutputFormat.TABLE:
        show([_short(row) for row in rows], columns, output, table_columns=brief, every=every)
        alone = sum(1 for row in found.quarantine if row["only_evidence"])
        if listed is not SignalsShow.BEHAVIOUR:
            calls = sum(row["calls"] for row in found.quarantine)
            say(f"{calls} calls in quarantine; {alone} used operations have no other evidence and wait for a decision")
        say_next(with_db(_next(listed, found.quarantine, rows, alone), db), output=output)
    else:
        show(rows, columns, output)


def _next(
    listed: SignalsShow, quarantine: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], alone: int
) -> str:
    """Return the next step: to see what waits for a decision, else who is behind the first row."""
    from rightsize.render.escape import for_shell  # noqa: PLC0415  kept out of `--help`

    if listed is not SignalsShow.QUARANTINE and alone:
        return "rightsize signals --show quarantine"
    held = [row["principal_id"] for row in (rows if listed is not SignalsShow.SIGNALS else quarantine)]
    who = next(filter(None, held), None)
    return "rightsize analyze" if who is None else f"rightsize explain {for_shell(who)}"


def _short(row: dict[str, Any]) -> dict[str, Any]:
    if "sentence" in row:
        return row
    if "scope" in row:
        return row | {"at": row["scope"].rsplit("/", 1)[-1] or "/", "name": short_name(row["name"] or "")}
    return row | {
        "day": row["last_time"].date() if row["last_time"] else None,
        "who": short_name(row["who"] or ""),
    }
