"""`rightsize catalog`: import the catalogue of operations, roles and Graph permissions, and show its state."""

from __future__ import annotations

from typing import Annotated

import typer

from rightsize.cli.collect import Auth, Cloud
from rightsize.cli.command import Common, command
from rightsize.cli.load import show_report
from rightsize.cli.narration import say
from rightsize.workflow import catalog as workflow


@command(rows=True)
def import_files(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Output of `az provider operation list` or `az role definition list`, a CSV of operations, a list of "
            "directory roles. Of Graph: permissions.json, provisioningInfo.json, lists of app roles, scopes and "
            "Microsoft's apps."
        ),
    ],
    *,
    common: Common,
) -> None:
    """Load operations, roles and Graph permissions from files, recognised by content; other files are refused."""
    show_report(workflow.import_catalogue(common.db, files), common, by_file=True)
    common.say_next_of_store(is_changed=True)


@command(rows=True)
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
    *,
    common: Common,
) -> None:
    """Load today's operations and roles from Azure, and the published map of Graph permissions if it changed.

    No loaded entry is removed.
    """
    place = workflow.GRAPH_MAP if graph_map is None else graph_map
    report = workflow.refresh_catalogue(
        common.db, cloud=cloud, auth=auth, may_ask=not common.no_input, force=force, graph_map=place
    )
    show_report(report, common, by_file=False)
    common.say_next_of_store(is_changed=True)


@command()
def status(*, common: Common) -> None:
    """Show the number of loaded operations and roles, and the hash of the catalogue that plans name.

    `control` and `data` count operations of certain planes, `guessed` those of inferred planes, `unknown` the rest.
    """
    found = workflow.read_catalogue_status(common.db).answer()
    if not found["operations"]:
        say("no operations are loaded; `rightsize catalog refresh` fetches them, too")
    if common.is_table:
        common.show([{"what": what, "value": value} for what, value in found.items()], ("what", "value"))
    else:
        common.show([found], list(found), document=found)
    common.say_next_of_store()
