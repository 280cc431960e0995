"""`rightsize export`: whole tables without formulas, for any names."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import openpyxl
import pytest

from rightsize.cli.main import run
from rightsize.propose.verify.plan_reader import load_plan

pytestmark = pytest.mark.slow

TABLES = [
    "principals", "assignments", "roles", "scopes", "uses", "unexplained", "layers", "coverage", "findings",
    "proposals", "proposed",
]  # fmt: skip


@pytest.fixture(scope="module")
def store(hostile_planned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with hostile names, and a plan beside it."""
    return Path(shutil.copytree(hostile_planned, tmp_path_factory.mktemp("export") / "planned")) / "store.duckdb"


def _export(store: Path, out: Path, *more: str) -> list[str]:
    return ["export", "--db", str(store), "--plan", str(store.parent / "plan"), "--out", str(out), *more]


@pytest.mark.nightly
def test_csv_has_every_table_whole(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a header, and as many rows as the answer says."""
    assert run(_export(store, tmp_path, "-o", "json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["table"] for one in told] == TABLES
    plan = load_plan((store.parent / "plan" / "plan.json").read_bytes())
    ours = [one for one in plan["proposals"] if one["plane"] in ("control", "data")]
    for one in told:
        with Path(one["file"]).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert len(rows) == one["rows"]
    assert next(one["rows"] for one in told if one["table"] == "proposals") == len(ours)
    assert next(one["rows"] for one in told if one["table"] == "proposed") == sum(
        len(one["assignments"]) for one in ours
    )


@pytest.mark.nightly
def test_no_cell_of_a_csv_file_is_a_formula(store: Path, tmp_path: Path) -> None:
    assert run(_export(store, tmp_path, "-q")) == 0
    cells = []
    for file in tmp_path.glob("*.csv"):
        with file.open(encoding="utf-8", newline="") as stream:
            cells += [cell for row in csv.reader(stream) for cell in row]
    assert any(cell.startswith("'=HYPERLINK") for cell in cells)
    risky = [
        cell
        for cell in cells
        if cell[:1] in ("=", "@", "\t", "\r") or (cell[:1] in ("+", "-") and not _is_number(cell))
    ]
    assert risky == []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@pytest.mark.nightly
def test_a_workbook_has_a_sheet_a_table_and_only_texts_and_numbers(store: Path, tmp_path: Path) -> None:
    """Twice the same bytes; no formula, no link."""
    assert run(_export(store, tmp_path, "--format", "xlsx", "-q")) == 0
    before = (tmp_path / "rightsize.xlsx").read_bytes()
    assert run(_export(store, tmp_path, "--format", "xlsx", "-q")) == 0
    assert (tmp_path / "rightsize.xlsx").read_bytes() == before
    book = openpyxl.load_workbook(tmp_path / "rightsize.xlsx")
    assert book.sheetnames == TABLES
    kinds = {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row}
    assert kinds <= {"s", "n", "b"}
    assert not any(cell.hyperlink for sheet in book for row in sheet.iter_rows() for cell in row)
    texts = [str(cell.value) for sheet in book for row in sheet.iter_rows() for cell in row]
    assert any(text.startswith("'=HYPERLINK") for text in texts)
    assert any("\\u202e" in text for text in texts)


def test_without_a_plan_there_are_no_proposals(store: Path, tmp_path: Path) -> None:
    assert run(["export", "--db", str(store), "--out", str(tmp_path), "-q"]) == 0
    assert {path.stem for path in tmp_path.iterdir()} == set(TABLES[:-2])
