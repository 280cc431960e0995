"""The rules on deployments name operations that Azure has, and words that the reader of rules knows."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from rightsize.rules.tables import rows_of


@pytest.mark.slow
def test_rules_name_operations_of_the_catalogue(shared_data: Path) -> None:
    """A role may not have an operation that Azure does not know, so no rule asks for one."""
    with (shared_data / "catalog" / "operations.csv").open(encoding="utf-8", newline="") as file:
        known = {row["operation"].lower() for row in csv.DictReader(file)}

    asked = {row["operation"].lower() for row in rows_of("deployment_needs")}
    checked = {row["checked"].lower() for row in rows_of("checked_operations")}

    assert asked - known == set()
    assert len(checked - known) <= len(checked) // 20


def test_words_of_the_rules() -> None:
    """When a rule applies, and whether a refusal is tolerated, are words of a short list."""
    rows = rows_of("deployment_needs")

    assert {row["does"] for row in rows} <= {"any", "read", "write", "create", "update", "delete"}
    assert {row["tolerated"] for row in rows} <= {"yes", "no"}
    assert {row["removed_by"] for row in rows_of("azurerm_types")} <= {"delete", "write"}


def test_each_type_of_terraform_stands_once() -> None:
    """One row says what Azure calls a type of the provider."""
    names = [row["terraform_type"] for row in rows_of("azurerm_types")]

    assert len(names) == len(set(names)) > 1000
