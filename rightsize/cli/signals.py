"""`rightsize signals`: list alerts, risk and odd days, and the calls that they hold in quarantine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.cli.output import short_name
from rightsize.render.escape import for_shell
from rightsize.workflow import signals as workflow


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


@command(rows=True)
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
    *,
    common: Common,
) -> None:
    """List alerts and risks with the principals that they name, calls in quarantine, or unusual days."""
    if decisions is not None:
        say(f"{workflow.decide_signals(common.db, decisions)} decisions are stored; `rightsize analyze` applies them")
    found = workflow.show_signals(common.db)
    rows: list[dict[str, Any]] = getattr(found, listed.value)
    columns, brief = _COLUMNS[listed]
    if common.is_table:
        common.show([_short(row) for row in rows], columns, table_columns=brief)
        alone = sum(1 for row in found.quarantine if row["only_evidence"])
        if listed is not SignalsShow.BEHAVIOUR:
            calls = sum(row["calls"] for row in found.quarantine)
            say(f"{calls} calls in quarantine; {alone} used operations have no other evidence and wait for a decision")
        common.say_next(common.with_db(_next(listed, found.quarantine, rows, alone)))
    else:
        common.show(rows, columns)


def _next(
    listed: SignalsShow, quarantine: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], alone: int
) -> str:
    """Return the next step: to see what waits for a decision, else who is behind the first row."""
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
