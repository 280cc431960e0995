"""Build the SQL of the physical tables (schema `base`) and the views for SQL users (schema `main`) from `model`.

Principals, operations, scopes and assignments are stored as integers, which takes a third of the memory of text.
These integers are internal: they never leave the store and never order anything.
"""

from __future__ import annotations

import re

from rightsize.model.nouns import LAYERS
from rightsize.model.schema import Table
from rightsize.model.tables import TABLES, table
from rightsize.store.sql import folded, literal, outcome, quoted
from rightsize.store.views import (
    CREDENTIAL_DAYS,
    DAYS_BEYOND_ROLES,
    LISTINGS,
    NOT_LISTED_TWICE,
    SIGN_IN_DAYS,
    UNMAPPED_OPERATIONS,
    graph_views,
    trust_views,
)

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
    **DAYS_BEYOND_ROLES,
    "access_days": (
        "source VARCHAR, resource VARCHAR, access VARCHAR, principal_id VARCHAR, principal_name VARCHAR, day DATE, "
        "events BIGINT, last_seen TIMESTAMP"
    ),
    "operation_days": (
        "source VARCHAR, plane VARCHAR, access VARCHAR, operation_key INTEGER, scope_key INTEGER, day DATE, "
        "events BIGINT, first_seen TIMESTAMP, last_seen TIMESTAMP"
    ),
    "sign_in_days": SIGN_IN_DAYS,
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
    "credential_days": CREDENTIAL_DAYS,
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

_SCOPE_SPELLING = "coalesce((SELECT spelling FROM base.scope_names AS n WHERE n.folded = {key}), {raw})"
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


_VANISHED = """
        SELECT source, grant_id, max(last_listed_on) AS last_listed_on, max(taken_on) AS missing_on
        FROM base.grant_sightings LEFT JOIN base.grant_listings USING (source, place)
        GROUP BY source, grant_id HAVING bool_and(coalesce(last_listed_on < taken_on, false))"""


def _is_listed(grant: str, source: str) -> str:
    """Return SQL that drops grants missing from the newest complete listing; grants without such a listing stay."""
    return f"({source}, {grant}) NOT IN (SELECT (source, grant_id) FROM ({_VANISHED}))"


def _listing_of(assignments: str, eligibilities: str) -> str:
    """Return SQL for the listing that a row belongs to; activations belong to none and stay, as history."""
    return f"CASE a.state WHEN 'active' THEN '{assignments}' WHEN 'eligible' THEN '{eligibilities}' ELSE '' END"


_AZURE_LISTING = _listing_of("role_assignments", "role_eligibility_instances")
_DIRECTORY_LISTING = _listing_of("directory_role_assignments", "directory_eligibility_instances")
_ANSWER_VIEWS = ("granted", "granted_operations", "verdict_operations")

