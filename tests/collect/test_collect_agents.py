"""What is collected of agents, with the right to read blueprints and without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths
from tests.collect.collecting import Collect, row_of
from tests.loopback.server import Loopback

pytestmark = pytest.mark.slow


SOURCES = (
    "agent_blueprints", "agent_blueprint_sponsors", "inheritable_permissions", "agent_blueprint_principals",
    "agent_identities", "agent_sponsors", "agent_users",
)  # fmt: skip
COUNTED = """
    SELECT (SELECT count(*) FROM agent_blueprints) AS blueprints,
        (SELECT count(*) FROM inheritable_permissions) AS inheritable,
        (SELECT count(*) FROM object_owners) AS owners, (SELECT count(*) FROM object_sponsors) AS sponsors,
        (SELECT count(*) FROM listings WHERE listing = 'inheritablePermissions' AND complete) AS whole,
        (SELECT count(*) FROM principals WHERE object_type ILIKE 'agent%') AS principals"""


def counted(db: Path, runs: Path) -> dict[str, int]:
    load_paths(db, [runs])
    with open_store(db, read_only=True) as store:
        return dict(store.rows(COUNTED)[0])


def test_agents_are_collected_and_a_refusal_leaves_open_what_they_inherit(
    loopback: Loopback, collect: Collect, tmp_path: Path
) -> None:
    report = collect("whole", sources=SOURCES)
    assert {row_of(report, source).state for source in SOURCES} == {"complete"}
    # The blueprint and two of three agents have an owner and a sponsor; a principal, three agents and an agent user.
    assert counted(tmp_path / "whole.duckdb", tmp_path / "whole") == {
        "blueprints": 1, "inheritable": 2, "owners": 3, "sponsors": 3, "whole": 1, "principals": 5,
    }  # fmt: skip
    loopback.faults.add("forbidden", "/v1.0/applications/", times=None)
    refused = collect("refused", sources=SOURCES)
    assert row_of(refused, "agent_blueprints").state == "refused"
    assert "AgentIdentityBlueprint.Read.All" in str(row_of(refused, "agent_blueprints").missing)
    assert counted(tmp_path / "refused.duckdb", tmp_path / "refused") == {
        "blueprints": 0, "inheritable": 0, "owners": 2, "sponsors": 2, "whole": 0, "principals": 5,
    }  # fmt: skip
