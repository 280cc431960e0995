"""Write tables as one workbook, one sheet a table, for people who work with spreadsheets.

Every text is written as text. A text that a spreadsheet could take for a formula after saving as CSV gets a leading
quote, as in our CSV. The file holds no time: same tables, same bytes.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Mapping, Sequence
from typing import Any

import xlsxwriter

from rightsize.model.errors import InputError
from rightsize.render.escape import for_csv, for_terminal
from rightsize.render.rows import cell

_MOST_ROWS = 1_048_575
_LONGEST = 32_767
_SETTINGS = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "nan_inf_to_errors": True,
}
_WIDEST = 60
_LOOKED_AT = 200


def write_workbook(tables: Mapping[str, tuple[Sequence[str], Sequence[Mapping[str, Any]]]]) -> bytes:
    """Return the workbook as bytes.

    Args:
        tables: For each table by name, in order, the names of its columns and its rows.

    Raises:
        InputError: A table has more rows than a sheet can hold.
    """
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, _SETTINGS)
    # The dates of the zip members and of the properties would come from the clock.
    book.set_properties({"created": dt.datetime(1980, 1, 1)})
    head = book.add_format({"bold": True, "bottom": 1})
    for name, (columns, rows) in tables.items():
        if len(rows) > _MOST_ROWS:
            raise InputError(
                f"`{name}` has {len(rows):,} rows, and a sheet holds {_MOST_ROWS:,}", hint="export it with --format csv"
            )
        sheet = book.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        for at, column in enumerate(columns):
            sheet.write_string(0, at, column, head)
            sheet.set_column(at, at, _width(column, rows))
        for line, row in enumerate(rows, 1):
            for at, column in enumerate(columns):
                _write(sheet, line, at, row.get(column))
        if rows:
            sheet.autofilter(0, 0, len(rows), len(columns) - 1)
    book.close()
    return out.getvalue()


def _write(sheet: Any, line: int, at: int, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(line, at, value)
    elif isinstance(value, (int, float)):
        sheet.write_number(line, at, value)
    else:
        text = for_csv(for_terminal(cell(value)))
        sheet.write_string(line, at, text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")


def _width(column: str, rows: Sequence[Mapping[str, Any]]) -> int:
    longest = max((len(cell(row.get(column))) for row in rows[:_LOOKED_AT]), default=0)
    return min(_WIDEST, max(longest, len(column)) + 2)
