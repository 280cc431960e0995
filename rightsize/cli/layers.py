"""`rightsize layers`: show the principals that can defeat several layers of defence."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.analyze.lacks import note_of
from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.cli.output import short_name
from rightsize.cli.plan_options import PlanSigners
from rightsize.render.escape import for_shell
from rightsize.workflow import lacks, text_files
from rightsize.workflow import layers as workflow

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
        ("principal_id", "state", *_SETS, "violated", "violated_proposed", *_RANKED, "complete"),
        ("name", "state", *_SETS, "violated", "violated_proposed", "enough"),
    ),
    LayersBy.SUBSCRIPTION: (
        ("principal_id", "scope", "state", *_SETS, *_RANKED, "at", "complete"),
        ("name", "at", "state", *_SETS, "enough"),
    ),
}


@command(rows=True)
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
    *,
    trusted: PlanSigners,
    common: Common,
) -> None:
    """Show principals that can defeat two or more layers of defence in one subscription: granted, used and proposed."""
    if principal is not None:
        rows = workflow.defeats_of(common.db, principal, plan, trusted.asked)
        common.show(rows, _DEFEATS, table_columns=("at", "layer", "basis", "operation"))
        for line in note_of(lacks.lacks_of(common.db), "whatever layer is not shown is unknown"):
            say(line)
        common.say_next(common.with_db(f"rightsize explain {for_shell(principal)}"))
        return
    found = workflow.show_layers(
        common.db, by_subscription=by is LayersBy.SUBSCRIPTION, plan=plan, signers=trusted.asked
    )
    if picture is not None:
        text_files.write_text(picture, found.picture)
    columns, brief = _COLUMNS[by]
    rows = [_lettered(row) for row in found.rows] if common.is_table else found.rows
    common.show(rows, columns, table_columns=brief)
    say(f"{_LEGEND}; `enough` is the least number of operations that defeat them all, `violated` that of subscriptions")
    for line in note_of(found.lacks, "it is unknown who else can defeat layers"):
        say(line)
    if not found.has_plan:
        say("there is no plan yet, so the proposed columns are empty")
    worst = next((row["principal_id"] for row in found.rows if found.has_plan), None)
    step = "rightsize propose" if worst is None else f"rightsize layers {for_shell(worst)}"
    common.say_next(common.with_db(step))


def _lettered(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row for a terminal: one letter a layer, and the number of operations that defeat all of them."""
    sets = {
        basis: "".join(letter if layer in (row[basis] or ()) else "·" for layer, letter in _LETTERS.items())
        for basis in ("granted", "used", "proposed")
    }
    return row | sets | {"name": short_name(row["name"]), "enough": len(row["fewest"])}
