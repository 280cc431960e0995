"""stdout: the one writer of results."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rightsize.cli.options import OutputFormat


def show(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    output: OutputFormat,
    *,
    document: Mapping[str, Any] | None = None,
    table_columns: Sequence[str] | None = None,
) -> None:
    """Write a result to stdout.

    Args:
        rows: The result as rows.
        columns: Names of all columns, in order.
        output: The format.
        document: What `json` writes where the contract is one object and not a list of rows.
        table_columns: The columns that a terminal table shows, where all would be too many.
    """
    from rightsize.render import rows as render  # noqa: PLC0415  kept out of `--help`

    if output is OutputFormat.TABLE:
        _show_table(rows, table_columns or columns)
    elif output is OutputFormat.JSON:
        sys.stdout.write(render.write_json(rows if document is None else document))
    elif output is OutputFormat.JSONL:
        sys.stdout.write(render.write_jsonl(rows))
    elif output is OutputFormat.MARKDOWN:
        sys.stdout.write(render.write_markdown(rows, columns))
    else:
        delimiter = "," if output is OutputFormat.CSV else "\t"
        sys.stdout.write(render.write_separated(rows, columns, delimiter))


def write(text: str) -> None:
    """Write text to stdout as it is; the caller has escaped it."""
    sys.stdout.write(text)


def _show_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    from rich import box  # noqa: PLC0415  kept out of `--help`
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from rightsize.render.escape import for_terminal  # noqa: PLC0415
    from rightsize.render.rows import cell  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    numeric = [
        bool(rows) and all(isinstance(row.get(name), (int, float, type(None))) for row in rows) for name in columns
    ]
    for name, is_number in zip(columns, numeric, strict=True):
        table.add_column(Text(name), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(for_terminal(cell(row.get(name)))) for name in columns))
    Console(file=sys.stdout, highlight=False, soft_wrap=False).print(table)
