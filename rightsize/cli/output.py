"""Write results to stdout in the format that was asked for; nothing else writes there.

Decide whether output for people has colour; output for programs never has.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from rightsize.cli.layout import table_lines, terminal_width
from rightsize.cli.narration import erase_progress
from rightsize.cli.options import MOST_ROWS, ColorChoice, OutputFormat
from rightsize.render import rows as render
from rightsize.render.escape import for_terminal
from rightsize.render.rows import cell

_choice = ColorChoice.AUTO


def set_color(choice: ColorChoice) -> None:
    """Set what the user chose; AUTO leaves it to the environment and the terminal."""
    global _choice  # noqa: PLW0603  one process, one terminal
    _choice = choice


def has_color(stream: TextIO) -> bool:
    """Return whether text for people on a stream has colour.

    The user's choice goes first, then `NO_COLOR` and `FORCE_COLOR` with any value but the empty one (no-color.org,
    force-color.org), then whether the stream is a terminal that knows colour.
    """
    if _choice is not ColorChoice.AUTO:
        return _choice is ColorChoice.ALWAYS
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


_NUMBERS = (int, float, type(None))
_FIGURE = re.compile(r"[+-]?\d[\d.,]*( ?%)?\Z")
_IDS = frozenset({"id", "swap"})
"""Columns with ids that other commands take, which are never wrapped."""


def show(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    output: OutputFormat,
    *,
    document: Mapping[str, Any] | None = None,
    table_columns: Sequence[str] | None = None,
    below: str | None = None,
    every: bool = False,
    wraps: bool = True,
) -> None:
    """Write a result to stdout.

    Args:
        rows: The rows of the result, which are read once, in order.
        columns: Names of all columns, in order.
        output: The format.
        document: The object that `json` writes where the contract is one object, not a list of rows.
        table_columns: The columns of a terminal table, where all columns would be too many.
        below: The column that a terminal table has below each row, since it is a sentence.
        every: Whether a terminal table has all rows, not only the first `MOST_ROWS`.
        wraps: Whether cells and names of columns of a terminal table may be wrapped; else wide rows have one line for
            each column.
    """
    if output is OutputFormat.TABLE:
        _show_table(rows, table_columns or columns, below, every=every, wraps=wraps)
    elif output is OutputFormat.JSON:
        write(render.write_json(rows if document is None else document))
    elif output is OutputFormat.JSONL:
        _write_all(render.jsonl_lines(rows))
    elif output is OutputFormat.MARKDOWN:
        _write_all(render.markdown_lines(rows, columns))
    else:
        delimiter = "," if output is OutputFormat.CSV else "\t"
        _write_all(render.separated_lines(rows, columns, delimiter))


def write(text: str) -> None:
    """Write text to stdout unchanged; the caller has escaped it."""
    erase_progress()
    sys.stdout.write(text)


def _write_all(lines: Iterable[str]) -> None:
    for line in lines:
        erase_progress()
        sys.stdout.write(line)


def copy_file(path: Path) -> None:
    """Write a text file that rightsize made to stdout, a part at a time."""
    erase_progress()
    with path.open(encoding="utf-8", newline="") as file:
        shutil.copyfileobj(file, sys.stdout)


_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")


def short_name(name: str) -> str:
    """Return a name for a terminal, which every command takes: a UPN without its domain, the beginning of a bare id.

    Other formats have the whole name.
    """
    return f"{name[:13]}…" if _GUID.match(name) else name.split("@", maxsplit=1)[0]


def first_rows(rows: Iterable[Any], *, every: bool) -> tuple[list[Any], str]:
    """Return the rows that people see, and the line that says how many others there are; empty where there are none."""
    found = iter(rows)
    shown = list(found if every else islice(found, MOST_ROWS))
    rest = sum(1 for _ in found)
    return shown, f"and {rest:,} more rows: --all shows all {len(shown) + rest:,}" if rest else ""


def _are_figures(texts: Sequence[str]) -> bool:
    """Return whether all texts that are not empty are numbers or percentages."""
    found = [text for text in texts if text]
    return bool(found) and all(map(_FIGURE.match, found))


def _show_table(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], below: str | None, *, every: bool, wraps: bool
) -> None:
    shown, rest = first_rows(rows, every=every)
    # Lines do not wrap at an underscore, and a narrow window would cut the name of a column anywhere.
    headers = [for_terminal(name.replace("_", " ") if wraps else name) for name in columns]
    values = [[row.get(name) for name in columns] for row in shown]
    texts = [[for_terminal(cell(value)) for value in row] for row in values]
    numeric = [
        bool(values)
        and (all(isinstance(row[i], _NUMBERS) for row in values) or _are_figures([row[i] for row in texts]))
        for i in range(len(columns))
    ]
    whole = [is_number or name in _IDS for is_number, name in zip(numeric, columns, strict=True)]
    beneath = None
    if below is not None:
        beneath = (below.replace("_", " "), [for_terminal(cell(row.get(below))) for row in shown])
    is_bold = has_color(sys.stdout)
    for line in table_lines(
        headers, texts, numeric, terminal_width(), beneath, whole=whole, wraps=wraps, is_bold=is_bold
    ):
        write(f"{line}\n")
    if rest:
        write(f"{rest}\n")
