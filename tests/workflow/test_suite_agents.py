"""The suite's tenant of AI agents: their Azure roles are narrowed as everybody's, and no need of theirs is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from rightsize.demo.suite.files import read_catalogue, write_suite_exports
from rightsize.demo.suite.tenants import suite_tenants
from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths
from rightsize.workflow.suite.run import run_suite

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def catalogue(shared_data: Path) -> list[Path]:
    return [shared_data / "catalog" / name for name in ("built-in-roles.json", "operations.csv")]


def test_agents_keep_what_they_need_and_lose_the_rest(catalogue: list[Path], shared_data: Path, tmp_path: Path) -> None:
    """The files of the catalogue may have assignments of somebody's tenant beside it: they are no part of this one."""
    catalogue = [*catalogue, shared_data / "arm" / "RoleAssignments_ListForScope.2022-04-01.json"]
    found = run_suite("agents", 0, db=tmp_path / "none.duckdb", catalogue=catalogue, settings=["reads=all"])
    (row,) = (one for one in found.rows() if one["plan"] == "default")
    lost = {kind: one["lost"] for kind, one in row["needs_by_kind"].items()}
    assert [lost[kind] for kind in ("logged", "read", "linked", "data")] == [0, 0, 0, 0]
    assert lost["endpoint"] <= 2, "what runs on an endpoint stays on the very types that were used"
    assert (row["recorded_calls_denied"], row["needs"] > 100) == (0, True)
    assert row["live_changes_removed"] > 0.9


@pytest.mark.nightly
def test_every_job_is_an_agents(catalogue: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "store.duckdb"
    load_paths(file, catalogue)
    with open_store(file, read_only=True) as store:
        known = read_catalogue(store.table("operations"), store.table("role_definitions"))
    (tenant,) = suite_tenants("agents", 0, known)
    write_suite_exports(tenant, known, tmp_path / "exports")
    load_paths(file, [tmp_path / "exports"])
    with open_store(file, read_only=True) as store:
        rows = store.table("principals").drop_nulls("object_type")
    kinds = dict(rows.select("principal_id", "object_type").iter_rows())
    holders = {one.principal_id for one in tenant.principals if one.jobs}
    assert holders == {who for who, kind in kinds.items() if kind == "agentIdentity"}
    assert sorted(kinds.values()).count("agentIdentityBlueprintPrincipal") == 2
