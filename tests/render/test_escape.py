"""Text is made harmless for the output that it goes to."""

from __future__ import annotations

import pytest

from rightsize.render.escape import for_csv, for_markdown, for_shell, for_terminal, for_xml


@pytest.mark.parametrize("text", ["=1+1", "+1+cmd|' /C calc'!A0", "-1+1", "-1.5e", "@SUM(A1)", "\t=1", "\uff1d1"])
def test_a_cell_that_a_spreadsheet_would_run_gets_a_quote(text: str) -> None:
    """Also where it begins as a number does."""
    assert for_csv(text) == "'" + text


@pytest.mark.parametrize("text", ["-1", "+2", "-1.5", "a=1", "1-1", ""])
def test_numbers_and_other_text_stay_as_they_are(text: str) -> None:
    assert for_csv(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a;=1+1", "a;'=1+1"), ('a; "@x', "a; \"'@x"), ("a;-b", "a;'-b"), ("a;-1", "a;-1"), ("a;b", "a;b")],
)
def test_a_formula_after_a_semicolon_gets_a_quote(text: str, shown: str) -> None:
    """Where lists are separated by semicolons, a spreadsheet begins a cell there."""
    assert for_csv(text) == shown


def test_a_cell_holds_nothing_that_drives_a_terminal() -> None:
    """A CSV file is read in terminals, too; tabs and line ends belong to its form."""
    assert for_csv("a\x1b[2J\x07\x9bb\tc\nd") == "a\\u001b[2J\\u0007\\u009bb\tc\nd"


@pytest.mark.parametrize(
    ("character", "shown"),
    [("\u061c", "\\u061c"), ("\U000e0041", "\\U000e0041"), ("\u3164", "\\u3164"), ("\u202e", "\\u202e")],
)
def test_what_is_invisible_is_shown_everywhere(character: str, shown: str) -> None:
    """A mark of Arabic, a tag character, a filler, an override: each can hide what a name says."""
    text = f"a{character}b"
    assert for_terminal(text) == for_csv(text) == for_xml(text) == f"a{shown}b"
    assert for_shell(text) == f"$'a{shown}b'"
    assert for_terminal("\u2764\ufe0f") == "\u2764\ufe0f"


@pytest.mark.parametrize(
    "address", ["https://evil.example", "www.evil.example", "WWW.evil.example", "mailto:a@b.example"]
)
def test_a_bare_address_is_no_link_in_markdown(address: str) -> None:
    """GitHub makes links of such text; a sign with a backslash begins none, and is shown as it is."""
    shown = for_markdown(f"see {address} now")
    assert shown.replace("\\", "") == f"see {address} now"
    assert not any(begin in shown.lower() for begin in ("://", "www.", "mailto:", "@b") if f"\\{begin}" not in shown)
