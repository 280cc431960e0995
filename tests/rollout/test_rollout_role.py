"""The role that `status sources` writes for a rollout has the permissions that a rollout needs, and no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rightsize.change.bundle import ScheduleRules
from rightsize.change.preflight import PreflightFacts
from rightsize.cli.main import run
from rightsize.workflow.data.doctor import rollout_role
from tests.loopback.fixtures import sign_in
from tests.loopback.pim_writes import default_rules, rules_of
from tests.loopback.server import Loopback
from tests.rollout.room import (
    BROAD,
    NARROW,
    RG,
    SUB,
    Room,
    broad,
    bundle_of,
    engine_of,
    guid,
    journal_at,
    narrow,
    swap,
)

VERBS = {"GET": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}


def _actions(line: str) -> str:
    method, _, path = line.partition(" ")
    kind = path.partition("/providers/Microsoft.Authorization/")[2].split("/")[0]
    if kind:
        return f"Microsoft.Authorization/{kind}/{VERBS[method]}"
    return f"Microsoft.Resources/subscriptions/{'resourceGroups/' if 'resourceGroups' in path else ''}{VERBS[method]}"


@pytest.mark.parametrize("with_pim", [False, True])
def test_the_role_has_what_the_way_there_and_back_asks_for(tmp_path: Path, with_pim: bool) -> None:
    end = "2027-03-01T22:00:00Z"
    swaps = [swap(1)]
    if with_pim:
        eligible = swap(
            2,
            removes=(broad(2, state="eligible", description=None),),
            creates=(narrow(2, state="eligible"),),
            rules=(ScheduleRules(RG, NARROW, SUB, BROAD),),
        )
        bound = swap(3, removes=(broad(3, until=end, description=None),), creates=(narrow(3, until=end),))
        swaps += [eligible, bound]
    room = Room().hold(broad(9), *(gone for each in swaps for gone in each.removes))
    rules_of(room, SUB, BROAD)["properties"]["rules"] = default_rules(approval=True)  # type: ignore[arg-type]
    with journal_at(tmp_path / "j") as journal:
        engine = engine_of(room, bundle_of(*swaps), journal)
        engine.apply(1, PreflightFacts(guid(9, "d")))
        for each in swaps:
            engine.roll_back([each])
    properties = rollout_role(["a"], with_pim=with_pim)["properties"]
    (block,) = properties["permissions"]
    # A management group is asked for where something is assigned there.
    above = {"Microsoft.Management/managementGroups/read"}
    assert {_actions(line) for line in room.lines} | above == set(block["actions"])
    assert block["dataActions"] == [] and properties["assignableScopes"] == ["/subscriptions/a"]


@pytest.mark.slow
def test_doctor_writes_the_role(
    tmp_path: Path, loopback: Loopback, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch, loopback)
    path = tmp_path / "role.json"
    where = ["--cloud", str(loopback.cloud), "--auth", "env"]
    words = ["status", "sources", *where, "--source", "users", "--source", "key_vaults"]
    assert run([*words, "--rollout-role", str(path)]) == 0
    assert len(json.loads(path.read_text())["properties"]["permissions"][0]["actions"]) == 11
    assert run([*words, "--rollout-role", str(path), "--with-pim"]) == 0
    assert len(json.loads(path.read_text())["properties"]["permissions"][0]["actions"]) == 16
    assert run([*words, "--rollout-role", str(path), "--with-vaults"]) == 0
    assert len(json.loads(path.read_text())["properties"]["permissions"][0]["actions"]) == 13
    assert "a principal that does nothing else" in capsys.readouterr().err
    assert run([*words, "--with-pim"]) == 2
    assert run([*words, "--with-vaults"]) == 2
