"""The page of controls is the one generated from their headers."""

from __future__ import annotations

from pathlib import Path

from rightsize.render.controls_page import write_controls_page
from rightsize.store.controls import control_names, read_control
from tests.golden_files import stored

PAGE = Path(__file__).resolve().parents[2] / "docs" / "controls.md"


def test_the_page_is_up_to_date() -> None:
    """Whoever changes a control changes its page: RIGHTSIZE_WRITE_GOLDEN=1 writes it."""
    text = write_controls_page(read_control(name) for name in control_names())
    assert stored(PAGE, text) == text
