"""`rightsize backtest`: the JSON for programs, the page for people, the exit codes, and every option."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.analyze.graph_tables import GraphTables
from rightsize.cli.main import run
from rightsize.workflow.suite.demo import DemoResult
from tests.planes.graph.small_map import Apps
from tests.propose.histories import extend
from tests.propose.small_tenant import CONTRIBUTOR, DATA, READER, SUB, VM, SmallTenant, guid
from tests.tenants.fake_store import FakeStore

START = "Microsoft.Compute/virtualMachines/start/action"
WRITE_VM = "Microsoft.Compute/virtualMachines/write"
DELETE_VM = "Microsoft.Compute/virtualMachines/delete"
KEYS = {
    "folds",
    "break_rate_principals",
    "break_rate_calls",
    "excess_removed",
    "calibration",
    "brier",
    "baselines",
}


def _tenant(days: int = 120) -> SmallTenant:
    """Two who work all along; one of them also deletes in the last month what it made before.

    There are so many resource groups that a role saves what one has to save.
    """
    tenant = SmallTenant()
    tenant.parents |= {f"{SUB}/resourceGroups/more{number}": SUB for number in range(200)}
    mei = tenant.principal(1, user_principal_name="mei@example.com")
    pat = tenant.principal(2, display_name="\x1b[31mPat")
    tenant.assign(101, mei, CONTRIBUTOR, SUB)
    tenant.assign(102, pat, CONTRIBUTOR, SUB)
    for user in (mei, pat):
        tenant.use(user, START, VM, days=days - 5, start=5)
    tenant.use(mei, WRITE_VM, VM, days=3, start=20)
    tenant.use(mei, DELETE_VM, VM, days=1, start=days - 10)
    return extend(tenant, days)


def _open(monkeypatch: pytest.MonkeyPatch, tenant: SmallTenant, *graph: GraphTables) -> None:
    monkeypatch.setattr(
        "rightsize.workflow.plan.backtest.open_store", lambda *_, **__: FakeStore(tenant.inputs(), *graph)
    )


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> None:
    _open(monkeypatch, _tenant())


@pytest.fixture(scope="module")
def printed() -> str:
    """What a backtest of `_tenant` prints as JSON with every option at its default."""
    text = io.StringIO()
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(text):
        _open(patched, _tenant())
        assert run(["backtest", "-q", "-o", "json"]) == 0
    return text.getvalue()


def _document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["backtest", *arguments, "-q", "-o", "json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.nightly
def test_json_has_what_other_programs_read(printed: str) -> None:
    document = json.loads(printed)
    assert set(document) >= KEYS
    assert document["label"] == "logged operations only"
    (fold,) = document["folds"]
    assert (fold["train"]["days"], fold["test"]["days"]) == (90, 30)
    assert (fold["test"]["first_day"], fold["test"]["last_day"]) == ("2026-04-01", "2026-04-30")
    assert document["break_rate_principals"] == 0.5
    assert document["break_rate_calls"] == pytest.approx(1 / 3, abs=1e-4)
    assert document["days_until_first_break"] == {"earliest": 21, "median": 21, "principals": {"week 3": 1}}
    assert 0 < document["excess_removed"] < 1
    assert set(document["baselines"]) == {"keep_everything", "used_only", "used_plus_sibling_reads"}
    assert document["baselines"]["keep_everything"]["break_rate_calls"] == 0
    assert sum(row["count"] for row in document["calibration"]) == 2
    assert 0 < document["brier"] < 1
    assert "planted_needs" not in document
    assert "planes" not in document


@pytest.mark.nightly
def test_graph_is_told_beside_the_roles(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Two applications shrink; one of them asks for more in the last month than its smaller set allows."""
    apps = Apps(days=120)
    for name in ("hr", "it"):
        apps.app(name).holds(name, "Directory.Read.All").asks(name, "GET /users", days=range(120))
    apps.asks("hr", "GET /devices", days=(95,))
    _open(monkeypatch, _tenant(), apps.tables())
    document = _document(capsys, "--options", "reads=all")
    graph = document["planes"]["graph"]
    assert (graph["principals"], graph["principals_denied"], graph["break_rate_principals"]) == (2, 1, 0.5)
    assert (graph["calls"], graph["calls_denied"]) == (3, 1)
    assert [fold["state"] for fold in graph["folds"]] == ["covered"]
    assert sum(row["broke"] for row in graph["calibration"]) == 1
    assert sum(row["count"] for row in graph["calibration"]) == 2
    assert 0 < graph["brier"] < 1
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["backtest", "-q", "--options", "reads=all"]) == 0
    shown = capsys.readouterr().out
    assert "applications with a denied request: 1 of 2" in shown
    assert [line for line in shown.splitlines() if len(line) > 80] == []


