"""A grant that complete listings no longer have is gone; nothing else removes it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from rightsize.store.connection import Store, open_store
from rightsize.store.merging.listings import Listing, gone_grants
from rightsize.store.watching import read_touched
from tests.store.staged import GROUP, SUBSCRIPTION, at, content, guid, load, rows_of

ONE, TWO = "2026-01-01T06:00:00", "2026-01-02T06:00:00"


def assignment(number: int, state: str = "active") -> dict[str, Any]:
    return {
        "role_assignment_id": guid(number), "state": state, "principal_id": guid(100), "scope": GROUP,
        "role_definition_id": guid(50),
    }  # fmt: skip


def collect(
    store: Store, when: str, *numbers: int, place: str = SUBSCRIPTION, complete: bool = True, state: str = "active"
) -> None:
    """Load what a collection listed of a place."""
    source = "role_assignments" if state == "active" else "role_eligibility_instances"
    listing = Listing(source, place, at(when), ("file0",), complete)
    load(store, {"role_assignments": [assignment(number, state) for number in numbers]}, listings=[listing])


def held(store: Store) -> list[tuple[Any, ...]]:
    return rows_of(store, "role_assignments", "role_assignment_id", "state")


@pytest.mark.slow
def test_what_the_next_complete_listing_lacks_is_granted_no_more(store: Store) -> None:
    collect(store, ONE, 1, 2)
    collect(store, TWO, 1)
    assert held(store) == [(guid(1), "active")]
    assert rows_of(store, "granted", "grant_id") == [(guid(1),)]
    gone = gone_grants(store).select("name", "principal_id", "scope", "last_listed_on", "missing_on").rows()
    assert gone == [(f"{guid(2)}|active", guid(100), GROUP, at(ONE), at(TWO))]


@pytest.mark.nightly
@pytest.mark.parametrize("change", [{"complete": False}, {"place": "/subscriptions/other"}, {"state": "eligible"}])
def test_a_listing_of_less_or_of_something_else_takes_nothing_away(change: dict[str, Any], store: Store) -> None:
    collect(store, ONE, 1, 2)
    collect(store, TWO, 1, **change)
    assert (guid(2), "active") in held(store)


@pytest.mark.nightly
def test_what_another_place_still_lists_is_not_gone(store: Store) -> None:
    """An assignment above is listed by each subscription below: one that moved away says nothing of the others."""
    collect(store, ONE, 1, place="/a")
    collect(store, ONE, 1, place="/b")
    collect(store, TWO, place="/a")
    collect(store, TWO, 1, place="/b")
    assert held(store) == [(guid(1), "active")]
    collect(store, "2026-01-03T06:00:00", place="/b")
    assert held(store) == []


@pytest.mark.nightly
def test_what_exports_show_without_saying_that_they_are_complete_stays(store: Store) -> None:
    load(store, {"role_assignments": [assignment(1)]})
    collect(store, TWO, 2)
    assert held(store) == [(guid(1), "active"), (guid(2), "active")]


@pytest.mark.nightly
def test_what_comes_back_is_granted_again(store: Store) -> None:
    collect(store, ONE, 1)
    collect(store, TWO)
    collect(store, "2026-01-03T06:00:00", 1)
    assert held(store) == [(guid(1), "active")]


@pytest.mark.nightly
def test_collections_may_be_loaded_in_any_order(tmp_path: Path) -> None:
    """The newest listing decides, whichever came first."""
    found = set()
    taken = [(ONE, (1, 2)), (TWO, (1, 3)), ("2026-01-03T01:00:00", (3,))]
    for number, order in enumerate(itertools.permutations(taken)):
        other = open_store(tmp_path / f"{number}.duckdb", read_only=False)
        for when, numbers in order:
            collect(other, when, *numbers)
        assert held(other) == [(guid(3), "active")]
        found.add(content(other))
        other.close()
    assert len(found) == 1


@pytest.mark.nightly
def test_activations_come_and_go_and_stay_as_history(store: Store) -> None:
    collect(store, ONE, 1)
    load(store, {"role_assignments": [assignment(1, "activated")]})
    collect(store, TWO)
    assert held(store) == [(guid(1), "activated")]


@pytest.mark.slow
def test_what_vanishes_is_noted_for_the_next_watch(store: Store) -> None:
    collect(store, ONE, 1)
    store.connection.execute("DELETE FROM base.touched")
    collect(store, TWO)
    assert read_touched(store).tables == {"role_assignments"}
