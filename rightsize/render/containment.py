"""Write a containment plan as a page for the person on call: changes, rest, and optional requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rightsize.model.plan import Plan
from rightsize.model.progress import counted
from rightsize.render.containment_reach import reach_lines, reads_lines
from rightsize.render.escape import for_markdown
from rightsize.render.left_behind import left_behind_section
from rightsize.render.rows import ascii_line
from rightsize.render.summary import short_scope


def write_page(document: Mapping[str, Any], plan: Plan) -> str:
    """Return the page as Markdown.

    Args:
        document: The containment as plain values.
        plan: The plan of the containment.
    """
    changes = document["changes"]
    lines = [f"# Containment of {for_markdown(document['name'])}", ""]
    if document["first_suspect"] is not None:
        lines += [
            f"{document['suspect_calls']} of its calls are suspect. The first began at "
            f"{document['first_suspect']:%Y-%m-%d %H:%M:%S} UTC.",
            "",
        ]
    lines += _agents(document["agents"]) if document["agents"] else []
    lines += ["## What the plan changes", ""]
    lines += [
        f"- {for_markdown(one['kind'].replace('_', ' '))}: {_place(one, plan)} "
        f"({' and '.join(_WHY[word] for word in one['why'])}); {_replaced(one['assignments'])}"
        for one in changes
    ] or ["Nothing."]
    lines += _stays("What the plan leaves and a request below ends", document, plan, by_request=True)
    lines += _stays("What people have to decide", document, plan, by_request=False)
    if document["groups"]:
        named = ", ".join(for_markdown(plan.names.get(group, group)) for group in document["groups"])
        lines += ["", f"It also has access through the groups {named}, which no plan changes."]
    lines += _not_kept(document["calls_not_kept"], plan)
    lines += reads_lines(document["unlogged_reads"])
    lines += reach_lines(document)
    lines += left_behind_section(document["left_behind"], plan.names)
    lines += ["", "## Requests that a person may send", "", _WHERE, ""]
    for one in document["options"]:
        lines += [f"- {one['name']}: {for_markdown(one['text'])}", "", "```json", ascii_line(one["request"]), "```"]
        back = ascii_line(one["undo"]) if one["undo"] else None
        lines += (
            ["", "  It cannot be undone.", ""]
            if back is None
            else ["", "  To undo it:", "", "```json", back, "```", ""]
        )
    return "\n".join(lines) + "\n"


def _stays(title: str, document: Mapping[str, Any], plan: Plan, *, by_request: bool) -> list[str]:
    """Return the section about assignments that the plan leaves: those that a request ends, or the others."""
    rows = [one for one in document["stays"] if one["by_request"] is by_request]
    # What a request ends is told by its state: the word before the reason would say it again.
    why = [one["reason"].partition(": ")[2] or one["reason"] if by_request else one["reason"] for one in rows]
    said = [
        f"- {_place(one, plan)} ({one['state']}): {for_markdown(text)}" for one, text in zip(rows, why, strict=True)
    ]
    return ["", f"## {title}", "", *said] if said else []


def _not_kept(calls: Sequence[Mapping[str, Any]], plan: Plan) -> list[str]:
    """Return the section about earlier calls that only suspect assignments allow today; at most ten of them."""
    if not calls:
        return []
    lines = [
        f"- {for_markdown(one['operation'])} at {for_markdown(short_scope(one['scope'], plan.names))}, last at "
        f"{one['last_seen']:%Y-%m-%d %H:%M:%S} UTC"
        for one in calls[:_SHOWN]
    ]
    more = len(calls) - len(lines)
    lines += [f"- and {more} more, in `containment.json`"] if more else []
    return ["", "## Earlier work that is not kept", "", _EARLIER, "", *lines]


def _place(one: Mapping[str, Any], plan: Plan) -> str:
    """Return the role and the scope of an assignment."""
    return f"{for_markdown(str(one['role']))} at {for_markdown(short_scope(one['scope'], plan.names))}"


def _replaced(assignments: int) -> str:
    return f"{counted(assignments, 'assignment')} instead of it" if assignments else "nothing instead of it"


def _agents(agents: Mapping[str, Any]) -> list[str]:
    """Return the lines about whom the requests stop, and who keeps working."""
    named = ", ".join(for_markdown(one["name"]) for one in agents["contained"][1:])
    title = ["## What is cut, and what keeps working", ""]
    if agents["kind"] == "blueprint":
        return [
            *title,
            f"The requests below stop new tokens of the blueprint and of its agents and their user accounts: "
            f"{named or 'none is known'}. {_STILL_VALID} No agent of it keeps working; agents of other blueprints do.",
            "",
            "Microsoft's pages do not say whether disabling the principal of a blueprint stops its agents, so each "
            "agent has a request of its own. Replace the credentials of the blueprint's application before it is "
            "enabled again: no listing here has its passwords and certificates.",
            "",
        ]
    kept = ", ".join(for_markdown(one["name"]) for one in agents["keeps_working"])
    blueprint = for_markdown(agents["blueprint"] or "its blueprint, whose principal no listing has")
    return [
        *title,
        f"The requests below stop new tokens of this agent{f' and of its user account {named}' if named else ''}. "
        f"{_STILL_VALID}",
        "",
        f"These agents of {blueprint} keep working: {kept}." if kept else f"No other agent of {blueprint} is known.",
        "",
        "Whoever has a credential of the blueprint still gets tokens as its other agents: if the credential may be "
        "stolen, contain the blueprint. Removing an inherited permission takes it from the other agents too.",
        "",
    ]


_SHOWN = 10
_EARLIER = (
    "These calls are not suspect. Of today's assignments only suspect ones allow them, and those did not exist when "
    "they were made. The calls went through access that is gone or not known, so the plan does not keep them."
)
_WHERE = (
    "rightsize never sends them. A path with an `api-version` goes to Azure Resource Manager "
    "(https://management.azure.com), every other to Microsoft Graph (https://graph.microsoft.com/v1.0)."
)
_STILL_VALID = "Tokens that they already have stay valid until they expire, mostly within an hour."
_WHY = {"suspect": "suspect calls went through it", "leads_on": "it grants a further step"}
