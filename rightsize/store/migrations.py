"""Migrate a store from an older schema version to the current one, step by step, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import duckdb

from rightsize.model.tables import TABLES
from rightsize.rules.vaults import VAULT
from rightsize.store.ddl import base_table, create_statements, view_statements
from rightsize.store.merging.days import fill_credentials, fill_policy_days
from rightsize.store.sql import change_revision, one_transaction

SCHEMA_VERSION = 41
OLDEST_VERSION = 27
"""The schema of the oldest store that can be brought up to date."""


def making_statements() -> list[str]:
    """Return the statements that make an empty store, but for its revision."""
    return [
        *create_statements(),
        "CREATE TABLE base.meta (name VARCHAR, value VARCHAR)",
        f"INSERT INTO base.meta VALUES ('schema_version', '{SCHEMA_VERSION}')",
    ]


def _create(connection: duckdb.DuckDBPyConnection, *names: str) -> None:
    """Create the tables that do not exist, with their current columns."""
    for name in names:
        connection.execute(f"CREATE TABLE IF NOT EXISTS base.{name} ({base_table(name)})")


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


def _add_whole_listings(connection: duckdb.DuckDBPyConnection) -> None:
    """Add why listings are not complete, and whether answers rest on complete ones; older rows do not say it."""
    connection.execute("ALTER TABLE base.listings ADD COLUMN IF NOT EXISTS why VARCHAR")
    for declared in TABLES:
        if declared.kind == "answer" and len(declared.given) < len(declared.columns):
            _create(connection, declared.name)
            connection.execute(f"ALTER TABLE base.{declared.name} ADD COLUMN IF NOT EXISTS complete BOOLEAN")


def _add_jobs(connection: duckdb.DuckDBPyConnection) -> None:
    _create(connection, "jobs", "job_operations", "job_holders")


def _add_role_names(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the names of the roles of jobs; the next plan writes them."""
    connection.execute("ALTER TABLE base.jobs ADD COLUMN IF NOT EXISTS role_name VARCHAR")


def _add_policy_days(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the use that access policies let through; settings of vaults come whole with their next listing."""
    _create(connection, "policy_days")
    fill_policy_days(connection)
    connection.execute(
        "UPDATE base.resources SET settings = NULL, updated_on = NULL WHERE lower(resource_type) = $vault",
        {"vault": VAULT},
    )


_STEPS: Mapping[int, Callable[[duckdb.DuckDBPyConnection], None]] = {
    27: _add_existence,
    28: lambda connection: _create(connection, "resource_references"),
    29: _add_covered_days,
    30: lambda connection: _create(connection, "next_steps", "observability_options", "observability_promises"),
    31: _add_parts_of_options,
    # Older versions would change the content without a new revision; every migration gives it one.
    32: lambda _: None,
    33: _add_version_34,
    34: _add_changed_objects,
    35: _add_whole_listings,
    36: _add_jobs,
    37: lambda connection: _create(connection, "declared_needs"),
    38: _add_policy_days,
    39: _add_role_names,
    # The view of sign-ins is another one; a migration writes all views anew.
    40: lambda _: None,
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


def version_of(connection: duckdb.DuckDBPyConnection) -> int | None:
    """Return the version of the schema, or None if the store says none."""
    try:
        found = connection.execute("SELECT value FROM base.meta WHERE name = 'schema_version'").fetchall()
        return int(found[0][0])
    except (duckdb.Error, IndexError, TypeError, ValueError):
        return None
