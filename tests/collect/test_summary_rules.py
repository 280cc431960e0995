"""Summary rules are written for each table that can be reduced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rightsize.collect.kql import COUNTED, REDUCED_TABLES, reduction_text, write_summary_rules
from rightsize.model.errors import InputError


@pytest.mark.slow
def test_each_table_has_a_rule_with_its_query(tmp_path: Path) -> None:
    *queries, template = write_summary_rules(tmp_path / "rules")
    assert [path.stem for path in queries] == list(REDUCED_TABLES)
    rules = json.loads(template.read_text(encoding="utf-8"))["resources"]
    for table, path, rule in zip(REDUCED_TABLES, queries, rules, strict=True):
        text = reduction_text(table)
        found = rule["properties"]["ruleDefinition"]
        assert path.read_text(encoding="utf-8") == text == found["query"]
        # A text that begins with a bracket is an expression of the template.
        assert not text.startswith("[")
        assert found["destinationTable"].endswith(f"{table}_CL")
        assert found["binSize"] in (60, 1440)


@pytest.mark.parametrize("table", sorted(COUNTED))
def test_a_rule_fills_columns_that_a_table_can_have(table: str) -> None:
    """Names are short, and none of those that Azure keeps to itself."""
    names = set(COUNTED[table].columns)
    assert max(map(len, names)) <= 45
    assert not names & {"TimeGenerated", "TenantId", "Type", "Title", "UniqueId", "_ResourceId", "_IsBillable"}


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="cannot write"):
        write_summary_rules(tmp_path / "file" / "rules")
