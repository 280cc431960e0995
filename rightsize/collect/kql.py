"""Write the queries that reduce a log where it is: one for each table, which stay within what a Basic table allows.

A query reads one table, has no functions of its own and no range of time; that is chosen beside it. The texts are the
templates of `queries/kql/` with the rules of `rules/`.
Sources: Microsoft Learn, "Query data in a Basic and Auxiliary table", limitations; "Aggregate data in a Log Analytics
workspace by using summary rules"; the reference of Microsoft.OperationalInsights/workspaces/summaryLogs.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from rightsize.model import file_reading
from rightsize.model.errors import InputError, InternalError
from rightsize.model.text import fold
from rightsize.rules.log_source import Counted
from rightsize.rules.log_sources import LOG_SOURCES
from rightsize.rules.log_sources.activity import DIAGNOSTICS, DIAGNOSTICS_TABLE
from rightsize.rules.tables import rows_of
from rightsize.store.queries import queries_folder

_SIGN_INS = {
    "SigninLogs": ('iff(IsInteractive == false, "non_interactive", "interactive")', "User"),
    "AADNonInteractiveUserSignInLogs": ('"non_interactive"', "User"),
    "AADServicePrincipalSignInLogs": ('"service_principal"', "ServicePrincipal"),
    "AADManagedIdentitySignInLogs": ('"managed_identity"', "ServicePrincipal"),
}
COUNTED: Mapping[str, Counted] = {
    **{table: log.counted for log in LOG_SOURCES if log.counted is not None for table in log.collected},
    DIAGNOSTICS_TABLE: DIAGNOSTICS,
}
"""The tables whose equal rows are counted, and how."""

REDUCED_TABLES = ("AzureActivity", *_SIGN_INS, *COUNTED)
"""The tables that are reduced where they are."""


@cache
def reduction_text(table: str) -> str:
    """Return the query that reduces a table.

    Raises:
        InternalError: The table is not reduced where it is.
    """
    if table not in REDUCED_TABLES:
        raise InternalError(f"there is no reduction of `{table}`")
    if table in _SIGN_INS:
        kind, who = _SIGN_INS[table]
        return _written("sign_ins", table=table, kind=kind, who=who, is_app=who != "User")
    if table in COUNTED:
        counted = COUNTED[table]
        return _written("counted", table=table, counted=counted, who=[counted.columns[name] for name in counted.who])
    return _written(
        "activity",
        statuses=_spellings(
            (row["spelling"], row["meaning"]) for row in rows_of("log_statuses") if row["field"] == "status"
        ),
        http_names=_spellings(
            (row["spelling"], row["meaning"]) for row in rows_of("log_statuses") if row["field"] == "http"
        ),
        error_codes=_spellings((row["code"], row["meaning"]) for row in rows_of("log_error_codes")),
    )


def summary_table(table: str) -> str:
    """Return the name of the table into which a summary rule reduces a table."""
    return f"Rightsize{table}_CL"


_USE = (
    "log", "category", "plane", "principal_id", "principal_name", "principal_type", "app_id", "operation", "scope",
    "role_assignment_id", "access", "day", "received",
)  # fmt: skip
_OUTCOMES = ("succeeded", "failed", "started", "denied", "other")
_SIGN_IN = (
    "sign_in_kind", "principal_id", "principal_name", "app_id", "resource_id", "resource_name", "day", "received",
)  # fmt: skip


def summary_text(table: str) -> str:
    """Return the query for the rows that a summary rule kept of a table.

    They are those of the reduction, each once: a bin that was run again has its rows twice, and the later run may have
    more of them.
    """
    keys: tuple[str, ...] = _USE
    counts: tuple[str, ...] = _OUTCOMES
    is_use = ", is_use = other == 0"
    if table in COUNTED:
        keys, counts, is_use = (*COUNTED[table].columns, "log_table", "received"), ("records",), ""
    elif table in _SIGN_INS:
        keys, counts, is_use = _SIGN_IN, ("succeeded", "failed"), ""
    greatest = ", ".join(f"{name} = max({name})" for name in (*counts, "last_seen"))
    lines = [summary_table(table), f"| summarize {greatest}, first_seen = min(first_seen) by {', '.join(keys)}{is_use}"]
    return "\n".join([*lines, "| project-away is_use"] if is_use else lines)


def principal_of(table: str) -> str:
    """Return KQL for the text that names the principal of a row of an answer: rows of one must stay in one answer."""
    counted = COUNTED.get(table)
    who = counted.who if counted else ("principal_id", "principal_name", "app_id")
    return f'tolower(coalesce({", ".join(who)}, ""))'


def _spellings(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the folded spellings of each meaning."""
    found: dict[str, set[str]] = {}
    for spelling, meaning in pairs:
        found.setdefault(meaning, set()).add(fold(spelling))
    return {meaning: sorted(found[meaning]) for meaning in sorted(found)}


