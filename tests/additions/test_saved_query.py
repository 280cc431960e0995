"""A made-up saved query is one file: it is listed, shown and run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rightsize.store.connection import open_store
from tests.additions.tree import with_addition

pytestmark = pytest.mark.slow


QUERY = """-- title: Principals of one type
-- description: The number of principals of a type.
-- parameter: type text = 'User'  type of principal
-- columns: type, principals
SELECT $type AS type, count(*) AS principals
FROM principals
WHERE principal_type = $type
"""


def test_a_saved_query_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    tree = with_addition(tmp_path / "tree", "queries/principals-of-type.sql", QUERY)
    open_store(tmp_path / "any.duckdb", read_only=False).close()
    listed = json.loads(tree.run("queries", "list", "-o", "json", cwd=tmp_path).stdout)
    assert [one["title"] for one in listed if one["name"] == "principals-of-type"] == ["Principals of one type"]
    asked = ("queries", "run", "principals-of-type", "-p", "type=Group", "--db", "any.duckdb", "-o", "json")
    assert json.loads(tree.run(*asked, cwd=tmp_path).stdout) == [{"type": "Group", "principals": 0}]
    assert tree.run("queries", "show", "principals-of-type", cwd=tmp_path).stdout.strip().endswith(QUERY.strip())
