"""Build the SQL of the physical tables (schema `base`) and the views for SQL users (schema `main`) from `model`.

Principals, operations, scopes and assignments are stored as integers, which takes a third of the memory of text.
These integers are internal: they never leave the store and never order anything.
"""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

from rightsize.model.tables import LISTED_MEMBER, TABLES, Table, table
from rightsize.store.queries import filled_text, queries_folder, query_text
from rightsize.store.sql import RESOURCE, UNMAPPED, literal, quoted
from rightsize.store.views import COMMANDS, vault_parts

MARKED_COLUMNS = (
    "principal_id",
    "principal_type",
    "principal_name",
    "app_id",
    "role_assignment_id",
    "role_definition_id",
    "evidence_principal_id",
    "event_id",
    "ip",
    "access",
    "token_id",
    "session_id",
)
"""Columns of an event that the highest-ranked row decides. They are stored after one digit, 4 minus the rank of their
row, so that the least value is the better one and merging stays associative over any number of loads."""


def _declared() -> dict[str, str]:
    text = Path(__file__).with_name("base_columns.csv").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for of, column, kind in list(csv.reader(text.splitlines(), strict=True))[1:]:
        found.setdefault(of, []).append(f"{column} {kind}")
    return {of: ", ".join(columns) for of, columns in found.items()}


_BASE_TABLES = _declared()
"""Physical tables whose columns differ from those of the table of the same name in `model`."""

_VERSIONED = ("role_definitions", "deny_assignments", "operations", "signals", "tool_judgements")
"""Tables whose rows are replaced as a whole; `version` orders the rows of one key."""

# A name of two principals, such as the UPN of one and the mail of another, resolves to neither.
# Some logs have an id of the caller without its kind, so object ids are listed beside application ids.
RESOLVED = (
    "SELECT alias, min(principal_id) AS principal_id FROM ("
    "SELECT alias, principal_id FROM base.principal_aliases "
    "UNION ALL SELECT principal_id, principal_id FROM base.principals) "
    "GROUP BY alias HAVING min(principal_id) = max(principal_id)"
)
"""SQL for the principal of each name: `alias, principal_id`."""
RESOLVED_ACTORS = (
    "SELECT a.actor_key, coalesce(a.principal_id, alias.principal_id) AS principal_id "
    f"FROM base.actors AS a LEFT JOIN ({RESOLVED}) AS alias ON alias.alias = a.principal_name"
)
"""SQL for the principal of each actor, null if unknown: `actor_key, principal_id`."""


def base_table(name: str) -> str:
    """Return the physical columns of a table of schema `base`."""
    if name in _BASE_TABLES:
        return _BASE_TABLES[name]
    declared = table(name)
    # Answers keep what the store computed when they were written; of other tables the view computes it.
    stored = declared.columns if declared.kind == "answer" else declared.given
    columns = ", ".join(f"{quoted(column.name)} {column.type.value}" for column in stored)
    return columns + (", version VARCHAR" if name in _VERSIONED else "")


def base_names() -> tuple[str, ...]:
    """Return the names of all physical tables."""
    from_model = (t.name for t in TABLES if t.kind in {"loaded", "derived", "answer"} and t.name not in _ANSWER_VIEWS)
    return tuple(dict.fromkeys((*_BASE_TABLES, *from_model)))


_ANSWER_VIEWS = ("granted", "granted_operations", "verdict_operations")


def _selection(name: str) -> str:
    """Return the SQL of a view: a text of `queries/views`, else its physical table."""
    if not (queries_folder() / "views" / f"{name}.sql").is_file():
        return f"SELECT * {'EXCLUDE (version) ' if name in _VERSIONED else ''}FROM base.{name}"
    return filled_text(f"views/{name}", **_parts())


@cache
def _parts() -> dict[str, str]:
    return {
        "commands": COMMANDS,
        "resolved": RESOLVED,
        "actors": RESOLVED_ACTORS,
        "vanished": query_text("views/vanished_grants"),
        "resource": RESOURCE,
        "unmapped": UNMAPPED,
        "listed_member": LISTED_MEMBER,
        **vault_parts(),
    }


def view_text(declared: Table, **instead: str) -> str:
    """Return the SELECT of the view for SQL users; `instead` replaces some physical tables by selections."""
    inner = _selection(declared.name)
    for source, selection in instead.items():
        inner = re.sub(rf"FROM base\.{source}\b", f"FROM ({selection})", inner)
    columns = ", ".join(
        f"{quoted(column.name)}::{column.type.value} AS {quoted(column.name)}" for column in declared.columns
    )
    return f"SELECT {columns} FROM ({inner}) AS inner_rows"


def create_statements() -> list[str]:
    """Return the statements that create an empty store, in order."""
    statements = ["CREATE SCHEMA IF NOT EXISTS base"]
    statements += [f"CREATE TABLE base.{name} ({base_table(name)})" for name in base_names()]
    statements += view_statements()
    return statements


def view_statements() -> list[str]:
    """Return the statements that recreate the views, with comments on each view and column."""
    statements = []
    for declared in TABLES:
        statements.append(f"CREATE OR REPLACE VIEW main.{declared.name} AS {view_text(declared)}")
        statements.append(f"COMMENT ON VIEW main.{declared.name} IS {literal(declared.grain)}")
        statements += [
            f"COMMENT ON COLUMN main.{declared.name}.{quoted(column.name)} IS {literal(column.comment)}"
            for column in declared.columns
        ]
    return statements
