"""Tags: the listings that have them, their comparison, and the rejected records."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.entity_records import (
    ARM_SUBSCRIPTION,
    RESOURCE,
    RESOURCE_GROUP,
    SUB,
    Staged,
    stage_document,
    stage_files,
)

GROUP = RESOURCE_GROUP["id"]
TAGS = [(GROUP, "criticality", "High"), (GROUP, "owner", "Team A")]


def _tags(staged: Staged) -> list[Any]:
    return sorted(staged.rows("scope_tags", "scope", "name", "value"))


def test_names_of_tags_are_folded_and_values_are_not(tmp_path: Path) -> None:
    assert _tags(stage_document(tmp_path, [RESOURCE_GROUP])) == TAGS


@pytest.mark.slow
def test_resources_have_their_own(tmp_path: Path) -> None:
    assert _tags(stage_document(tmp_path, [RESOURCE, RESOURCE | {"tags": None}, RESOURCE | {"tags": {}}])) == [
        (RESOURCE["id"], "criticality", "low")
    ]


@pytest.mark.slow
def test_subscriptions_have_tags_beside_their_listing(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [ARM_SUBSCRIPTION | {"tags": {"Owner": "Team A"}}, ARM_SUBSCRIPTION])
    assert _tags(staged) == [(SUB, "owner", "Team A")]
    assert staged.rows("scope_listings", "scope") == [SUB, SUB]


@pytest.mark.slow
def test_a_graph_query_lists_both_kinds_of_containers(tmp_path: Path) -> None:
    """Its answer is an object with the rows in `data`, and its types are in lower case."""
    subscription = {
        "id": SUB,
        "name": "Production",
        "type": "microsoft.resources/subscriptions",
        "subscriptionId": SUB[15:],
        "tags": {"env": "prod"},
    }
    group = {**RESOURCE_GROUP, "type": "microsoft.resources/subscriptions/resourcegroups"}
    for records in ([subscription, group], [group]):
        staged = stage_document(tmp_path, {"count": 2, "data": records, "skip_token": None, "total_records": 2})
        expected = TAGS + ([(SUB, "env", "prod")] if len(records) == 2 else [])
        assert _tags(staged) == sorted(expected)
        assert staged.rejects == []


@pytest.mark.slow
def test_a_table_has_the_tags_as_text(tmp_path: Path) -> None:
    path = tmp_path / "resources.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ID", "NAME", "TYPE", "LOCATION", "TAGS"])
        writer.writerow([GROUP + "/providers/a.b/c/d", "d", "a.b/c", "x", json.dumps({"Criticality": "High"})])
        writer.writerow([GROUP + "/providers/a.b/c/e", "e", "a.b/c", "x", ""])
    assert _tags(stage_files(path)) == [(GROUP + "/providers/a.b/c/d", "criticality", "High")]


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": None}, "it has no `id`"),
        ({"id": "rg"}, "`id` is not a resource id"),
        ({"tags": ["a"]}, "`tags` is not an object of strings"),
        ({"tags": {"a": {"b": "c"}}}, "`tags` is not an object of strings"),
        ({"tags": "a=b"}, "`tags` is not an object of strings"),
    ],
)
def test_what_cannot_be_used_is_rejected(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [RESOURCE_GROUP, RESOURCE_GROUP | change])
    assert staged.rejects == [(2, reason)]
    assert _tags(staged) == TAGS


@pytest.mark.slow
def test_damaged_tags_of_a_subscription_leave_its_listing(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [ARM_SUBSCRIPTION | {"tags": {"a": 1}}])
    assert staged.rejects == [(1, "`tags` is not an object of strings")]
    assert staged.rows("scope_listings", "scope") == [SUB]


@pytest.mark.slow
def test_hostile_names_of_tags_are_only_names(tmp_path: Path) -> None:
    """Quotes, dots, brackets and line ends address nothing; a tag without a name or a value is none."""
    names = ['a"b', "$.x", "c[0]", "d\ne", "'; DROP TABLE x; --", "é\u202e"]
    record = RESOURCE_GROUP | {"tags": {**dict.fromkeys(names, "v"), " ": "v", "null": None, "empty": ""}}
    assert _tags(stage_document(tmp_path, [record])) == sorted(
        [*((GROUP, name.lower() if name.isascii() else name, "v") for name in names), (GROUP, "empty", "")]
    )


@pytest.mark.slow
def test_a_record_with_data_of_its_own_is_no_page(tmp_path: Path) -> None:
    """Only an answer that counts its rows has them in `data`."""
    staged = stage_document(tmp_path, RESOURCE_GROUP | {"data": [RESOURCE]})
    assert _tags(staged) == TAGS
