"""A made-up kind of proposal is one entry of a table, and passes through every reader of plans."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.additions.tree import Registration, with_entry

pytestmark = pytest.mark.nightly

ENTRY = Registration(
    path="rightsize/model/plan.py",
    after="MAKE_ELIGIBLE,",
    text='        ProposalKind("suspend", step="suspend {today}", assigns=False),',
)

UNREAD = ("exports", "*.duckdb", "*.html", "chain.json", "manifest.json")
"""What stands in a plan folder and is no part of a plan that is edited by hand."""


def test_a_kind_is_one_entry_of_a_table(tmp_path: Path, demo_folder: Path) -> None:
    """Comment, report, order, review, reading and JSON Schema take a plan that has it."""
    (tmp_path / "tree").mkdir()
    tree = with_entry(tmp_path / "tree", ENTRY)
    plan = tmp_path / "plan"
    shutil.copytree(demo_folder, plan, ignore=shutil.ignore_patterns(*UNREAD))
    written = (plan / "plan.json").read_text(encoding="utf-8")
    line = next(one for one in written.split("\n") if '"kind":"remove"' in one and '"plane":"control"' in one)
    id_ = json.loads(line.rstrip(","))["id"]
    (plan / "plan.json").write_text(written.replace(line, line.replace('"remove"', '"suspend"')), encoding="utf-8")
    db = ("--db", str(demo_folder / "demo.duckdb"))

    schema = json.loads(tree.run("plan", "schema", cwd=tmp_path).stdout)
    assert "suspend" in schema["$defs"]["proposal"]["properties"]["kind"]["enum"]
    steps = json.loads(tree.run("next", "plan", "-o", "json", *db, cwd=tmp_path).stdout)["steps"]
    (step,) = (one for one in steps if one["proposal"] == id_)
    assert (step["kind"], step["does"][:8]) == ("suspend", "suspend ")
    assert f"<code>{id_[:8]}" in tree.run("plan", "comment", "plan", *db, cwd=tmp_path).stdout
    rows = json.loads(tree.run("review", "list", "plan", "-o", "json", *db, cwd=tmp_path).stdout)
    assert [one["kind"] for one in rows if one["proposal"] == id_] == ["suspend"]
    tree.run("report", "--plan", "plan", "--out", "report.html", *db, cwd=tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert ".chip.suspend" in page
    assert '<span class="chip suspend">suspend</span>' in page
