"""The options that every command takes, declared once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class OutputFormat(StrEnum):
    """How a result is written to stdout."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    MARKDOWN = "markdown"


Db = Annotated[
    Path,
    typer.Option("--db", envvar="RIGHTSIZE_DB", help="The store, one DuckDB file.", show_default=True),
]
Output = Annotated[OutputFormat, typer.Option("-o", "--output", help="How to write the result.")]
Verbose = Annotated[int, typer.Option("-v", "--verbose", count=True, help="Say more on stderr.", show_default=False)]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing on stderr but errors.")]
NoInput = Annotated[bool, typer.Option("--no-input", help="Never ask; fail where an answer would be needed.")]
Memory = Annotated[
    str | None,
    typer.Option("--memory-limit", envvar="RIGHTSIZE_MEMORY_LIMIT", help="Memory for tables and queries, as 2GiB."),
]
Spill = Annotated[
    Path | None,
    typer.Option("--spill-folder", envvar="RIGHTSIZE_SPILL_FOLDER", help="Where what does not fit in memory goes."),
]

DEFAULT_DB = Path("rightsize.duckdb")
