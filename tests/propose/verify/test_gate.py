"""The new roles of a written plan are judged again, by evidence that somebody may have edited, and by today's use."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.text import Folded
from rightsize.propose.proof import RoleFault, judge_roles

WRITE, CHECK = "Microsoft.Compute/virtualMachines/write", "Microsoft.Network/networkInterfaces/join/action"
ROLE = Folded("r")
USES = pl.DataFrame({"plane": ["control"], "operation": [WRITE.lower()]})
ACTIONS = [
    {"action": WRITE, "plane": "control", "why": "used"},
    {"action": CHECK, "plane": "control", "why": "linked_check", "meaning": ["it is checked inside another write"]},
]
SAVES = {"live": 9, "share": 1.0, "least_live": 0, "least_share": 0.0}


def _judged(*actions: str, uses: pl.DataFrame = USES, **changed: Any) -> list[str]:
    role = RoleDefinition(ROLE, "VM Editor", (PermissionBlock(actions=actions or (WRITE, CHECK)),), "CustomRole")
    evidence = {"holders": ["a"], "job": None, "is_add_on": False, "saves": SAVES, "actions": ACTIONS} | changed
    found = judge_roles({ROLE: role}, {ROLE: evidence}, uses)
    assert all(isinstance(one, RoleFault) and one.role == ROLE for one in found)
    return [one.detail for one in found]


def test_a_role_with_its_evidence_passes() -> None:
    assert _judged() == []


def test_a_string_without_evidence_is_named() -> None:
    assert _judged(WRITE, CHECK, "*") == ["`*` is not in its evidence"]


def test_use_that_the_store_does_not_have_is_named() -> None:
    assert _judged(uses=USES.clear()) == [f"`{WRITE}` was not used, by the logs in the store"]


def test_a_role_of_which_nothing_was_used_is_refused() -> None:
    assert _judged(CHECK, actions=ACTIONS[1:]) == ["nothing in it was used"]


@pytest.mark.parametrize("saves", [7, {}, {"live": "much"}, {"live": 1, "share": None}])
def test_broken_evidence_is_a_fault_and_no_crash(saves: Any) -> None:
    assert _judged(saves=saves) == ["its evidence is not that of a role"]


@pytest.mark.parametrize("missing", ["holders", "job", "is_add_on", "saves", "actions", "everything"])
def test_whoever_takes_a_part_of_the_evidence_away_does_not_pass(missing: str) -> None:
    role = RoleDefinition(ROLE, "VM Editor", (PermissionBlock(actions=(WRITE, "*")),), "CustomRole")
    whole = {"holders": ["a"], "job": None, "is_add_on": False, "saves": SAVES, "actions": ACTIONS}
    left = {name: value for name, value in whole.items() if name != missing}
    assert judge_roles({ROLE: role}, {} if missing == "everything" else {ROLE: left}, USES)
