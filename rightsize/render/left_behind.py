"""Write what a contained principal left behind: a section of the page, and scripts that take it away and undo that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rightsize.render.escape import for_markdown, for_terminal
from rightsize.render.request_scripts import Part, powershell_script_of_parts, shell_script_of_parts
from rightsize.render.rows import ascii_line
from rightsize.render.summary import short_scope

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
