"""Build the SQL of the physical tables (schema `base`) and the views for SQL users (schema `main`) from `model`.

Principals, operations, scopes and assignments are stored as integers, which takes a third of the memory of text.
These integers are internal: they never leave the store and never order anything.
"""

from __future__ import annotations

import re
from functools import cache

from rightsize.model.tables import LISTED_MEMBER, TABLES, Table, table
from rightsize.store.queries import filled_text, queries_folder, query_text
from rightsize.store.sql import RESOURCE, UNMAPPED, literal, quoted
from rightsize.store.views import LISTINGS, vault_parts

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

_BASE_TABLES = {
    "operation_names": (
        "operation_key INTEGER, folded VARCHAR, earliest VARCHAR, smallest VARCHAR, spelling VARCHAR, stale BOOLEAN"
    ),
    "scope_names": (
        "scope_key INTEGER, folded VARCHAR, earliest VARCHAR, smallest VARCHAR, spelling VARCHAR, stale BOOLEAN"
    ),
    "actors": "actor_key INTEGER, actor VARCHAR, principal_id VARCHAR, principal_name VARCHAR",
    "assignment_names": "assignment_key INTEGER, role_assignment_id VARCHAR",
    "events": (
        "event_key UHUGEINT, time TIMESTAMP, source VARCHAR, plane VARCHAR, category VARCHAR, rank TINYINT, "
        "correlation_id VARCHAR, operation_key INTEGER, scope_key INTEGER, "
        + ", ".join(f"{name} VARCHAR" for name in MARKED_COLUMNS)
        + ", actor_key INTEGER, assignment_key INTEGER"
    ),
    "request_bodies": (
        "event_key UHUGEINT, assigned_role_id VARCHAR, assigned_type VARCHAR, asked_type VARCHAR, "
        "assigned_principal_id VARCHAR"
    ),
    "usage_days": (
        "actor_key INTEGER, operation_key INTEGER, scope_key INTEGER, plane VARCHAR, assignment_key INTEGER, day DATE, "
        "first_seen TIMESTAMP, last_seen TIMESTAMP, succeeded BIGINT, failed BIGINT, started BIGINT, denied BIGINT, "
        "suspect BIGINT"
    ),
    "alias_days": "day DATE, kind VARCHAR, alias VARCHAR, principal_id VARCHAR",
    "observed_days": "source VARCHAR, category VARCHAR, scope VARCHAR, day DATE, events BIGINT",
    "graph_days": (
        "app_id VARCHAR, principal_id VARCHAR, access VARCHAR, operation_key INTEGER, day DATE, first_seen TIMESTAMP, "
        "last_seen TIMESTAMP, succeeded BIGINT, failed BIGINT, started BIGINT, denied BIGINT, suspect BIGINT, "
        "other BIGINT"
    ),
    "m365_days": (
        "app_id VARCHAR, principal_id VARCHAR, principal_name VARCHAR, access VARCHAR, operation_key INTEGER, "
        "day DATE, first_seen TIMESTAMP, last_seen TIMESTAMP, succeeded BIGINT, suspect BIGINT"
    ),
    "policy_days": (
        "source VARCHAR, principal_id VARCHAR, principal_name VARCHAR, app_id VARCHAR, operation_key INTEGER, "
        "scope_key INTEGER, day DATE, events BIGINT, suspect BIGINT, first_seen TIMESTAMP, last_seen TIMESTAMP"
    ),
    "access_days": (
        "source VARCHAR, resource VARCHAR, access VARCHAR, principal_id VARCHAR, principal_name VARCHAR, day DATE, "
        "events BIGINT, last_seen TIMESTAMP"
    ),
    "operation_days": (
        "source VARCHAR, plane VARCHAR, access VARCHAR, operation_key INTEGER, scope_key INTEGER, day DATE, "
        "events BIGINT, first_seen TIMESTAMP, last_seen TIMESTAMP"
    ),
    "sign_in_days": (
        "principal_id VARCHAR, principal_name VARCHAR, app_id VARCHAR, resource_id VARCHAR, kind VARCHAR, day DATE, "
        "resource_name VARCHAR, succeeded BIGINT, failed BIGINT, last_seen TIMESTAMP"
    ),
    "reduced_usage": (
        "log VARCHAR, category VARCHAR, plane VARCHAR, actor_key INTEGER, operation_key INTEGER, scope_key INTEGER, "
        "assignment_key INTEGER, access VARCHAR, day DATE, received TIMESTAMP, first_seen TIMESTAMP, "
        "last_seen TIMESTAMP, succeeded BIGINT, failed BIGINT, started BIGINT, denied BIGINT, other BIGINT, "
        "principal_name VARCHAR, principal_type VARCHAR, app_id VARCHAR, merit VARCHAR"
    ),
    "reduced_sign_ins": (
        "sign_in_kind VARCHAR, principal_id VARCHAR, principal_name VARCHAR, app_id VARCHAR, resource_id VARCHAR, "
        "resource_name VARCHAR, day DATE, received TIMESTAMP, first_seen TIMESTAMP, last_seen TIMESTAMP, "
        "succeeded BIGINT, failed BIGINT"
    ),
    "sign_in_rows": (
        "sign_in_key UHUGEINT, time TIMESTAMP, principal_id VARCHAR, principal_name VARCHAR, app_id VARCHAR, "
        "resource_id VARCHAR, resource_name VARCHAR, kind VARCHAR, succeeded BOOLEAN, sign_in_id VARCHAR, "
        "correlation_id VARCHAR, token_id VARCHAR, session_id VARCHAR, ip VARCHAR, "
        "country VARCHAR, network_number VARCHAR, federated_credential_id VARCHAR"
    ),
    "credential_days": (
        "principal_id VARCHAR, principal_name VARCHAR, app_id VARCHAR, resource_id VARCHAR, kind VARCHAR, "
        "federated_credential_id VARCHAR, day DATE, resource_name VARCHAR, succeeded BIGINT, failed BIGINT, "
        "first_seen TIMESTAMP, last_seen TIMESTAMP"
    ),
    "scopes": (
        "folded VARCHAR, parent VARCHAR, kind VARCHAR, subscription_id VARCHAR, resource_group VARCHAR, "
        "resource_type VARCHAR, display_name VARCHAR, listed BOOLEAN"
    ),
    "coverage": (
        "source VARCHAR, category VARCHAR, scope VARCHAR, day DATE, events BIGINT, state VARCHAR, declared_by VARCHAR"
    ),
    "place_days": (
        "day DATE, is_sign_in BOOLEAN, principal_id VARCHAR, principal_name VARCHAR, app_id VARCHAR, network VARCHAR, "
        "country VARCHAR, network_number VARCHAR, calls BIGINT"
    ),
    "quarantined_calls": "event_key UHUGEINT, day DATE, signal_id VARCHAR, basis VARCHAR",
    "quarantine_keys": (
        "signal_id VARCHAR, kind VARCHAR, value VARCHAR, day DATE, start_on TIMESTAMP, end_on TIMESTAMP"
    ),
    "role_operations": ("role_definition_id VARCHAR, operation VARCHAR, plane VARCHAR, conditional BOOLEAN"),
    "touched": "what VARCHAR, day DATE",
    "watch_seen": "kind VARCHAR, name VARCHAR, value VARCHAR, day DATE",
    "watch_files": "path VARCHAR, size BIGINT, changed BIGINT",
}
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
    if name == "listings":
        return LISTINGS
    if not (queries_folder() / "views" / f"{name}.sql").is_file():
        return f"SELECT * {'EXCLUDE (version) ' if name in _VERSIONED else ''}FROM base.{name}"
    return filled_text(f"views/{name}", **_parts())


@cache
def _parts() -> dict[str, str]:
    return {
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
