"""A made-up control is one file or one row: it is listed, judges a store, and has its part of the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.additions.tree import Registration, with_addition
from tests.store.control_cases import ANN, CONTRIBUTOR, assigned, base, held, merged
from tests.store.plain import make_store

pytestmark = pytest.mark.slow


FILE = """-- title: Nobody holds a role at a subscription
-- description: Assignments at a subscription, whatever their role.
-- severity: low
-- subject: role_assignment
-- needs: assignments
-- with: held
-- tags: NIST AC-6
-- columns: resource, status, reason
SELECT h.role_assignment_id AS resource, CASE WHEN h.level = 'subscription' THEN 'fail' ELSE 'pass' END AS status,
       concat(h.who, ' has ', h.assigned) AS reason
FROM held h
WHERE h.through_group IS NULL
"""
ROW = Registration(
    path="rightsize/rules/held_operations.csv",
    after="control,title,description,severity,tags,pattern,source",
    text="key-listing,Few can list keys,Roles that list keys.,low,NIST AC-6,/listKeys/action$,HackTricks Cloud",
)
PAGE = """
from rightsize.cli.reference_pages import write_controls_page
from rightsize.store.controls import control_names, read_control
print(write_controls_page(map(read_control, control_names())))
"""


def test_a_control_is_one_file_or_one_row(tmp_path: Path) -> None:
    """A file of the folder is a control, and so is a row of the table of operations that few may hold."""
    (tmp_path / "tree").mkdir()
    tree = with_addition(tmp_path / "tree", "queries/controls/nobody-wide.sql", FILE, ROW)
    make_store(tmp_path / "store.duckdb", merged(base(), assigned(held("a", ANN, CONTRIBUTOR))))
    words = ("nobody-wide", "key-listing", "--db", "store.duckdb", "--as-of", "2026-01-01", "-o", "json")
    checked = tree.run("check", *words, cwd=tmp_path)
    findings = json.loads(checked.stdout)["findings"]
    assert {(one["control"], one["resource"]) for one in findings} == {("nobody-wide", "a"), ("key-listing", "a")}
    assert "listKeys" in next(one["reason"] for one in findings if one["control"] == "key-listing")
    page = tree.program(PAGE, cwd=tmp_path).stdout
    assert "| Nobody holds a role at a subscription |" in page
    assert "## key-listing\n\nRoles that list keys." in page
