"""Build the SQL of the physical tables (schema `base`) and the views for SQL users (schema `main`) from `model`.

Principals, operations, scopes and assignments are stored as integers, which takes a third of the memory of text.
These integers are internal: they never leave the store and never order anything.

`write_schema_page` writes the page of all tables and views.

An empty store is a copy of the shipped one, which these statements made once: DuckDB takes ten times as long for a
thousand statements as for opening what they made. It reads files of its older versions, so that the oldest version that
is supported makes the shipped one. The file begins with the hash of its statements: one of other statements is not
copied, and the store is made by the statements themselves.
"""

from __future__ import annotations

import csv
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from rightsize.model.access_answers import (
    ACCESS_LISTINGS,
    MEMBERS,
    PLAIN,
    PLAIN_ABOVE,
    ROLE_DEFINITIONS,
    SUBSCRIPTION,
    AccessListing,
)
from rightsize.model.plan_file import file_of
from rightsize.model.tables import EVIDENCE_TABLES, LISTED_MEMBER, TABLES, Column, ColumnType, Table, table
from rightsize.rules.tables import rows_of
from rightsize.rules.vaults import ALL, PLURALS, POLICIES, ROLES, VAULT
from rightsize.store.queries import filled_text, queries_folder, query_text
from rightsize.store.sql import RESOURCE, UNMAPPED, folded, literal, quoted

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


def _vault_parts() -> dict[str, str]:
    """Return what the texts of the views about key vaults take from the rules about them."""
    allowed = ", ".join(
        f"({literal(row['kind'])}, {literal(permission)}, {literal(row['operation'])})"
        for row in rows_of("vault_permissions")
        for permission in (row["permission"], ALL)
    )
    kinds = ", ".join(f"{{kind: '{kind}', words: json_extract_string(policy, '$.{kind}[*]')}}" for kind in PLURALS)
    return {"vault": VAULT, "roles": ROLES, "policies": POLICIES, "allowed": allowed, "kinds": kinds}


_MEMBERS = f"('{MEMBERS.name}', 'transitiveMembers')"
_ID = f"""CASE WHEN starts_with("of", '{SUBSCRIPTION}') THEN split_part("of", '/', 3) ELSE "of" END"""
_SCOPE, _ROLE, _HOLDER = folded("scope"), folded("role_definition_id"), folded("a.principal_id")


def _command(kind: AccessListing) -> str:
    """Return SQL for `command_for` of a listing of this kind."""
    names = _MEMBERS if kind is MEMBERS else f"('{kind.name}')"
    place = """rtrim("of", '/')""" if "{of}/" in kind.command_above else '"of"'
    above = f"replace({literal(kind.command_above)}, '{{of}}', {place})" if kind.command_above else "NULL"
    return f"""
        WHEN listing IN {names} AND starts_with("of", '/') AND NOT starts_with("of", '{SUBSCRIPTION}')
            THEN CASE WHEN regexp_full_match("of", {literal(PLAIN_ABOVE)}) THEN {above} END
        WHEN listing IN {names} AND regexp_full_match({_ID}, {literal(PLAIN)})
            THEN replace({literal(kind.command)}, '{{id}}', {_ID})"""


_COMMANDS = f"CASE {''.join(map(_command, ACCESS_LISTINGS))} END"
"""SQL for the command that gets a listing, over the columns of the view `listings`."""

_DECIDING = ", ".join(f"'{one.name}'" for one in ACCESS_LISTINGS if one.decides_no)
LACKS_FOR_NO = (
    f"NOT complete AND listing IN ({_DECIDING}, 'transitiveMembers') "
    f"""AND NOT (listing = '{ROLE_DEFINITIONS.name}' AND starts_with("of", '/'))"""
)
"""The condition on rows of `listings` for what makes a `no` unknown: of roles only those that are assigned."""

_LACKS = f"SELECT 1 FROM main.listings WHERE {LACKS_FOR_NO}"
ALL_COMPLETE = f"NOT EXISTS ({_LACKS})"
"""SQL for the column `complete` of an answer table whose rows are about the whole tenant."""
_COMPLETE_AT_SCOPE = (
    f"""NOT EXISTS ({_LACKS} AND (NOT starts_with("of", '{SUBSCRIPTION}') OR "of" = {_SCOPE} """
    f"""OR starts_with("of", {_SCOPE} || '/')))"""
)
_OF_SUBSCRIPTIONS = ("layer_defeats", "layer_violations")


def completeness_of(name: str) -> str | None:
    """Return SQL for the column `complete` of an answer table by the row's subscription; None if all rows are alike."""
    return _COMPLETE_AT_SCOPE if name in _OF_SUBSCRIPTIONS else None


_ANSWER_VIEWS = ("granted", "granted_operations", "verdict_operations")


def _selection(name: str) -> str:
    """Return the SQL of a view: a text of `queries/views`, else its physical table."""
    if not (queries_folder() / "views" / f"{name}.sql").is_file():
        return f"SELECT * {'EXCLUDE (version) ' if name in _VERSIONED else ''}FROM base.{name}"
    return filled_text(f"views/{name}", **_parts())


@cache
def _parts() -> dict[str, str]:
    return {
        "commands": _COMMANDS,
        "resolved": RESOLVED,
        "actors": RESOLVED_ACTORS,
        "vanished": query_text("views/vanished_grants"),
        "resource": RESOURCE,
        "unmapped": UNMAPPED,
        "listed_member": LISTED_MEMBER,
        **_vault_parts(),
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
    for declared in TABLES:
        lines.extend(_section(declared, declared.name))
    for declared in EVIDENCE_TABLES:
        lines.extend(_section(declared, file_of(declared)))
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


SHIPPED = Path(__file__).with_name("empty_store.bin")


def place_empty_store(file: Path, statements: Iterable[str]) -> bool:
    """Write an empty store where there is no file yet; return whether it is there.

    The file appears whole, and never takes the place of one that another process made in the meantime.
    """
    mark, content = _mark(statements), SHIPPED.read_bytes()
    if not content.startswith(mark):
        return False
    try:
        with TemporaryDirectory(dir=file.parent, prefix=".rightsize-") as folder:
            made = Path(folder, "store")
            with made.open("xb") as out:
                out.write(zlib.decompress(content[len(mark) :]))
                out.flush()
                # DuckDB commits to a file of its own beside the store, and trusts what the store has.
                os.fsync(out.fileno())
            os.link(made, file)
    except OSError:
        # The file exists, or this file system has no links.
        return False
    return True


def packed(statements: Iterable[str], store: Path) -> bytes:
    """Return the content of the shipped file for a store that these statements made."""
    return _mark(statements) + zlib.compress(store.read_bytes(), 9)


def _mark(statements: Iterable[str]) -> bytes:
    return sha256("\n".join(statements).encode()).digest()
