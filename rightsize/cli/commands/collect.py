"""Commands that fetch from Azure: collect, status sources, fetch-script, catalog.

`rightsize collect`: collect a tenant into raw pages, then load them into the store.

`rightsize status sources`: list the sources that a collection could not read, and the rights to ask for.

`rightsize fetch-script`: write the script that fetches a tenant's exports with `az`.

`rightsize catalog`: import the catalogue of operations, roles and Graph permissions, and show its state.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.azure import credentials
from rightsize.cli.command import Common, command
from rightsize.cli.commands.load import show_report
from rightsize.cli.exit_codes import ExitCode
from rightsize.cli.narration import say, say_place
from rightsize.cli.output import write
from rightsize.collect import kql
from rightsize.model import file_reading
from rightsize.model.errors import UsageError
from rightsize.model.progress import counted
from rightsize.model.times import read_instant
from rightsize.render.escape import for_shell
from rightsize.workflow.data import catalog as catalog_workflow
from rightsize.workflow.data import collect as collect_workflow
from rightsize.workflow.data import doctor as doctor_workflow
from rightsize.workflow.data import exports as exports_workflow

COLLECT_COLUMNS = ("source", "state", "units", "complete", "pages", "rows", "missing", "reason")
_COLLECT_BRIEF = ("source", "state", "units", "pages", "rows")
DEFAULT_OUT = Path("rightsize-collected")

Cloud = Annotated[
    str, typer.Option("--cloud", help="public, usgov, china, or a JSON file with the endpoints of another cloud.")
]
Auth = Annotated[
    str,
    typer.Option("--auth", help="How to sign in: default, cli, env, managed-identity, workload, browser, device-code."),
]
Sources = Annotated[
    list[str] | None, typer.Option("--source", help="Only this source and the sources it needs. Repeatable.")
]
Subscriptions = Annotated[
    list[str] | None, typer.Option("--subscription", help="Only this subscription, by id. Repeatable.")
]
Workspaces = Annotated[
    list[str] | None,
    typer.Option(
        "--workspace",
        help="Read logs by KQL, not by REST: from a Log Analytics workspace by its id, search:ID for its Basic tables, "
        "lake:NAME-ID for a Sentinel data lake, or https://CLUSTER/DATABASE for Azure Data Explorer. Repeatable.",
    ),
]
Containers = Annotated[
    list[str] | None, typer.Option("--container", help="Read exported logs from this ACCOUNT/CONTAINER. Repeatable.")
]


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """The options that say which sources of a tenant are read, and how to sign in."""

    cloud: Cloud = "public"
    auth: Auth = "default"
    subscription: Subscriptions = None
    source: Sources = None
    workspace: Workspaces = None
    container: Containers = None

    def arguments(self) -> dict[str, Any]:
        """Return them as the arguments that the workflows take."""
        return {
            "cloud": self.cloud,
            "auth": self.auth,
            "subscriptions": self.subscription or (),
            "sources": self.source or (),
            "workspaces": self.workspace or (),
            "containers": self.container or (),
        }


@command()
def collect(
    out: Annotated[Path, typer.Option("--out", help="Folder of the runs; each run has a folder in it.")] = DEFAULT_OUT,
    *,
    sources: SourceOptions,
    days: Annotated[int, typer.Option("--days", help="Number of days of logs to collect.")] = 90,
    until: Annotated[
        datetime | None,
        typer.Option("--until", parser=read_instant, metavar="TIME", help="End of these days, in UTC. Default: now."),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Fetch all rows of workspaces, not only distinct use.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Continue an interrupted run with the same options.")
    ] = True,
    load: Annotated[bool, typer.Option("--load/--no-load", help="Load the collected data into the store.")] = True,
    common: Common,
) -> None:
    """Read your tenant from Azure and Graph, and load it.

    Raw pages of Azure, Graph, Log Analytics and storage are kept in a folder. Nothing is written to the tenant. The
    same command continues an interrupted run; a later run fetches only new log records. Each source that could not be
    read is listed with the missing right. Exit code 7 means that something is incomplete and that the same command
    would continue.
    """
    say_place(out, DEFAULT_OUT)
    report = collect_workflow.collect_tenant(
        out,
        **sources.arguments(),
        days=days,
        until=until.replace(tzinfo=UTC) if until else None,
        raw=raw,
        resume=resume,
        may_ask=not common.no_input,
        db=common.db if load else None,
        signed_in=_tell_sign_in,
    )
    _tell(report)
    rows = [asdict(row) for row in report.rows]
    common.show(rows, _COLLECT_BRIEF if common.is_table and not common.verbose else COLLECT_COLUMNS)
    if report.loaded is not None and common.verbose:
        show_report(report.loaded, common, by_file=False)
    if not report.is_whole:
        common.say_next("the same command, which continues")
        raise typer.Exit(ExitCode.SERVICE)
    if report.loaded is None:
        common.say_next(common.with_db(f"rightsize load {for_shell(str(report.folder))}"))
    else:
        common.say_next_of_store(is_changed=True)


def _tell_sign_in(who: credentials.SignIn) -> None:
    named = who.name or who.principal_id
    say(f"signed in by {who.credential}" + (f" as {named}" if named else ""))


def _tell(report: collect_workflow.CollectReport) -> None:
    tally = report.tally
    states = [row.state for row in report.rows]
    rest = "".join(
        f", {states.count(state)} {state}" for state in ("incomplete", "refused", "gone") if states.count(state)
    )
    say(
        f"{'continued' if report.resumed else 'collected into'} {report.folder}: {len(states)} sources{rest}; "
        f"{tally.requests:,} requests ({tally.throttled:,} throttled, {tally.failed:,} failed), "
        f"{tally.bytes / 1e6:,.1f} MB in {report.seconds:,.1f} s"
    )
    for row in report.rows:
        if row.state == "refused":
            say(f"{row.source}: access refused, it needs {row.missing}")
        elif row.state == "incomplete":
            say(f"{row.source}: incomplete: {row.reason}")
        elif row.state == "gone":
            say(f"{row.source}: does not exist: {row.reason}", level=1)
    for note in report.notes:
        say(note)
    if report.loaded is not None:
        new = sum(row.new for row in report.loaded.rows)
        say(f"loaded {new:,} new records of {sum(row.read for row in report.loaded.rows):,}")
        for note in report.loaded.all_notes:
            say(note, level=1)


_DOCTOR_COLUMNS = ("source", "title", "reach", "scopes", "readable", "permission", "role", "at", "reason")
_DOCTOR_BRIEF = ("source", "reach", "scopes", "readable", "role")


@command()
def try_sources(
    *,
    sources: SourceOptions,
    until: Annotated[
        datetime | None,
        typer.Option(
            "--until",
            parser=read_instant,
            metavar="TIME",
            help="End of the one day of logs that is tried, in UTC. Default: now.",
        ),
    ] = None,
    role_out: Annotated[
        Path | None,
        typer.Option("--role-out", help="Write a custom role with exactly the rights that `collect` needs here."),
    ] = None,
    rollout_role: Annotated[
        Path | None,
        typer.Option("--rollout-role", help="Write a custom role with exactly the rights that `rollout apply` needs."),
    ] = None,
    with_pim: Annotated[
        bool,
        typer.Option(
            "--with-pim", help="Let that role also change eligible and time-bound assignments and their rules."
        ),
    ] = False,
    with_vaults: Annotated[
        bool, typer.Option("--with-vaults", help="Let that role also switch key vaults from access policies to roles.")
    ] = False,
    common: Common,
) -> None:
    """Sign in, try each source, and list the missing rights.

    The sources are those that `collect` reads. Exit code 4 means that access to a source is refused. Nothing is written
    to the tenant.
    """
    if (with_pim or with_vaults) and rollout_role is None:
        named = "--with-pim" if with_pim else "--with-vaults"
        raise UsageError(f"`{named}` needs `--rollout-role`", hint="add --rollout-role FILE")
    found = doctor_workflow.examine(
        **sources.arguments(),
        until=until.replace(tzinfo=UTC) if until else None,
        with_pim=with_pim,
        with_vaults=with_vaults,
        may_ask=not common.no_input,
    )
    named = found.who.name or found.who.principal_id
    say(f"signed in by {found.who.credential}" + (f" as {named}" if named else ""))
    for role in found.roles:
        say(f"ask for the role: {role}")
    for permission in found.permissions:
        say(f"ask for the Graph permission: {permission}")
    if role_out is not None:
        doctor_workflow.write_role(found.role, role_out)
        say(f"wrote a custom role to {role_out}")
    if rollout_role is not None:
        doctor_workflow.write_role(found.rollout_role, rollout_role)
        say(f"wrote a custom role to {rollout_role}: assign it to a principal that does nothing else")
    rows = [{**asdict(row), "at": ", ".join(row.at)} for row in found.rows]
    if common.is_table and not common.verbose:
        common.show([row for row in rows if row["reach"] != "readable"] or rows, _DOCTOR_BRIEF)
    else:
        common.show(rows, _DOCTOR_COLUMNS)
    if any(row["reach"] == "refused" for row in rows):
        common.say_next("ask for what is missing, then `rightsize status sources` again")
        raise typer.Exit(ExitCode.ACCESS)
    common.say_next("rightsize collect, with the same options")


class Shell(StrEnum):
    """The shell that runs the script."""

    BASH = "bash"
    POWERSHELL = "powershell"


@command(output=False)
def fetch_script(
    shell: Annotated[Shell, typer.Option("--shell", help="The shell that runs the script.")] = Shell.BASH,
    out: Annotated[Path | None, typer.Option("--out", help="Write the script to this file, not to stdout.")] = None,
    days: Annotated[
        int, typer.Option("--days", min=1, max=365, help="Number of days of logs that the script fetches.")
    ] = 90,
    subscription: Subscriptions = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="Only this source of `rightsize collect` and those it needs. Repeatable."),
    ] = None,
    summary_rules: Annotated[
        Path | None,
        typer.Option(
            "--summary-rules",
            help="Write no script, but into this folder the KQL that reduces each log table, and summary rules of it.",
        ),
    ] = None,
    *,
    common: Common,
) -> None:
    """Write a script that fetches a tenant's exports with `az`.

    It covers what `load` reads, over all subscriptions and management groups. The script writes a folder with a
    manifest, which says who read each file and whether it is complete. A refusal stops nothing, and the same command
    continues an interrupted run. This command itself asks nothing of Azure.
    """
    if summary_rules is not None:
        files = kql.write_summary_rules(summary_rules)
        say(f"wrote {counted(len(files) - 1, 'query', 'queries')} and {files[-1].name} to {summary_rules}")
        template = for_shell(str(files[-1]))
        common.say_next(f"az deployment group create -g GROUP --template-file {template} -p workspace=NAME")
        return
    text = exports_workflow.write_exports_script(days, subscription or (), source or (), shell.value)
    if out is None:
        write(text)
        return
    file_reading.write_text(out, text)
    run = "bash" if shell is Shell.BASH else "pwsh"
    say(f"wrote {out}; review it and sign in with `az login`")
    common.say_next(f"{run} {for_shell(str(out))} exports; rightsize load exports")


@command(rows=True)
def import_catalog(
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
    """Load operations, roles and Graph permissions from files.

    Files are recognised by content; others are refused.
    """
    show_report(catalog_workflow.import_catalogue(common.db, files), common, by_file=True)
    common.say_next_of_store(is_changed=True)


@command(rows=True)
def refresh_catalog(
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
    """Load today's operations and roles from Azure.

    The published map of Graph permissions is loaded, too, if it changed. No loaded entry is removed.
    """
    place = catalog_workflow.GRAPH_MAP if graph_map is None else graph_map
    report = catalog_workflow.refresh_catalogue(
        common.db, cloud=cloud, auth=auth, may_ask=not common.no_input, force=force, graph_map=place
    )
    show_report(report, common, by_file=False)
    common.say_next_of_store(is_changed=True)


@command()
def show_catalog(*, common: Common) -> None:
    """Show what the loaded catalogue holds, and its hash.

    Plans name the catalogue by this hash. `control` and `data` count operations of certain planes, `guessed` those of
    inferred planes, `unknown` the rest.
    """
    found = catalog_workflow.read_catalogue_status(common.db).answer()
    if not found["operations"]:
        say("no operations are loaded; `rightsize catalog refresh` fetches them, too")
    if common.is_table:
        common.show([{"what": what, "value": value} for what, value in found.items()], ("what", "value"))
    else:
        common.show([found], list(found), document=found)
    common.say_next_of_store()
