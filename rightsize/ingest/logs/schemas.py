"""Define the keys that hold each field of a log record, and detect the log that a record belongs to.

There are two envelopes. `camel` has the records of Azure Monitor's diagnostic settings and Event Hubs, of the Activity
Log's REST interface and its Python SDK (snake_case), and of Microsoft Graph; `pascal` has the rows of Log Analytics
tables. Both may mix records of different logs, so the log is detected for each record.
Sources: Microsoft Learn, "Azure Activity Log event schema" and the Log Analytics table reference.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rightsize.model.text import fold, fold_key
from rightsize.rules.log_source import Spellings, Stage
from rightsize.rules.log_sources import LOG_SOURCES
from rightsize.rules.log_sources.entra import SIGNAL_CATEGORIES, SIGNAL_TABLES


def _common(form: str) -> dict[str, tuple[str, ...]]:
    """Return the keys of the fields that many logs have in an envelope, from `log_fields.csv`.

    `AdditionalFields` has the properties of a row of AzureDiagnostics in a workspace without room for more columns.
    """
    text = Path(__file__).with_name("log_fields.csv").read_text(encoding="utf-8")
    rows = csv.reader(text.splitlines(), strict=True)
    return {field: tuple(keys.split("|")) for of, field, keys in rows if of == form}


def _with_own(common: Mapping[str, tuple[str, ...]], own: Iterable[Spellings]) -> dict[str, tuple[str, ...]]:
    """Return the keys of the common fields, and of those that only some logs have."""
    found = dict(common)
    for fields in own:
        for name, keys in fields.items():
            found[name] = tuple(dict.fromkeys((*found.get(name, ()), *keys)))
    return found


_CAMEL = _with_own(_common("camel"), (log.camel for log in LOG_SOURCES))
_PASCAL = _with_own(_common("pascal"), (log.pascal for log in LOG_SOURCES))

FIELDS = tuple(dict.fromkeys((*_CAMEL, *_PASCAL)))
"""All fields that a record of either envelope may have, each under one name."""

SOURCES = {log.name: log.source for log in LOG_SOURCES}
"""The word in `loads` of each log."""

_TIME_KEYS = {"time", "eventtimestamp", "event_timestamp"}
_EVENT_KEYS = {"operationname", "operation_name", "category", "resourceid", "resource_id"}
_SIGN_IN_KEYS = {"ipaddress", "status", "resourcedisplayname", "signineventtypes", "conditionalaccessstatus"}


_SIGNAL_KEYS = ({"systemalertid"}, {"incidentname", "incidentnumber"}, {"riskeventtype"}, {"risklastupdateddatetime"})


def _named(record: Mapping[str, Any]) -> dict[str, Any]:
    return {fold_key(str(key)).partition(" [")[0]: value for key, value in record.items()}


def is_signal(record: Mapping[str, Any]) -> bool:
    """Return whether a record in the envelope of a log is an alert, incident or risk, which a signal shape reads."""
    return _is_signal(_named(record))


def _is_signal(named: Mapping[str, Any]) -> bool:
    table, category = (fold(str(named.get(key) or "")) for key in ("type", "category"))
    if table in SIGNAL_TABLES or category in SIGNAL_CATEGORIES:
        return True
    return not table and any(keys <= named.keys() for keys in _SIGNAL_KEYS)


_JUDGEMENT = frozenset({"oauthappid", "permissions"})
"""Folded members of an application of app governance, which a shape reads."""
_TIMED_WITHIN = {category for log in LOG_SOURCES if log.timed_within for category in log.categories}

POWERSHELL_EVENT = frozenset({"EventTimestamp", "OperationName", "CorrelationId", "Caller"})
"""Members of an event of `Get-AzActivityLog`, which a shape reads; the interface that it asks spells them otherwise."""


REDUCED = frozenset({"received", "first_seen", "last_seen"})
"""Members of a row that a KQL query reduced; the table that a summary rule fills adds columns of its own."""


@dataclass(frozen=True, slots=True)
class Family:
    """Log records of one envelope: `spellings` has the keys that hold each field, the preferred one first."""

    name: str
    spellings: Mapping[str, tuple[str, ...]]

    def has(self, named: Mapping[str, Any]) -> bool:
        """Return whether a record of a log has this envelope, by its values under their folded keys."""
        keys = named.keys()
        # An exported table may lack the time at which it received a row.
        table = fold(str(named.get("type") or ""))
        is_row = "timegenerated" in keys or any(
            log.row_time and log.row_time in keys and table in log.tables for log in LOG_SOURCES
        )
        if self.name == "pascal":
            return (
                (is_row and len(keys) > 2)
                or any(log.row_keys and log.row_keys <= keys for log in LOG_SOURCES)
                or ({"creationtime", "operation"} <= keys and bool({"recordtype", "workload"} & keys))
            )
        # Rows of the sign-in tables also have the keys of Graph's records, with other values under some of them.
        return not is_row and (
            bool(_TIME_KEYS & keys and _EVENT_KEYS & keys)
            or fold(str(named.get("category") or "")) in _TIMED_WITHIN
            or ({"createddatetime", "appid"} <= keys and bool(_SIGN_IN_KEYS & keys))
            or {"activitydatetime", "loggedbyservice"} <= keys
        )


def spelt_keys(family: Family, samples: Sequence[Mapping[str, object]]) -> dict[str, tuple[str, ...]]:
    """Return the keys to look up for each field, the preferred one first, if their capitalisation may vary.

    A key is looked up in the spelling of its family, in lower case, and in the spellings of the samples.
    """
    spelt: dict[str, set[str]] = {}
    for record in samples:
        for key in record:
            spelt.setdefault(fold(str(key)), set()).add(str(key))
    return {
        field: tuple(
            dict.fromkeys(spelling for key in keys for spelling in (key, fold(key), *sorted(spelt.get(fold(key), ()))))
        )
        for field, keys in family.spellings.items()
    }


RECORD_FAMILY = Family("camel", _CAMEL)
"""The envelope of Azure Monitor's records and of the REST interfaces."""

