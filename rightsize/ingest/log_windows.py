"""Read from manifests which whole days of the Activity Log were exported completely, and of which scope.

An entry says so if it is complete, its file agrees with it, and its request has no filter but the time. A day counts
if its last rows had arrived when the reading began. A declaration covers a scope and everything below it, so one of a
management group or the tenant is made only for days that every scope of the manifest has.
Source: Microsoft Learn, REST reference "Activity Logs", "Tenant Activity Logs"; "Azure Activity Log" for retention and
delay.
"""

from __future__ import annotations

import datetime as dt
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from rightsize.ingest.loaded_files import LoadedFile
from rightsize.ingest.vouched import Vouched
from rightsize.rbac.text import fold

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
_Span = tuple[dt.datetime, dt.datetime]
_Days = tuple[dt.date, dt.date]


@dataclass(frozen=True, slots=True)
class LogWindow:
    """Whole UTC days, first to last, for which a log was exported completely for a scope and everything below it."""

    source: str
    scope: str
    first: dt.date
    last: dt.date


def read_windows(said: Iterable[tuple[Vouched, LoadedFile | None]]) -> list[LogWindow]:
    """Return the days that manifests declare by the entries that were found to agree with their files."""
    spans: dict[int | None, dict[str, list[_Span]]] = {}
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


def _windows(scopes: Mapping[str, Sequence[_Span]], settled: dt.datetime) -> Iterator[LogWindow]:
    last = max((span[1] for spans in scopes.values() for span in spans), default=settled)
    oldest = (last - _RETENTION_DAYS * _DAY + _DAY).date()
    days = {scope: list(_whole_days(spans, settled, oldest)) for scope, spans in scopes.items()}
    common = _common(list(days.values()))
    for scope, own in days.items():
        for first, until in own if scope.startswith("/subscriptions/") else common:
            yield LogWindow(ACTIVITY_LOG, scope, first, until)


def _whole_days(spans: Sequence[_Span], settled: dt.datetime, oldest: dt.date) -> Iterator[_Days]:
    """Yield the whole days within spans that adjoin or overlap."""
    joined: list[_Span] = []
    for first, last in sorted(spans):
        if joined and joined[-1][1] >= first:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    for first, last in joined:
        start = max(first.date() if first.time() == dt.time() else first.date() + _DAY, oldest)
        end = min(last, settled).date() - _DAY
        if start <= end:
            yield start, end


def _common(scopes: Sequence[Sequence[_Days]]) -> list[_Days]:
    found = list(scopes[0]) if scopes else []
    for windows in scopes[1:]:
        pairs = [(max(one[0], two[0]), min(one[1], two[1])) for one in found for two in windows]
        found = [pair for pair in pairs if pair[0] <= pair[1]]
    return found


def _asked(query: str) -> tuple[str, _Span] | None:
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
