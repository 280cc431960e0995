"""Write a containment plan as a page for the person on call: changes, rest, and optional requests.

Write the sections of a containment page about reads that no log shows, and about what an attacker still reaches.

Write what a contained principal left behind: a section of the page, and scripts that take it away and undo that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rightsize.model.plan import Plan
from rightsize.model.progress import counted
from rightsize.render.escape import for_markdown, for_terminal
from rightsize.render.request_scripts import Part, powershell_script_of_parts, shell_script_of_parts
from rightsize.render.rows import ascii_line
from rightsize.render.sentences import short_scope, what_ends, why_allowed

STEPS = {
    "today": "today",
    "after": "after the plan",
    "while_tokens_last": "after plan and requests, while old tokens last",
    "and_options": "after plan and requests",
}
_COUNTS = {
    "identities": "principals",
    "resources": "resources with code",
    "secrets": "stores of secrets or data",
    "cells": "layers of defence, each in a subscription",
    "takes_tenant": "takes the whole tenant",
}
_SHOWN = 10
_TOKENS = (
    "The requests block its sign-in. A token that was given before stays valid for up to about an hour and a half. "
    "Services with continuous access evaluation refuse it sooner: for a person within about 15 minutes at Exchange, "
    "SharePoint, Teams and Microsoft Graph, for an application at Microsoft Graph only. What still leads on after that "
    "needs no sign-in of it."
)
_NOT_BLOCKED = (
    "No request blocks the sign-in of a managed identity. Whoever runs code on a resource that has it gets tokens, and "
    "a cached token can live for 24 hours. Remove it from its resources"
)


def reach_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the section about what an attacker reaches before and after, and what leads on without a sign-in.

    Args:
        document: The containment as plain values.
    """
    yield from ("", "## What an attacker reaches from it", "")
    yield "| | " + " | ".join(_COUNTS.values()) + " |"
    yield "|---|" + "---|" * len(_COUNTS)
    for name, counts in document["reach"].items():
        yield f"| {STEPS[name]} | " + " | ".join(_count(counts[word]) for word in _COUNTS) + " |"
    after = document["without_sign_in"]
    if not after["blocked"]:
        where = f": {_names(after['attached'])}" if after["attached"] else ""
        yield from ("", f"{_NOT_BLOCKED}{where}.")
    else:
        yield from ("", _TOKENS, "")
        yield from _leads(after["leads_on"], suspect=document["suspect_calls"] > 0)
    if after["enabled_by"]:
        names = _names([one["name"] for one in after["enabled_by"]])
        yield from ("", f"These can change its account (enable it, reset its password or add a credential): {names}.")
    if after["enables_itself"]:
        yield from ("", "**What it may have left leads back to its own account.** Take that away first.")


def _leads(leads: Sequence[Mapping[str, Any]], *, suspect: bool) -> Iterator[str]:
    calls = "suspect calls" if suspect else "calls (none is suspect, so all of them count)"
    if not leads:
        yield f"By the rules of escalation none of its {calls} left what leads on without its sign-in; it owns nothing."
        return
    yield f"By its {calls} and by what it owns, it may have left something that leads on:"
    yield ""
    for one in leads[:_SHOWN]:
        yield f"- {for_markdown(one['name'])}: {for_markdown(one['why'])}"
    if len(leads) > _SHOWN:
        yield f"- and {len(leads) - _SHOWN} more, in `containment.json`"


def reads_lines(reads: Mapping[str, Any]) -> Iterator[str]:
    """Yield the section about reads that no log shows; nothing where the plan keeps no operation that needs any.

    Args:
        reads: `unlogged_reads` of the document.
    """
    if not reads["operations"]:
        return
    yield from ("", "## Reads that no log shows", "")
    if reads["kept"]:
        yield f"The plan keeps {reads_text(reads)}. An attacker who still has its access can read there."
    else:
        yield f"{reads_warning(reads)} `rightsize contain --keep-reads` keeps {reads_text(reads)}."


