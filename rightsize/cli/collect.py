"""`rightsize collect`: collect a tenant into raw pages, then load them into the store."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.azure import credentials
from rightsize.cli.command import Common, command
from rightsize.cli.exit_codes import ExitCode
from rightsize.cli.load import show_report
from rightsize.cli.narration import say
from rightsize.model.times import read_instant
from rightsize.render.escape import for_shell
from rightsize.workflow import collect as workflow

COLUMNS = ("source", "state", "units", "complete", "pages", "rows", "missing", "reason")
_SHORT = ("source", "state", "units", "pages", "rows")
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
        "--workspace", help="Read logs from this Log Analytics workspace, by workspace id, not by REST. Repeatable."
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
    """Collect a tenant from Azure, Graph, Log Analytics and storage into raw pages, then load them.

    Nothing is written to the tenant. The same command continues an interrupted run; a later run fetches only new log
    records. Each source that could not be read is listed with the missing right. Exit code 7 means that something is
    incomplete and that the same command would continue.
    """
    report = workflow.collect_tenant(
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
    common.show(rows, _SHORT if common.is_table and not common.verbose else COLUMNS)
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


def _tell(report: workflow.CollectReport) -> None:
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
