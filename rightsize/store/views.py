"""Define what texts of `queries/views` take from rules and listings, and the page of all tables and views."""

from __future__ import annotations

from collections.abc import Iterator

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
from rightsize.model.tables import EVIDENCE_TABLES, TABLES, Column, ColumnType, Table
from rightsize.rules.tables import rows_of
from rightsize.rules.vaults import ALL, PLURALS, POLICIES, ROLES, VAULT
from rightsize.store.sql import folded, literal


def vault_parts() -> dict[str, str]:
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


COMMANDS = f"CASE {''.join(map(_command, ACCESS_LISTINGS))} END"
"""SQL for the command that gets a listing, over the columns of the view `listings`."""

_DECIDING = ", ".join(f"'{one.name}'" for one in ACCESS_LISTINGS if one.decides_no)
LACKS_FOR_NO = (
    f"NOT complete AND listing IN ({_DECIDING}, 'transitiveMembers') "
    f"""AND NOT (listing = '{ROLE_DEFINITIONS.name}' AND starts_with("of", '/'))"""
)
"""The condition on rows of `listings` for what makes a `no` unknown: of roles only those that are assigned."""

_LACKS = f"SELECT 1 FROM main.listings WHERE {LACKS_FOR_NO}"
_COMPLETE = f"NOT EXISTS ({_LACKS})"
_COMPLETE_AT_SCOPE = (
    f"""NOT EXISTS ({_LACKS} AND (NOT starts_with("of", '{SUBSCRIPTION}') OR "of" = {_SCOPE} """
    f"""OR starts_with("of", {_SCOPE} || '/')))"""
)
_OF_SUBSCRIPTIONS = ("layer_defeats", "layer_violations")


def completeness_of(name: str) -> str:
    """Return SQL for the column `complete` of an answer table: by the row's subscription where it is about one."""
    return _COMPLETE_AT_SCOPE if name in _OF_SUBSCRIPTIONS else _COMPLETE


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
