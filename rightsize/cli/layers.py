"""`rightsize layers`: show the principals that can defeat several layers of defence."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.cli.narration import say, say_next, set_verbosity
from rightsize.cli.options import DEFAULT_DB, AllRows, Db, NoInput, Output, OutputFormat, Quiet, Verbose, with_db
from rightsize.cli.output import short_name, show

_LETTERS = {
    "host_integrity": "H",
    "compute_isolation": "C",
    "network_segmentation": "N",
    "data_protection": "D",
    "identity_control": "I",
    "monitoring": "M",
}
_LEGEND = ", ".join(f"{letter} {layer.replace('_', ' ')}" for layer, letter in _LETTERS.items())
_SETS = ("granted", "used", "proposed")
_RANKED = ("fewest", "whole", "reach", "reach_proposed", "name")
_DEFEATS = ("scope", "at", "basis", "state", "layer", "effect", "control", "operation", "plane", "operations",
            "whole", "conditional")  # fmt: skip


class LayersBy(StrEnum):
    """The unit of a row: a principal or a subscription."""

    PRINCIPAL = "principal"
    SUBSCRIPTION = "subscription"


_COLUMNS: dict[LayersBy, tuple[tuple[str, ...], tuple[str, ...]]] = {
    LayersBy.PRINCIPAL: (
        ("principal_id", "state", *_SETS, "violated", "violated_proposed", *_RANKED),
        ("name", "state", *_SETS, "violated", "violated_proposed", "enough"),
    ),
    LayersBy.SUBSCRIPTION: (
        ("principal_id", "scope", "state", *_SETS, *_RANKED, "at"),
        ("name", "at", "state", *_SETS, "enough"),
    ),
}


def layers(
    principal: Annotated[
        str | None,
        typer.Argument(help="Id, UPN or name of one principal: list how it defeats each layer.", show_default=False),
    ] = None,
    by: Annotated[
        LayersBy, typer.Option("--by", help="Unit of a row: a principal, or a principal in one subscription.")
    ] = (LayersBy.PRINCIPAL),
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Write the matrix to this SVG file.", show_default=False)
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan",
            help="Show what the plan in this folder would leave, not the last plan.",
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
    """Show principals that can defeat two or more layers of defence in one subscription: granted, used and proposed."""
    from rightsize.render.escape import for_shell  # noqa: PLC0415
    from rightsize.workflow.layers import defeats_of, show_layers  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    if principal is not None:
        rows = defeats_of(db, principal, plan)
        show(rows, _DEFEATS, output, table_columns=("at", "layer", "basis", "operation"), every=every)
        say_next(with_db(f"rightsize explain {for_shell(principal)}", db), output=output)
        return
    found = show_layers(db, by_subscription=by is LayersBy.SUBSCRIPTION, plan=plan)
    if picture is not None:
        from rightsize.workflow.text_files import write_text  # noqa: PLC0415

        write_text(picture, found.picture)
    columns, brief = _COLUMNS[by]
    is_table = output is OutputFormat.TABLE
    show(
        [_lettered(row) for row in found.rows] if is_table else found.rows,
        columns,
        output,
        table_columns=brief,
        every=every,
    )
    say(f"{_LEGEND}; `enough` is the least number of operations that defeat them all, `violated` that of subscriptions")
    if not found.has_plan:
        say("there is no plan yet, so the proposed columns are empty")
    worst = next((row["principal_id"] for row in found.rows if found.has_plan), None)
    step = "rightsize propose" if worst is None else f"rightsize layers {for_shell(worst)}"
    say_next(with_db(step, db), output=output)


def _lettered(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row for a terminal: one letter a layer, and the number of operations that defeat all of them."""
    sets = {
        basis: "".join(letter if layer in (row[basis] or ()) else "·" for layer, letter in _LETTERS.items())
        for basis in ("granted", "used", "proposed")
    }
    return row | sets | {"name": short_name(row["name"]), "enough": len(row["fewest"])}
