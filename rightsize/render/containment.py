"""Write a containment plan as a page for the person on call: changes, rest, and optional requests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rightsize.model.plan import Plan
from rightsize.render.escape import for_markdown
from rightsize.render.left_behind import left_behind_section
from rightsize.render.rows import plain

_COUNTS = {
    "identities": "principals",
    "resources": "resources with code",
    "secrets": "stores of secrets or data",
    "cells": "layers of defence, each in a subscription",
    "takes_tenant": "takes the whole tenant",
}
_STEPS = {"today": "today", "after": "after the plan", "and_options": "and all requests below"}


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
            f"{document['suspect_calls']} of its calls are suspect, the first at {plain(document['first_suspect'])}.",
            "",
        ]
    lines += _agents(document["agents"]) if document["agents"] else []
    lines += ["## What the plan changes", ""]
    lines += [
        f"- {for_markdown(one['kind'])}: {for_markdown(str(one['role']))} at {for_markdown(one['scope'])} "
        f"({' and '.join(_WHY[word] for word in one['why'])}); {one['assignments']} assignments replace it"
        for one in changes
    ] or ["Nothing."]
    if document["stays"]:
        lines += ["", "## What people have to decide", ""]
        lines += [f"- {one['role_assignment_id']} stays: {for_markdown(one['reason'])}" for one in document["stays"]]
    if document["groups"]:
        named = ", ".join(for_markdown(plan.names.get(group, group)) for group in document["groups"])
        lines += ["", f"It also has access through the groups {named}, which no plan changes."]
    lines += [
        "",
        "## What an attacker reaches from it",
        "",
        "| | " + " | ".join(_COUNTS.values()) + " |",
        "|---|" + "---|" * len(_COUNTS),
    ]
    lines += [
        f"| {_STEPS[name]} | " + " | ".join(str(counts[word]) for word in _COUNTS) + " |"
        for name, counts in document["reach"].items()
    ]
    lines += left_behind_section(document["left_behind"], plan.names)
    lines += ["", "## Requests that a person may send to Microsoft Graph", "", "rightsize never sends them.", ""]
    for one in document["options"]:
        lines += [f"- {one['name']}: {for_markdown(one['text'])}", "", "```json", _body(one["request"]), "```"]
        back = _body(one["undo"]) if one["undo"] else None
        lines += (
            ["", "  It cannot be undone.", ""]
            if back is None
            else ["", "  To undo it:", "", "```json", back, "```", ""]
        )
    return "\n".join(lines) + "\n"


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


_STILL_VALID = "Tokens that they already have stay valid until they expire, mostly within an hour."
_WHY = {"suspect": "suspect calls went through it", "leads_on": "it grants a further step"}


def _body(request: Mapping[str, Any]) -> str:
    # ASCII, so that no name can end the block or turn the direction of its text.
    return json.dumps(plain(request), ensure_ascii=True, sort_keys=True)
