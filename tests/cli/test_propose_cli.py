"""`rightsize propose`: the folder, stdout and stderr, the exit codes, and the effect of every option."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.verify.plan_reader import load_plan
from rightsize.workflow.plan_folder import read_plan_folder
from tests.propose.small_tenant import CONTRIBUTOR, READER, SUB, VM, SmallTenant, guid
from tests.tenants.fake_store import FakeStore

START = "Microsoft.Compute/virtualMachines/start/action"
END = "2026-04-01"
ANY_WORTH = ("--role-worth", "0")
"""The tenant is small, so that every role is made that saves a share of it."""


def _tenant() -> SmallTenant:
    tenant = SmallTenant()
    user = tenant.principal(1, user_principal_name="mei@example.com")
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.assign(102, tenant.principal(2, display_name="\x1b[31mPat"), READER, SUB)
    tenant.use(user, START, VM)
    return tenant


def _open(monkeypatch: pytest.MonkeyPatch, tenant: SmallTenant) -> FakeStore:
    store = FakeStore(tenant.inputs())
    monkeypatch.setattr("rightsize.workflow.plan.propose.open_store", lambda *_, **__: store)
    monkeypatch.setattr("rightsize.workflow.plan.propose.renew_digest", lambda *_: "f" * 64)
    return store


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    return _open(monkeypatch, _tenant())


def _busy() -> SmallTenant:
    tenant = _tenant()
    tenant.use(guid(1), "Microsoft.Compute/virtualMachines/write", VM)
    return tenant


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The plan of `_busy` with every option at its default."""
    out = tmp_path_factory.mktemp("plain")
    with pytest.MonkeyPatch.context() as patched:
        _open(patched, _busy())
        assert run(["propose", "--out", str(out), "--as-of", END, *ANY_WORTH, "-q"]) == 0
    document: dict[str, Any] = load_plan((out / "plan.json").read_bytes())
    return document


