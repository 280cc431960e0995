"""Recognise what each file contains by its first records, and stage alerts that are mixed with records of logs.

The table or category of a record decides the shape that reads it. An alert that Defender for Cloud exports has neither
and is recognised by its id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import duckdb

from rightsize.ingest.entities import ENTITY_SHAPES
from rightsize.ingest.entities.log_tables import PORTAL_COLUMNS
from rightsize.ingest.entities.shape import Context, Shape, look_at
from rightsize.ingest.files.encoding import read_head
from rightsize.ingest.files.readers import Batch
from rightsize.ingest.files.records import read_records
from rightsize.ingest.files.sniff import Sniff, sniff
from rightsize.ingest.files.sources import Scratch, SourceFile
from rightsize.ingest.logs.record_kinds import USED_LOGS
from rightsize.ingest.logs.values import Family, family_of, is_signal
from rightsize.model.errors import InputError
from rightsize.model.text import GUID, fold
from rightsize.rules.log_sources.entra import SIGNAL_CATEGORIES, SIGNAL_TABLES
from rightsize.store.sql import folded, literal

# Bytes to read, in turn. Most first records end within the first size, one in a page of a listing within the second;
# the third is the maximum of a single record.
_HEADS = (1 << 14, 1 << 18, 16 << 20)

EXPECTED = (
    "expected a log (Activity Log, storage logs, sign-ins, Graph activity), a listing of role assignments, role "
    "definitions, principals, groups, scopes or permissions of applications, or a catalogue"
)


@dataclass(frozen=True, slots=True)
class Recognised:
    """A recognised file: its log family or entity shape, or neither if it is empty or unknown."""

    file: SourceFile
    sniff: Sniff
    family: Family | None = None
    log: str = ""
    shape: Shape | None = None

    @property
    def source(self) -> str:
        """Return the word in `loads` for a file without logs."""
        if self.shape is not None:
            return self.shape.source
        return "empty" if self.sniff.form == "empty" else "unknown"


def recognise(file: SourceFile, shapes: Sequence[Shape], columns: Sequence[str] = ()) -> Recognised:
    """Return a file with its log family or entity shape.

    Args:
        file: The file.
        shapes: The entity shapes, in the order in which they are tried.
        columns: For a Parquet file, its columns, each with a tab and its type.

    Raises:
        InputError: The user named the file and rightsize does not recognise it, or its head is damaged.
    """
    found = Recognised(file, Sniff("other"))
    for size in _HEADS:
        head = read_head(file.path, file.compression, size, file.name)
        looked = sniff(head)
        if looked.form == "parquet":
            names = (column.partition("\t")[0] for column in columns)
            looked = Sniff("parquet", (dict.fromkeys(names),), header=tuple(columns))
        found = _match(file, looked, shapes)
        if found.source != "unknown" or found.family is not None or len(head) < size:
            break
    if file.named and found.family is None and found.source == "unknown":
        if _is_foreign_download(found.sniff):
            raise InputError(
                f"`{file.name}` looks like a download of the Activity Log in another language",
                hint="set the language of the portal to English, and download it again",
            )
        raise InputError(f"cannot recognise `{file.name}`: {_describe(found.sniff)}", hint=EXPECTED)
    return found


def _is_foreign_download(looked: Sniff) -> bool:
    """Return whether a table has the columns of the portal's Activity Log under other names, in their order."""
    if looked.form != "csv" or len(looked.header) != len(PORTAL_COLUMNS):
        return False
    cells = dict(zip(PORTAL_COLUMNS, looked.samples[0].values(), strict=False))
    return all(re.fullmatch(GUID, fold(str(cells.get(name)))) for name in ("Correlation id", "Subscription")) and str(
        cells.get("Resource")
    ).startswith("/")


def _match(file: SourceFile, looked: Sniff, shapes: Sequence[Shape]) -> Recognised:
    envelope = looked.envelope or {}
    context = Context(file.place, str(envelope.get("@odata.context") or ""))
    signals: Shape | None = None
    for record in looked.samples:
        family = family_of(record)
        if family is not None:
            return Recognised(file, looked, family=family, log=_likely_log(record))
        look = look_at(record)
        shape = next((shape for shape in shapes if shape.recognises(look, context)), None)
        # An Event Hub mixes alerts and risk with records of logs; then the logs decide how the file is read.
        if shape is not None and is_signal(record):
            signals = signals or shape
        elif shape is not None:
            return Recognised(file, looked, shape=shape)
    if signals is not None:
        return Recognised(file, looked, shape=signals)
    if envelope and not looked.samples and context.odata_context:
        shape = next((shape for shape in shapes if shape.recognises(look_at({}), context)), None)
        return Recognised(file, looked, shape=shape)
    return Recognised(file, looked)


def _likely_log(record: Mapping[str, Any]) -> str:
    """Return the log whose columns are read first; records of other logs are read in separate passes."""
    named: dict[str, Any] = {fold(str(key)): value for key, value in record.items()}
    table, category = (fold(str(named.get(key) or "")) for key in ("type", "category"))
    logs = USED_LOGS.values()
    found = chain(
        (log for log in logs if table in log.tables),
        (log for log in logs if any(keys <= named.keys() for keys in log.likely_keys)),
        (log for log in logs if {table, category} & {*log.categories, *log.likely_categories}),
        logs,
    )
    return next(found).name


def _describe(looked: Sniff) -> str:
    if looked.form in ("csv", "parquet"):
        return f"its columns are {', '.join(column.partition(chr(9))[0] for column in looked.header[:12])}"[:300]
    if looked.samples:
        keys = ", ".join(f"`{key}`" for key in list(looked.samples[0])[:12])
        return f"its first record has the keys {keys}: {looked.excerpt}"[:400]
    return f"it begins with {looked.excerpt!r}"[:300]


_NAMED = SIGNAL_TABLES | SIGNAL_CATEGORIES
_CASES = " ".join(f"WHEN {literal(word)} THEN {literal(shape)}" for word, shape in _NAMED.items())
_WORD = folded("coalesce(record ->> '$.Type', record ->> '$.type', record ->> '$.category', record ->> '$.Category')")
_HAS_ALERT = "coalesce(record ->> '$.SystemAlertId', record ->> '$.systemAlertId') IS NOT NULL"
_IS_ROW = "coalesce(record ->> '$.AlertSeverity', record ->> '$.alertSeverity') IS NOT NULL"


def stage_signals(con: duckdb.DuckDBPyConnection, batch: Batch, scratch: Scratch, file_id: int) -> None:
    """Read a file of logs again, and stage the records that are signals.

    Args:
        con: A connection with the staging tables.
        batch: The file.
        scratch: The folder for copies of damaged files.
        file_id: The id under which they are staged.
    """
    read_records(con, batch, scratch)
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE signal_records AS
        SELECT {file_id} AS file_id, page, line, record, CASE {_WORD} {_CASES} ELSE CASE WHEN {_HAS_ALERT} THEN
            CASE WHEN {_IS_ROW} THEN 'security_alerts' ELSE 'defender_alerts' END END END AS shape
        FROM ingest_records""")
    for shape in ENTITY_SHAPES:
        con.execute(f"""
            CREATE OR REPLACE TEMP TABLE ingest_entities AS
            SELECT file_id, page, line, record FROM signal_records WHERE shape = {literal(shape.name)} ORDER BY line""")
        if con.execute("SELECT 1 FROM ingest_entities LIMIT 1").fetchone():
            shape.stage(con, "ingest_entities")
    con.execute("DROP TABLE signal_records")
