"""`rightsize catalog`: import the catalogue of operations, roles and Graph permissions, and show its state."""

from __future__ import annotations

from typing import Annotated

import typer

from rightsize.cli.collect import Auth, Cloud
from rightsize.cli.load import show_report
from rightsize.cli.narration import say, set_verbosity
from rightsize.cli.options import DEFAULT_DB, Db, NoInput, Output, OutputFormat, Quiet, Verbose
from rightsize.cli.output import show

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def catalog() -> None:
    """Import the catalogue of operations, built-in roles and Graph permissions, and show what of it is loaded."""


@app.command("import")
def import_files(
    files: Annotated[
        list[str],
        typer.Argument(
            help="What `az provider operation list` and `az role definition list` print, a CSV of operations, or "
            "a list of directory roles; Graph's permissions.json, provisioningInfo.json, lists of its app roles and "
            "scopes, and of Microsoft's apps."
        ),
    ],
    db: Db = DEFAULT_DB,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Import operations, roles and Graph's permissions, known by their content; anything else is refused."""
    from rightsize.workflow.catalog import import_catalogue  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    show_report(import_catalogue(db, files), output, by_file=True)


@app.command("refresh")
def refresh(
    cloud: Cloud = "public",
    auth: Auth = "default",
    force: Annotated[
        bool, typer.Option("--force", help="Load a catalogue that lost more than a tenth of what is loaded.")
    ] = False,
    graph_map: Annotated[
        str | None,
        typer.Option(
            "--graph-map", help="Where the map of Graph's permissions is published; an empty text leaves it as it is."
        ),
    ] = None,
    db: Db = DEFAULT_DB,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,
) -> None:
    """Load the operations and roles that Azure has now, and the published map of Graph's permissions if it changed.

    Nothing that is loaded is taken away.
    """
    from rightsize.workflow.catalog import GRAPH_MAP, refresh_catalogue  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    place = GRAPH_MAP if graph_map is None else graph_map
    report = refresh_catalogue(db, cloud=cloud, auth=auth, may_ask=not no_input, force=force, graph_map=place)
    show_report(report, output, by_file=False)


@app.command("status")
def status(
    db: Db = DEFAULT_DB,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Show how many operations and roles are loaded, and the hash of the catalogue that plans name.

    The planes count what is certain; `guessed` are operations of which a source infers the plane, `unknown` those of
    which none says it.
    """
    from rightsize.workflow.catalog import read_catalogue_status  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    found = read_catalogue_status(db).answer()
    if not found["operations"]:
        say("no operations are loaded: `rightsize catalog refresh`, or `rightsize catalog import FILE…`")
    if output is OutputFormat.TABLE:
        show([{"what": what, "value": value} for what, value in found.items()], ("what", "value"), output)
    else:
        show([found], list(found), output, document=found)
