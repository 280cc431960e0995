"""Separation: a role in two that together grant what it grants, for all strings, and of which one can sleep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rightsize.cli.main import run
from rightsize.model.nouns import PermissionBlock
from rightsize.model.role_forms import read_role_definitions
from rightsize.propose.separation import split_role
from rightsize.rbac.algebra import contains, intersects

WRITE, LOGS, ASSIGN, RULES = (
    "Microsoft.Compute/virtualMachines/write",
    "Microsoft.Insights/diagnosticSettings/delete",
    "Microsoft.Authorization/roleAssignments/write",
    "Microsoft.Network/networkSecurityGroups/write",
)
HARM = {"operation": [RULES, LOGS, ASSIGN], "plane": ["control"] * 3, "mask": [4, 32, 16]}


@pytest.mark.parametrize(
    "blocks",
    [
        (PermissionBlock(actions=("*",)),),
        (PermissionBlock(actions=("*",), not_actions=("Microsoft.Compute/*",)),),
        (PermissionBlock(actions=(WRITE, LOGS, ASSIGN, RULES)),),
        (
            PermissionBlock(actions=("Microsoft.Network/*", LOGS)),
            PermissionBlock(actions=("Microsoft.*/write", "*/delete")),
        ),
    ],
)  # fmt: skip
def test_both_parts_grant_what_the_role_grants_and_nothing_twice(blocks: tuple[PermissionBlock, ...]) -> None:
    """Whether the role names an operation, or a pattern takes it in, in one block or in several."""
    split = split_role("r", "Role", blocks, HARM, ("/subscriptions/s",))
    assert split is not None
    assert split.witness is None
    parts = [*split.daily.permissions, *split.apart.permissions]
    assert contains(parts, blocks) is None
    assert contains(blocks, parts) is None
    assert not intersects(split.daily.permissions, split.apart.permissions)
    assert set(split.apart.permissions[0].actions) == {LOGS, ASSIGN}
    assert (split.layers, split.left) == (("identity_control", "monitoring"), ("network_segmentation",))


@pytest.mark.parametrize(
    ("blocks", "harm"),
    [
        ((PermissionBlock(actions=("*",), condition="@x"),), HARM),
        ((PermissionBlock(actions=("*",)),), {"operation": [RULES], "plane": ["control"], "mask": [4]}),
        ((PermissionBlock(actions=("*",)),), {"operation": [LOGS], "plane": ["control"], "mask": [32]}),
    ],
)
def test_what_has_nothing_to_set_apart_stays_whole(
    blocks: tuple[PermissionBlock, ...], harm: dict[str, list[object]]
) -> None:
    """Neither a role under a condition, nor one that defeats one side only."""
    assert split_role("r", "Role", blocks, harm, ()) is None


def test_the_demo_s_roles_are_split_and_written(
    demo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """People's parts sleep, workloads' do not; every file is a role that can be read, and the plan says it too."""
    db = demo_folder / "demo.duckdb"
    assert run(["layers", "--split", str(tmp_path / "out"), "--db", str(db), "-o", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows
    assert all(row["proved"] and not row["refused"] for row in rows)
    states = {row["name"]: row["state"] for row in rows}
    assert states["beatrice.moreau@aldervalley.example"] == "eligible"
    assert states["aks-portal"] == "active"
    assert not [name for name in states if "emergency" in name.lower()]
    written = {path.stem for path in (tmp_path / "out" / "roles").iterdir()}
    assert written == {row[part] for row in rows for part in ("daily_role", "apart_role")}
    for path in (tmp_path / "out" / "roles").iterdir():
        assert len(read_role_definitions(json.loads(path.read_text(encoding="utf-8")))) == 1
    plan = json.loads((demo_folder / "plan.json").read_text(encoding="utf-8"))
    assert any("nothing twice" in one["text"] for one in plan["advice"])
