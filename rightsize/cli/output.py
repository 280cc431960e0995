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


_GAP = 2


def _show_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    from rich import box  # noqa: PLC0415  kept out of `--help`
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from rightsize.render.escape import for_terminal  # noqa: PLC0415
    from rightsize.render.rows import cell  # noqa: PLC0415

    console = Console(file=sys.stdout, highlight=False, soft_wrap=False)
    # An underscore breaks no line, and a narrow window would cut the column's name anywhere.
    headers = [for_terminal(name.replace("_", " ")) for name in columns]
    cells = [[for_terminal(cell(row.get(name))) for name in columns] for row in rows]
    numeric = [
        bool(rows) and all(isinstance(row.get(name), (int, float, type(None))) for row in rows) for name in columns
    ]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, _GAP - 1, 0, 0), show_edge=False)
    widths = column_widths(headers, cells, numeric, console.width)
    for header, is_number, width in zip(headers, numeric, widths, strict=True):
        table.add_column(Text(header), justify="right" if is_number else "left", overflow="fold", width=width)
    for line in cells:
        table.add_row(*(Text(text) for text in line))
    console.print(table)


def column_widths(
    headers: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool], width: int
) -> list[int]:
    """Return how wide each column is: numbers keep their digits, and texts share what is left, the short ones first.

    A header counts with its longest word, since it may wrap.
    """
    heads = [max((len(word) for word in header.split()), default=1) for header in headers]
    wanted = [max([head, *(len(line[i]) for line in cells)]) for i, head in enumerate(heads)]
    left = width - _GAP * (len(headers) - 1) - sum(w for w, number in zip(wanted, numeric, strict=True) if number)
    texts = sorted((i for i, number in enumerate(numeric) if not number), key=lambda i: (wanted[i], i))
    for position, i in enumerate(texts):
        wanted[i] = max(1, min(wanted[i], left // (len(texts) - position)))
        left -= wanted[i]
    return wanted
