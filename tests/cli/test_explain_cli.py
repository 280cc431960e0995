"""`rightsize explain`: complete as JSON, readable at 80 columns, flat where a format has no nesting."""

from __future__ import annotations

import csv
import io
import json

import pytest

from rightsize.cli.main import run
from rightsize.workflow.answers.explain import explain
from tests.analyze.tiny import RG, Tiny
from tests.tenants.fake_store import FakeStore

START = "Microsoft.Compute/virtualMachines/start/action"


@pytest.fixture(autouse=True)
def _store(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = Tiny().role("vm", "Microsoft.Compute/*").member("g", "p").cover()
    tiny.assign("a", "p", "vm", f"{RG}/providers/Microsoft.Compute/virtualMachines/{'long' * 30}")
    tiny.assign("b", "g", "vm", RG).use("p", START, succeeded=2, denied=1).use("p", "=1+1/x")
    tiny.add("principals", principal_id="p", principal_type="User", display_name="Pat\x1b[2J", listed=True)
    store = FakeStore(tiny.sign_in("p").inputs())
    monkeypatch.setattr("rightsize.workflow.answers.explain.open_store", lambda *_, **__: store)


def shown(capsys: pytest.CaptureFixture[str], output: str) -> str:
    assert run(["explain", "p", "--min-window", "10", "-o", output]) == 0
    return capsys.readouterr().out


@pytest.mark.nightly
def test_json_has_every_section(capsys: pytest.CaptureFixture[str]) -> None:
    answer = json.loads(shown(capsys, "json"))
    assert answer["window"] == {"first_day": "2026-01-01", "last_day": "2026-01-10"}
    assert answer["identity"]["principal_id"] == "p"
    for section in ("groups", "assignments", "scores", "verdicts", "used", "unexplained", "denied", "sign_ins"):
        assert answer[section], section
    assert {
        "operation": START,
        "scope": answer["denied"][0]["scope"],
        "plane": "control",
        "denied": 1,
        "used": True,
    } in (answer["denied"])


@pytest.mark.nightly
def test_the_text_fits_80_columns_and_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "table")
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) <= 80
    for title in (
        "assignments",
        "used",
        "unexplained use",
        "denied calls (never count as use)",
        "sign-ins",
        "findings",
    ):
        assert f"\n{title}\n" in text


@pytest.mark.nightly
def test_flat_formats_name_the_section_of_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(shown(capsys, "csv"))))
    assert {row["section"] for row in rows} >= {"identity", "assignments", "verdicts", "used", "denied", "unexplained"}
    assert [row["what"] for row in rows if row["section"] == "unexplained"] == ["'=1+1/x"]


@pytest.mark.slow
def test_a_name_that_nothing_bears_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "nobody"]) == 5
    assert "is called `nobody`" in capsys.readouterr().err


@pytest.mark.nightly
def test_each_score_says_how_high_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """The number goes with its bucket, in JSON as on the terminal."""
    scores = json.loads(shown(capsys, "json"))["scores"]
    assert {row["bucket"] for row in scores} <= {"low", "medium", "high"}
    assert f"({scores[0]['bucket']})" in shown(capsys, "table")


@pytest.mark.slow
def test_use_that_is_counted_and_not_named_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What Microsoft's own applications ask of Graph has no operation and no days."""
    nothing = dict.fromkeys(("operation", "events", "days", "first_seen", "last_seen"))
    counted = {"plane": "graph", "scope": "/", "reason": "first_party"} | nothing

    def with_counted(*asked: object, **options: object) -> dict[str, object]:
        return explain(*asked, **options) | {"unexplained": [counted]}  # type: ignore[arg-type]

    monkeypatch.setattr("rightsize.workflow.answers.explain.explain", with_counted)
    assert "\nunexplained use\n  several operations of graph, by first_party\n" in shown(capsys, "table")
