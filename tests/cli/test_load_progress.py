"""The progress of a load is shown only on a terminal."""

from __future__ import annotations

import sys

import pytest

from rightsize.cli.narration import set_verbosity
from rightsize.cli.progress import ReadProgress, line_of


@pytest.mark.parametrize(
    ("done", "seconds", "line"),
    [
        (0, 0.0, "read 0 of 300 MB"),
        (100_000_000, 10.0, "read 100 of 300 MB, 10.0 MB/s, 20 s left"),
        (1_000_000, 1.0, "read 1 of 300 MB, 1.0 MB/s, 4 min 59 s left"),
    ],
)
def test_the_line_has_the_rate_and_the_time_that_is_left(done: int, seconds: float, line: str) -> None:
    assert line_of(done, 300_000_000, seconds) == line


def test_progress_is_for_terminals(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The line ends with itself taken away."""
    set_verbosity(0, quiet=False)
    ReadProgress()(1, 2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = ReadProgress()
    progress(2, 2)
    progress.end()
    assert capsys.readouterr().err == "\rstoring what was read\033[K\r\033[K"
