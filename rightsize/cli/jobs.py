"""`rightsize jobs`: show the jobs of the tenant, and what their holders share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.cli.options import WindowOptions
from rightsize.cli.output import short_name, write
from rightsize.model.progress import counted
from rightsize.render.escape import for_shell
from rightsize.workflow import jobs as workflow

_DONE_BY = ("all", "most", "few")
_COLUMNS = ("job", "name", "role", "holders", "operations", *_DONE_BY, "alone")
_BRIEF = ("name", "holders", *_DONE_BY, "alone", "role")
_DETAILS = ("section", "what", "name", "used", "done_by", "is_in_role", "groups", "own", "alone")
_USES = ("operation", "used_by", "done_by", "given_by")
_MEMBERS = ("name", "used", "alone", "own")
_NAMED = 3


@command(rows=True)
def jobs(
    job: Annotated[
        str | None,
        typer.Argument(help="Name of one job, or a part of it: show its operations and holders.", show_default=False),
    ] = None,
    *,
    window: WindowOptions,
    common: Common,
) -> None:
    """List the jobs of the tenant: who has each, what all, most and few of them do, and who does what alone."""
    found = workflow.find_jobs(
        common.db,
        as_of=window.as_of,
        min_window=window.min_window,
        forget_days=window.forget_days,
        min_days=window.min_days,
        note=say,
    )
    if job is not None:
        _show_one(found.one(job), common)
        return
    rows = found.rows()
    shown = [_short(row) for row in rows] if common.is_table else rows
    common.show(shown, _COLUMNS, table_columns=_BRIEF)
    say(
        f"{counted(len(rows), 'job')}; `all`, `most` and `few` count operations by how many holders use them, `alone` "
        "holders who do what nobody else of the job does"
    )
    step = f"rightsize jobs {for_shell(rows[0]['name'])}" if rows else "rightsize propose"
    common.say_next(common.with_db(step))


def _show_one(job: dict[str, Any], common: Common) -> None:
    if not common.is_table:
        common.show(_flat(job), _DETAILS, document=job)
        return
    holders = len(job["members"])
    uses = [
        one | {"used_by": f"{one['used_by']} of {holders}", "given_by": "role" if one["is_in_role"] else "add-on"}
        for one in job["uses"]
    ]
    common.show(uses, _USES)
    write("\n")
    common.show([_brief(one) for one in job["members"]], _MEMBERS)
    say(
        f"{job['name']}: `alone` is what nobody else of the job does, `own` what no job of the holder has; "
        f"its role in the last plan: {job['role'] or 'none'}"
    )
    common.say_next(common.with_db(f"rightsize explain {for_shell(job['members'][0]['principal_id'])}"))


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"holders": len(row["holders"]), "role": short_name(row["role"]) if row["role"] else None}


def _brief(member: dict[str, Any]) -> dict[str, Any]:
    """Return a holder for a terminal: a few operations by name, and the number of the others."""
    return {
        "name": short_name(member["name"]),
        "used": member["used_operations"],
        "alone": _some(member["alone_operations"]),
        "own": _some(member["own_operations"]),
    }


def _some(operations: list[str]) -> str:
    named = [one.partition("/")[2] or one for one in operations[:_NAMED]]
    more = len(operations) - len(named)
    return ", ".join([*named, *([f"{more} more"] if more else [])])


def _flat(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a job as rows, for formats that have no nesting."""
    nothing = dict.fromkeys(_DETAILS)
    for one in job["uses"]:
        yield nothing | {
            "section": "operations",
            "what": one["operation"],
            "used": one["used_by"],
            "done_by": one["done_by"],
            "is_in_role": one["is_in_role"],
        }
    for one in job["members"]:
        yield nothing | {
            "section": "holders",
            "what": one["principal_id"],
            "name": one["name"],
            "used": one["used_operations"],
            "groups": one["groups"],
            "own": one["own_operations"],
            "alone": one["alone_operations"],
        }