@pytest.mark.nightly
def test_the_same_store_gives_the_same_bytes(store: None, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backtest", "-q", "-o", "json"]) == 0
    assert capsys.readouterr().out == printed


@pytest.mark.nightly
def test_options_are_tried_side_by_side(store: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no role is worth it, everybody keeps today's, and who deletes what it made breaks nothing."""
    lean, costly = "reads=none,unobservable=drop", "role-worth=1000000"
    document = _document(capsys, "--options", costly, "--options", lean, "--options", "reads=all,max-break=0.0")
    assert list(document["settings"]) == [f"reads=all,{costly}", lean, "reads=all,max-break=0.0"]
    assert document["setting"] == f"reads=all,{costly}"
    rates = [one["break_rate_principals"] for one in document["settings"].values()]
    assert rates == [0, 0.5, 0]
    removed = [one["excess_removed"] for one in document["settings"].values()]
    assert removed[1] > removed[0] > removed[2] == 0
    assert document["break_rate_principals"] == 0


@pytest.mark.nightly
def test_folds_walk_back_through_the_history(store: None, capsys: pytest.CaptureFixture[str]) -> None:
    document = _document(capsys, "--train-days", "40", "--test-days", "20", "--options", "reads=all")
    assert [fold["test"]["first_day"] for fold in document["folds"]] == [
        "2026-02-10",
        "2026-03-02",
        "2026-03-22",
        "2026-04-11",
    ]
    assert [fold["principals_denied"] for fold in document["folds"]] == [0, 0, 0, 1]
    assert document["break_rate_principals"] == 0.125


@pytest.mark.nightly
def test_as_of_ends_the_history(store: None, capsys: pytest.CaptureFixture[str]) -> None:
    document = _document(capsys, "--as-of", "2026-04-01")
    assert document["history"]["last_day"] == "2026-03-31"
    assert (document["folds"][0]["train"]["days"], document["folds"][0]["test"]["days"]) == (60, 30)


@pytest.mark.nightly
@pytest.mark.parametrize("option", ["--exclude", "--emergency-access"])
def test_who_is_left_alone_breaks_nothing(store: None, capsys: pytest.CaptureFixture[str], option: str) -> None:
    document = _document(capsys, option, "mei@example.com", "--options", "reads=all")
    assert document["break_rate_principals"] == 0
    assert document["baselines"]["used_only"]["break_rate_principals"] == 0.5


def _truth(tmp_path: Path, **changes: Any) -> Path:
    need = {
        "principal_id": guid(1),
        "operation": "Microsoft.Compute/virtualMachines/read",
        "scope": DATA,
        "plane": "control",
        "kind": "read",
        "first_seen": "2026-02-01T08:00:00.000000Z",
        "last_seen": "2026-04-20T08:00:00.000000Z",
    }
    path = tmp_path / "truth.json"
    path.write_text(json.dumps({"needs": [need | changes]}), encoding="utf-8")
    return path


@pytest.mark.nightly
def test_the_truth_shows_what_no_log_does(store: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(_truth(tmp_path))
    document = _document(capsys, "--truth", path, "--options", "reads=all", "--options", "reads=none,unobservable=drop")
    assert document["planted_needs"]["break_rate"] == 0
    assert "no log shows" in document["planted_needs"]["label"]
    lean = document["settings"]["reads=none,unobservable=drop"]["planted_needs"]
    assert lean["by_kind"] == {"read": {"needs": 1, "denied": 1}}
    assert document["baselines"]["used_only"]["planted_needs"]["break_rate"] == 1


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize("content", ["", "[]", "{}", '{"needs": [1]}', '{"needs": [{"principal_id": "x"}]}', "{"])
def test_a_file_that_is_no_truth_is_an_input_error(
    store: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    path = tmp_path / "truth.json"
    path.write_text(content, encoding="utf-8")
    assert run(["backtest", "--truth", str(path)]) == 5
    assert capsys.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"first_seen": "yesterday"}, {"scope": 7}])
def test_a_truth_with_a_wrong_value_is_an_input_error(
    store: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    assert run(["backtest", "--truth", str(_truth(tmp_path, **change))]) == 5
    assert "is not the truth.json of a demo tenant" in capsys.readouterr().err


@pytest.mark.nightly
def test_the_page_fits_a_narrow_terminal(
    store: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["backtest", "--truth", str(_truth(tmp_path))]) == 0
    shown, told = capsys.readouterr()
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    assert "\x1b" not in shown
    assert "logged operations only" in shown
    assert "used_only" in shown
    assert "Brier score" in shown
    assert "fold 1 of 1" in told


@pytest.mark.nightly
def test_without_anything_to_take_there_is_no_calibration(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tenant = SmallTenant()
    tenant.assign(101, tenant.principal(1), READER, SUB)
    tenant.use(guid(1), START, VM, days=30)
    _open(monkeypatch, extend(tenant, 120))
    document = _document(capsys, "--options", "reads=all")
    assert (document["brier"], document["calibration"]) == (None, [])
    assert document["break_rate_principals"] is None
    assert run(["backtest", "-q"]) == 0
    assert "there is no probability to check" in capsys.readouterr().out


@pytest.mark.slow
def test_csv_has_a_row_a_setting_and_baseline(store: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backtest", "--options", "reads=all", "-q", "-o", "csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("what,name,principals,principals_denied,break_rate_principals")
    assert [line.split(",")[:2] for line in lines[1:]] == [
        ["options", "reads=all"],
        ["baseline", "keep_everything"],
        ["baseline", "used_only"],
        ["baseline", "used_plus_sibling_reads"],
    ]


@pytest.mark.nightly
def test_dials_is_the_older_name_of_options(store: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts with `--dials` get the same answer, in the order of the command line; the help names `--options` only."""
    new = _document(capsys, "--options", "reads=sibling", "--options", "unobservable=keep")
    old = _document(capsys, "--dials=reads=sibling", "--options", "unobservable=keep")
    assert list(old["settings"]) == list(new["settings"]) == ["reads=sibling", "reads=all,unobservable=keep"]
    assert old == new
    assert run(["backtest", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--options" in shown and "--dials" not in shown


@pytest.mark.slow
@pytest.mark.many(4)
@pytest.mark.parametrize(
    "options",
    ["", "reads", "reads=some", "write=all", "max-break=2", "max-break=x", "role-worth=-1", "reads="],
)
def test_options_that_make_no_sense_are_usage_errors(
    store: None, capsys: pytest.CaptureFixture[str], options: str
) -> None:
    assert run(["backtest", "--options", options]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_a_short_history_is_no_evidence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _open(monkeypatch, _tenant())
    assert run(["backtest", "--as-of", "2026-02-01"]) == 6
    told = capsys.readouterr().err
    assert "the logs cover 31 days, and a backtest needs 42" in told
    assert "--train-days" in told


@pytest.mark.slow
def test_without_a_catalogue_it_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tenant = _tenant()
    tenant.with_catalogue = False
    _open(monkeypatch, tenant)
    assert run(["backtest"]) == 6
    assert "az provider operation list" in capsys.readouterr().err


@pytest.mark.slow
def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backtest", "--db", str(tmp_path / "none.duckdb")]) == 5
    assert not (tmp_path / "none.duckdb").exists()


@pytest.mark.nightly
def test_the_demo_tenant(demo_made: DemoResult, capsys: pytest.CaptureFixture[str]) -> None:
    """90 days to learn from and 30 to test on; careful options break fewer needs than lean ones, at a price."""
    truth = str(demo_made.folder / "truth.json")
    options = ("--options", "reads=all", "--options", "reads=none,unobservable=drop")
    document = _document(capsys, "--db", str(demo_made.store), "--truth", truth, *options)
    (fold,) = document["folds"]
    assert (fold["train"]["days"], fold["test"]["days"]) == (90, 30)
    assert document["break_rate_principals"] < 0.1
    assert all(row["holds"] for row in document["calibration"])
    careful, lean = document["settings"]["reads=all"], document["settings"]["reads=none,unobservable=drop"]
    naive = document["baselines"]["used_only"]
    rates = [one["planted_needs"]["break_rate"] for one in (careful, lean, naive)]
    assert rates == sorted(set(rates))
    assert rates[0] < 0.05
    removed = [one["excess_removed"] for one in (careful, lean, naive)]
    assert removed == sorted(set(removed))
