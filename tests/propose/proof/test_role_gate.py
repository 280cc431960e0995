"""A new role is written only if a platform lead could merge it: each line of the gate refuses a role for one reason."""

from __future__ import annotations

from typing import Any

import pytest

from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.text import Folded
from rightsize.propose.proof import gate_faults, refused_roles

VM = "Microsoft.Compute/virtualMachines"
USED = {"action": f"{VM}/write", "plane": "control", "why": "used", "events": 3}
ENOUGH = {"live": 9_000, "share": 0.5, "least_live": 5_000, "least_share": 0.02}


def _evidence(*others: dict[str, Any], **fields: Any) -> dict[str, Any]:
    actions = [USED, *({"action": f"{VM}/restart/action", "plane": "control", **one} for one in others)]
    return {"job": "j", "is_add_on": False, "saves": ENOUGH, "actions": actions, **fields}


@pytest.mark.parametrize(
    "other",
    [
        {"why": "used_before_window", "meaning": ["last used 99 days ago, before the window"]},
        {"why": "job", "meaning": ["others with the same job used it"], "principal_ids": ["a"], "principals": 1},
        {"why": "linked_check", "meaning": ["it is checked inside the write of another resource"]},
        {"why": "companion", "meaning": ["it comes along"], "with": f"{VM}/write", "rule": "status_read"},
        {"why": "quarantined sibling_read", "meaning": ["in quarantine", "it reads a type that was used"]},
        {"why": "no_diagnostic_setting", "meaning": ["no setting sends its log anywhere"]},
    ],
)
def test_a_string_with_a_reason_passes(other: dict[str, Any]) -> None:
    assert not list(gate_faults(_evidence(other)))


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (_evidence() | {"actions": []}, "nothing in it was used"),
        (
            _evidence()
            | {"actions": [{"action": "a/b/read", "plane": "control", "why": "arm_read", "meaning": ["x"]}]},
            "nothing in it was used",
        ),
        (_evidence({"why": ""}), "has no reason"),
        (_evidence({"why": "because"}), "has no reason"),
        (_evidence({"why": "days_missing", "meaning": []}), "does not say why it stays"),
        (_evidence({"why": "quarantined", "meaning": ["in quarantine"]}), "calls in quarantine only"),
        (_evidence({"why": "job", "meaning": ["others used it"], "principals": 0}), "names nobody"),
        (_evidence({"why": "companion", "meaning": ["x"], "with": f"{VM}/write"}), "no rule"),
        (_evidence({"why": "companion", "meaning": ["x"], "with": "gone", "rule": "same_type"}), "names no change"),
        (_evidence(saves=None), "does not say what it saves"),
        (_evidence(saves=ENOUGH | {"live": 4_999}), "it saves 4,999 of live excess"),
        (_evidence(saves=ENOUGH | {"share": 0.019}), "it saves 9,000 of live excess and 1.90%"),
    ],
)
def test_each_line_refuses_a_role(evidence: dict[str, Any], said: str) -> None:
    assert said in "; ".join(gate_faults(evidence))
    role = RoleDefinition("r", "VM Editor", (PermissionBlock((f"{VM}/write",)),))
    refused = refused_roles({Folded("r"): role}, {Folded("r"): evidence})
    assert [said in why for why in refused.values()] == [True]
    assert next(iter(refused)).actions == (f"{VM}/write",)


def test_an_add_on_beside_another_new_role_need_save_nothing() -> None:
    assert not list(gate_faults(_evidence(saves=None, is_add_on=True)))
