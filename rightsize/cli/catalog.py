"""`rightsize catalog`: import the catalogue of operations, roles and Graph permissions, and show its state."""

from __future__ import annotations

from typing import Annotated

import typer

from rightsize.cli.collect import Auth, Cloud
from rightsize.cli.load import show_report
from rightsize.cli.narration import say, say_next_of_store, set_verbosity
from rightsize.cli.options import DEFAULT_DB, AllRows, Db, NoInput, Output, OutputFormat, Quiet, Verbose
from rightsize.cli.output import show

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def catalog() -> None:
    """Load the catalogue of operations, roles and Graph permissions, and show its state."""


@app.command("import")
def import_files(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Output of `az provider operation list` or `az role definition list`, a CSV of operations, a list of "
            "directory roles. Of Graph: permissions.json, provisioningInfo.json, lists of app roles, scopes and "
            "Microsoft's apps."
        ),
    ],
    db: Db = DEFAULT_DB,
    every: AllRows = False,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Load operations, roles and Graph permissions from files, recognised by content; other files are refused."""
    from rightsize.workflow.catalog import import_catalogue  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    show_report(import_catalogue(db, files), output, by_file=True, every=every)
    say_next_of_store(db, output, is_changed=True)


@app.command("refresh")
def refresh(
    cloud: Cloud = "public",
    auth: Auth = "default",
    force: Annotated[
        bool, typer.Option("--force", help="Load it even if it has over a tenth fewer entries than the store.")
    ] = False,
    graph_map: Annotated[
        str | None,
        typer.Option(
            "--graph-map", help="Address of the published map of Graph permissions; an empty text skips the map."
        ),
    ] = None,
    db: Db = DEFAULT_DB,
    every: AllRows = False,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,
) -> None:
    """Load today's operations and roles from Azure, and the published map of Graph permissions if it changed.

    No loaded entry is removed.
    """
    from rightsize.workflow.catalog import GRAPH_MAP, refresh_catalogue  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    place = GRAPH_MAP if graph_map is None else graph_map
    report = refresh_catalogue(db, cloud=cloud, auth=auth, may_ask=not no_input, force=force, graph_map=place)
    show_report(report, output, by_file=False, every=every)
    say_next_of_store(db, output, is_changed=True)


@app.command("status")
def status(
    db: Db = DEFAULT_DB,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Show the number of loaded operations and roles, and the hash of the catalogue that plans name.

    `control` and `data` count operations of certain planes, `guessed` those of inferred planes, `unknown` the rest.
    """
    from rightsize.workflow.catalog import read_catalogue_status  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    found = read_catalogue_status(db).answer()
    if not found["operations"]:
        say("no operations are loaded; `rightsize catalog refresh` fetches them, too")
    if output is OutputFormat.TABLE:
        show([{"what": what, "value": value} for what, value in found.items()], ("what", "value"), output)
    else:
        show([found], list(found), output, document=found)
    say_next_of_store(db, output)
