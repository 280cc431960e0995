"""Read the rule files: CSV files beside this module, with a source in every row."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

from rightsize.model.errors import InternalError

Row = dict[str, str]


@cache
def rows_of(name: str) -> tuple[Row, ...]:
    """Return the rows of the rule file `name` in file order; rules apply in this order.

    Raises:
        InternalError: A row has too few or too many cells, or no source.
    """
    text = files(__package__).joinpath(f"{name}.csv").read_text(encoding="utf-8")
    rows = tuple(csv.DictReader(text.splitlines(), strict=True))
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values() or not row["source"]:
            raise InternalError(f"line {number} of the rule file `{name}` is not whole")
    return rows
