"""Progress is one line of a terminal with an honest rate and time left, and nothing where nobody looks."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from rightsize.cli.main import run
from rightsize.cli.narration import begin_progress, end_progress, line_of, say, set_verbosity, turn_of
from rightsize.cli.output import write
from rightsize.model import progress


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    yield
    end_progress()


@pytest.mark.parametrize(
    ("done", "total", "unit", "seconds", "line"),
    [
        (0, 300_000_000, "bytes", 0.0, "reading: 0 of 300 MB, 0 s"),
        (100_000_000, 300_000_000, "bytes", 10.0, "reading: 100 of 300 MB, 10.0 MB/s, 20 s left"),
        (1_000_000, 300_000_000, "bytes", 1.0, "reading: 1 of 300 MB, 1.0 MB/s, 4 min 59 s left"),
        (50, 18_050, "calls", 5.0, "reading: 50 of 18,050 calls, 10.0 calls/s, 30 min 00 s left"),
        (90, 18_000, "calls", 40.0, "reading: 90 of 18,000 calls, 2.2 calls/s, 2 h 12 min left"),
        (9, 18_000, "calls", 40.0, "reading: 9 of 18,000 calls, 40 s"),
        (50, None, "calls", 5.0, "reading: 50 calls, 10.0 calls/s, 5 s"),
        (0, 40, "calls", 65.0, "reading: 0 of 40 calls, 1 min 05 s"),
        (3, 40, "calls", 0.2, "reading: 3 of 40 calls, 0 s"),
        (0, None, "", 12.4, "reading, 12 s"),
    ],
)
def test_the_time_left_rests_on_a_count_and_a_total(
    done: int, total: int | None, unit: str, seconds: float, line: str
) -> None:
    assert line_of("reading", done, total, unit, seconds) == line


def test_what_an_earlier_run_did_is_in_no_rate() -> None:
    assert line_of("collecting", 90, 100, "parts", 10.0, first=80) == (
        "collecting: 90 of 100 parts, 1.0 parts/s, 10 s left"
    )


def test_the_first_round_knows_no_time_left() -> None:
    assert turn_of("plan", 0, 4, 30.0) == "plan 1 of 4"
    assert turn_of("plan", 1, 4, 30.0) == "plan 2 of 4, 1 min 30 s left"


def _watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr("rightsize.cli.narration.AFTER", 0.0)
    monkeypatch.setattr("rightsize.cli.narration.EVERY", 0.001)
    set_verbosity(0, quiet=False)
    begin_progress(lambda: True)


def _until_shown(capsys: pytest.CaptureFixture[str], text: str) -> str:
    said = ""
    for _ in range(200_000):
        said += capsys.readouterr().err
        if text in said:
            return said
    raise AssertionError(f"{text!r} is not shown: {said!r}")


def test_a_line_is_taken_away_before_anything_else_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _watched(monkeypatch)
    progress.step("proving", 4, "assignments")
    _until_shown(capsys, "\rproving: 0 of 4 assignments")
    say("a word")
    assert capsys.readouterr().err.endswith("\r\x1b[Ka word\n")
    progress.advance(2)
    _until_shown(capsys, "\rproving: 2 of 4 assignments")
    write("a row\n")
    assert capsys.readouterr().err.endswith("\r\x1b[K")
    progress.advance(3)
    _until_shown(capsys, "\rproving: 3 of 4 assignments")
    end_progress()
    assert capsys.readouterr().err.endswith("\r\x1b[K")
    assert not progress.is_heard()


def test_items_are_counted_as_they_are_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _watched(monkeypatch)
    taken = progress.through([5, 6, 7], "asking", "questions")
    for number in taken:
        if number == 6:
            _until_shown(capsys, "\rasking: 1 of 3 questions")
    _until_shown(capsys, "\rworking, 0 s")
    end_progress()
    begin_progress(lambda: False)
    progress.step("asking")
    assert capsys.readouterr().err.count("\n") == 0


def test_nothing_is_shown_without_a_terminal(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["mine", "--help"]) == 0
    begin_progress(lambda: True)
    assert not progress.is_heard()
    rows = [1, 2]
    assert progress.through(rows, "asking", "questions") is rows
    assert capsys.readouterr().err == ""
