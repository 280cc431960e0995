"""`rightsize analyze`: the JSON contract, the two groupings, and the text on stderr."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rightsize.cli.main import run
from tests.analyze.tiny import Tiny
from tests.tenants.fake_store import FakeStore

KEYS = ["granted", "used", "unused", "unobservable", "out_of_coverage", "creep", "risk"]
START = "Microsoft.Compute/virtualMachines/start/action"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    tiny = Tiny().role("vm", "Microsoft.Compute/*", data=["*"]).assign("a", "p", "vm", role_name="VM").cover()
    tiny.add("principals", principal_id="p", principal_type="User", display_name="\x1b[31mPat", listed=True)
    store = FakeStore(tiny.use("p", START).use("p", "Contoso.X/y/write").inputs())
    monkeypatch.setattr("rightsize.workflow.analysis.analyze.open_store", lambda *_, **__: store)
    return store


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, str]:
    assert run(["analyze", "--min-window", "10", *arguments, "-o", "json"]) == 0
    out, err = capsys.readouterr()
    return json.loads(out), err


@pytest.mark.slow
def test_a_row_speaks_of_a_principal_on_a_plane(store: FakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    rows, err = answer(capsys)
    assert [(row["principal_id"], row["plane"]) for row in rows] == [("p", "control"), ("p", "data")]
    control = rows[0]
    assert [control[name] for name in KEYS[:5]] == [4, 1, 2, 1, 0]
    assert "window 2026-01-01 to 2026-01-10, 10 days" in err
    assert "unexplained operations: 1 (Azure roles 1)" in err


@pytest.mark.slow
def test_a_row_speaks_of_an_assignment_where_asked(store: FakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    rows, _ = answer(capsys, "--by", "assignment")
    assert {(row["role_assignment_id"], row["state"]) for row in rows} == {("a", "active")}
    assert all(set(KEYS) <= set(row) for row in rows)


@pytest.mark.slow
def test_verdicts_and_findings_are_written_to_the_store(store: FakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    answer(capsys)
    assert set(store.answers) == {
        "verdicts",
        "verdict_operation_sets",
        "findings",
        "behaviour_findings",
        "layer_defeats",
        "layer_violations",
        "reach",
        "reach_layers",
        "escalations",
        "resource_types",
        "resource_existence",
        "activations",
        "credential_verdicts",
    }
    assert store.answers["verdicts"].filter(pl.col("verdict") == "used")["operation"].to_list() == [START]


@pytest.mark.nightly
def test_a_hostile_name_does_not_move_the_cursor(store: FakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "--min-window", "10"]) == 0
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.nightly
def test_a_longer_window_than_the_data_leaves_nothing_unused(
    store: FakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["analyze", "-o", "json"]) == 0
    control = json.loads(capsys.readouterr().out)[0]
    assert (control["unused"], control["out_of_coverage"]) == (0, 2)


@pytest.mark.slow
def test_an_empty_store_does_not_support_an_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rightsize.workflow.analysis.analyze.open_store", lambda *_, **__: FakeStore(Tiny().inputs()))
    assert run(["analyze"]) == 6
    assert "neither assignments nor use are loaded" in capsys.readouterr().err


@pytest.mark.slow
def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "--db", str(tmp_path / "none.duckdb")]) == 5
    assert not (tmp_path / "none.duckdb").exists()


@pytest.mark.slow
@pytest.mark.many(2)
@pytest.mark.parametrize("day", ["2026-01-11", "20260111", "2026-W02-7", "2026-011", "2026-01-11T18:00:00+02:00"])
def test_the_window_ends_before_a_day_in_any_form(
    store: FakeStore, capsys: pytest.CaptureFixture[str], day: str
) -> None:
    assert "window 2026-01-01 to 2026-01-10, 10 days" in answer(capsys, "--as-of", day)[1]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("--as-of", "2026-02-30"), ("--as-of", "soon"), ("--forget-days", "-1")])
def test_a_day_that_is_none_is_a_usage_error(
    store: FakeStore, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert run(["analyze", *arguments]) == 2
    assert arguments[1] in capsys.readouterr().err


@pytest.mark.nightly
def test_forget_days_says_how_long_use_before_the_window_counts(
    store: FakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """The operation was used six days before the end of what is loaded, and five days are the window."""
    kept, forgotten = (
        answer(capsys, "--min-window", "5", "--as-of", "2026-01-11", "--forget-days", days)[0][0] for days in ("6", "5")
    )
    assert (kept["out_of_coverage"] - forgotten["out_of_coverage"], kept["unused"] - forgotten["unused"]) == (1, -1)
