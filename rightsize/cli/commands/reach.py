"""Commands on what an attacker could gain and defeat: reach, layers.

`rightsize reach`: show what an attacker gains from each principal or resource, step by step.

`rightsize reach layers`: show the principals that can defeat several layers of defence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.analyze.lacks import note_of
from rightsize.cli.command import Common, command
from rightsize.cli.layout import terminal_width, wrapped
from rightsize.cli.narration import say
from rightsize.cli.options import AsOf, PlanSigners
from rightsize.cli.output import short_name, write
from rightsize.model import file_reading
from rightsize.model.errors import UsageError
from rightsize.render import pictures as drawing
from rightsize.render.escape import for_shell, for_terminal
from rightsize.workflow.analysis import attack_paths
from rightsize.workflow.analysis import layers as layers_workflow
from rightsize.workflow.analysis import reach as blast
from rightsize.workflow.analysis import reach as reach_workflow
from rightsize.workflow.data import status

_REACH_COLUMNS = (
    "subject", "kind", "state", "identities", "resources", "secrets", "subscriptions", "layers", "planes", "cells",
    "own_cells", "takes_tenant", "tenant_steps", "cells_used", "cells_proposed", "identities_proposed", "name",
    "complete",
)  # fmt: skip
_NO_PLAN = "no plan of the present content is measured, so the proposed columns are empty: run `rightsize propose`"
_REACH_BRIEF = ("name", "state", "tenant_steps", "principals_reached", "secrets", "cells", "cells_proposed")
_WAYS = ("target", "kind", "name", "certain", "steps")
_SHOWN = 25
_UNKNOWN = "whatever is not shown as reached is unknown"


@command(rows=True)
def reach(
    subject: Annotated[
        str | None,
        typer.Argument(help="A principal, or a resource with a managed identity: show what it gives, and how."),
    ] = None,
    eligible: Annotated[bool, typer.Option("--eligible", help="Count eligible assignments as activated.")] = False,
    plan: Annotated[
        Path | None,
        typer.Option("--plan", help="Also show the reach that the plan in this folder leaves.", show_default=False),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            help="Draw the reach into this file: .svg, or .html for a page that fits any width.",
            show_default=False,
        ),
    ] = None,
    *,
    trusted: PlanSigners,
    common: Common,
) -> None:
    """Show what an attacker gains with each principal or machine.

    It counts any number of steps, today and under the plan.
    """
    if subject is None:
        _show_all(common, plan=plan, picture=picture)
        return
    after = None
    if plan is None and picture is None:
        found = attack_paths.reach_from(common.db, subject, eligible=eligible, note=say)
    else:
        found, after = blast.blast_from(
            common.db, subject, plan=plan, signers=trusted.asked, eligible=eligible, note=say
        )
        if picture is not None:
            _draw(after, picture)
    missing = status.lacks_of(common.db)
    for line in note_of(missing, _UNKNOWN):
        say(line)
    if common.is_table:
        write("".join(_page(found.name, found.document(), after)))
        more = f"reach {for_shell(found.subject)} --picture reach.html" if picture is None else "check"
        common.say_next(common.with_db(f"rightsize {more}"))
    else:
        rows = [way | {"steps": "; ".join(f"{s['why']} > {s['to']}" for s in way["steps"])} for way in found.ways]
        drawn = {"after": after["after"], "grid": after["grid"]} if after is not None else {}
        whole = {"complete": not missing, "lacks": [one.row() for one in missing]}
        common.show(rows, _WAYS, document=found.document() | drawn | whole)


def _show_all(common: Common, *, plan: Path | None, picture: Path | None) -> None:
    """Show every subject, the one with the widest reach first."""
    if plan is not None:
        raise UsageError("`--plan` needs a subject", hint="without `--plan`, the table shows what the last plan leaves")
    missing = status.lacks_of(common.db)
    every = reach_workflow.show_reach(common.db, say)
    rows = [row | {"complete": not missing} for row in every.rows]
    for line in note_of(missing, _UNKNOWN):
        say(line)
    if picture is not None:
        if picture.suffix.lower() != ".svg":
            raise UsageError("`--picture` without a subject takes an .svg file", hint="name a subject for a page")
        file_reading.write_text(picture, reach_workflow.draw_reach(every))
    if not common.is_table:
        common.show(rows, _REACH_COLUMNS)
        return
    shown = [row | {"name": _short(row["name"]), "principals_reached": row["identities"]} for row in rows]
    common.show(shown, _REACH_COLUMNS, table_columns=_REACH_BRIEF)
    say("a cell is one layer of defence in one subscription; `tenant steps` is the number of steps to the whole tenant")
    if rows and rows[0]["cells_proposed"] is None:
        say(_NO_PLAN)
    step = f"rightsize reach {for_shell(rows[0]['subject'])}" if rows else "rightsize status"
    common.say_next(common.with_db(step))


def _draw(after: dict[str, Any], picture: Path) -> None:
    writers = {".svg": drawing.draw_blast, ".html": drawing.write_blast_page}
    if picture.suffix.lower() not in writers:
        raise UsageError(f"`{picture.name}` is neither .svg nor .html", hint="name a file that ends in .svg or .html")
    file_reading.write_text(picture, writers[picture.suffix.lower()](after))


def _short(name: str) -> str:
    # The server of an issuer is left out, as the domain of a UPN is.
    return short_name(name) if "@" in name else name.split(" (token.", maxsplit=1)[0]


def reach_text(counts: Mapping[str, Any]) -> str:
    """Return the counts of a reach as text."""
    text = (
        f"{counts['identities']} principals, {counts['resources']} resources with code, {counts['secrets']} stores of "
        f"secrets or data, {counts['cells']} cells (layers of defence in subscriptions)"
    )
    return text + (", the whole tenant" if counts["takes_tenant"] else "")


def way_lines(reach: dict[str, Any]) -> Iterator[str]:
    """Yield what an attacker gains as lines, most important first; the caller escapes and wraps them."""
    layers = ", ".join(layer.replace("_", " ") for layer in reach["layers"]) or "none"
    yield f"  {reach_text(reach)}"
    yield f"  layers of defence in {reach['subscriptions']} subscriptions: {layers}"
    yield f"  {reach['own_cells']} of these cells without a further step"
    for way in reach["ways"][:_SHOWN]:
        yield f"  {way['kind']} {way['name']}" + ("" if way["certain"] else "  (possible)")
        for step in way["steps"]:
            yield f"    {step['why']} → {step['to']}"
    if len(reach["ways"]) > _SHOWN:
        yield f"  and {len(reach['ways']) - _SHOWN} more"


def _page(name: str, reach: dict[str, Any], blast: dict[str, Any] | None) -> Iterator[str]:
    lines = [f"What an attacker gains with {name}", *way_lines(reach)]
    if blast is not None and blast["after"] is not None:
        left = blast["after"]
        lines.insert(1, f"  under the plan: {reach_text(left)}")
    for line in lines:
        safe = for_terminal(line)
        indent = " " * (len(safe) - len(safe.lstrip()) + 2)
        margin = indent[2:]
        yield "\n".join(wrapped(safe[len(margin) :], terminal_width(), indent=margin, hanging=indent)) + "\n"


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


_LAYER_COLUMNS: dict[LayersBy, tuple[tuple[str, ...], tuple[str, ...]]] = {
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
    as_of: AsOf = None,
    *,
    trusted: PlanSigners,
    common: Common,
) -> None:
    """List who can defeat several layers of one subscription.

    It counts what is granted, used and proposed, of two or more layers of defence.
    """
    if principal is not None:
        rows = layers_workflow.defeats_of(common.db, principal, plan, trusted.asked, as_of, say)
        common.show(rows, _DEFEATS, table_columns=("at", "layer", "basis", "operation"))
        for line in note_of(status.lacks_of(common.db), "whatever layer is not shown is unknown"):
            say(line)
        common.say_next(common.with_db(f"rightsize explain {for_shell(principal)}"))
        return
    found = layers_workflow.show_layers(
        common.db, by_subscription=by is LayersBy.SUBSCRIPTION, plan=plan, signers=trusted.asked, as_of=as_of, note=say
    )
    if picture is not None:
        file_reading.write_text(picture, found.picture)
    columns, brief = _LAYER_COLUMNS[by]
    rows = [_with_letters(row) for row in found.rows] if common.is_table else found.rows
    common.show(rows, columns, table_columns=brief)
    say(f"{_LEGEND}; `enough` is the least number of operations that defeat them all, `violated` that of subscriptions")
    for line in note_of(found.lacks, "it is unknown who else can defeat layers"):
        say(line)
    if not found.has_plan:
        say(_NO_PLAN)
    worst = next((row["principal_id"] for row in found.rows if found.has_plan), None)
    step = "rightsize propose" if worst is None else f"rightsize reach layers {for_shell(worst)}"
    common.say_next(common.with_db(step))


def _with_letters(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row for a terminal: one letter a layer, and the number of operations that defeat all of them."""
    sets = {
        basis: "".join(letter if layer in (row[basis] or ()) else "·" for layer, letter in _LETTERS.items())
        for basis in ("granted", "used", "proposed")
        if row[basis] is not None or basis != "proposed" or row["reach_proposed"] is not None
    }
    return row | sets | {"name": short_name(row["name"]), "enough": len(row["fewest"])}