def _written(template: str, **values: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415  only queries of tables need it

    # KQL has braces of its own, and nothing in it is for a browser.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(queries_folder()),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
    )
    return environment.get_template(f"kql/{template}.kql").render(**values)


_MICROSECOND = dt.timedelta(microseconds=1)
_HEAD = re.compile(r"// (\S+) to (\S+), part (\d+) of (\d+)\n")
_SHORTEST = dt.timedelta(milliseconds=1)
_MARGINS = {"AzureActivity": dt.timedelta(days=1)}
"""The time around a slice in which the other rows of its calls are looked for; an hour if it is not here."""

LATENESS_OF_RULES = dt.timedelta(days=2)
"""A rule runs after its bin of a day at most, and tries again; its rows have the time of the run, or of the bin."""


@dataclass(frozen=True, slots=True)
class Span:
    """A time, half open, and of its rows those of some principals: part `part` of `parts`."""

    first: dt.datetime
    last: dt.datetime
    part: int = 1
    parts: int = 1

    def halves(self, shortest: dt.timedelta) -> tuple[Span, ...]:
        """Return the two halves of the time, at a multiple of `shortest` from its start; none if it is too short."""
        steps = (self.last - self.first) // shortest
        if steps < 2:
            return ()
        middle = self.first + shortest * (steps // 2)
        return replace(self, last=middle), replace(self, first=middle)

    def shares(self) -> tuple[Span, ...]:
        """Return the same time with half of its principals each."""
        return tuple(replace(self, part=self.part + more, parts=self.parts * 2) for more in (0, self.parts))


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to one table of logs.

    Attributes:
        table: The table.
        reduced: Whether its reduction is asked for, not its rows.
        counted: Whether only the number of rows of each hour is asked for.
        by_rule: Whether a summary rule has reduced it, into a table of its own.
    """

    table: str
    reduced: bool
    counted: bool = False
    by_rule: bool = False

    def text(self, span: Span, *, is_within: bool) -> str:
        """Return the query for a span; its first line says the span.

        Args:
            span: The time and the part.
            is_within: Whether the query itself has the range of time, for a service that takes none beside it.
        """
        first, last = self.reach(span)
        lines = [f"// {exact(span.first)} to {exact(span.last)}, part {span.part} of {span.parts}"]
        read = summary_table(self.table) if self.by_rule else self.table
        body = f"{read}\n"
        if self.reduced:
            body = summary_text(self.table) if self.by_rule else reduction_text(self.table)
        if is_within:
            within = f"| where TimeGenerated >= datetime({exact(first)}) and TimeGenerated < datetime({exact(last)})"
            body = re.sub(rf"^{read}$", f"{read}\n{within}", body, count=1, flags=re.MULTILINE)
        lines.append(body.rstrip("\n"))
        if self.reduced:
            bound = f"| where received >= datetime({exact(span.first)}) and received < datetime({exact(span.last)})"
            lines.append(bound)
        if span.parts > 1:
            lines.append(f"| where hash({principal_of(self.table)}, {span.parts}) == {span.part - 1}")
        if self.counted:
            hour = "received" if self.reduced else "bin(TimeGenerated, 1h)"
            lines.append(f"| summarize rows = count() by hour = {hour}")
        elif is_within and not self.reduced:
            lines.append(f'| extend Type = "{self.table}"')
        return "\n".join(lines)

    def reach(self, span: Span) -> tuple[dt.datetime, dt.datetime]:
        """Return the time whose records the query reads: a call may have rows before and after its slice."""
        margin = _MARGINS.get(self.table, dt.timedelta(hours=1)) if self.reduced else dt.timedelta(0)
        if self.by_rule:
            margin = LATENESS_OF_RULES
        return span.first - margin, span.last + margin

    def smaller(self, span: Span) -> tuple[Span, ...]:
        """Return spans that together have the rows of `span`; none if it cannot be cut further.

        Rows of a reduction have an hour as part of their key. An hour is cut by principals, whose rows stay together.
        """
        if not self.reduced:
            return span.halves(_SHORTEST)
        return span.halves(dt.timedelta(hours=1)) or (span.shares() if span.parts < _MOST_PARTS else ())


_MOST_PARTS = 1024


def span_of(text: str) -> Span:
    """Return the span in the first line of a query."""
    found = _HEAD.match(text)
    if found is None:
        raise InternalError("a query does not say its span")
    first, last = (dt.datetime.fromisoformat(found[place]) for place in (1, 2))
    return Span(first, last, int(found[3]), int(found[4]))


def exact(moment: dt.datetime) -> str:
    """Return a time in UTC, with microseconds if it has any."""
    return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat() + "Z"


def timespan(first: dt.datetime, last: dt.datetime) -> str:
    """Return a half-open time as a `timespan`, which includes both of its ends: it ends a tick earlier."""
    # Times here have microseconds, and Kusto's have tenths of them.
    return f"{exact(first)}/{(last - _MICROSECOND).astimezone(dt.UTC).strftime('%Y-%m-%dT%H:%M:%S.%f')}9Z"


_SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
_HOUR, _DAY = 60, 1440
# Rows arrive late, and what comes after its bin has run is in no bin.
_DELAY = 60


def write_summary_rules(folder: Path) -> list[Path]:
    """Write `TABLE.kql` for each table that can be reduced, and `summary-rules.json`, an ARM template with a rule each.

    Returns:
        The files.

    Raises:
        InputError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write into `{folder}`: {error.strerror}") from None
    found = [folder / f"{table}.kql" for table in REDUCED_TABLES]
    for table, path in zip(REDUCED_TABLES, found, strict=True):
        file_reading.write_text(path, reduction_text(table))
    template = folder / "summary-rules.json"
    file_reading.write_text(template, json.dumps(_template(), indent=2) + "\n")
    return [*found, template]


def _template() -> dict[str, object]:
    rules = [
        {
            "condition": f"[contains(parameters('tables'), '{table}')]",
            "type": "Microsoft.OperationalInsights/workspaces/summaryLogs",
            "apiVersion": "2025-07-01",
            "name": f"[concat(parameters('workspace'), '/rightsize-{table}')]",
            "properties": {
                "ruleType": "User",
                "description": f"Distinct use in {table}, for rightsize",
                "ruleDefinition": {
                    "query": reduction_text(table),
                    # A day has fewer calls over its edges; rows of requests are too many for one answer a day.
                    "binSize": _HOUR if table in COUNTED else _DAY,
                    "binDelay": _DELAY,
                    "destinationTable": summary_table(table),
                },
            },
        }
        for table in REDUCED_TABLES
    ]
    return {
        "$schema": _SCHEMA,
        "contentVersion": "1.0.0.0",
        "parameters": {
            "workspace": {"type": "string", "metadata": {"description": "Name of the workspace"}},
            "tables": {
                "type": "array",
                "defaultValue": list(REDUCED_TABLES),
                "metadata": {"description": "The tables that the workspace has"},
            },
        },
        "resources": rules,
    }
