"""Decide whether a command or query lists all of a subscription, from its text.

Only what is known to leave nothing out passes: an unknown option may be a filter. `az graph query` and the pages of
Resource Manager may end early, which the files themselves show.
Source: Microsoft Learn, reference of `az resource list`, `az provider list`, `az graph query` and `az rest`; Resource
Graph query language; REST reference of Microsoft.Resources.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from rightsize.rbac.text import fold

_SHOWN = 60
_COMMON = {"-o": 1, "--output": 1, "--only-show-errors": 0, "--verbose": 0, "--debug": 0}
_SEVERAL = -1
# Options that leave nothing out, and the number of their values.
_COMMANDS: dict[tuple[str, ...], tuple[str, dict[str, int]]] = {
    ("resource", "list"): ("resource_list", {**_COMMON, "--subscription": 1}),
    ("provider", "list"): ("providers", {**_COMMON, "--subscription": 1}),
    ("graph", "query"): (
        "resource_graph",
        {
            **_COMMON,
            "-q": 1,
            "--graph-query": 1,
            "--first": 1,
            "--skip-token": 1,
            "-s": _SEVERAL,
            "--subscriptions": _SEVERAL,
            "-m": _SEVERAL,
            "--management-groups": _SEVERAL,
        },
    ),
    ("rest",): ("rest", {**_COMMON, "-m": 1, "--method": 1, "-u": 1, "--uri": 1, "--url": 1}),
}
_LISTED = {"resources": "resource_list", "providers": "providers"}
_PATH = re.compile(r"/subscriptions/(?P<subscription>[^/?#]+)/(?P<listed>resources|providers)/?")
_ONE_TYPE = re.compile(r"/subscriptions/(?P<subscription>[^/?#]+)/providers/[^/?#]+/[^/?#]+/?")
_PARAMETERS = {"api-version", "$expand"}
_NAME = r"[a-z_][\w.]*"
_HARMLESS = re.compile(
    rf"(order|sort) by {_NAME}( (asc|desc))?( ?, ?{_NAME}( (asc|desc))?)*|project {_NAME}( ?, ?{_NAME})*"
)
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command or query asks.

    Attributes:
        kind: resource_list, resource_graph, providers, one_type for the resources of one type, or empty for anything
            else.
        problem: Why its answer may lack something, as a sentence; empty if it lacks nothing.
        subscriptions: The subscriptions that it names by id, folded; empty if it names none.
    """

    kind: str
    problem: str = ""
    subscriptions: frozenset[str] = frozenset()


def read_query(text: str) -> Asked:
    """Return what a command of the Azure CLI, a request of Resource Manager or a Resource Graph query asks."""
    words = _words(text)
    if words[:1] in (["az"], ["az.cmd"]):
        return _read_command(words[1:])
    method, _, url = text.strip().partition(" ")
    if fold(method) == "get":
        return _read_url(url.strip())
    if _PATH.search(fold(text)):
        return _read_url(text.strip())
    return Asked("resource_graph", _filter_of(text)) if _first_table(text) == "resources" else Asked("")


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return []


def _read_command(words: Sequence[str]) -> Asked:
    found = next((name for name in _COMMANDS if tuple(words[: len(name)]) == name), None)
    if found is None:
        return Asked("")
    kind, known = _COMMANDS[found]
    values, strange = _options(words[len(found) :], known)
    problem = f"the command has `{strange[:_SHOWN]}`, which may leave something out" if strange else ""
    if kind == "rest":
        asked = _read_url(_one(values, "-u", "--uri", "--url"))
        is_get = fold(_one(values, "-m", "--method") or "get") == "get"
        return Asked(asked.kind if is_get else "", problem or asked.problem, asked.subscriptions)
    if kind == "resource_graph":
        problem = problem or _filter_of(_one(values, "-q", "--graph-query"))
    named = [text for name in ("--subscription", "-s", "--subscriptions") for text in values.get(name, ())]
    ids = frozenset(fold(text) for text in named)
    return Asked(kind, problem, ids if all(_GUID.fullmatch(text) for text in ids) else frozenset())


def _options(words: Sequence[str], known: dict[str, int]) -> tuple[dict[str, list[str]], str]:
    """Return the values of the options, and the first word that is not known to leave nothing out."""
    values: dict[str, list[str]] = {}
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word.startswith(">"):
            # The output goes to a file, and nothing may follow.
            rest = waiting[1:] if word == ">" else waiting
            return values, rest[0] if rest else ""
        name, equals, value = word.partition("=")
        count = known.get(name)
        if count is None:
            return values, word
        found = values.setdefault(name, [])
        if equals:
            found.append(value)
            continue
        while waiting and count and not waiting[0].startswith(("-", ">")):
            found.append(waiting.pop(0))
            count -= 1
    return values, ""


def _one(values: dict[str, list[str]], *names: str) -> str:
    return next((values[name][0] for name in names if values.get(name)), "")


def _read_url(url: str) -> Asked:
    parts = urlsplit(url)
    found = _PATH.fullmatch(fold(parts.path))
    if found is None:
        return Asked("one_type" if _ONE_TYPE.fullmatch(fold(parts.path)) else "")
    strange = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True) if fold(name) not in _PARAMETERS]
    problem = f"the request has `{strange[0][:_SHOWN]}`, which may leave something out" if strange else ""
    named = found["subscription"]
    return Asked(_LISTED[found["listed"]], problem, frozenset({named}) if _GUID.fullmatch(named) else frozenset())


def _first_table(query: str) -> str:
    return fold(query.partition("|")[0]).strip("; \t\r\n")


def _filter_of(query: str) -> str:
    """Return why a query of Resource Graph may leave resources out; empty if it lists all of them."""
    table, *steps = (" ".join(fold(part).split()) for part in query.strip().rstrip(";").split("|"))
    if table != "resources":
        return f"the query reads `{table[:_SHOWN]}`, not `resources`"
    strange = next((step for step in steps if not _HARMLESS.fullmatch(step)), None)
    return "" if strange is None else f"the query has `{strange[:_SHOWN]}`, which may leave something out"
