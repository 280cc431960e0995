"""Migrate a store from an older schema version to the current one, step by step, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import duckdb

from rightsize.model.tables import TABLES
from rightsize.model.tables.graph import GRAPH_TABLES
from rightsize.store.ddl import base_table, view_statements
from rightsize.store.marks import change_revision
from rightsize.store.merging.days import DAY_TABLES, fill_credentials, fill_places, recompute_days
from rightsize.store.merging.events import with_actors
from rightsize.store.merging.reduced import REDUCED_CALLS
from rightsize.store.sql import one_transaction

SCHEMA_VERSION = 37


def _create(connection: duckdb.DuckDBPyConnection, *names: str) -> None:
    """Create the tables that do not exist, with their current columns."""
    for name in names:
        connection.execute(f"CREATE TABLE IF NOT EXISTS base.{name} ({base_table(name)})")


def _add_scope_tags(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS base.scope_tags (scope VARCHAR, name VARCHAR, value VARCHAR)")


def _add_policies_and_requests(connection: duckdb.DuckDBPyConnection) -> None:
    _create(connection, "role_management_policies", "request_bodies")


def _add_reduced_rows(connection: duckdb.DuckDBPyConnection) -> None:
    _create(connection, "reduced_usage", "reduced_sign_ins")


def _add_directory_roles(connection: duckdb.DuckDBPyConnection) -> None:
    _create(
        connection,
        "directory_roles",
        "directory_role_assignments",
        "schedule_requests",
        "group_schedule_instances",
        "pim_records",
        "activations",
    )


def _add_resources(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("ALTER TABLE base.events ADD COLUMN IF NOT EXISTS access VARCHAR")
    _create(connection, "resources", "diagnostic_settings")


def _add_layers(connection: duckdb.DuckDBPyConnection) -> None:
    _create(connection, "operation_layers", "layer_defeats", "layer_violations")


def _add_graph(connection: duckdb.DuckDBPyConnection) -> None:
    _create(connection, *(declared.name for declared in GRAPH_TABLES))


def _add_reach(connection: duckdb.DuckDBPyConnection) -> None:
    _create(connection, "resource_identities", "object_owners", "escalations", "reach", "reach_layers")


def _add_signals(connection: duckdb.DuckDBPyConnection) -> None:
    _create(connection, "signals", "signal_entities")


def _add_tokens(connection: duckdb.DuckDBPyConnection) -> None:
    for name in ("token_id", "session_id"):
        connection.execute(f"ALTER TABLE base.events ADD COLUMN IF NOT EXISTS {name} VARCHAR")
    # Older loads have the id of a Graph token in the column where other logs have the id of the record.
    connection.execute("UPDATE base.events SET token_id = event_id WHERE plane = 'graph' AND token_id IS NULL")
    for name in ("sign_in_id", "correlation_id", "token_id", "session_id", "ip"):
        connection.execute(f"ALTER TABLE base.sign_in_rows ADD COLUMN IF NOT EXISTS {name} VARCHAR")


def _add_asked_type(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("ALTER TABLE base.request_bodies ADD COLUMN IF NOT EXISTS asked_type VARCHAR")


def _add_days(connection: duckdb.DuckDBPyConnection) -> None:
    _create(connection, *DAY_TABLES)
    connection.execute("ALTER TABLE base.events RENAME TO older_events")
    connection.execute(f"CREATE TABLE base.events ({base_table('events')})")
    connection.execute(f"INSERT INTO base.events BY NAME {with_actors(connection, 'base.older_events')}")
    connection.execute("DROP TABLE base.older_events")
    connection.execute("DROP TABLE event_names")
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE touched_days AS
        SELECT time::DATE AS day FROM base.events UNION SELECT time::DATE FROM base.sign_in_rows
        UNION SELECT day FROM base.reduced_usage UNION SELECT day FROM base.reduced_sign_ins""")
    _add_quarantine(connection)
    _add_countries(connection)
    _add_ways_of_access(connection)
    recompute_days(connection)
    connection.execute("DROP TABLE touched_days")


def _add_watch(connection: duckdb.DuckDBPyConnection) -> None:
    _create(connection, "touched", "watch_seen", "watch_files", "watch_changes")


def _add_quarantine(connection: duckdb.DuckDBPyConnection) -> None:
    _create(connection, "signal_decisions", "quarantine_windows", "quarantined_calls")
    connection.execute("ALTER TABLE base.graph_days ADD COLUMN IF NOT EXISTS suspect BIGINT")


def _add_behaviour(connection: duckdb.DuckDBPyConnection) -> None:
    _create(connection, "behaviour_findings")