def reads_warning(reads: Mapping[str, Any]) -> str:
    """Return why the principal may fail without the reads."""
    if reads["deploys"]:
        return "It deploys, and the plan keeps no read that no log shows: its deployments may fail."
    return "The plan keeps no read that no log shows, so tools that read before they act may fail."


def reads_text(reads: Mapping[str, Any]) -> str:
    """Return the reads that are or would be kept, with their price."""
    where = f"{reads['operations']} read operations at {counted(reads['scopes'], 'scope')}"
    if reads["resources"] is not None:
        where += f", with which {counted(reads['resources'], 'listed resource')} can be read"
    if reads["sensitive"]:
        where += f"; {reads['sensitive']} of them show inputs and outputs of deployments"
    return f"{where}; none shows keys, secrets or scripts"


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(for_markdown(name) for name in names[:_SHOWN]) + more


def _count(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


_TAKE, _UNDO = "left-behind", "left-behind-undo"
_THERE = {"yes": "yes", "no": "gone", "unknown": "not known"}
_MOST_OTHERS = 20


def left_behind_section(left: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    """Return the lines of the section in Markdown.

    Args:
        left: The value of `left_behind` of a containment as plain values.
        names: Display names of subscriptions and management groups.
    """
    things = left["things"]
    lines = ["", "## Left behind", ""]
    if not things and not left["others"]:
        if not left["not_shown"]:
            return [*lines, "No time of it is suspect, so nothing is looked up: `--since` names one."]
        return [*lines, "No loaded log shows a change by it in the suspect time.", "", *_not_shown(left)]
    free = sum(one["works_without_sign_in"] and one["still_there"] != "no" for one in things)
    lines += [
        f"It made, changed or read {_counted(len(things), 'thing')} in the suspect time that may outlive the "
        f"containment; {free} can be used without a sign-in.",
        "",
    ]
    if any(one["requests"] and one["suspect"] for one in things):
        lines += [
            f"rightsize sends nothing. `{_TAKE}.sh` and `{_TAKE}.ps1` have the requests that take things away, "
            f"`{_UNDO}.sh` and `{_UNDO}.ps1` those that bring them back. Delete from a script what you want to keep.",
            "",
        ]
    if things:
        lines += [
            "| # | without a sign-in | what | where | first | last | still there |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {one['number']} | {'yes' if one['works_without_sign_in'] else ''} | {for_markdown(_what(one))} | "
            f"{for_markdown(_where(one, names))} | {_time(one['first'])} | {_time(one['last'])} | "
            f"{_THERE[one['still_there']]} |"
            for one in things
        ]  # fmt: skip
    lines += ["", *_contain_next(left)]
    for one in things:
        lines += _thing(one)
    return [*lines, *_others(left), *_not_shown(left)]


def _what(one: Mapping[str, Any]) -> str:
    return f"{one['what']}: {one['detail']}" if one["detail"] else str(one["what"])


def _where(one: Mapping[str, Any], names: Mapping[str, str]) -> str:
    return short_scope(one["where"], names) if one["where"].startswith("/") else str(one["where"])


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _time(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M}"


def _contain_next(left: Mapping[str, Any]) -> Iterator[str]:
    if not left["contain_next"]:
        return
    yield from ("### To contain next", "", "These got something from it, and acted or signed in afterwards:", "")
    for one in left["contain_next"]:
        yield (
            f"- {for_markdown(one['name'])} ({for_markdown(', '.join(one['because']))}): "
            f"{_counted(one['calls'], 'call')} and {_counted(one['sign_ins'], 'sign-in')} from {_time(one['first'])} "
            f"to {_time(one['last'])}"
        )
        yield from ("", "```sh", for_terminal(one["command"]), "```", "")


def _thing(one: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines about one thing: who can use it, whether it is there, and its requests."""
    yield from (f"### {one['number']}. {for_markdown(_what(one))}", "", for_markdown(one["where"]), "")
    times = _counted(one["calls"], "call") if one["calls"] else "no call, but a listing says who made it"
    yield f"- {times}, {_time(one['first'])} to {_time(one['last'])} (UTC), by {for_markdown(', '.join(one['by']))}"
    if one["operations"]:
        yield f"- shown as {for_markdown(', '.join(one['operations']))} in {', '.join(one['logs']).replace('_', ' ')}"
    if not one["suspect"]:
        yield "- not suspect itself: a call from its usual session or network within the suspect time"
    if one["seen_before"]:
        yield f"- it was there before, since {_time(one['seen_before'])} at least: it may be yours"
    if not one["ended"]:
        yield "- no log shows whether the call succeeded"
    way = "works without a sign-in" if one["works_without_sign_in"] else "needs a sign-in"
    yield f"- {way}; who can use it: {for_markdown(one['usable_by'])}"
    yield f"- still there: {_THERE[one['still_there']]}; {for_markdown(one['seen'])}"
    if one["by_hand"]:
        yield f"- by hand: {for_markdown(one['by_hand'])}"
    if one["no_way_back"]:
        yield f"- no way back: {for_markdown(one['no_way_back'])}"
    for title, key in (("Keep its present state", "read"), ("Take it away", "requests"), ("To undo it", "undo")):
        if one[key]:
            yield from ("", f"{title}:", "", "```json", *map(ascii_line, one[key]), "```")
    yield ""


def _others(left: Mapping[str, Any]) -> Iterator[str]:
    if not left["others"]:
        return
    yield from (
        "### Other changes",
        "",
        "No rule knows what these leave; `rightsize sql` on `events` has each call:",
        "",
    )
    for one in left["others"][:_MOST_OTHERS]:
        calls = f"{_counted(one['calls'], 'call')} at {_counted(one['places'], 'place')}, first {_time(one['first'])}"
        yield f"- {for_markdown(one['operation'])}: {calls}"
    if len(left["others"]) > _MOST_OTHERS:
        yield f"- and {len(left['others']) - _MOST_OTHERS} further operations, in `containment.json`"
    yield ""


def _not_shown(left: Mapping[str, Any]) -> Iterator[str]:
    yield from ("### What no log shows", "", "The list is not whole. Nothing loaded shows", "")
    yield from (f"- {for_markdown(one)}" for one in left["not_shown"])


def left_behind_scripts(left: Mapping[str, Any]) -> dict[str, str]:
    """Return the scripts by file name: those that take things away, and those that undo it; none without requests.

    They leave out things that only calls from the usual session or network concern. Undoing goes from the last to the
    first, since later things may rest on earlier ones.
    """
    asked = [one for one in left["things"] if one["requests"] and one["suspect"]]
    take = [part for one in asked for part in _parts(one)]
    undo = [(_title(one), one["undo"]) for one in reversed(asked) if one["undo"]]
    return {
        f"{name}.{end}": write(parts)
        for name, parts in ((_TAKE, take), (_UNDO, undo))
        for end, write in (("sh", shell_script_of_parts), ("ps1", powershell_script_of_parts))
        if parts
    }


def _parts(one: Mapping[str, Any]) -> Iterator[Part]:
    """Yield the parts of a thing: several requests renew keys one after the other, and clients have to move between."""
    if len(one["requests"]) == 1:
        yield _title(one), [*one["read"], *one["requests"]]
        return
    for number, request in enumerate(one["requests"], 1):
        yield f"{_title(one)}, {number} of {len(one['requests'])}", [request]


def _title(one: Mapping[str, Any]) -> str:
    """Return a title from the rules alone: names in data are in the requests, where they are quoted."""
    before = ", which was there before" if one["seen_before"] else ""
    return f"{one['number']}: {one['kind'].replace('_', ' ')}{before}"


def left_behind_lines(
    left: Mapping[str, Any], names: Mapping[str, str], with_db: Callable[[str], str], most: int = 8
) -> Iterator[str]:
    """Yield sentences for the terminal; the writer escapes them.

    Args:
        left: As for `left_behind_section`.
        names: As for `left_behind_section`.
        with_db: A function that returns a command with the option that names the store, where one is needed.
        most: The things to name.
    """
    things = [one for one in left["things"] if one["still_there"] != "no"]
    if not things:
        return
    free = sum(one["works_without_sign_in"] for one in things)
    asked = sum(bool(one["requests"]) and one["suspect"] for one in things)
    yield (
        f"left behind: {_counted(len(things), 'thing')}, {free} usable without a sign-in; {asked} of them with "
        f"requests in {_TAKE}.sh"
    )
    for one in things[:most]:
        mark = " (no sign-in needed)" if one["works_without_sign_in"] else ""
        detail = f" {one['detail']}" if one["detail"] else ""
        yield f"  {one['number']}. {one['kind'].replace('_', ' ')}{detail}, {_where(one, names)}{mark}"
    if len(things) > most:
        yield f"  and {len(things) - most} more in containment.md"
    for one in left["contain_next"]:
        yield f"to contain next, since it acted after that: {one['name']}: {with_db(one['command'])}"


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
    lines += _still_allowed(document["still_allowed"], plan)
    lines += _beyond_roles(document["beyond_roles"])
    lines += _not_kept(document["calls_not_kept"], plan)
    lines += reads_lines(document["unlogged_reads"])
    lines += reach_lines(document)
    lines += left_behind_section(document["left_behind"], plan.names)
    lines += ["", "## Requests that a person may send", "", _WHERE_IT_ACTS, ""]
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


def _still_allowed(calls: Sequence[Mapping[str, Any]], plan: Plan) -> list[str]:
    """Return the section about suspect operations that some access still allows."""
    lines = [
        f"- {for_markdown(one['operation'])} by {_place({**one, 'scope': one['at']}, plan)}: "
        f"{for_markdown(why_allowed(one))}"
        for one in calls
    ]
    return ["", "## What the suspect calls used and is still allowed", "", *_first(lines)] if lines else []


def _beyond_roles(calls: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the section about suspect operations that no role of Azure allows."""
    lines = [f"- {for_markdown(one['operation'])}: {for_markdown(what_ends(one))}" for one in calls]
    title = "## What the suspect calls used in the directory and in Microsoft Graph"
    return ["", title, "", "No plan of roles ends this; only requests do.", "", *_first(lines)] if lines else []


def _first(lines: Sequence[str]) -> list[str]:
    """Return the first ten lines, and how many more there are."""
    more = len(lines) - _CALLS_SHOWN
    return [*lines[:_CALLS_SHOWN], *([f"- and {more} more, in `containment.json`"] if more > 0 else [])]


def _not_kept(calls: Sequence[Mapping[str, Any]], plan: Plan) -> list[str]:
    """Return the section about earlier calls that only suspect assignments allow today."""
    lines = [
        f"- {for_markdown(one['operation'])} at {for_markdown(short_scope(one['scope'], plan.names))}, last at "
        f"{one['last_seen']:%Y-%m-%d %H:%M:%S} UTC"
        for one in calls
    ]
    return ["", "## Earlier work that is not kept", "", _EARLIER, "", *_first(lines)] if lines else []


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


_CALLS_SHOWN = 10
_EARLIER = (
    "These calls are not suspect. Of today's assignments only suspect ones allow them, and those did not exist when "
    "they were made. The calls went through access that is gone or not known, so the plan does not keep them."
)
_WHERE_IT_ACTS = (
    "rightsize never sends them. A path with an `api-version` goes to Azure Resource Manager "
    "(https://management.azure.com), every other to Microsoft Graph (https://graph.microsoft.com/v1.0)."
)
_STILL_VALID = "Tokens that they already have stay valid until they expire, mostly within an hour."
_WHY = {"suspect": "suspect calls went through it", "leads_on": "it grants a further step"}
