"""Calls of a deployment, by its correlation id: each step is a call of its own principal at its own scope."""

from __future__ import annotations

from pathlib import Path

import pytest

from rightsize.store.connection import Store, open_store
from tests.store.staged import GROUP, SUBSCRIPTION, VM, calls, guid, load, record, rows_of

DEPLOY = "Microsoft.Resources/deployments/write"
DEPLOYMENT = f"{GROUP}/providers/Microsoft.Resources/deployments/d"
OTHER_GROUP = f"{SUBSCRIPTION}/resourceGroups/net"
NETWORK = f"{OTHER_GROUP}/providers/Microsoft.Network/virtualNetworks/v"
DEPLOYER, REMEDIATOR = guid(100), guid(101)

_COLUMNS = ("principal_id", "operation", "scope", "succeeded", "failed", "started", "denied")


@pytest.mark.slow
def test_the_steps_of_a_deployment_are_use_at_their_own_places(store: Store) -> None:
    """Nested in another group, failed or without an end, they are the deployer's, as what it wrote itself."""
    load(
        store,
        calls(
            record(operation=DEPLOY, scope=DEPLOYMENT),
            record(scope=VM),
            record("failed", operation="Microsoft.Network/virtualNetworks/write", scope=NETWORK),
            record("started", operation="Microsoft.Resources/deployments/write", scope=f"{DEPLOYMENT}-nested"),
        ),
    )
    assert rows_of(store, "usage_days", *_COLUMNS) == [
        (DEPLOYER, "Microsoft.Compute/virtualMachines/write", VM, 1, 0, 0, 0),
        (DEPLOYER, "Microsoft.Network/virtualNetworks/write", NETWORK, 0, 1, 0, 0),
        (DEPLOYER, DEPLOY, DEPLOYMENT, 1, 0, 0, 0),
        (DEPLOYER, DEPLOY, f"{DEPLOYMENT}-nested", 0, 0, 1, 0),
    ]


@pytest.mark.slow
def test_what_others_do_under_the_same_correlation_is_not_the_deployers(store: Store) -> None:
    """A policy's identity that remediates what was deployed needs its own access; a refused step is no use."""
    tag = "Microsoft.Resources/tags/write"
    refused = "Microsoft.Authorization/roleAssignments/write"
    load(
        store,
        calls(
            record(operation=DEPLOY, scope=DEPLOYMENT),
            record(operation=tag, scope=VM, principal_id=REMEDIATOR),
            record("denied", operation=refused, scope=GROUP),
        ),
    )
    found = {(who, what): (done, denied) for who, what, _, done, *_, denied in rows_of(store, "usage_days", *_COLUMNS)}
    assert found == {(DEPLOYER, DEPLOY): (1, 0), (REMEDIATOR, tag): (1, 0), (DEPLOYER, refused): (0, 1)}


@pytest.mark.slow
def test_no_step_of_a_deployment_of_the_demo_is_missing_from_use(demo_folder: Path) -> None:
    """Every call that shares principal and correlation with a deployment is use of its day and place."""
    with open_store(demo_folder / "demo.duckdb", read_only=True) as opened:
        steps, missing = opened.connection.execute(
            """
            WITH deployments AS (
                SELECT DISTINCT correlation_id, principal_id FROM events WHERE operation = ?
            ), used AS (
                SELECT DISTINCT principal_id, operation, scope, day FROM usage_days
                WHERE succeeded + failed + started > 0
            )
            SELECT count(*), count(*) FILTER (used.day IS NULL)
            FROM events AS step JOIN deployments USING (correlation_id, principal_id)
            LEFT JOIN used ON used.principal_id = step.principal_id AND used.operation = step.operation
                AND used.scope = step.scope AND used.day = step.time::DATE
            WHERE step.operation <> ? AND step.outcome IN ('succeeded', 'failed', 'started')
            """,
            [DEPLOY, DEPLOY],
        ).fetchone() or (0, 0)
    assert steps > 0
    assert missing == 0
