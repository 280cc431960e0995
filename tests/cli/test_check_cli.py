"""`rightsize check`: the gate, its exemptions and baseline, exit codes and files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from tests.store.control_cases import ANN, BOB, OPS, OWNER, READER, SUB, assigned, base, held, merged
from tests.store.plain import make_store

DAY = ("--as-of", "2026-10-01")


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tenant where Ann and a group are owners for good."""
    path = tmp_path_factory.mktemp("check") / "store.duckdb"
    rows = assigned(held("a", ANN, OWNER), held("b", OPS, OWNER), held("c", BOB, READER))
    return make_store(path, merged(base(), rows))


@pytest.fixture
def ask(db: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def asked(*arguments: str) -> tuple[int, str, str]:
        code = run(["check", "--db", str(db), *DAY, *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return asked


Ask = Callable[..., tuple[int, str, str]]


def _exempt(tmp_path: Path, *entries: dict[str, str]) -> str:
    path = tmp_path / "exempt.json"
    common = {"reason": "break glass", "owner": "Mei", "expires": "2026-12-31"}
    path.write_text(json.dumps({"exempt": [common | entry for entry in entries]}))
    return str(path)


def _failing(text: str) -> set[tuple[str, str]]:
    document: dict[str, Any] = json.loads(text)
    return {
        (finding["control"], finding["resource"])
        for finding in document["findings"]
        if finding["status"] == "fail" and not finding["known"] and finding["exempt_until"] is None
    }


@pytest.mark.nightly
def test_without_a_gate_findings_are_an_answer(ask: Ask) -> None:
    code, out, err = ask("standing-owner")
    assert code == 0
    assert "Ann has Owner" in out and "others pass" in err


@pytest.mark.nightly
def test_a_gate_refuses_at_its_severity_and_above(ask: Ask) -> None:
    code, _, err = ask("standing-owner", "--fail-on", "high")
    assert code == 3 and "2 findings of severity high or higher, of `standing-owner`" in err
    assert ask("standing-owner", "--fail-on", "critical")[0] == 0


@pytest.mark.nightly
def test_an_exemption_excuses_what_it_names_and_no_more(ask: Ask, tmp_path: Path) -> None:
    file = _exempt(tmp_path, {"control": "standing-owner", "resource": "A"})
    code, out, _ = ask("standing-owner", "--fail-on", "high", "--exemptions", file, "-o", "json")
    assert code == 3 and _failing(out) == {("standing-owner", "b")}
    both = _exempt(tmp_path, {"control": "standing-owner"})
    assert ask("standing-owner", "--fail-on", "high", "--exemptions", both)[0] == 0


@pytest.mark.slow
def test_an_exemption_of_a_principal_covers_its_assignments(ask: Ask, tmp_path: Path) -> None:
    file = _exempt(tmp_path, {"control": "*", "principal": ANN.upper()})
    _, out, _ = ask("standing-owner", "escalation-policy", "--exemptions", file, "-o", "json")
    assert _failing(out) == {("standing-owner", "b"), ("escalation-policy", "b")}


@pytest.mark.nightly
def test_an_exemption_that_ended_fails_aloud_even_without_a_gate(ask: Ask, tmp_path: Path) -> None:
    """Its last day is its last day, and nobody has to ask for the gate."""
    entry = {"control": "standing-owner", "resource": "a"}
    assert ask("standing-owner", "--exemptions", _exempt(tmp_path, entry | {"expires": "2026-10-01"}))[0] == 0
    code, out, err = ask("standing-owner", "--exemptions", _exempt(tmp_path, entry | {"expires": "2026-09-30"}))
    assert code == 3 and "1 exemptions have ended" in err and "break glass (Mei)" in err
    assert "Ann has Owner" in out


@pytest.mark.slow
def test_an_exemption_that_covers_nothing_is_said(ask: Ask, tmp_path: Path) -> None:
    code, _, err = ask(
        "standing-owner", "--exemptions", _exempt(tmp_path, {"control": "standing-owner", "resource": "x"})
    )
    assert code == 0 and "covers nothing that fails" in err


@pytest.mark.parametrize(
    "entry",
    [
        {"control": "*"},
        {"control": "standing-owner", "resource": "a", "principal": ANN},
        {"control": "standing-owner", "owner": ""},
        {"control": "standing-owner", "expires": "soon"},
        {"control": "standing-owner", "until": "2027"},
    ],
)
def test_a_bad_exemption_is_no_exemption(ask: Ask, tmp_path: Path, entry: dict[str, str]) -> None:
    code, _, err = ask("standing-owner", "--exemptions", _exempt(tmp_path, entry))
    assert code == 5 and "entry 1" in err


@pytest.mark.nightly
def test_a_baseline_lets_only_new_findings_count(ask: Ask, tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    assert ask("standing-owner", "--write-baseline", str(baseline), "--fail-on", "high")[0] == 0
    assert ask("standing-owner", "--baseline", str(baseline), "--fail-on", "high")[0] == 0
    document = json.loads(baseline.read_text())
    document["findings"] = [entry for entry in document["findings"] if entry["resource"] != "b"]
    baseline.write_text(json.dumps(document))
    code, out, _ = ask("standing-owner", "--baseline", str(baseline), "--fail-on", "high", "-o", "json")
    assert code == 3 and _failing(out) == {("standing-owner", "b")}


@pytest.mark.slow
def test_a_baseline_that_is_mended_says_so(ask: Ask, tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps({"findings": [{"fingerprint": "0" * 32}]}))
    _, _, err = ask("standing-owner", "--baseline", str(baseline))
    assert "1 findings of the baseline no longer fail" in err


@pytest.mark.nightly
def test_what_json_wrote_is_a_baseline_too(ask: Ask, tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    before.write_text(ask("standing-owner", "-o", "json")[1])
    assert ask("standing-owner", "--baseline", str(before), "--fail-on", "low")[0] == 0


@pytest.mark.parametrize("content", ["[]", "{}", '{"findings": [{"control": "x"}]}', "no json"])
def test_a_file_that_is_no_baseline_is_refused(ask: Ask, tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    assert ask("standing-owner", "--baseline", str(path))[0] == 5


@pytest.mark.nightly
def test_unknown_refuses_where_that_is_asked_for(ask: Ask) -> None:
    """By default a missing listing of policies does not stop a pipeline; it can."""
    assert ask("activation-mfa", "standing-owner", "--fail-on", "critical")[0] == 0
    code, _, err = ask("activation-mfa", "standing-owner", "--fail-on-unknown")
    assert code == 3 and "`activation-mfa`" in err


def test_an_empty_store_answers_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A gate does not open because nothing was loaded."""
    make_store(tmp_path / "empty.duckdb", {})
    assert run(["check", "--db", str(tmp_path / "empty.duckdb"), "--fail-on", "high"]) == 5
    assert "nothing is loaded into this store" in capsys.readouterr().err


@pytest.mark.nightly
def test_one_run_writes_many_forms(ask: Ask, tmp_path: Path) -> None:
    files = {form: tmp_path / f"check.{form}" for form in ("sarif", "ocsf", "junit", "csv", "markdown", "jsonl", "tsv")}
    arguments = [text for form, path in files.items() for text in ("--write", f"{form}={path}")]
    code, out, _ = ask(*arguments, "-o", "json", "--fail-on", "high")
    assert code == 3 and json.loads(out)["as_of"] == "2026-10-01"
    assert all(path.stat().st_size for path in files.values())


@pytest.mark.slow
def test_the_summary_of_a_step_is_appended(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    _, out, _ = ask("standing-owner", "-o", "github")
    assert out.startswith("::error title=standing-owner (high)::")
    assert summary.read_text().startswith("before\n## rightsize check")


@pytest.mark.nightly
def test_parameters_are_given_to_one_control(ask: Ask) -> None:
    assert ask("subscription-owners-spare", "--fail-on", "low", "-p", "subscription-owners-spare.least=9")[0] == 3
    assert ask("subscription-owners-spare", "--fail-on", "low", "-p", "subscription-owners-spare.least=1")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("no-such-control",), 2),
        (("standing-owner", "-p", "least=2"), 2),
        (("standing-owner", "-p", "standing-owner.least=2"), 2),
        (("standing-owner", "-p", "root-assignments.least=2"), 2),
        (("standing-owner", "--write", "sarif"), 2),
        (("standing-owner", "--write", "table=x"), 2),
        (("standing-owner", "--write", "sarif=/nowhere/at/all.sarif"), 5),
        (("standing-owner", "--exemptions", "list.txt"), 5),
        (("--sql",), 2),
        (("--list", "-o", "sarif"), 2),
        (("standing-owner", "--as-of", "soon"), 2),
    ],
)
def test_what_makes_no_sense_is_said(ask: Ask, arguments: tuple[str, ...], code: int) -> None:
    assert ask(*arguments)[0] == code


@pytest.mark.nightly
def test_controls_are_listed_and_their_sql_runs(
    db: Path, ask: Ask, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = ask("--list", "-o", "json")
    assert code == 0 and {"severity", "control", "tags", "needs"} <= json.loads(out)[0].keys()
    _, statement, _ = ask("--sql", "standing-owner")
    assert run(["sql", "--db", str(db), statement, "-o", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["resource"] for row in rows if row["status"] == "fail"} == {"a", "b"}


@pytest.mark.nightly
def test_the_table_fits_eighty_columns(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, out, err = ask()
    assert max(len(line) for line in out.splitlines()) <= 80
    assert SUB not in out and "controls pass" in err
