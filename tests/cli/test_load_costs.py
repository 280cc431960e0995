"""A load ends with what it leaves undecided, the costliest first, and with one next step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from tests.ingest.entity_records import FLAT_ASSIGNMENT, guid

BIG, SMALL = (f"/subscriptions/{guid(number)}" for number in (71, 72))


def _assignment(number: int, scope: str) -> dict[str, Any]:
    id_ = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{guid(number)}"
    return FLAT_ASSIGNMENT | {"name": guid(number), "id": id_, "scope": scope}


def _refusal(scope: str) -> dict[str, Any]:
    action = "Microsoft.Insights/eventtypes/values/read"
    return {"error": {"code": "AuthorizationFailed", "message": f"no right to perform {action} over scope {scope}"}}


def _load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, documents: dict[str, Any], *options: str) -> int:
    monkeypatch.setenv("RIGHTSIZE_DB", str(tmp_path / "s.duckdb"))
    folder = tmp_path / "exports"
    folder.mkdir()
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
    return run(["load", str(folder), *options])


@pytest.mark.slow
def test_a_refused_log_is_said_by_the_assignments_that_it_leaves_undecided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = [_assignment(1, SMALL), *(_assignment(number, f"{BIG}/resourceGroups/rg") for number in (2, 3))]
    documents = {"assignments.json": held, "small.json": _refusal(SMALL), "big.json": _refusal(BIG)}
    assert _load(tmp_path, monkeypatch, documents) == 0
    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if "stays undecided" in line] == [
        f"Azure refused the Activity Log of `{guid(71)[-8:]}`: the use of 2 assignments stays undecided",
        f"Azure refused the Activity Log of `{guid(72)[-8:]}`: the use of 1 assignment stays undecided",
    ]
    assert [line for line in told if "next step" in line] == told[-1:]


@pytest.mark.slow
def test_a_rejected_assignment_is_said_to_be_judged_by_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = {"assignments.json": [_assignment(1, BIG), _assignment(2, BIG) | {"scope": None}]}
    assert _load(tmp_path, monkeypatch, documents) == 0
    assert "1 role assignment was rejected: no command judges them" in capsys.readouterr().err


@pytest.mark.slow
def test_without_any_log_only_the_next_step_speaks_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _load(tmp_path, monkeypatch, {"assignments.json": [_assignment(1, BIG)]}) == 0
    assert "undecided" not in capsys.readouterr().err


@pytest.mark.slow
def test_quiet_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _load(tmp_path, monkeypatch, {"assignments.json": [_assignment(1, BIG)], "e.json": _refusal(BIG)}, "-q") == 0
    assert capsys.readouterr().err == ""
