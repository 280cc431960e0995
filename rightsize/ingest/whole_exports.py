"""Decide which whole days of the Activity Log were exported completely, from manifests and their commands.

An entry says so if it is complete, its file agrees with it, and its request has no filter but the time. A day counts
if its last rows had arrived when the reading began. A declaration covers a scope and everything below it, so one of a
management group or the tenant is made only for days that every scope of the manifest has.
Source: Microsoft Learn, REST reference "Activity Logs", "Tenant Activity Logs"; "Azure Activity Log" for retention and
delay.

Only what is known to leave nothing out passes: an unknown option may be a filter. `az graph query` and the pages of
Resource Manager may end early, which the files themselves show.
Source: Microsoft Learn, reference of `az resource list`, `az provider list`, `az graph query` and `az rest`; Resource
Graph query language; REST reference of Microsoft.Resources.
"""

from __future__ import annotations

import datetime as dt
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from rightsize.ingest.entities.manifests import Vouched
from rightsize.ingest.loaded_files import LoadedFile
from rightsize.model.text import GUID_FORM, fold
from rightsize.model.times import Declaration, Span, declared_days

ACTIVITY_LOG = "activity_log"
"""The source of the Activity Log, as `load` prints it."""

_LATENESS = dt.timedelta(hours=3)
_RETENTION_DAYS = 90
_DAY = dt.timedelta(days=1)
_PATH = re.compile(
    r"(?P<scope>|/subscriptions/[^/]+|/providers/microsoft\.management/managementgroups/[^/]+)"
    r"/providers/microsoft\.insights/eventtypes/management/values/?"
)
_TIME = r"'(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)'"
_FILTER = re.compile(rf"eventTimestamp ge {_TIME} and eventTimestamp le {_TIME}", re.IGNORECASE)
_OPTIONS = frozenset({"-m", "--method", "-u", "--uri", "--url", "-o", "--output"})


def read_windows(said: Iterable[tuple[Vouched, LoadedFile | None]]) -> list[Declaration]:
    """Return the days that manifests declare by the entries that were found to agree with their files."""
    spans: dict[int | None, dict[str, list[Span]]] = {}
    settled: dict[int | None, dt.datetime] = {}
    for entry, file in said:
        asked = _asked(entry.query or "") if entry.kind == ACTIVITY_LOG else None
        if asked is None:
            continue
        scope, span = asked
        found = spans.setdefault(entry.said_in, {}).setdefault(scope, [])
        settled[entry.said_in] = entry.read_on - _LATENESS
        if _is_whole(entry, file):
            found.append(span)
    return sorted(
        {window for manifest, scopes in spans.items() for window in _windows(scopes, settled[manifest])},
        key=lambda one: (one.scope, one.first),
    )


def _is_whole(entry: Vouched, file: LoadedFile | None) -> bool:
    return (
        entry.complete
        and not entry.error
        and entry.finished_on is not None
        and file is not None
        and entry.rows == file.read
        and entry.size in (None, file.size)
        and file.sources <= {ACTIVITY_LOG, "empty"}
    )


def _windows(scopes: Mapping[str, Sequence[Span]], settled: dt.datetime) -> Iterator[Declaration]:
    last = max((span[1] for spans in scopes.values() for span in spans), default=settled)
    oldest = (last - (_RETENTION_DAYS - 1) * _DAY).date()
    return declared_days(ACTIVITY_LOG, scopes.items(), settled, oldest)


def _asked(query: str) -> tuple[str, Span] | None:
    """Return the scope and the time that a request asks for; None if it may leave anything out."""
    url = urlsplit(_url_of(query))
    path, parameters = _PATH.fullmatch(fold(url.path)), dict(parse_qsl(url.query, keep_blank_values=True))
    found = _FILTER.fullmatch(parameters.get("$filter", ""))
    if path is None or found is None or parameters.keys() != {"api-version", "$filter"}:
        return None
    try:
        first, last = (dt.datetime.fromisoformat(text.removesuffix("Z")) for text in found.groups())
    except ValueError:
        return None
    return path["scope"] or "/", (first, last)


def _url_of(query: str) -> str:
    """Return the URL of `az rest --url URL` or of `GET URL`; empty for anything else."""
    method, _, rest = query.strip().partition(" ")
    if fold(method) == "get":
        return rest.strip()
    try:
        words = shlex.split(query)
    except ValueError:
        return ""
    values = dict(zip(words[2::2], words[3::2], strict=False))
    if words[:2] != ["az", "rest"] or len(words) % 2 or not values.keys() <= _OPTIONS:
        return ""
    if fold(values.get("--method", values.get("-m", "get"))) != "get":
        return ""
    return next((values[name] for name in ("--url", "--uri", "-u") if name in values), "")


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
_LISTED_PATH = re.compile(r"/subscriptions/(?P<subscription>[^/?#]+)/(?P<listed>resources|providers)/?")
_ONE_TYPE = re.compile(r"/subscriptions/(?P<subscription>[^/?#]+)/providers/[^/?#]+/[^/?#]+/?")
_PARAMETERS = {"api-version", "$expand"}
_NAME = r"[a-z_][\w.]*"
_HARMLESS = re.compile(
    rf"(order|sort) by {_NAME}( (asc|desc))?( ?, ?{_NAME}( (asc|desc))?)*|project {_NAME}( ?, ?{_NAME})*"
)


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
    if _LISTED_PATH.search(fold(text)):
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
    return Asked(kind, problem, ids if all(GUID_FORM.fullmatch(text) for text in ids) else frozenset())


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
    found = _LISTED_PATH.fullmatch(fold(parts.path))
    if found is None:
        return Asked("one_type" if _ONE_TYPE.fullmatch(fold(parts.path)) else "")
    strange = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True) if fold(name) not in _PARAMETERS]
    problem = f"the request has `{strange[0][:_SHOWN]}`, which may leave something out" if strange else ""
    named = found["subscription"]
    return Asked(_LISTED[found["listed"]], problem, frozenset({named}) if GUID_FORM.fullmatch(named) else frozenset())


def _first_table(query: str) -> str:
    return fold(query.partition("|")[0]).strip("; \t\r\n")


def _filter_of(query: str) -> str:
    """Return why a query of Resource Graph may leave resources out; empty if it lists all of them."""
    table, *steps = (" ".join(fold(part).split()) for part in query.strip().rstrip(";").split("|"))
    if table != "resources":
        return f"the query reads `{table[:_SHOWN]}`, not `resources`"
    strange = next((step for step in steps if not _HARMLESS.fullmatch(step)), None)
    return "" if strange is None else f"the query has `{strange[:_SHOWN]}`, which may leave something out"