# One view for each table of the model that is not simply its physical table.
_VIEWS = {
    "listings": LISTINGS,
    "events": f"""
        SELECT e.time, e.source, e.plane, w.principal_id, substr(e.principal_id, 2) AS logged_principal_id,
            {", ".join(f"substr(e.{c}, 2) AS {c}" for c in MARKED_COLUMNS[1:4])},
            o.spelling AS operation, s.spelling AS scope,
            {outcome("e.rank")} AS outcome,
            {", ".join(f"substr(e.{c}, 2) AS {c}" for c in MARKED_COLUMNS[4:7])}, e.correlation_id,
            {", ".join(f"substr(e.{c}, 2) AS {c}" for c in MARKED_COLUMNS[7:])},
            lower(hex(e.event_key)) AS event_key
        FROM base.events AS e
        JOIN base.operation_names AS o USING (operation_key) JOIN base.scope_names AS s USING (scope_key)
        LEFT JOIN ({RESOLVED_ACTORS}) AS w USING (actor_key)""",
    "usage_days": f"""
        SELECT coalesce(a.principal_id, alias.principal_id) AS principal_id, a.principal_name, o.spelling AS operation,
            s.spelling AS scope, u.plane, r.role_assignment_id, u.day, u.first_seen, u.last_seen, u.succeeded, u.failed,
            u.started, u.denied, u.suspect
        FROM base.usage_days AS u
        JOIN base.actors AS a USING (actor_key)
        JOIN base.operation_names AS o USING (operation_key) JOIN base.scope_names AS s USING (scope_key)
        LEFT JOIN base.assignment_names AS r USING (assignment_key)
        LEFT JOIN ({RESOLVED}) AS alias ON alias.alias = a.principal_name""",
    **graph_views(RESOLVED),
    "role_assignment_requests": f"""
        SELECT e.correlation_id, o.spelling AS operation, s.spelling AS scope,
            coalesce(substr(e.principal_id, 2), alias.principal_id) AS principal_id,
            substr(coalesce(e.principal_name, e.app_id), 2) AS principal_name, e.time,
            {outcome("e.rank")} AS outcome,
            b.assigned_role_id, b.assigned_type, b.asked_type, b.assigned_principal_id
        FROM base.events AS e
        JOIN base.operation_names AS o USING (operation_key) JOIN base.scope_names AS s USING (scope_key)
        LEFT JOIN base.request_bodies AS b USING (event_key)
        LEFT JOIN ({RESOLVED}) AS alias ON e.principal_id IS NULL
            AND alias.alias = {folded("substr(coalesce(e.principal_name, e.app_id), 2)")}
        WHERE o.folded IN ('microsoft.authorization/roleassignments/write',
            'microsoft.authorization/roleassignments/delete')""",
    "request_access": f"""
        SELECT source, resource, access, coalesce(c.principal_id, alias.principal_id) AS principal_id,
            principal_name, day, sum(events) AS events, max(last_seen) AS last_seen
        FROM base.access_days AS c
        LEFT JOIN ({RESOLVED}) AS alias ON c.principal_id IS NULL AND alias.alias = c.principal_name
        GROUP BY ALL""",
    "unmapped_operations": UNMAPPED_OPERATIONS,
    "usage": """
        SELECT principal_id, principal_name, operation, scope, plane, role_assignment_id, min(first_seen) AS first_seen,
            max(last_seen) AS last_seen, sum(succeeded)::BIGINT AS succeeded, sum(failed)::BIGINT AS failed,
            sum(started)::BIGINT AS started, sum(denied)::BIGINT AS denied, sum(suspect)::BIGINT AS suspect,
            count(*) AS days
        FROM usage_days
        GROUP BY principal_id, principal_name, operation, scope, plane, role_assignment_id""",
    "sign_ins": f"""
        -- What whole records and reduced rows both show counts as often as the better of them says.
        SELECT principal_id, app_id, resource_id, kind, day, max(resource_name) AS resource_name,
            max(succeeded) AS succeeded, max(failed) AS failed, max(last_seen) AS last_seen
        FROM (
            SELECT coalesce(i.principal_id, alias.principal_id) AS principal_id, i.app_id, i.resource_id, i.kind,
                i.day, max(i.resource_name) AS resource_name, sum(i.succeeded) AS succeeded, sum(i.failed) AS failed,
                max(i.last_seen) AS last_seen
            FROM base.sign_in_days AS i
            LEFT JOIN ({RESOLVED}) AS alias ON i.principal_id IS NULL AND alias.alias = i.principal_name
            GROUP BY ALL
            UNION ALL
            SELECT coalesce(i.principal_id, alias.principal_id), i.app_id, i.resource_id, i.sign_in_kind, i.day,
                max(i.resource_name), sum(i.succeeded), sum(i.failed), max(i.last_seen)
            FROM base.reduced_sign_ins AS i
            LEFT JOIN ({RESOLVED}) AS alias ON i.principal_id IS NULL AND alias.alias = i.principal_name
            GROUP BY ALL
        ) GROUP BY ALL""",
    "sign_in_events": f"""
        SELECT i.* REPLACE (coalesce(i.principal_id, alias.principal_id) AS principal_id)
        FROM base.sign_in_rows AS i
        LEFT JOIN ({RESOLVED}) AS alias ON i.principal_id IS NULL AND alias.alias = i.principal_name""",
    **trust_views(RESOLVED),
    "token_calls": f"""
        SELECT c.* EXCLUDE (principal_name, own_session)
                REPLACE (coalesce(c.principal_id, alias.principal_id) AS principal_id),
            coalesce(own_session, s.session_id) AS session_id,
            s.signed_in, s.sign_in_id, s.sign_in_kind, s.sign_in_principal_id, s.sign_in_ip, s.resource_id
        FROM (
            SELECT substr(e.token_id, 2) AS token_id, e.source, e.plane, substr(e.principal_id, 2) AS principal_id,
                CASE WHEN e.principal_id IS NULL
                    THEN {folded("substr(coalesce(e.principal_name, e.app_id), 2)")} END AS principal_name,
                substr(e.app_id, 2) AS app_id, substr(e.session_id, 2) AS own_session, count(*) AS calls,
                count(DISTINCT e.operation_key) AS operations, count(*) FILTER (WHERE e.rank = 2) AS denied,
                min(e.time) AS first_seen, max(e.time) AS last_seen, count(DISTINCT substr(e.ip, 2)) AS addresses
            FROM base.events AS e WHERE e.token_id IS NOT NULL GROUP BY ALL
        ) AS c
        LEFT JOIN (
            -- One token, though several exports of its sign-in may be without the id that makes them one.
            SELECT token_id, min(time) AS signed_in, min(sign_in_id) AS sign_in_id, min(kind) AS sign_in_kind,
                min(principal_id) AS sign_in_principal_id, min(ip) AS sign_in_ip, min(resource_id) AS resource_id,
                min(session_id) AS session_id
            FROM base.sign_in_rows WHERE token_id IS NOT NULL AND succeeded GROUP BY token_id
        ) AS s USING (token_id)
        LEFT JOIN ({RESOLVED}) AS alias ON c.principal_id IS NULL AND alias.alias = c.principal_name""",
    "coverage": f"""
        SELECT source, category, {_SCOPE_SPELLING.format(key="c.scope", raw="c.scope")} AS scope, day, events, state,
            declared_by
        FROM base.coverage AS c""",
    "scopes": f"""
        SELECT n.spelling AS scope, s.kind,
            {_SCOPE_SPELLING.format(key="s.parent", raw="s.parent")} AS parent_scope, s.subscription_id,
            CASE WHEN s.resource_group IS NULL THEN NULL ELSE string_split(n.spelling, '/')[5] END AS resource_group,
            s.resource_type, s.display_name, s.listed
        FROM base.scopes AS s JOIN base.scope_names AS n USING (folded)""",
    "role_assignments": f"""
        SELECT * REPLACE ({_SCOPE_SPELLING.format(key=folded("a.scope"), raw="a.scope")} AS scope)
        FROM base.role_assignments AS a
        WHERE NOT (a.state = 'active' AND EXISTS (
            SELECT 1 FROM base.role_assignments AS b
            WHERE b.role_assignment_id = a.role_assignment_id AND b.state = 'activated'))
            AND {_is_listed("a.role_assignment_id", _AZURE_LISTING)}""",
    "directory_role_assignments": f"""
        -- What is activated is listed as an assignment, too.
        SELECT * FROM base.directory_role_assignments AS a
        WHERE NOT (a.state = 'active' AND EXISTS (
            SELECT 1 FROM base.directory_role_assignments AS b
            WHERE b.role_assignment_id = a.role_assignment_id AND b.state = 'activated'))
            AND {NOT_LISTED_TWICE}
            AND {_is_listed("lower(a.role_assignment_id)", _DIRECTORY_LISTING)}""",
    "app_role_assignments": f"""
        SELECT * FROM base.app_role_assignments
        WHERE {_is_listed("app_role_assignment_id", "'app_role_assignments'")}""",
    "permission_grants": f"""
        SELECT * FROM base.permission_grants WHERE {_is_listed("permission_grant_id", "'delegated_grants'")}""",
    "vanished_grants": _VANISHED,
    "deny_assignments": f"""
        SELECT * EXCLUDE (version) REPLACE ({_SCOPE_SPELLING.format(key=folded("a.scope"), raw="a.scope")} AS scope)
        FROM base.deny_assignments AS a""",
    "role_definitions": "SELECT * EXCLUDE (version) FROM base.role_definitions",
    "operations": "SELECT * EXCLUDE (version) FROM base.operations",
    "tool_judgements": "SELECT * EXCLUDE (version) FROM base.tool_judgements",
    "unknown_operations": """
        SELECT o.spelling AS operation, plane, sum(events)::BIGINT AS events, min(first_seen) AS first_seen,
            max(last_seen) AS last_seen
        FROM base.operation_days JOIN base.operation_names AS o USING (operation_key)
        -- Other planes have no catalogue, and what no role let through is in none.
        WHERE plane IN ('control', 'data') AND coalesce(access, 'roles') IN ('roles', 'unsaid')
            AND NOT EXISTS (SELECT 1 FROM base.operations AS c WHERE c.operation = o.spelling)
        GROUP BY ALL""",
    "granted": """
        SELECT a.role_assignment_id AS grant_id, a.state, p.plane,
            coalesce(r.role_name, a.role_definition_id) AS granted, a.principal_id, 'role' AS access, a.scope,
            coalesce(p.conditional, false) OR a.condition IS NOT NULL AS conditional
        FROM role_assignments AS a LEFT JOIN role_definitions AS r USING (role_definition_id)
        LEFT JOIN (
            SELECT role_definition_id, CASE kind WHEN 'action' THEN 'control' ELSE 'data' END AS plane,
                bool_and(condition IS NOT NULL) AS conditional
            FROM role_permissions WHERE kind IN ('action', 'data_action') GROUP BY ALL
        ) AS p USING (role_definition_id)
        UNION ALL
        SELECT g.app_role_assignment_id, 'active', 'graph', coalesce(n.permission, g.app_role_id), g.principal_id,
            'application', g.resource_id, false
        FROM app_role_assignments AS g LEFT JOIN (
            SELECT i.principal_id AS resource_id, p.permission_id AS app_role_id, min(p.permission) AS permission
            FROM base.api_permissions AS p JOIN base.principals AS i ON i.app_id = p.api_app_id
            WHERE p.access = 'application' GROUP BY ALL
        ) AS n USING (resource_id, app_role_id)
        UNION ALL
        SELECT permission_grant_id, 'active', 'graph', unnest(permissions), client_id, 'delegated',
            CASE WHEN consent_type = 'Principal' THEN principal_id ELSE resource_id END, false
        FROM permission_grants
        UNION ALL
        SELECT a.role_assignment_id, a.state, 'directory', coalesce(r.role_name, a.directory_role_id), a.principal_id,
            'role', a.scope, false
        FROM directory_role_assignments AS a LEFT JOIN base.directory_roles AS r USING (directory_role_id)""",
    "granted_operations": """
        SELECT a.role_assignment_id, a.state, r.operation, r.plane, a.principal_id, a.role_definition_id, a.scope,
            r.conditional OR a.condition IS NOT NULL AS conditional
        FROM role_assignments AS a JOIN base.role_operations AS r USING (role_definition_id)""",
    "verdict_operations": """
        -- What a row of its own names comes before the set in which it would be counted.
        WITH named AS (
            SELECT role_assignment_id, state, operation, plane, max(verdict) AS verdict,
                arg_max(reason, (verdict, events, reason)) AS reason, sum(events)::BIGINT AS events,
                max(last_seen) AS last_seen, min(principal_id) AS principal_id, min(scope) AS scope
            FROM base.verdicts
            WHERE role_assignment_id IS NOT NULL AND operation IS NOT NULL GROUP BY ALL
        ), held AS (
            SELECT role_assignment_id, state, principal_id, scope FROM role_assignments
            UNION ALL SELECT role_assignment_id, state, principal_id, scope FROM directory_role_assignments
        ), found AS (
            SELECT n.role_assignment_id, n.state, n.operation, n.plane,
                coalesce(h.principal_id, n.principal_id) AS principal_id, coalesce(h.scope, n.scope) AS scope,
                n.verdict, n.reason, coalesce(n.events, 0) AS events, n.last_seen
            FROM named AS n LEFT JOIN held AS h USING (role_assignment_id, state)
            UNION ALL
            SELECT v.role_assignment_id, v.state, s.operation, v.plane, v.principal_id, v.scope, v.verdict, v.reason, 0,
                NULL
            FROM base.verdicts AS v JOIN base.verdict_operation_sets AS s USING (set_id)
            WHERE NOT EXISTS (
                SELECT 1 FROM named AS n WHERE n.role_assignment_id = v.role_assignment_id AND n.state = v.state
                    AND n.plane = v.plane AND n.operation = s.operation)
        )
        SELECT f.role_assignment_id, f.state, f.operation, f.plane, f.principal_id, f.scope, f.verdict, f.reason,
            o.observable_by, f.events, f.last_seen
        FROM found AS f LEFT JOIN base.operations AS o USING (operation)""",
    "signals": """
        -- What one export says of an alert, a newer state in another, or its incident takes back.
        WITH twins AS (
            SELECT coalesce(original_id, signal_id) AS same,
                arg_max(coalesce(dismissed, false),
                    (coalesce(updated_on, TIMESTAMP '1970-01-01'), coalesce(dismissed, false))) AS dismissed
            FROM base.signals WHERE kind <> 'incident' GROUP BY ALL
        ), closed AS (
            SELECT e.value AS alert FROM base.signals AS i JOIN base.signal_entities AS e USING (signal_id)
            WHERE i.kind = 'incident' AND i.dismissed AND e.entity_kind = 'alert'
            UNION SELECT split_part(e.signal_id, '/', 2)
            FROM base.signal_entities AS e JOIN base.signals AS i ON i.signal_id = 'graph_incident/' || e.value
            WHERE e.entity_kind = 'incident' AND i.dismissed
        ), detected AS (
            SELECT e.value AS sign_in, bool_and(coalesce(d.dismissed, false)) AS dismissed
            FROM base.signals AS d JOIN base.signal_entities AS e USING (signal_id)
            WHERE d.kind = 'risk_detection' AND e.entity_kind = 'sign_in' GROUP BY ALL
        )
        SELECT s.* REPLACE (coalesce(CASE s.kind WHEN 'incident' THEN s.dismissed
            WHEN 'risky_sign_in' THEN coalesce(g.dismissed, s.dismissed)
            ELSE t.dismissed OR (s.kind = 'alert' AND split_part(s.signal_id, '/', 2) IN (SELECT alert FROM closed)
                AND s.dismissed IS NULL) END, false) AS dismissed)
        FROM base.signals AS s LEFT JOIN twins AS t ON t.same = coalesce(s.original_id, s.signal_id)
        LEFT JOIN detected AS g ON s.kind = 'risky_sign_in' AND g.sign_in = split_part(s.signal_id, '/', 2)""",
    "quarantine": f"""
        SELECT q.signal_id, q.basis, e.time, e.source, e.plane,
            coalesce(substr(e.principal_id, 2), alias.principal_id) AS principal_id,
            substr(coalesce(e.principal_name, e.app_id), 2) AS principal_name, o.spelling AS operation,
            s.spelling AS scope, {outcome("e.rank")} AS outcome,
            substr(e.ip, 2) AS ip, lower(hex(e.event_key)) AS event_key
        FROM base.quarantined_calls AS q JOIN base.events AS e USING (event_key)
        JOIN base.operation_names AS o USING (operation_key) JOIN base.scope_names AS s USING (scope_key)
        LEFT JOIN ({RESOLVED}) AS alias ON e.principal_id IS NULL
            AND alias.alias = {folded("substr(coalesce(e.principal_name, e.app_id), 2)")}""",
    "signal_entities": f"""
        SELECT e.* REPLACE (coalesce(e.principal_id, alias.principal_id) AS principal_id,
            {_SCOPE_SPELLING.format(key=folded("e.scope"), raw="e.scope")} AS scope)
        FROM base.signal_entities AS e
        LEFT JOIN ({RESOLVED}) AS alias ON e.entity_kind = 'principal' AND alias.alias = e.value""",
    "layer_matrix": f"""
        SELECT principal_id, scope, basis, state,
            {", ".join(f"bool_or(layer = '{layer}') AS {layer}" for layer in LAYERS)}, count(*) AS layer_count
        FROM base.layer_defeats GROUP BY ALL""",
}


def view_text(declared: Table, **instead: str) -> str:
    """Return the SELECT of the view for SQL users; `instead` replaces some physical tables by selections."""
    inner = _VIEWS.get(declared.name, f"SELECT * FROM base.{declared.name}")
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
