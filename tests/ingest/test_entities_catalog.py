"""Management groups, subscriptions and operations: their rows, and the rejected records."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.entity_records import (
    ACCOUNT,
    ARM_SUBSCRIPTION,
    ENTITY,
    GROUP_SCOPE,
    PROVIDER,
    SUB,
    TREE,
    guid,
    stage_document,
    stage_files,
)

_SCOPE_COLUMNS = ("scope", "kind", "parent_scope", "display_name")


def test_a_tree_gives_every_node_its_parent(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, TREE)
    assert sorted(staged.rows("scope_listings", *_SCOPE_COLUMNS)) == [
        (GROUP_SCOPE, "management_group", None, "Contoso"),
        (f"{GROUP_SCOPE}-land", "management_group", GROUP_SCOPE, "Landing zones"),
        (SUB, "subscription", f"{GROUP_SCOPE}-land", "Production"),
    ]


@pytest.mark.slow
def test_a_tree_as_arm_answers_it_gives_the_same(tmp_path: Path) -> None:
    nested = {key: TREE[key] for key in ("id", "name", "type")}
    nested["properties"] = {key: TREE[key] for key in ("displayName", "details", "children")}
    expected = sorted(stage_document(tmp_path, TREE).rows("scope_listings", *_SCOPE_COLUMNS))
    assert sorted(stage_document(tmp_path, nested).rows("scope_listings", *_SCOPE_COLUMNS)) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    "node",
    [
        ENTITY,
        {
            "id": SUB,
            "name": "x",
            "type": "/subscriptions",
            "properties": {key: ENTITY[key] for key in ("displayName", "parent")},
        },
        {**ENTITY, "parent": None, "details": {"parent": {"id": GROUP_SCOPE}}},
    ],
    ids=["az", "arm", "details"],
)
def test_lists_of_nodes_name_the_parent(node: dict[str, Any], tmp_path: Path) -> None:
    staged = stage_document(tmp_path, {"value": [node]})
    assert staged.rows("scope_listings", *_SCOPE_COLUMNS) == [(SUB, "subscription", GROUP_SCOPE, "Production")]


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": None}, "the `id` of one of its nodes is not a management group or subscription"),
        ({"id": 5}, "`id` is not a string"),
        ({"id": f"{SUB}/resourceGroups/rg"}, "the `id` of one of its nodes is not a management group or subscription"),
        ({"children": "none"}, "`children` is not a list of nodes"),
        ({"children": [{"id": "x"}]}, "the `id` of one of its nodes is not a management group or subscription"),
        ({"parent": {"id": SUB}}, "its `parent` is not a management group"),
    ],
)
def test_a_damaged_tree_is_rejected_whole(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [TREE, TREE | change])
    assert staged.rejects == [(2, reason)]
    assert len(staged.rows("scope_listings", "scope")) == 3


@pytest.mark.slow
@pytest.mark.parametrize("record", [ACCOUNT, ARM_SUBSCRIPTION], ids=["az", "arm"])
def test_subscriptions_of_both_forms_are_the_same_scope(record: dict[str, Any], tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [record])
    assert staged.rows("scope_listings", *_SCOPE_COLUMNS) == [(SUB, "subscription", None, "Production")]


@pytest.mark.slow
def test_a_tenant_without_subscriptions_is_none(tmp_path: Path) -> None:
    empty = ACCOUNT | {"id": guid(99), "name": "N/A(tenant level account)"}
    staged = stage_document(tmp_path, [ACCOUNT, empty])
    assert [line for line, _ in staged.rejects] == [2]


@pytest.mark.slow
def test_operations_of_a_provider_are_flattened(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [PROVIDER])
    assert sorted(staged.rows("operations", "operation", "is_data_action", "is_guess")) == [
        ("Contoso.Boxes/boxes/open/action", True, False),
        ("Contoso.Boxes/boxes/read", False, False),
        ("Contoso.Boxes/register/action", False, False),
    ]


@pytest.mark.slow
def test_a_single_provider_and_a_page_are_the_same(tmp_path: Path) -> None:
    expected = stage_document(tmp_path, [PROVIDER]).rows("operations", "operation", "is_data_action", "description")
    for document in (PROVIDER, {"value": [PROVIDER]}):
        staged = stage_document(tmp_path, document)
        assert staged.rows("operations", "operation", "is_data_action", "description") == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ({"name": None, "isDataAction": True}, "an operation has no `name`"),
        ({"name": 4}, "`name` is not a string"),
        ({"name": "A/b/read", "isDataAction": "yes"}, "`isDataAction` is not true or false"),
    ],
)
def test_a_damaged_operation_is_rejected_and_its_neighbours_stay(
    operation: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    staged = stage_document(tmp_path, [PROVIDER | {"operations": [operation]}])
    assert staged.rejects == [(1, reason)]
    assert len(staged.rows("operations", "operation")) == 2


@pytest.mark.slow
def test_an_operation_of_unknown_plane_stays_unknown(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [PROVIDER | {"operations": [{"name": "A/b/read"}], "resourceTypes": []}])
    assert staged.rows("operations", "is_data_action", "is_data_action_source") == [(None, None)]


@pytest.mark.slow
def test_guessed_planes_of_the_table_are_marked(tmp_path: Path) -> None:
    path = tmp_path / "operations.csv"
    path.write_text(
        "operation,is_data_action,is_data_action_source,sources,description\r\n"
        'A.B/c/read,false,awsles,x,"Reads, and more"\r\n'
        "A.B/d/read,TRUE,arm-api-map,x,\r\n"
        "A.B/e/read,false,sibling-inferred,x,\r\n"
        "A.B/f/read,,unknown,x,\r\n"
        "A.B/g/read,maybe,awsles,x,\r\n"
        ",true,awsles,x,\r\n",
        encoding="utf-8",
    )
    staged = stage_files(path)
    columns = ("operation", "is_data_action", "is_data_action_source", "is_guess", "description")
    assert staged.rows("operations", *columns) == [
        ("A.B/c/read", False, "awsles", False, "Reads, and more"),
        ("A.B/d/read", True, "arm-api-map", True, None),
        ("A.B/e/read", False, "sibling-inferred", True, None),
        ("A.B/f/read", None, None, False, None),
    ]
    assert [reason for _, reason in staged.rejects] == [
        "`is_data_action` is not true or false",
        "it has no `operation`",
    ]


@pytest.mark.slow
def test_the_real_table_is_read_whole(shared_data: Path) -> None:
    path = shared_data / "catalog" / "operations.csv"
    staged = stage_files(path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert staged.rejects == []
    known = staged.con.execute(
        "SELECT count(*), count(is_data_action), count(*) FILTER (is_guess) FROM stage_operations"
    ).fetchone()
    guesses = [row for row in rows if row["is_data_action_source"] in {"arm-api-map", "sibling-inferred"}]
    assert known == (len(rows), sum(row["is_data_action"] != "" for row in rows), len(guesses))
