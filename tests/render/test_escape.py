"""Text is made harmless for the output that it goes to."""

from __future__ import annotations

import pytest

from rightsize.render.escape import for_csv


@pytest.mark.parametrize("text", ["=1+1", "+1+cmd|' /C calc'!A0", "-1+1", "-1.5e", "@SUM(A1)", "\t=1", "\uff1d1"])
def test_a_cell_that_a_spreadsheet_would_run_gets_a_quote(text: str) -> None:
    """Also where it begins as a number does."""
    assert for_csv(text) == "'" + text


@pytest.mark.parametrize("text", ["-1", "+2", "-1.5", "a=1", "1-1", ""])
def test_numbers_and_other_text_stay_as_they_are(text: str) -> None:
    assert for_csv(text) == text
