"""Whether a thing that was left behind is still there, by listings."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

from rightsize.analyze.inputs import schema_of
from rightsize.guard.left_listings import read_listings
from tests.tenants.attack_traces import GROUP, SUBSCRIPTION, guid

FRIEND, ROBOT, MALLORY = (guid(name) for name in ("friend", "robot", "mallory"))
VM = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vm-new"
ASSIGNED = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/{guid('assigned')}"


def at(minutes: float) -> dt.datetime:
    return dt.datetime(2026, 3, 4, 22) + dt.timedelta(minutes=minutes)


def test_only_a_newer_listing_says_whether_a_thing_is_still_there() -> None:
    """An inventory decides for whole resources that it could have, and a listing that lacks a grant for the grant."""
    place = f"/subscriptions/{SUBSCRIPTION}"
    vm, gone = VM.lower(), f"{VM}-gone".lower()
    tables: dict[str, list[dict[str, Any]]] = {
        "inventories": [{"scope": place, "read_on": at(500), "complete": True},
                        {"scope": "/subscriptions/other", "read_on": at(900), "complete": False}],
        "resources": [{"scope": vm}, {"scope": "/x"}],
        "vanished_grants": [{"grant_id": guid("assigned"), "missing_on": at(400)}],
        "principals": [{"principal_id": FRIEND, "listed": False, "deleted_on": at(450)},
                       {"principal_id": ROBOT, "listed": True}],
    }  # fmt: skip

    def table(name: str) -> pl.DataFrame:
        return pl.DataFrame(tables.get(name, []), schema=schema_of(name))

    listings = read_listings(table, pl.DataFrame({"thing": [vm, gone], "object_id": [FRIEND, ROBOT]}))

    def word(kind: str, thing: str, minutes: float, who: str | None = None) -> str:
        return listings.presence({"kind": kind, "thing": thing, "last": at(minutes), "object_id": who}, {}).word

    assert [word("machine", vm, 5), word("machine", gone, 5), word("machine", gone, 600)] == ["yes", "no", "unknown"]
    assert word("machine_extension", f"{gone}/extensions/x", 5) == "unknown", "an inventory has no parts of resources"
    assert word("role_assignment", ASSIGNED.lower(), 5) == "no"
    assert [word("user_made", "", 5, one) for one in (FRIEND, ROBOT, MALLORY)] == ["no", "yes", "unknown"]
    assert word("lock_removed", vm, 5) == word("storage_keys", vm, 5) == "unknown"
