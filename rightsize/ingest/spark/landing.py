"""Copy rows from Spark to this machine as Parquet, and extract whole records from it as JSON lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class Landing:
    """The folder for rows from Spark; each call writes a new file or folder.

    Args:
        folder: A folder of this machine. Rows are transferred through the session, as one Arrow table in memory.
        shared: A folder that Spark can also access, and writes rows into instead.
    """

    def __init__(self, folder: str, shared: str | None) -> None:
        """Start without any landed rows."""
        self._folder = folder
        self._shared = shared
        self._landed = 0

    def rows(self, rows: DataFrame, name: str) -> Path:
        """Write rows from Spark as Parquet, and return its file or folder."""
        target = self._target(self._shared or self._folder, f"{name}.parquet")
        if self._shared:
            rows.write.mode("overwrite").parquet(target.as_uri())
        else:
            import pyarrow.parquet as pq  # noqa: PLC0415  0.2 s, and only this way needs it

            pq.write_table(rows.toArrow(), target)
        return target

    def lines(self, landed: Path, column: str, name: str) -> Path | None:
        """Return a file with the texts of a column of the landed rows, or None if there are none."""
        with duckdb.connect() as con:
            texts = con.execute(f"SELECT {column} FROM {parquet(landed)} WHERE {column} IS NOT NULL")
            first = texts.fetchmany(_AT_ONCE)
            if not first:
                return None
            target = self._target(self._folder, f"{name}.jsonl")
            with target.open("w", encoding="utf-8") as file:
                while first:
                    file.writelines(f"{text}\n" for (text,) in first)
                    first = texts.fetchmany(_AT_ONCE)
        return target

    def _target(self, folder: str, name: str) -> Path:
        self._landed += 1
        return Path(folder, f"{self._landed:04}-{name}").absolute()


_AT_ONCE = 1000


def parquet(landed: Path) -> str:
    """Return DuckDB's SQL that reads the landed rows."""
    files = landed / "*.parquet" if landed.is_dir() else landed
    return "read_parquet('" + str(files).replace("'", "''") + "')"
