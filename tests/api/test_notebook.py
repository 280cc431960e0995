"""The notebook of the documentation runs on the sample tenant, and its pictures have something in them."""

from __future__ import annotations

import ast
import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import rightsize

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebook.ipynb"
PICTURES = ("granted", "curve", "days", "reach")
_LEAST = 20_000
"""Bytes of a picture with axes and marks; an empty one has less."""


def _cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return found


def test_the_notebook_is_kept_without_results() -> None:
    """Its text and code are in the repository, and nothing of a tenant."""
    codes = [cell for cell in _cells() if cell["cell_type"] == "code"]
    assert {cell["id"] for cell in codes} > set(PICTURES)
    assert [cell["id"] for cell in codes if cell["outputs"] or cell["execution_count"] is not None] == []


def test_the_notebook_uses_what_is_public() -> None:
    """Every name that it takes of rightsize is in `__all__`, and it takes none from a module of it."""
    code = "\n".join("".join(cell["source"]) for cell in _cells() if cell["cell_type"] == "code")
    nodes = list(ast.walk(ast.parse(code)))
    taken = {node.attr for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "rightsize"}
    assert taken and taken <= set(rightsize.__all__)
    assert [
        one for one in nodes if isinstance(one, ast.ImportFrom) and (one.module or "").startswith("rightsize")
    ] == []


@pytest.mark.nightly
def test_the_notebook_draws_its_pictures(demo_folder: Path, tmp_path: Path) -> None:
    """It runs from its first cell to its last on the sample tenant, which is made already."""
    pytest.importorskip("altair", reason="needs the extra notebook")
    pytest.importorskip("vl_convert", reason="needs the extra notebook")
    pytest.importorskip("ipykernel", reason="needs the extra notebook")
    client = pytest.importorskip("nbclient", reason="needs the extra notebook")
    import nbformat  # noqa: PLC0415  comes with nbclient

    demo = shutil.copytree(demo_folder, tmp_path / "demo")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = 1 + next(i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
    told = f"store_file, plan_folder = {str(demo / 'demo.duckdb')!r}, {str(demo)!r}"
    notebook.cells.insert(place, nbformat.v4.new_code_cell(told))
    client.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = {cell["id"]: cell.get("outputs", []) for cell in notebook.cells}
    for name in PICTURES:
        (drawn,) = outputs.pop(name)
        assert len(base64.b64decode(drawn["data"]["image/png"])) > _LEAST
    assert [output for some in outputs.values() for output in some] == []
