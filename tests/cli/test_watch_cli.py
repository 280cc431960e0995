"""`rightsize watch` as a person and a pipeline use it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rightsize.cli.main import run

pytestmark = pytest.mark.slow

SUBSCRIPTION = "/subscriptions/8c450d09-c371-498d-a4d5-7f51f8d56618"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"


def assignment(number: int, role: str = OWNER) -> dict[str, str]:
    name = f"aaaaaaaa-0000-4000-8000-{number:012d}"
    return {
        "id": f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleAssignments/{name}", "name": name,
        "principalId": f"bbbbbbbb-0000-4000-8000-{number:012d}", "principalType": "User",
        "principalName": f"user{number}@example.com", "scope": SUBSCRIPTION, "createdOn": "2026-09-24T10:00:00+00:00",
        "roleDefinitionId": f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{role}",
        "roleDefinitionName": "Owner", "type": "Microsoft.Authorization/roleAssignments",
        "createdBy": "cccccccc-0000-4000-8000-000000000001",
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.json").write_text(json.dumps([assignment(1)]), encoding="utf-8")
    return tmp_path / "in"


def watch(folder: Path, *words: str) -> int:
    return run(["watch", str(folder), "--db", str(folder.parent / "w.duckdb"), *words])


@pytest.mark.nightly
def test_the_second_pass_tells_what_came_and_a_gate_stops_on_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """First what stands is known, then a new grant is told once; `--fail-on` is exit 3."""
    assert watch(folder) == 0
    first = capsys.readouterr()
    assert first.out == ""
    assert "first pass: 1 items are known" in first.err
    (folder / "2.json").write_text(json.dumps([assignment(1), assignment(2)]), encoding="utf-8")
    assert watch(folder, "--fail-on", "grant_outside") == 3
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["kind"], one["principal_id"][-1]) for one in told] == [("grant_outside", "2")]
    assert watch(folder, "--fail-on", "low") == 0
    assert capsys.readouterr().out == ""


@pytest.mark.nightly
def test_annotations_for_a_pipeline(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each change is a workflow command of GitHub."""
    watch(folder, "-q")
    (folder / "2.json").write_text(json.dumps([assignment(2)]), encoding="utf-8")
    assert watch(folder, "-q", "-o", "github") == 0
    assert capsys.readouterr().out.startswith("::warning title=rightsize watch%3A grant_outside::user2@example.com")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--fail-on", "grants"), "is neither a kind of change nor a severity"),
        (("--every", "soon"), "is not an interval"),
        (("--webhook", "json=http://example.com"), "is not an https address"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str], what: str
) -> None:
    """Exit 2."""
    assert watch(folder, *words) == 2
    assert what in capsys.readouterr().err


def test_an_unknown_principal_is_said_before_anything_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 5, as for an unknown scope."""
    assert watch(folder, "--automation", "nobody") == 5
    assert "no loaded principal" in capsys.readouterr().err


def test_nothing_to_watch_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No folder, no collection, no store."""
    assert run(["watch", "--db", str(tmp_path / "w.duckdb")]) == 2
    assert "there is nothing to watch" in capsys.readouterr().err
    assert run(["watch", str(tmp_path / "nowhere"), "--db", str(tmp_path / "w.duckdb")]) == 5
