"""Stage alerts, incidents and risk that are mixed with the records of logs, as an Event Hub sends them.

The table or category of a record decides the shape that reads it. An alert that Defender for Cloud exports has neither
and is recognised by its id.
"""

from __future__ import annotations

import duckdb

from rightsize.ingest.entities import ENTITY_SHAPES
from rightsize.ingest.readers import Batch
from rightsize.ingest.records import read_records
from rightsize.ingest.sources import Scratch
from rightsize.rules.log_sources.signal import SIGNAL_CATEGORIES, SIGNAL_TABLES
from rightsize.store.sql import folded, literal

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
