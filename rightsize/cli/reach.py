"""`rightsize reach`: what falls when one identity or one machine falls."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import Annotated, Any

import typer

from rightsize.cli.narration import say, set_verbosity
from rightsize.cli.options import DEFAULT_DB, Db, NoInput, Output, OutputFormat, Quiet, Verbose
from rightsize.cli.output import show, write

_COLUMNS = (
    "subject", "kind", "state", "identities", "resources", "secrets", "subscriptions", "layers", "planes", "cells",
    "own_cells", "takes_tenant", "tenant_steps", "cells_used", "cells_proposed", "identities_proposed", "name",
)  # fmt: skip
_BRIEF = ("name", "kind", "state", "tenant_steps", "identities", "secrets", "cells", "cells_proposed")
_WAYS = ("target", "kind", "name", "certain", "steps")
_SHOWN = 25
_WIDTH = 80


def reach(
    subject: Annotated[
        str | None,
        typer.Argument(help="A principal, or a resource with an identity: what falls with it, and how."),
    ] = None,
    eligible: Annotated[bool, typer.Option("--eligible", help="Count what can be activated as standing.")] = False,
    db: Db = DEFAULT_DB,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Show what falls with each identity and machine, through any number of steps, and what the plan leaves of it."""
    from rightsize.workflow.reach import reach_from, show_reach  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    if subject is None:
        rows = show_reach(db)
        if output is OutputFormat.TABLE:
            show([row | {"name": row["name"].split("@")[0]} for row in rows[:_SHOWN]], _COLUMNS, output,
                 table_columns=_BRIEF)  # fmt: skip
            say("a cell is a layer of defence in a subscription; `rightsize reach NAME` shows the ways")
            if len(rows) > _SHOWN:
                say(f"{len(rows) - _SHOWN} more: `-o json`, or the table `reach` in SQL")
        else:
            show(rows, _COLUMNS, output)
        return
    found = reach_from(db, subject, eligible=eligible)
    if output is OutputFormat.TABLE:
        write("".join(_page(found.name, found.document())))
    else:
        rows = [way | {"steps": "; ".join(f"{s['why']} > {s['to']}" for s in way["steps"])} for way in found.ways]
        show(rows, _WAYS, output, document=found.document())


def way_lines(reach: dict[str, Any]) -> Iterator[str]:
    """Yield what falls as lines, most important first; the caller escapes and wraps them."""
    layers = ", ".join(layer.replace("_", " ") for layer in reach["layers"]) or "none"
    yield (
        f"  {reach['identities']} identities, {reach['resources']} resources with code, {reach['secrets']} stores of "
        f"secrets or data"
    )
    yield f"  layers in {reach['subscriptions']} subscriptions: {layers}"
    yield f"  {reach['cells']} (layer, subscription) in all, {reach['own_cells']} of them without a further step"
    if reach["takes_tenant"]:
        yield "  it can take the whole tenant"
    for way in reach["ways"][:_SHOWN]:
        yield f"  {way['kind']} {way['name']}" + ("" if way["certain"] else "  (possible)")
        for step in way["steps"]:
            yield f"    {step['why']} → {step['to']}"
    if len(reach["ways"]) > _SHOWN:
        yield f"  and {len(reach['ways']) - _SHOWN} more"


def _page(name: str, reach: dict[str, Any]) -> Iterator[str]:
    from rightsize.render.escape import for_terminal  # noqa: PLC0415  kept out of `--help`

    for line in (f"What falls with {name}", *way_lines(reach)):
        safe = for_terminal(line)
        indent = " " * (len(safe) - len(safe.lstrip()) + 2)
        yield "\n".join(wrap(safe, _WIDTH, subsequent_indent=indent)) + "\n"
