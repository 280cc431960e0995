"""Each stage of a plan takes an input of its own; only the pipeline sees all that was read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PROPOSE = Path(__file__).parents[2] / "rightsize" / "propose"
MOST_FIELDS = 8
"""An input with more fields serves two stages."""
PIPELINES = {"needs/reading.py", "assembly/plan.py", "backtest/backtest.py", "containment/containment.py"}
"""The files that make readings, or make the inputs of stages from them."""


def _trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PROPOSE.rglob("*.py")):
        yield str(path.relative_to(PROPOSE)), ast.parse(path.read_text(encoding="utf-8"))


def test_no_input_of_a_stage_has_fields_for_two() -> None:
    inputs = {
        f"{file}: {node.name}": sum(isinstance(one, ast.AnnAssign) for one in node.body)
        for file, tree in _trees()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name.endswith("Input")
    }
    assert inputs
    assert {name: fields for name, fields in inputs.items() if fields > MOST_FIELDS} == {}


def test_only_the_pipeline_sees_a_whole_reading() -> None:
    found = {
        file
        for file, tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id in ("TenantReading", "PlanSettings")
    }
    assert found
    assert found <= PIPELINES
