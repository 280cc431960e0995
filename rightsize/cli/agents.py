"""`rightsize agents`: list AI agents and their blueprints, and what one of them may do and did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.cli.options import AsOf
from rightsize.cli.output import short_name
from rightsize.model.progress import counted
from rightsize.render.escape import for_shell
from rightsize.workflow import agents as workflow

_BRIEF = ("name", "owner", "sponsor", "held", "used", "differs")
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
    """List AI agents with owner, sponsor, own and inherited permissions, and where tokens disagree with them."""
    found = workflow.show_agents(common.db, as_of)
    if agent is None:
        rows = [_short(row) for row in found.rows] if common.is_table else found.rows
        common.show(rows, workflow.AGENT_FACTS, table_columns=_BRIEF)
        if not rows:
            say("no agent, agent user or blueprint is loaded")
        elif common.is_table:
            say("`held` are own and inherited permissions, `differs` those about which the tokens of calls disagree")
        differing = next((row for row in found.rows if row["disagreements"]), None)
        first = differing or next(iter(found.rows), None)
        step = f"rightsize agents {for_shell(first['id'])}" if first else "rightsize exports"
        common.say_next(common.with_db(step))
        return
    one, *below = found.of(agent)
    document = workflow.document_of(one, found)
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


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
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
