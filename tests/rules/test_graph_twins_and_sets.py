"""The rules about Graph permissions speak of permissions and requests that Graph has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from rightsize.model.text import fold
from rightsize.rules.graph import added, joined, reading_twin, writing_twin
from rightsize.rules.tables import rows_of


@pytest.mark.parametrize(
    ("reading", "writing"),
    [
        ("User.Read.All", "User.ReadWrite.All"),
        ("Mail.Read", "Mail.ReadWrite"),
        ("Mail.Read.Shared", "Mail.ReadWrite.Shared"),
    ],
)  # fmt: skip
def test_twins_have_the_same_resource_and_the_same_ending(reading: str, writing: str) -> None:
    assert (writing_twin(reading), reading_twin(writing)) == (writing, reading)


@pytest.mark.parametrize(
    "name",
    [
        "Application.ReadWrite.OwnedBy", "Application.Read.OwnedBy", "Sites.Selected", "Sites.Read.Selected",
        "User.ReadBasic.All", "TeamSettings.ReadWrite.Group", "TeamSettings.Read.Group", "Mail.Send",
    ],
)  # fmt: skip
def test_what_concerns_other_objects_or_fewer_properties_has_no_twin(name: str) -> None:
    assert (writing_twin(name), reading_twin(name)) == (None, None)


@pytest.fixture(scope="module")
def mapped(shared_data: Path) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """The names of all permissions, and the requests that the map has."""
    found = json.loads((shared_data / "graph" / "permissions.json").read_text(encoding="utf-8"))["permissions"]

    def requests() -> Iterator[tuple[str, str]]:
        for permission in found.values():
            for paths in permission["pathSets"]:
                yield from ((method, fold(path)) for path in paths["paths"] for method in paths["methods"])

    return frozenset(found), frozenset(requests())


@pytest.mark.slow
@pytest.mark.parametrize("table", ["graph_joined", "graph_correlated"])
def test_every_set_names_permissions_and_a_request_of_the_map_and_its_source(
    table: str, mapped: tuple[frozenset[str], frozenset[tuple[str, str]]]
) -> None:
    names, requests = mapped
    for row in rows_of(table):
        assert set(row["permissions"].split("|")) <= names, row
        known = requests | {(method, path) for _, method, path in added("application")}
        assert any(method == row["method"] and fnmatchcase(path, row["path"]) for method, path in known), row
        assert row["source"].startswith("Microsoft"), row


@pytest.mark.slow
def test_a_request_that_is_added_is_one_that_the_map_lacks(
    mapped: tuple[frozenset[str], frozenset[tuple[str, str]]],
) -> None:
    names, requests = mapped
    for permission, method, path in added("application"):
        assert (permission in names, (method, path) in requests) == (True, False)


def test_a_request_has_to_meet_every_set_that_the_documentation_joins() -> None:
    sets = joined("POST", "/identity/conditionalaccess/policies", "application")
    assert [one[0] for one in sets] == ["Policy.Read.All", "Policy.ReadWrite.ConditionalAccess", "Application.Read.All"]
    assert len(joined("POST", "/users/{id}/getmembergroups", "application")) == 2
    assert joined("GET", "/identity/conditionalaccess/policies", "application") == ()
