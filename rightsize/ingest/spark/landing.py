"""Bringing reduced rows from Spark to this machine, as Parquet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rightsize.ingest.families import SOURCES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Land = Callable[["DataFrame", str], Path]
"""Brings reduced rows of a log to this machine as Parquet, and returns the file or folder."""


def landing(folder: str, *, is_shared: bool) -> Land:
    """Return what lands reduced rows in a folder.

    Args:
        folder: The folder, of this machine.
        is_shared: Whether Spark sees the same folder and writes into it; else the rows come through the session, as
            one Arrow table in memory.
    """
    landed = 0

    def land(rows: DataFrame, log: str) -> Path:
        nonlocal landed
        landed += 1
        target = Path(folder, f"{landed:04}-{SOURCES[log]}.parquet").absolute()
        if is_shared:
            rows.write.mode("overwrite").parquet(target.as_uri())
        else:
            import pyarrow.parquet as pq  # noqa: PLC0415  0.2 s, and only this way needs it

            pq.write_table(rows.toArrow(), target)
        return target

    return land