FAMILIES = (RECORD_FAMILY, Family("pascal", _PASCAL))


def family_of(record: Mapping[str, Any]) -> Family | None:
    """Return the envelope of a record in any capitalisation of its keys; None for what is no record of a log."""
    named = _named(record)
    if _is_signal(named) or named.keys() >= _JUDGEMENT or record.keys() >= POWERSHELL_EVENT or record.keys() >= REDUCED:
        return None
    return next((family for family in FAMILIES if family.has(named)), None)


def _one_of(column: str, words: Iterable[str]) -> str:
    return f"{column} IN ({', '.join(repr(word) for word in words)})"


def lowered(column: str) -> str:
    """Return SQL that folds only ASCII letters; lower() does it twenty times faster than translate()."""
    return (
        f"CASE WHEN strlen({column}) = length({column}) THEN lower({column}) ELSE translate({column}, "
        "'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz') END"
    )


def _conditions() -> Iterator[tuple[Stage, str, str]]:
    """Yield the conditions under which a record is of a log: what each looks at, its SQL, and the log."""
    for log in LOG_SOURCES:
        if log.tables:
            yield Stage.TABLE, _one_of("table_key", log.tables), log.name
        if log.categories:
            yield log.category_stage, _one_of("category_key", log.categories), log.name
        for stage, condition in log.recognised:
            yield stage, condition, log.name


_LOG = "\n".join(
    f"    WHEN {condition} THEN '{log}'" for _, condition, log in sorted(_conditions(), key=lambda one: one[0])
)
# Holds for nearly all records of the log, without folding their words or checking for each other log.
_PLAIN = next(log for log in LOG_SOURCES if log.plain)
_MARKS = ", ".join(field for log in LOG_SOURCES for field in log.marks)
# What a row of a table is, its table says; only AzureDiagnostics holds rows of many logs.
_TABLES = ("azurediagnostics", *(table for log in LOG_SOURCES for table in log.tables))
_IS_PLAIN = f"{_PLAIN.plain} AND coalesce(table_name, {_MARKS}) IS NULL"


def with_log(fields: str) -> str:
    """Return SQL that adds to a relation of fields the log of each record, null if it is of no known log."""

    def key(field: str) -> str:
        # The last cell of a damaged table ends with a space, which was the first half of its line's end.
        return f"CASE WHEN NOT is_plain THEN rtrim({lowered(field)}) END"

    return f"""
SELECT * EXCLUDE (is_plain, is_unnamed, is_other_table, table_key, category_key, resource_key), CASE
    WHEN is_plain THEN '{_PLAIN.name}'
{_LOG}
END AS log
FROM (
    SELECT *, {key("table_name")} AS table_key, {key("category")} AS category_key, {key("resource_id")} AS resource_key,
        coalesce(table_name, category, '') = '' AS is_unnamed,
        -- DuckDB makes a join of IN with a long list, and a join does not keep the order of records.
        coalesce(table_key, '') <> '' AND NOT list_contains({list(_TABLES)}, table_key) AS is_other_table
    FROM (SELECT *, coalesce({_IS_PLAIN}, false) AS is_plain FROM ({fields}))
)"""
