"""Only the pipeline and the writers see all that was read; a stage that decides takes what it needs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


PROPOSE = Path(__file__).parents[2] / "rightsize" / "propose"
PIPELINES = {"pipeline.py", "drafts/reading.py", "backtest.py", "risk/breakage.py"}
"""The files that make readings, or decide by all of one; beside them `assembly` writes what was decided."""


def _trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PROPOSE.rglob("*.py")):
        yield str(path.relative_to(PROPOSE)), ast.parse(path.read_text(encoding="utf-8"))


def test_no_stage_that_decides_sees_a_whole_reading() -> None:
    found = {
        file
        for file, tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id in ("TenantReading", "PlanSettings")
    }
    assert found
    assert {file for file in found if not file.startswith("assembly/")} <= PIPELINES