def _document(out: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[dict[str, Any], str]:
    assert run(["propose", "--out", str(out), "--as-of", END, *ANY_WORTH, *arguments, "-o", "json"]) == 0
    written, told = capsys.readouterr()
    return json.loads(written), told


def _kinds(document: dict[str, Any]) -> dict[str, str]:
    return {one["replaces"][0]: one["kind"] for one in document["proposals"]}


@pytest.mark.nightly
def test_json_is_the_plan_that_was_written(
    store: FakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document, told = _document(tmp_path, capsys)
    assert document == json.loads((tmp_path / "plan.json").read_bytes())
    assert (tmp_path / "summary.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "1 custom, 1 keep" in told
    assert "1 distinct calls stay allowed, 0 need an activation, 0 are denied" in told


@pytest.mark.nightly
def test_the_answer_tables_are_written(store: FakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SQL users find the last plan, each proposal of `plan.json` as a whole."""
    _document(tmp_path, capsys)
    document = read_plan_folder(tmp_path).document
    assert set(store.answers) == {
        "verdicts",
        "behaviour_findings",
        "findings",
        "verdict_operation_sets",
        "proposals",
        "next_steps",
        "layer_defeats",
        "layer_violations",
        "reach",
        "reach_layers",
        "escalations",
        "activations",
        "credential_verdicts",
        "resource_types",
        "resource_existence",
        "jobs",
        "job_operations",
        "job_holders",
    }
    stored = {row["proposal_id"]: json.loads(row["plan"]) for row in store.answers["proposals"].iter_rows(named=True)}
    assert stored == {one["id"]: one for one in document["proposals"]}


@pytest.mark.nightly
def test_the_table_fits_a_narrow_terminal(
    store: FakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["propose", "--out", str(tmp_path), "--as-of", END, *ANY_WORTH]) == 0
    shown = capsys.readouterr().out
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert "\x1b" not in shown
    assert "custom" in shown


@pytest.mark.nightly
def test_the_table_has_changes_by_benefit_with_id_reason_and_chance(
    store: FakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `next` ranks first stands first, what stays stands last, and each id is one that `review` takes."""
    monkeypatch.setenv("COLUMNS", "80")
    tenant = _tenant()
    tenant.assign(103, tenant.principal(3, user_principal_name="zoe@example.com"), CONTRIBUTOR, SUB)
    tenant.use(guid(3), "Microsoft.Compute/virtualMachines/write", VM)
    tenant.assign(104, guid(1), READER, VM)
    _open(monkeypatch, tenant)
    assert run(["propose", "--out", str(tmp_path), "--as-of", END, *ANY_WORTH]) == 0
    shown, told = capsys.readouterr()
    assert run(["next", str(tmp_path), "--db", "none", "-o", "json"]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert len(steps) >= 2
    lines = shown.splitlines()
    ids = [line.split()[0] for line in lines[2:] if line[:1].strip()]
    assert [one["proposal"][:8] for one in steps] == ids[: len(steps)]
    assert len(ids) == 4
    first = next(place for place, line in enumerate(lines) if line.startswith(ids[0]))
    assert f"{steps[0]['share']:.1%}" in lines[first]
    assert f"{100 * steps[0]['break_probability_30d']:.1f} %" in lines[first]
    assert steps[0]["reason"] in " ".join(" ".join(lines[first + 1 :]).split())
    assert told.splitlines()[-1] == f"next step: rightsize next {tmp_path}"
    assert run(["review", "accept", ids[0], "--plan", str(tmp_path), "--by", "A", "--review", str(tmp_path / "r")]) == 0
    assert "next step: rightsize review" in capsys.readouterr().err


@pytest.mark.nightly
def test_csv_has_one_row_a_proposal(store: FakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["propose", "--out", str(tmp_path), "--as-of", END, *ANY_WORTH, "-o", "csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("id,principal_id,principal,kind,role_assignment_id")


@pytest.mark.nightly
def test_defaults_of_the_command_are_those_of_a_plan(plain: dict[str, Any]) -> None:
    usual = PlanOptions()
    told = plain["generated_from"]["options"]
    assert told | {"role_worth": usual.role_worth} == usual.as_json(told["min_window"])


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        (["--exclude", "mei@example.com"], "keep"),
        (["--emergency-access", guid(1)], "keep"),
        (["--grace-days", "3000"], "keep"),
        (["--min-window", "10"], "custom"),
    ],
)
def test_options_reach_the_plan(
    store: FakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], changed: str
) -> None:
    document, _ = _document(tmp_path, capsys, *arguments)
    assert _kinds(document)[guid(101)] == changed


@pytest.mark.nightly
@pytest.mark.parametrize(
    "arguments",
    [
        ["--reads", "none"],
        ["--reads", "sibling"],
        ["--reads", "namespace"],
        ["--unobservable", "drop"],
        ["--split-groups"],
    ],
)
def test_options_are_recorded_and_change_the_plan(
    plain: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    """Every option has an effect."""
    _open(monkeypatch, _busy())
    turned, _ = _document(tmp_path, capsys, *arguments)
    assert plain["generated_from"]["options"] != turned["generated_from"]["options"]
    assert plain["proposals"] != turned["proposals"]


@pytest.mark.nightly
def test_a_name_that_nobody_has_is_told(store: FakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped emergency access account must not pass in silence."""
    document, told = _document(tmp_path, capsys, "--emergency-access", "glass@example.com")
    assert "`glass@example.com` is not a loaded principal" in told
    assert document["advice"][0]["subject"] == "--emergency-access"


@pytest.mark.slow
def test_without_a_catalogue_it_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tenant = _tenant()
    tenant.with_catalogue = False
    _open(monkeypatch, tenant)
    assert run(["propose", "--out", str(tmp_path / "plan"), "--as-of", END]) == 6
    told = capsys.readouterr().err
    assert "az provider operation list" in told
    assert "rightsize catalog import" in told
    assert not (tmp_path / "plan").exists()


@pytest.mark.slow
def test_a_window_without_logs_says_what_is_covered(
    store: FakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["propose", "--out", str(tmp_path / "plan"), "--as-of", "2030-01-01"]) == 6
    told = capsys.readouterr().err
    assert "no log of use covers any day of the window 2029-10-03 to 2029-12-31" in told
    assert "activity_log 2026-01-01 to 2026-03-31" in told
    assert not (tmp_path / "plan").exists()


@pytest.mark.slow
def test_without_a_covered_day_loaded_use_counts_and_absence_takes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No option takes access for want of use then; the plan says first that absence decides nothing, and what would."""
    tenant = _tenant()
    tenant.covered = ()
    _open(monkeypatch, tenant)
    takes_most = ["--reads", "none", "--unobservable", "drop", "--standing-hours", "700"]
    assert run(["propose", "--out", str(tmp_path / "plan"), "--as-of", END, *takes_most]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("Azure roles: the loaded use counts, and absence of use decides nothing")
    assert "rightsize fetch-script --source activity_log" in told[2]
    document = json.loads((tmp_path / "plan" / "plan.json").read_text(encoding="utf-8"))
    assert {one["kind"] for one in document["proposals"]} == {"keep"}
    assert document["generated_from"]["window"]["short"]["days"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [["--reads", "some"], ["--role-worth", "-1"], ["--min-window", "0"], ["--as-of", "yesterday"]]
)
def test_options_that_make_no_sense_are_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["propose", *arguments]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.nightly
def test_a_folder_that_cannot_be_written_is_an_input_error(
    store: FakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan").write_text("", encoding="utf-8")
    assert run(["propose", "--out", str(tmp_path / "plan"), "--as-of", END]) == 5
    assert "proposals" not in store.answers


@pytest.mark.nightly
def test_the_newest_covered_day_ends_the_window(
    store: FakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Never the clock."""
    assert run(["propose", "--out", str(tmp_path), *ANY_WORTH, "-o", "json"]) == 0
    window = json.loads(capsys.readouterr().out)["generated_from"]["window"]
    assert window == {"first_day": "2026-01-01", "last_day": "2026-03-31", "days": 90}
    assert dt.date.fromisoformat(window["last_day"]).year == 2026


@pytest.mark.nightly
def test_a_file_of_exclusions_reaches_the_plan(
    store: FakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Entries of several files count together."""
    keep = tmp_path / "keep.toml"
    keep.write_text(
        '[[exclude]]\nprincipal = "mei@example.com"\nreason = "moving"\nowner = "a"\nexpires = 2027-01-01\n',
        encoding="utf-8",
    )
    gone = tmp_path / "GONE.CSV"
    gone.write_text("role,reason,owner,expires\nReader,done,b,2026-01-01\n", encoding="utf-8")
    document, told = _document(tmp_path / "plan", capsys, "--exclude-from", str(keep), "--exclude-from", str(gone))
    assert _kinds(document)[guid(101)] == "keep"
    assert [one["owner"] for one in document["generated_from"]["options"]["exclude_from"]] == ["a", "b"]
    assert "the exclusion of role `Reader` ended on 2026-01-01" in told


@pytest.mark.slow
@pytest.mark.parametrize(("name", "text"), [("keep.yaml", ""), ("keep.toml", "[[exclude]]\n"), ("missing.json", None)])
def test_a_file_that_is_no_list_of_exclusions_is_an_input_error(
    store: FakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str | None
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert (
        run(["propose", "--out", str(tmp_path / "plan"), "--as-of", END, "--exclude-from", str(tmp_path / name)]) == 5
    )
    assert name in capsys.readouterr().err
    assert not (tmp_path / "plan").exists()


@pytest.mark.nightly
def test_forms_stand_beside_the_plan_and_go_again(store: FakeStore, tmp_path: Path) -> None:
    """`--format` adds files; a run without it takes them away, and the plan itself is the same bytes."""
    arguments = ["propose", "--out", str(tmp_path), "--as-of", END, *ANY_WORTH, "-q"]
    assert run([*arguments, "--format", "bicep", "--format", "powershell"]) == 0
    plan = (tmp_path / "plan.json").read_bytes()
    assert (tmp_path / "bicep" / "main.bicep").is_file()
    assert (tmp_path / "powershell" / "deploy.ps1").is_file()
    assert run(arguments) == 0
    assert (tmp_path / "plan.json").read_bytes() == plan
    assert not list((tmp_path / "bicep").iterdir())


@pytest.mark.nightly
def test_markdown_is_a_comment_on_a_pull_request(
    store: FakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stdout with `-o markdown`, and in the folder with `--format markdown`: the same text."""
    arguments = [
        "propose",
        "--out",
        str(tmp_path),
        "--as-of",
        END,
        *ANY_WORTH,
        "-q",
        "--format",
        "markdown",
        "-o",
        "markdown",
    ]
    assert run(arguments) == 0
    out = capsys.readouterr().out
    assert out.startswith("### ")
    assert "| proposal | principal | today | becomes | because | proof | may break |" in out
    assert (tmp_path / "comment.md").read_text(encoding="utf-8") == out


@pytest.mark.nightly
def test_what_is_rejected_is_kept_the_next_time(
    store: FakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the reason; a decision on what is no proposal is said; two that contradict each other end it before."""
    plan, file = tmp_path / "plan", tmp_path / "review.jsonl"
    arguments = ["propose", "--out", str(plan), "--as-of", END, *ANY_WORTH, "-o", "json"]
    assert run(arguments) == 0
    changed = next(one for one in json.loads(capsys.readouterr().out)["proposals"] if one["kind"] != "keep")
    by = ["--by", "Mei", "--plan", str(plan), "--review", str(file), "--as-of", END]
    assert run(["review", "reject", changed["id"], "--reason", "quarter end", *by]) == 0
    capsys.readouterr()
    file.write_text(file.read_text() + file.read_text().replace(changed["id"], "gone"))
    assert run([*arguments, "--review", str(file)]) == 0
    out, err = capsys.readouterr()
    (kept,) = [one for one in json.loads(out)["proposals"] if one["id"] == changed["id"]]
    assert (kept["kind"], kept["reason"]) == ("keep", "rejected by Mei")
    assert kept["evidence"]["review"]["reason"] == "quarter end"
    assert "no longer exists: gone, rejected by Mei" in err
    file.write_text(file.read_text().replace('"reject"', '"accept"'))
    files = ["plan", "files", str(plan), "--format", "az", "--out", str(tmp_path / "az"), "--review", str(file)]
    assert run([*files, "--db", str(tmp_path / "none.duckdb")]) == 6
    assert "was made while proposal" in capsys.readouterr().err
    file.write_text(file.read_text() + file.read_text().replace('"accept"', '"reject"'))
    assert run([*arguments, "--review", str(file)]) == 5
