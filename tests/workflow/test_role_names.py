"""The page of all names of roles has the demo's, as its plan gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rightsize.workflow.plan.deploy import names_page, names_table
from rightsize.workflow.plan_folder import read_plan_folder

pytestmark = pytest.mark.slow


PAGE = Path(__file__).resolve().parents[2] / "docs" / "role-names.md"


def test_the_page_has_the_names_of_the_demos_plan(demo_folder: Path) -> None:
    """`python -m rightsize.workflow.plan.deploy DIR` writes the table anew, for a person to look at each name."""
    text = "".join(names_page([demo_folder]))
    assert text.split("\n", 2)[2] == names_table(read_plan_folder(demo_folder))
    assert text.split("\n", 2)[2] in PAGE.read_text(encoding="utf-8")
