"""The view `listings`: what makes up for a listing that is not complete, and the command that gets it."""

from __future__ import annotations

import pytest

from rightsize.model.access_answers import ACCESS_LISTINGS, command_for
from rightsize.store.connection import Store
from tests.store.staged import load

SUB, GROUP = "/subscriptions/s1", "/providers/microsoft.management/managementgroups/m1"
PLACES = (
    SUB,
    f"{SUB}/resourcegroups/rg (1)",
    GROUP,
    "/",
    "40000000-0000-4000-8000-000000000000",
    "/subscriptions/x'; rm -rf ~; '",
    "/providers/microsoft.management/managementgroups/$(id)",
    "`id`",
    "/subscriptions/ä",
)


@pytest.mark.slow
@pytest.mark.many(4)
@pytest.mark.parametrize("place", PLACES)
def test_sql_and_python_give_the_same_command(store: Store, place: str) -> None:
    """And none whose text a shell would run."""
    kinds = [one.name for one in ACCESS_LISTINGS]
    load(store, {"listings": [{"listing": kind, "of": place, "complete": False} for kind in kinds]})
    found = store.rows('SELECT listing, command FROM listings WHERE "of" = $place', {"place": place})
    assert {row["listing"]: row["command"] for row in found} == {kind: command_for(kind, place) for kind in kinds}
    if set(place) & set("';`$ä"):
        assert {row["command"] for row in found} == {None}


@pytest.mark.nightly
def test_a_complete_listing_of_a_subscription_makes_up_for_those_above_it(store: Store) -> None:
    """It has what is assigned above, as long as no record of theirs was rejected."""
    tree = [
        {"scope": SUB, "kind": "subscription", "parent_scope": GROUP},
        {"scope": "/subscriptions/s2", "kind": "subscription", "parent_scope": GROUP},
    ]
    rows = [{"listing": "role_assignments", "of": place, "complete": False} for place in (GROUP, "/")]
    load(store, {"scope_listings": tree, "listings": [*rows, {"listing": "role_assignments", "of": SUB}]})
    whole = 'SELECT "of" FROM listings WHERE complete ORDER BY "of"'
    assert store.rows(whole) == []
    load(store, {"listings": [{"listing": "role_assignments", "of": SUB, "complete": True}]})
    assert [row["of"] for row in store.rows(whole)] == ["/", GROUP, SUB]
    missing = store.rows('SELECT "of", why FROM listings WHERE NOT complete')
    assert missing == [{"of": "/subscriptions/s2", "why": "no listing of its role assignments is loaded"}]
    load(store, {"listings": [{"listing": "role_assignments", "of": GROUP, "rejected": 1}]})
    assert [row["of"] for row in store.rows(whole)] == ["/", SUB]


@pytest.mark.slow
def test_an_answer_says_whether_the_listings_of_its_time_are_complete(store: Store) -> None:
    """A load between two answers of one open store counts for the second."""
    found = []
    for place, complete in ((SUB, False), (SUB, True), ("/subscriptions/s2", False)):
        load(store, {"listings": [{"listing": "role_assignments", "of": place, "complete": complete}]})
        rows = store.table("escalations").clear(1)
        store.write_answer("escalations", rows)
        found += store.rows("SELECT complete FROM escalations")
    assert [row["complete"] for row in found] == [False, True, False]
