"""`rightsize roles check`: the findings as rows, the whole answer as JSON, and a gate for drafts."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from rightsize.workflow.roles import check as role_check

START = "Microsoft.Compute/virtualMachines/start/action"
ASSIGN = "Microsoft.Authorization/roleAssignments/write"


def answer(verdict: str) -> dict[str, Any]:
    one = {"operation": ASSIGN, "plane": "control", "in_catalogue": True}
    used = {"operation": START, "plane": "control", "why": "not_granted", "kind": "used", "events": 2}
    return {
        "verdict": verdict,
        "principal": {"principal_id": "p", "principal_type": "User", "name": "Pat"},
        "wider": [{"scope": "/subscriptions/s", "held_otherwise": False, "operations": 1, "witnesses": [one]}],
        "lacks": [used | {"last_seen": dt.datetime(2026, 1, 7, 12, 30), "scopes": ["/subscriptions/s/x"]}],
        "may_lack": {
            "operations": 4,
            "asked_by_use": [],
            "undecided": [{"verdict": "unobservable", "reason": "arm_read", "meaning": "no log", "operations": 4}],
        },
        "excess": {"rows": [one | {"verdict": "not_held", "reason": None, "risk": "privilege"}]},
        "strings": [{"string": "*/\x1b[2J", "problem": "wildcard: it grants more"}, {"string": START, "problem": None}],
        "remarks": ["the role is not assignable at `/`"],
    }


@pytest.mark.parametrize(("verdict", "code"), [("wider_than_today", 3), ("lacks_use", 3), ("covers_use", 0)])
def test_the_gate_follows_the_verdict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], verdict: str, code: int
) -> None:
    """The role is read from its file, the options reach the check, and the words of the verdict are said."""
    asked: list[Any] = []

    def check(*given: Any, **more: Any) -> dict[str, Any]:
        asked.append((given[1][0].role_name, *given[2:], more["beside"]))
        return answer(verdict)

    monkeypatch.setattr(role_check, "check_role", check)
    draft = tmp_path / "draft.json"
    draft.write_text(json.dumps({"Name": "Draft", "Actions": [START], "AssignableScopes": ["/"]}), encoding="utf-8")
    words = ["roles", "check", str(draft), "Pat", "--at", "/subscriptions/s", "--beside", "Reader", "--exit-code"]
    assert run(words) == code
    shown = capsys.readouterr()
    assert asked == [("Draft", "Pat", ["/subscriptions/s"], ["Reader"])]
    assert verdict.replace("_", " ") in shown.err and "not assignable" in shown.err
    assert "2026-01-07" in shown.out and "12:30" not in shown.out and "\x1b" not in shown.out
    assert run([*words[:-1], "-o", "jsonl"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["finding"] for row in rows] == ["wider", "lacks", "may lack", "excess", "string"]
    assert rows[1]["last_seen"] == "2026-01-07T12:30:00Z"
    assert run([*words[:-1], "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == verdict
