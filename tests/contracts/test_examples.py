"""How many random examples a test draws is said in one place, by the profile."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import settings

from tests.examples import FEW, FEWEST, MANY, SOME

TESTS = Path(__file__).resolve().parents[1]
# The first registers the profiles, the second counts from the one in use.
HOME = {TESTS / "conftest.py", TESTS / "examples.py"}


def _numbers_given(path: Path) -> list[str]:
    """Return the lines of a file that give a number of examples."""
    text = path.read_text(encoding="utf-8")
    return [
        f"{path.relative_to(TESTS)}:{node.value.lineno}"
        for node in ast.walk(ast.parse(text if "max_examples" in text else ""))
        if isinstance(node, ast.keyword) and node.arg == "max_examples"
    ]


@pytest.mark.slow
def test_no_test_gives_a_number_of_examples() -> None:
    """A test uses `FEWEST`, `FEW`, `SOME` or `MANY`; only the files that define them give numbers."""
    assert all(_numbers_given(path) for path in HOME)
    assert [place for path in sorted(TESTS.rglob("*.py")) if path not in HOME for place in _numbers_given(path)] == []


def test_examples_are_counted_from_the_profile_in_use() -> None:
    """The counts follow the profile that pytest loaded, whatever module imported them first."""
    assert SOME.max_examples == settings.default.max_examples
    assert 2 <= FEWEST.max_examples < FEW.max_examples < SOME.max_examples < MANY.max_examples
