"""Write the Markdown page of the tables and views for SQL users from the schema in `model`."""

from __future__ import annotations

from collections.abc import Iterator

from rightsize.model.plan_evidence import EVIDENCE_TABLES, file_of
from rightsize.model.schema import Column, ColumnType, Table
from rightsize.model.tables import TABLES

_KINDS = {
    "loaded": "Holds what exports said.",
    "derived": "Recomputed at the end of each load.",
    "answer": "Written by `analyze` and `propose`.",
    "view": "Computed when it is read.",
}
_TYPES = {
    ColumnType.TEXT: "text",
    ColumnType.TEXTS: "list of text",
    ColumnType.BOOL: "boolean",
    ColumnType.INT: "integer",
    ColumnType.REAL: "number",
    ColumnType.TIME: "time",
    ColumnType.DAY: "day",
}
_INTRODUCTION = """\
# Tables and views

Written from the declared schema; do not edit.

`rightsize sql` and `rightsize queries run` read these. Each table and column carries its line here as a comment in the
store, too. Times are UTC. Ids, operations and scopes compare without regard to the case of ASCII letters. Columns in
bold identify a row together. [Tables of evidence](plan-format.md#tables-of-evidence), which stand beside a plan, come
last.
"""


def write_schema_page() -> str:
    """Return the page as Markdown."""
    lines = [_INTRODUCTION]
    for kind, meaning in _KINDS.items():
        links = ", ".join(f"[`{table.name}`](#{table.name})" for table in TABLES if table.kind == kind)
        lines += [f"- {meaning.removesuffix('.')}: {links}"]
    lines.append("")
    for table in TABLES:
        lines.extend(_section(table, table.name))
    for table in EVIDENCE_TABLES:
        lines.extend(_section(table, file_of(table)))
    return "\n".join(lines).rstrip() + "\n"


def _section(table: Table, title: str) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield f"{_cell(table.grain[:1].upper() + table.grain[1:])}."
    yield ""
    yield "| column | type | meaning |"
    yield "| --- | --- | --- |"
    yield from (_row(column) for column in table.columns)
    yield ""


def _row(column: Column) -> str:
    name = f"**`{column.name}`**" if column.key else f"`{column.name}`"
    return f"| {name} | {_TYPES[column.type]} | {_cell(column.comment)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")
