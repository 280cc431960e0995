"""One view lists all grants, and one lists all use, for every plane."""

from __future__ import annotations

from pathlib import Path

import pytest

from rightsize.store.connection import open_store

pytestmark = pytest.mark.slow


def test_grants_of_every_plane_stand_in_one_view(demo_folder: Path) -> None:
    """Each app role, each delegated permission and each directory role once, and role assignments by plane."""
    with open_store(demo_folder / "demo.duckdb", read_only=True) as store:
        counted = dict(
            store.connection.execute(
                "SELECT plane || ' ' || access, count(DISTINCT (grant_id, state, granted)) FROM granted GROUP BY ALL"
            ).fetchall()
        )
        held = store.connection.execute("SELECT count(*) FROM app_role_assignments").fetchall()[0][0]
        consented = store.connection.execute("SELECT sum(len(permissions)) FROM permission_grants").fetchall()[0][0]
        roles = store.connection.execute("SELECT count(*) FROM directory_role_assignments").fetchall()[0][0]
        assigned = store.connection.execute("SELECT count(*) FROM role_assignments").fetchall()[0][0]
        named = store.connection.execute(
            "SELECT count(*) FROM granted WHERE plane = 'graph' AND granted = 'Sites.ReadWrite.All'"
        ).fetchall()[0][0]
    assert counted["graph application"] == held
    assert counted["graph delegated"] == consented
    assert counted["directory role"] == roles
    assert counted["control role"] <= assigned < counted["control role"] + counted["data role"]
    assert named >= 1


def test_use_of_every_plane_stands_in_one_view(demo_folder: Path) -> None:
    """Requests to Graph stand beside calls of the other planes, with as many calls as the days have."""
    with open_store(demo_folder / "demo.duckdb", read_only=True) as store:
        planes = dict(
            store.connection.execute("SELECT plane, sum(succeeded)::BIGINT FROM usage GROUP BY plane").fetchall()
        )
        requests = store.connection.execute("SELECT sum(succeeded)::BIGINT FROM graph_usage_days").fetchall()[0][0]
    assert set(planes) == {"control", "data", "graph", "directory"}
    assert planes["graph"] == requests
