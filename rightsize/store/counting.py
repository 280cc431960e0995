"""Which staged rows change what is known: the SQL behind `new` and `duplicate`.

Every merge here is a least or greatest value a column, so that it does not matter what comes first or how often. A
row is new when, after the stored row and the rows before it in the load, it still moves one of the columns.
"""

from __future__ import annotations

from collections.abc import Sequence

from rightsize.store.sql import named, quoted


def new_rows(relation: str, keys: Sequence[str], least: Sequence[str] = (), greatest: Sequence[str] = ()) -> str:
    """Return SQL that yields `(file_id, new)`: the number of rows of each file that change something.

    Args:
        relation: Rows with `file_id`, `line`, the keys and the columns; what is stored has a null `file_id`.
        keys: The columns that identify what is merged.
        least: Columns whose least value is kept.
        greatest: Columns whose greatest value is kept.
    """
    window = (
        f"(PARTITION BY {named(*keys)} ORDER BY file_id NULLS FIRST, line "
        "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    )
    changes = ["count(*) OVER w = 0"]
    changes += [_moves(column, "min", "<") for column in least]
    changes += [_moves(column, "max", ">") for column in greatest]
    return (
        f"SELECT file_id, count(*) FILTER (WHERE changes) AS new FROM ("
        f"SELECT file_id, {' OR '.join(changes)} AS changes FROM {relation} WINDOW w AS {window}"
        ") AS judged WHERE file_id IS NOT NULL GROUP BY file_id"
    )


def _moves(column: str, function: str, better: str) -> str:
    name = quoted(column)
    return f"({name} IS NOT NULL AND coalesce({name} {better} {function}({name}) OVER w, true))"
