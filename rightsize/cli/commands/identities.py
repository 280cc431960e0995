"""Commands on groups of identities: agents, jobs.

`rightsize agents`: list AI agents and their blueprints, and what one of them may do and did.

`rightsize jobs`: show the jobs of the tenant, and what their holders share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.cli.options import AsOf
from rightsize.cli.output import short_name, write
from rightsize.model.nouns import DONE_BY
from rightsize.model.options import WindowOptions
from rightsize.model.progress import counted
from rightsize.render.escape import for_shell
from rightsize.workflow.answers import agents as agents_workflow
from rightsize.workflow.plan import jobs as jobs_workflow

_AGENT_BRIEF = ("name", "owner", "sponsor", "held", "used", "differs")
_KINDS = {"blueprint": "", "agent": "- ", "agent_user": "- user "}
PERMISSION_COLUMNS = (
    "access", "user_id", "resource_name", "permission", "origin", "mode", "verdict", "reason", "events", "last_seen",
    "on_behalf_of", "used_by", "in_token", "grant_id",
)  # fmt: skip
_PERMISSION_BRIEF = ("permission", "access", "origin", "verdict", "reason", "token", "last_seen")
_MODES = {
    "not_listed": "no export lists what its blueprint lets it inherit",
    "conflicting": "exports disagree about what its blueprint lets it inherit",
    "unsaid": "its blueprint does not say whether this kind is inherited",
}


@command(rows=True)
def agents(
    agent: Annotated[
        str | None,
        typer.Argument(
            help="Id or name of an agent or a blueprint: show its permissions, one a row.", show_default=False
        ),
    ] = None,
    as_of: AsOf = None,
    *,
    common: Common,
) -> None:
    """List AI agents with their owners, permissions and use.

    Each has its owner, sponsor, own and inherited permissions, and where tokens disagree with them.
    """
    found = agents_workflow.show_agents(common.db, as_of)
    if agent is None:
        rows = [_short_agent(row) for row in found.rows] if common.is_table else found.rows
        common.show(rows, agents_workflow.AGENT_FACTS, table_columns=_AGENT_BRIEF)
        if not rows:
            say("no agent, agent user or blueprint is loaded")
        elif common.is_table:
            say("`held` are own and inherited permissions, `differs` those about which the tokens of calls disagree")
        differing = next((row for row in found.rows if row["disagreements"]), None)
        first = differing or next(iter(found.rows), None)
        step = f"rightsize agents {for_shell(first['id'])}" if first else "rightsize fetch-script"
        common.say_next(common.with_db(step))
        return
    one, *below = found.of(agent)
    document = agents_workflow.document_of(one, found)
    if not common.is_table:
        common.show(document["permissions"], PERMISSION_COLUMNS, document=document)
        return
    common.show([_permission(row) for row in document["permissions"]], PERMISSION_COLUMNS,
                table_columns=_PERMISSION_BRIEF)  # fmt: skip
    for line in agent_lines(document):
        say(line)
    step = f"rightsize agents {for_shell(below[0]['id'])}" if below else f"rightsize explain {for_shell(one['id'])}"
    common.say_next(common.with_db(step))


def agent_lines(document: Mapping[str, Any]) -> list[str]:
    """Return the facts about an agent or a blueprint as sentences; the writer escapes them."""
    owners, sponsors = ", ".join(document["owners"]), ", ".join(document["sponsors"])
    lines = [f"owner: {owners or 'nobody'}; sponsor: {sponsors or 'nobody'}"]
    if document["kind"] == "agent":
        lines.append(
            f"{document['own']} own and {counted(document['inherited'], 'inherited permission')} of blueprint "
            f"{document['blueprint'] or '(none)'}; {document['used']} used, {document['unused']} unused, "
            f"{document['undecided']} undecided"
        )
    elif document["kind"] == "blueprint":
        lines.append(
            f"{counted(document['agents'], 'agent')}; its principal holds {counted(document['own'], 'permission')}: "
            f"{document['used']} used by it or by its agents, {document['unused']} unused, "
            f"{document['undecided']} undecided"
        )
    modes = sorted({row.get("mode") for row in document["permissions"] if row["origin"] == "uncertain"} - {None})
    lines += [f"uncertain: {_MODES.get(mode, f'the mode `{mode}` is in no document')}" for mode in modes]
    absent = [row["permission"] for row in document["permissions"] if row.get("in_token") is False]
    beyond = [row["permission"] for row in document["permissions"] if row["origin"] == "only_in_token"]
    if beyond:
        lines.append(f"its tokens held what is not computed: {', '.join(beyond)}")
    if absent:
        lines.append(f"none of its tokens held what is computed: {', '.join(absent)}")
    if document["on_behalf_of"]:
        lines.append(f"acted on behalf of {', '.join(document['on_behalf_of'])}")
    if document["azure_roles"] or document["directory_roles"]:
        lines.append(
            f"{counted(document['azure_roles'], 'role assignment')} in Azure, "
            f"{document['directory_roles']} in the directory"
        )
    return lines


def _short_agent(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "name": _KINDS[row["kind"]] + short_name(row["name"]),
        "held": f"{row['own']} + {row['inherited'] + row['uncertain']}",
        "owner": short_name(", ".join(row["owners"]) or "nobody"),
        "sponsor": short_name(", ".join(row["sponsors"]) or "nobody"),
        "differs": row["disagreements"],
    }


def _permission(row: Mapping[str, Any]) -> dict[str, Any]:
    held = {True: "yes", False: "no", None: ""}[row.get("in_token")]
    return {**row, "token": held, "last_seen": row["last_seen"].date() if row.get("last_seen") else None}


_JOB_COLUMNS = ("job", "name", "role", "role_name", "holders", "operations", *DONE_BY, "alone")
_JOB_BRIEF = ("name", "holders", *DONE_BY, "alone", "role_name")
_JOB_DETAILS = ("section", "what", "name", "used", "done_by", "is_in_role", "groups", "own", "alone")
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
    """List the jobs of the tenant, and who does what alone.

    Each job has its holders, and what all, most and few of them do.
    """
    found = jobs_workflow.find_jobs(common.db, window, note=say)
    if job is not None:
        _show_job(found.one(job), common)
        return
    rows = found.rows()
    shown = [_short_job(row) for row in rows] if common.is_table else rows
    common.show(shown, _JOB_COLUMNS, table_columns=_JOB_BRIEF)
    say(
        f"{counted(len(rows), 'job')}; `all`, `most` and `few` count operations by how many holders use them, `alone` "
        "holders who do what nobody else of the job does"
    )
    step = f"rightsize jobs {for_shell(rows[0]['name'])}" if rows else "rightsize propose"
    common.say_next(common.with_db(step))


def _show_job(job: dict[str, Any], common: Common) -> None:
    if not common.is_table:
        common.show(_flat(job), _JOB_DETAILS, document=job)
        return
    holders = len(job["members"])
    uses = [
        one
        | {
            "used_by": f"{one['used_by']} of {holders}",
            "given_by": ("role" if one["is_in_role"] else "add-on") if job["role"] else None,
        }
        for one in job["uses"]
    ]
    common.show(uses, _USES)
    write("\n")
    common.show([_brief_job(one) for one in job["members"]], _MEMBERS)
    say(
        f"{job['name']}: `alone` is what nobody else of the job does, `own` what no job of the holder has; "
        f"its role in the last plan: {job['role_name'] or 'none'}"
    )
    common.say_next(common.with_db(f"rightsize explain {for_shell(job['members'][0]['principal_id'])}"))


def _short_job(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"holders": len(row["holders"])}


def _brief_job(member: dict[str, Any]) -> dict[str, Any]:
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
    nothing = dict.fromkeys(_JOB_DETAILS)
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
