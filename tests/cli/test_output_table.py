"""Tables fit the window: numbers stay whole, names share the rest, and nothing hostile reaches the terminal."""

from __future__ import annotations

import pytest

from rightsize.cli.options import OutputFormat
from rightsize.cli.output import column_widths, show


def test_short_texts_keep_their_width_and_long_ones_share_the_rest() -> None:
    """The identifier is cut before the kind, and the number never."""
    widths = column_widths(["id", "kind", "events"], [["x" * 90, "keep", "1234567"]], [False, False, True], 60)
    assert widths == [60 - 4 - 7 - 4, 4, 7]


def test_a_header_may_wrap_between_its_words() -> None:
    """`out of coverage` needs no more room than its longest word."""
    assert column_widths(["out of coverage"], [["7"]], [True], 80) == [8]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_no_line_is_longer_than_the_window(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the names are like."""
    monkeypatch.setenv("COLUMNS", str(width))
    show([{"name": "n" * 200, "out_of_coverage": 12}], ["name", "out_of_coverage"], OutputFormat.TABLE)
    assert max(len(line) for line in capsys.readouterr().out.splitlines()) <= width


def test_control_characters_are_shown_and_not_sent(capsys: pytest.CaptureFixture[str]) -> None:
    """A name cannot clear the screen or turn the text around."""
    show([{"name": "a\x1b[2J\u202eb"}], ["name"], OutputFormat.TABLE)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out


@pytest.mark.parametrize("width", [16, 24, 80])
def test_many_rows_look_as_a_few_do(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines that fit are written by themselves: the same as rich would lay them out with all others."""
    names = ["n", "äöü", "deploy", "日本", "a name that takes several lines in a narrow window"]
    rows = [{"name": names[n % 50 // 10], "kind": "keep" if n % 3 else None, "uses": n} for n in range(120)]
    monkeypatch.setenv("COLUMNS", str(width))
    told = []
    for at_once in (5, 1000):
        monkeypatch.setattr("rightsize.cli.output.LINES_LAID_OUT", at_once)
        show(iter(rows), ["name", "kind", "uses"], OutputFormat.TABLE)
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    assert told[0].count("keep") == 80