def _add_steps(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("ALTER TABLE base.reach ADD COLUMN IF NOT EXISTS tenant_steps BIGINT")


def _add_countries(connection: duckdb.DuckDBPyConnection) -> None:
    for name in ("country", "network_number"):
        connection.execute(f"ALTER TABLE base.sign_in_rows ADD COLUMN IF NOT EXISTS {name} VARCHAR")


def _add_listings_and_places(connection: duckdb.DuckDBPyConnection) -> None:
    _create(connection, "grant_listings", "grant_sightings", "place_days")
    _add_countries(connection)
    fill_places(connection)


def _add_resource_policies(connection: duckdb.DuckDBPyConnection) -> None:
    _create(connection, "policy_assignments", "policy_definitions")


def _add_trust_and_units(connection: duckdb.DuckDBPyConnection) -> None:
    _create(connection, "federated_credentials", "administrative_units", "administrative_unit_members")


def _add_quarantine_keys(connection: duckdb.DuckDBPyConnection) -> None:
    # Without keys, the next load checks all calls for all signals.
    _create(connection, "quarantine_keys")
    connection.execute("ALTER TABLE base.quarantined_calls ADD COLUMN IF NOT EXISTS day DATE")
    connection.execute("""
        UPDATE base.quarantined_calls SET day = e.time::DATE FROM base.events AS e
        WHERE e.event_key = quarantined_calls.event_key""")


def _add_ways_of_access(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("ALTER TABLE base.reduced_usage ADD COLUMN IF NOT EXISTS access VARCHAR")
    connection.execute("ALTER TABLE base.reduced_usage ADD COLUMN IF NOT EXISTS other BIGINT")
    connection.execute("UPDATE base.reduced_usage SET other = 0 WHERE other IS NULL")


def _add_reduced_access(connection: duckdb.DuckDBPyConnection) -> None:
    _add_ways_of_access(connection)
    # Without the digest at its end, a merit is below that of any answer with as many calls.
    connection.execute("UPDATE base.reduced_usage SET merit = left(merit, 38)")
    # `operation_days` now includes reduced rows; sealed days keep their rows from whole records.
    connection.execute(f"""
        INSERT INTO base.operation_days BY NAME
        SELECT log AS source, plane, operation_key, day, sum({REDUCED_CALLS})::BIGINT AS events,
            min(first_seen) AS first_seen, max(last_seen) AS last_seen
        FROM base.reduced_usage AS r ANTI JOIN base.operation_days AS o
            ON o.source = r.log AND o.plane = r.plane AND o.operation_key = r.operation_key AND o.day = r.day
        GROUP BY ALL""")
    connection.execute("CREATE OR REPLACE TEMP TABLE touched_days AS SELECT DISTINCT day FROM base.reduced_usage")
    _create(connection, *DAY_TABLES)
    recompute_days(connection)
    connection.execute("DROP TABLE touched_days")


def _add_agents_and_rejected_listings(connection: duckdb.DuckDBPyConnection) -> None:
    for name in ("object_type", "blueprint_app_id", "parent_id"):
        connection.execute(f"ALTER TABLE base.principals ADD COLUMN IF NOT EXISTS {name} VARCHAR")
    connection.execute("ALTER TABLE base.listings ADD COLUMN IF NOT EXISTS rejected BIGINT")
    connection.execute("ALTER TABLE base.loads ADD COLUMN IF NOT EXISTS unused_record BIGINT")
    # A record rejected earlier may have been a principal that its listing now seems to lack.
    connection.execute("""
        UPDATE base.listings AS l SET rejected = lost.rejected FROM (
            SELECT source, count(*) AS rejected FROM base.rejects GROUP BY source) AS lost
        WHERE l.listing = CASE lost.source WHEN 'service_principals' THEN 'servicePrincipals' ELSE lost.source END
            AND l.listing IN ('users', 'groups', 'servicePrincipals') AND l.rejected IS NULL""")


def _add_display_names_and_sets(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("ALTER TABLE base.operations ADD COLUMN IF NOT EXISTS display_name VARCHAR")
    connection.execute("ALTER TABLE base.verdicts ADD COLUMN IF NOT EXISTS set_id VARCHAR")
    _create(connection, "verdict_operation_sets")


def _derive_roles_again(connection: duckdb.DuckDBPyConnection) -> None:
    """Derive the operations that roles grant again, because the current parser may read more action strings."""
    from rightsize.store.merging.derive_roles import derive_roles  # noqa: PLC0415  needs frames, and few stores are older

    derive_roles(connection)


def _add_existence(connection: duckdb.DuckDBPyConnection) -> None:
    _create(connection, "inventories", "provider_registrations", "resource_types", "resource_existence")


def _add_covered_days(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("ALTER TABLE base.verdicts ADD COLUMN IF NOT EXISTS covered_days BIGINT")


def _add_parts_of_options(connection: duckdb.DuckDBPyConnection) -> None:
    """Add what is missing scope by scope; the next run of `status logs` writes its answer anew."""
    connection.execute("DROP TABLE IF EXISTS base.observability_options")
    _create(connection, "observability_options", "observability_parts")


def _add_audits_and_judgements(connection: duckdb.DuckDBPyConnection) -> None:
    """Records of the unified audit log were only counted before; those of a store of today have to be loaded again."""
    _create(connection, "m365_days", "tool_judgements")


def _add_blueprints(connection: duckdb.DuckDBPyConnection) -> None:
    _create(connection, "object_sponsors", "agent_blueprints", "inheritable_permissions")
    _create(connection, "token_permissions", "agent_sightings")


def _add_trust_in_use(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the federated credentials that sign-ins used; days of older loads do not say them."""
    connection.execute("ALTER TABLE base.sign_in_rows ADD COLUMN IF NOT EXISTS federated_credential_id VARCHAR")
    _create(connection, "credential_days", "observed_subjects", "credential_verdicts")
    for name in ("credential_id", "spelling", "description", "sign_in_audience"):
        connection.execute(f"ALTER TABLE base.federated_credentials ADD COLUMN IF NOT EXISTS {name} VARCHAR")
    connection.execute("ALTER TABLE base.federated_credentials ADD COLUMN IF NOT EXISTS audiences VARCHAR[]")
    connection.execute("ALTER TABLE base.federated_credentials ADD COLUMN IF NOT EXISTS language_version BIGINT")
    fill_credentials(connection)


def _add_since(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the first day of findings that added up over weeks; the next analysis writes them anew."""
    connection.execute("ALTER TABLE base.behaviour_findings ADD COLUMN IF NOT EXISTS since DATE")


def _add_version_34(connection: duckdb.DuckDBPyConnection) -> None:
    _add_audits_and_judgements(connection)
    _add_blueprints(connection)
    _add_trust_in_use(connection)
    _add_since(connection)


def _add_changed_objects(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the objects that calls to the directory changed; those of a store of today have to be loaded again."""
    _create(connection, "changed_objects")


def _add_version_35(connection: duckdb.DuckDBPyConnection) -> None:
    _add_changed_objects(connection)


def _add_whole_listings(connection: duckdb.DuckDBPyConnection) -> None:
    """Add why listings are not complete, and whether answers rest on complete ones; older rows do not say it."""
    connection.execute("ALTER TABLE base.listings ADD COLUMN IF NOT EXISTS why VARCHAR")
    for declared in TABLES:
        if declared.kind == "answer" and len(declared.given) < len(declared.columns):
            _create(connection, declared.name)
            connection.execute(f"ALTER TABLE base.{declared.name} ADD COLUMN IF NOT EXISTS complete BOOLEAN")


def _add_jobs(connection: duckdb.DuckDBPyConnection) -> None:
    _create(connection, "jobs", "job_operations", "job_holders")


_STEPS: Mapping[int, Callable[[duckdb.DuckDBPyConnection], None]] = {
    1: _add_scope_tags,
    2: _add_policies_and_requests,
    3: _add_reduced_rows,
    4: _add_directory_roles,
    5: _add_resources,
    6: _add_layers,
    7: _add_graph,
    8: _add_reach,
    9: _add_signals,
    10: _add_tokens,
    11: _add_asked_type,
    12: _add_days,
    13: _add_watch,
    14: _add_quarantine,
    15: _add_behaviour,
    16: _add_steps,
    # Only views changed; every migration recreates them.
    17: lambda _: None,
    18: _add_listings_and_places,
    19: _add_resource_policies,
    # Places without the directory audit log.
    20: fill_places,
    21: _add_trust_and_units,
    22: _add_quarantine_keys,
    23: _add_reduced_access,
    24: _add_agents_and_rejected_listings,
    25: _add_display_names_and_sets,
    26: _derive_roles_again,
    27: _add_existence,
    28: lambda connection: _create(connection, "resource_references"),
    29: _add_covered_days,
    30: lambda connection: _create(connection, "next_steps", "observability_options", "observability_promises"),
    31: _add_parts_of_options,
    # Older versions would change the content without a new revision; every migration gives it one.
    32: lambda _: None,
    33: _add_version_34,
    34: _add_version_35,
    35: _add_whole_listings,
    36: _add_jobs,
}
"""The step from each version to the next."""


def migrate(
    connection: duckdb.DuckDBPyConnection,
    version: int,
    steps: Mapping[int, Callable[[duckdb.DuckDBPyConnection], None]] | None = None,
    target: int = SCHEMA_VERSION,
) -> None:
    """Migrate a store from `version` to `target`; it stays unchanged if a step fails."""
    known = _STEPS if steps is None else steps
    with one_transaction(connection):
        for step in range(version, target):
            known[step](connection)
        for statement in view_statements():
            connection.execute(statement)
        connection.execute("UPDATE base.meta SET value = ? WHERE name = 'schema_version'", [str(target)])
        change_revision(connection)
