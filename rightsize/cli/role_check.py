"""`rightsize roles check`: measure a drafted role by what a principal used and holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.exit_codes import ExitCode
from rightsize.cli.narration import say
from rightsize.cli.options import VarFiles
from rightsize.render.escape import for_shell
from rightsize.workflow import role_check as workflow
from rightsize.workflow import roles

COLUMNS = ("finding", "operation", "plane", "verdict", "risk", "why", "last_seen", "scope")
_BRIEF = ("finding", "operation", "verdict", "why", "last_seen")
_FAILS = ("wider_than_today", "makes_permanent", "lacks_use")


@command(rows=True)
def check(
    role: Annotated[
        str,
        typer.Argument(
            metavar="ROLE",
            help="The drafted role: a file with a role definition in any form, or `FILE#NAME` if it has several roles.",
        ),
    ],
    principal: Annotated[
        str,
        typer.Argument(
            metavar="PRINCIPAL",
            help="Who would get it in the place of all Azure roles of today: object id, UPN, application id or display "
            "name, or a beginning that is unique.",
        ),
    ],
    at: Annotated[
        list[str] | None,
        typer.Option(
            "--at", metavar="SCOPE", help="Where it would be assigned. Repeatable. Default: the scopes of today."
        ),
    ] = None,
    beside: Annotated[
        list[str] | None,
        typer.Option("--beside", metavar="ROLE", help="A loaded role that it would stand beside. Repeatable."),
    ] = None,
    eligible: Annotated[
        bool, typer.Option("--eligible", help="It would be assigned as eligible, and not as permanent.")
    ] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 3 if it grants what is not held today, or lacks what was used.")
    ] = False,
    var_file: VarFiles = None,
    *,
    common: Common,
) -> None:
    """Show what a drafted role grants beyond a principal's use and access, and what it lacks.

    The algebra decides for all possible operations. `may lack` are operations that are held today, of which no log says
    whether they are needed.
    """
    drafted = [roles.read_role(role, variables=var_file or (), must_be_decided=True)]
    found = workflow.check_role(
        common.db, drafted, principal, at or (), beside=beside or (), eligible=eligible, note=say
    )
    rows = list(_rows(found))
    if common.is_table:
        rows = [row | {"last_seen": str(row["last_seen"] or "")[:10]} for row in rows]
    common.show(rows, COLUMNS, document=found, table_columns=_BRIEF)
    for remark in found["remarks"]:
        say(remark)
    say(found["verdict"].replace("_", " "))
    common.say_next(common.with_db(f"rightsize explain {for_shell(found['principal']['principal_id'])}"))
    if exit_code and found["verdict"] in _FAILS:
        raise typer.Exit(ExitCode.GATE)


def _rows(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the findings as rows, the gravest kind first."""
    for wider in found["wider"]:
        why = "held after an activation or under a condition" if wider["held_otherwise"] else "not held today"
        for one in wider["witnesses"]:
            yield _row("wider", one, scope=wider["scope"], why=why)
    for one in found["lacks"]:
        yield _row("lacks", one, why=one["why"].replace("_", " "), last_seen=one["last_seen"], scope=one["scopes"][0])
    for one in found["may_lack"]["asked_by_use"]:
        yield _row("may lack", one, verdict=one["verdict"], why=one["because"].replace("_", " "))
    for one in found["may_lack"]["undecided"]:
        what = {"operation": f"{one['operations']:,} operations", "plane": None}
        yield _row("may lack", what, verdict=one["verdict"], why=one["meaning"])
    for one in found["excess"]["rows"]:
        yield _row("excess", one, verdict=one["verdict"], risk=one["risk"], why=one["reason"])
    for one in found["strings"]:
        if one["problem"]:
            yield _row("string", {"operation": one["string"], "plane": None}, why=one["problem"])


def _row(finding: str, one: dict[str, Any], **more: object) -> dict[str, Any]:
    empty = dict.fromkeys(COLUMNS)
    return empty | {"finding": finding, "operation": one["operation"], "plane": one["plane"]} | more
