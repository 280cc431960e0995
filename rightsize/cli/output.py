"""Write results to stdout in the format that was asked for; nothing else writes there."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rightsize.cli.options import OutputFormat

if TYPE_CHECKING:
    from rich.console import Console

_NUMBERS = (int, float, type(None))


def show(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    output: OutputFormat,
    *,
    document: Mapping[str, Any] | None = None,
    table_columns: Sequence[str] | None = None,
) -> None:
    """Write a result to stdout.

    Args:
        rows: The rows of the result, which are read once, in order.
        columns: Names of all columns, in order.
        output: The format.
        document: The object that `json` writes where the contract is one object, not a list of rows.
        table_columns: The columns of a terminal table, where all columns would be too many.
    """
    from rightsize.render import rows as render  # noqa: PLC0415  kept out of `--help`

    if output is OutputFormat.TABLE:
        _show_table(rows, table_columns or columns)
    elif output is OutputFormat.JSON:
        sys.stdout.write(render.write_json(rows if document is None else document))
    elif output is OutputFormat.JSONL:
        sys.stdout.writelines(render.jsonl_lines(rows))
    elif output is OutputFormat.MARKDOWN:
        sys.stdout.writelines(render.markdown_lines(rows, columns))
    else:
        delimiter = "," if output is OutputFormat.CSV else "\t"
        sys.stdout.writelines(render.separated_lines(rows, columns, delimiter))


def write(text: str) -> None:
    """Write text to stdout unchanged; the caller has escaped it."""
    sys.stdout.write(text)


def copy_file(path: Path) -> None:
    """Write a text file that rightsize made to stdout, a part at a time."""
    with path.open(encoding="utf-8", newline="") as file:
        shutil.copyfileobj(file, sys.stdout)


def short_name(name: str) -> str:
    """Return a name without the domain of a UPN, since a terminal is narrow; other formats have the whole name."""
    return name.split("@", maxsplit=1)[0]


_GAP = 2
LINES_LAID_OUT = 500
"""Number of table lines that rich lays out at once; each takes a third of a millisecond and kilobytes."""


def _show_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    from rich.cells import cell_len  # noqa: PLC0415  kept out of `--help`
    from rich.console import Console  # noqa: PLC0415

    from rightsize.render.escape import for_terminal  # noqa: PLC0415
    from rightsize.render.rows import cell  # noqa: PLC0415

    console = Console(file=sys.stdout, highlight=False, soft_wrap=False)
    # Lines do not wrap at an underscore, and a narrow window would cut the name of a column anywhere.
    headers = [for_terminal(name.replace("_", " ")) for name in columns]
    cells: list[list[str]] = []
    numeric = [True] * len(columns)
    for row in rows:
        values = [row.get(name) for name in columns]
        cells.append([for_terminal(cell(value)) for value in values])
        numeric = [known and isinstance(value, _NUMBERS) for known, value in zip(numeric, values, strict=True)]
    numeric = [known and bool(cells) for known in numeric]
    widths = column_widths(headers, cells, numeric, console.width)
    _lay_out(console, cells[:LINES_LAID_OUT], numeric, widths, headers)
    fits = sum(widths) + _GAP * (len(widths) - 1) <= console.width
    waiting: list[list[str]] = []
    for line in cells[LINES_LAID_OUT:]:
        spare = [width - cell_len(text) for text, width in zip(line, widths, strict=True)]
        plainly = fits and min(spare, default=-1) >= 0
        if waiting and (plainly or len(waiting) == LINES_LAID_OUT):
            _lay_out(console, waiting, numeric, widths)
            waiting = []
        if plainly:
            padded = (
                " " * room + text if number else text + " " * room
                for text, number, room in zip(line, numeric, spare, strict=True)
            )
            sys.stdout.write((" " * _GAP).join(padded) + "\n")
        else:
            waiting.append(line)
    if waiting:
        _lay_out(console, waiting, numeric, widths)


def _lay_out(
    console: Console,
    lines: Sequence[Sequence[str]],
    numeric: Sequence[bool],
    widths: Sequence[int],
    headers: Sequence[str] | None = None,
) -> None:
    """Print lines of a table, with wrapped cells, and the headers where they are given."""
    from rich import box  # noqa: PLC0415  kept out of `--help`
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, _GAP - 1, 0, 0),
        show_edge=False,
        show_header=headers is not None,
    )
    for header, is_number, width in zip(headers or [""] * len(widths), numeric, widths, strict=True):
        table.add_column(Text(header), justify="right" if is_number else "left", overflow="fold", width=width)
    for line in lines:
        table.add_row(*(Text(text) for text in line))
    console.print(table)


def column_widths(
    headers: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool], width: int
) -> list[int]:
    """Return the width of each column: numbers keep their digits, and texts share the rest, short ones first.

    A header needs the width of its longest word, since it may wrap.
    """
    heads = [max((len(word) for word in header.split()), default=1) for header in headers]
    wanted = [max([head, *(len(line[i]) for line in cells)]) for i, head in enumerate(heads)]
    left = width - _GAP * (len(headers) - 1) - sum(w for w, number in zip(wanted, numeric, strict=True) if number)
    texts = sorted((i for i, number in enumerate(numeric) if not number), key=lambda i: (wanted[i], i))
    for position, i in enumerate(texts):
        wanted[i] = max(1, min(wanted[i], left // (len(texts) - position)))
        left -= wanted[i]
    return wanted
