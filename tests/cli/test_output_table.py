"""Tables fit the window: words, numbers and ids stay whole, names share the rest, and nothing hostile is sent."""

from __future__ import annotations

import re

import pytest

from rightsize.cli.layout import column_widths, wrapped
from rightsize.cli.options import MOST_ROWS, OutputFormat
from rightsize.cli.output import short_name, show

SCOPE = "/subscriptions/60000000-0000-4000-8000-000000000000/resourceGroups/rg-data/providers/Microsoft.Sql/servers/s1"


def test_short_texts_keep_their_width_and_long_ones_share_the_rest() -> None:
    """The long text wraps, and the number never."""
    widths = column_widths(["id", "kind", "events"], [["x y" * 40, "keep", "1234567"]], [False, False, True], 60)
    assert widths == [60 - 4 - 7 - 4, 4, 7]


def test_a_header_may_wrap_between_its_words() -> None:
    """`out of coverage` needs no more room than its longest word."""
    assert column_widths(["out of coverage"], [["7"]], [True], 8) == [8]


@pytest.mark.parametrize("width", [80, 120, 160])
def test_no_word_is_broken_inside_a_cell(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of an id is broken after a dot or a hyphen at most."""
    monkeypatch.setenv("COLUMNS", str(width))
    words = "Administrator keeps RoleManagement.ReadWrite.Directory and terraform-landing-zones where subscriptions end"
    rows = [{"id": "directory-69448963", "role": words, "name": words[::-1], "at": words, "number": 7}]
    show(rows, list(rows[0]), OutputFormat.TABLE)
    printed = capsys.readouterr().out
    parts = re.compile(r"[^\s.-]+")
    assert {*parts.findall(words), *parts.findall(words[::-1])} <= {*parts.findall(printed)}
    assert "directory-69448963" in printed.split()
    assert max(map(len, printed.splitlines())) <= width


def test_a_long_id_is_broken_after_a_slash() -> None:
    lines = wrapped(SCOPE, 60)
    assert "".join(lines) == SCOPE
    assert all(line.endswith("/") for line in lines[:-1])


def test_a_command_and_a_percentage_stay_in_one_line() -> None:
    lines = wrapped("nothing is known yet: `rightsize load exports` reads it, 71.5 % (≤ 9 %) done", 30)
    assert any("`rightsize load exports`" in line for line in lines)
    assert any("71.5 %" in line for line in lines)
    assert all(len(line) <= 30 for line in lines)


def test_columns_that_cannot_stand_beside_each_other_stand_below(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    show([{"one": "x" * 30, "other": "y" * 30}], ["one", "other"], OutputFormat.TABLE)
    assert capsys.readouterr().out.splitlines() == ["one    " + "x" * 30, "other  " + "y" * 30]


@pytest.mark.parametrize("width", [8, 20, 40, 80])
def test_no_line_is_longer_than_the_window(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the names are like, and wide characters count as two."""
    monkeypatch.setenv("COLUMNS", str(width))
    row = {"name": "n" * 200, "city": "日本" * 50, "out_of_coverage": 12, "why": "日本 " * 9}
    show([row], ["name", "city", "out_of_coverage"], OutputFormat.TABLE, below="why")
    printed = capsys.readouterr().out
    assert max(len(line) + sum(one > "⺀" for one in line) for line in printed.splitlines()) <= width
    assert printed.count("n") >= 200 and printed.count("日") == 59


def test_a_sentence_stands_below_its_row_until_it_fits_beside_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"id": "a3fba490", "kind": "keep", "reason": "its holder no longer exists, as a listing says"}]
    told = {}
    for width in (40, 80):
        monkeypatch.setenv("COLUMNS", str(width))
        show(rows, ["id", "kind"], OutputFormat.TABLE, below="reason")
        told[width] = capsys.readouterr().out.splitlines()
    assert told[40][2:] == ["a3fba490  keep", "          its holder no longer exists,", "          as a listing says"]
    assert told[80][2:] == ["a3fba490  keep  its holder no longer exists, as a listing says"]


def test_control_characters_are_shown_and_not_sent(capsys: pytest.CaptureFixture[str]) -> None:
    """A name cannot clear the screen or turn the text around."""
    show([{"name": "a\x1b[2J\u202eb", "why": "\x1b[2J"}], ["name"], OutputFormat.TABLE, below="why")
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out


@pytest.mark.parametrize("output", OutputFormat)
def test_only_a_table_is_cut_and_says_what_is_left_out(
    output: OutputFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"name": f"name-{number:04}"} for number in range(MOST_ROWS + 57)]
    show(iter(rows), ["name"], output)
    printed = capsys.readouterr().out
    if output is OutputFormat.TABLE:
        assert printed.count("name-") == MOST_ROWS
        assert printed.endswith("\nand 57 more rows: --all shows all 257\n")
        show(iter(rows), ["name"], output, every=True)
        printed = capsys.readouterr().out
    assert printed.count("name-") == MOST_ROWS + 57
    assert "more rows" not in printed


def test_a_table_that_is_just_long_enough_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"n": "x"}] * MOST_ROWS, ["n"], OutputFormat.TABLE)
    assert "more rows" not in capsys.readouterr().out


def test_a_bare_id_is_shown_by_a_beginning() -> None:
    assert short_name("1240c6be-d9f7-4c53-994e-dbac4e525e21") == "1240c6be-d9f7…"
    assert short_name("anna.berg@contoso.example") == "anna.berg"
    assert short_name("1240c6be-team") == "1240c6be-team"
