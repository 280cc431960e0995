"""Hash the content of the store: its rows, not its files, paths, load times or order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from rightsize.model.schema import Column, ColumnType
from rightsize.model.tables import table
from rightsize.store.connection import Store
from rightsize.store.sql import named

DIGESTED = (
    "principals",
    "group_members",
    "listings",
    "scopes",
    "scope_tags",
    "resources",
    "resource_references",
    "inventories",
    "provider_registrations",
    "role_definitions",
    "role_assignments",
    "deny_assignments",
    "role_management_policies",
    "policy_assignments",
    "policy_definitions",
    "role_assignment_requests",
    "operations",
    "usage_days",
    "graph_usage_days",
    "m365_usage_days",
    "api_permissions",
    "app_role_assignments",
    "permission_grants",
    "graph_permissions",
    "graph_permission_paths",
    "first_party_apps",
    "sign_ins",
    "coverage",
)
"""The tables and views that the analysis depends on."""

_READ_TIMES = {"inventories": ("read_on", "finished_on"), "provider_registrations": ("updated_on",)}
"""Columns left out: when a listing was read. Reading the same again later changes no content."""
_WORDS = {"listings": ("why", "command")}
"""Columns left out: what a person reads. Other words change no content."""

_FIELD, _NULL, _ITEM = "chr(31)", "chr(30)", "chr(29)"


def digest_content(store: Store, names: Iterable[str] = DIGESTED) -> str:
    """Return the SHA-256 of the content of tables and views, as hexadecimal text.

    Each row becomes a text of its declared columns, and a table becomes the exclusive or of the MD5 of these texts. The
    result does not depend on the order of rows, and keys keep rows distinct.
    """
    lines = []
    for name in sorted(names):
        left_out = (*_READ_TIMES.get(name, ()), *_WORDS.get(name, ()))
        columns = (column for column in table(name).columns if column.name not in left_out)
        row = ", ".join(map(_text, columns))
        # Two readings of one listing are one content, and their equal hashes would cancel each other out.
        distinct = "DISTINCT" if name in _READ_TIMES else ""
        counted = store.frame(
            "SELECT count(*) AS rows, coalesce(bit_xor(hash), 0)::VARCHAR AS mixed FROM ("
            f"SELECT {distinct} md5_number(concat_ws({_FIELD}, {row})) AS hash FROM main.{name})"
        )
        lines.append(f"{name} {counted['rows'][0]} {counted['mixed'][0]}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _text(column: Column) -> str:
    name = named(column.name)
    if column.type is ColumnType.TEXTS:
        return f"coalesce(array_to_string({name}, {_ITEM}), {_NULL})"
    return f"coalesce({name}::VARCHAR, {_NULL})"
