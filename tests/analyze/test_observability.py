"""What is missing, what it could decide, and that no more than this becomes decidable once it is there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import polars as pl
import pytest

from rightsize.analyze.observability.gaps import as_ranges, inner_gaps, outer_gaps
from rightsize.analyze.observability.needs import read_needs
from rightsize.analyze.observability.promises import Decidable, Promise, make_promises, read_decidable
from rightsize.analyze.observability.undecided import UNDECIDED, weigh_cells
from rightsize.analyze.observability.ways import find_ways
from rightsize.analyze.verdicts import analyse
from rightsize.analyze.window import choose_window
from tests.propose.inventoried import inventoried, inventory, resource
from tests.propose.small_tenant import APP, BLOB_READER, CONTRIBUTOR, DATA, DAY0, DAYS, SUB, SUB2, VM, SmallTenant, guid

ACCOUNT = f"{DATA}/providers/Microsoft.Storage/storageAccounts/a"
NOBODY = pl.Series([], dtype=pl.String)
Change = Callable[[SmallTenant], None]


def judged(tenant: SmallTenant) -> tuple[Decidable, pl.DataFrame, list[Promise]]:
    """Return what is decidable, the undecided cells with their ways, and the promises."""
    inputs = tenant.inputs()
    analysis = analyse(inputs, choose_window(inputs, DAY0 + dt.timedelta(days=DAYS), DAYS))
    whole = weigh_cells(analysis, NOBODY)
    decidable, cells = read_decidable(find_ways(whole, inputs, analysis), read_needs(inputs, analysis))
    return decidable, cells, make_promises(cells, decidable, whole, analysis)


def promised(tenant: SmallTenant) -> dict[str, Promise]:
    return {one.item: one for one in judged(tenant)[2]}


def undecided(tenant: SmallTenant) -> int:
    return int(judged(tenant)[1]["excess"].sum())


def cover(tenant: SmallTenant, days: range, *scopes: str) -> None:
    """Let the Activity Log cover these days only."""
    tenant.covered = ()
    for scope in scopes or (SUB, SUB2):
        for offset in days:
            row = {"source": "activity_log", "category": "Administrative", "scope": scope, "state": "observed"}
            tenant.add("coverage", **row, day=DAY0 + dt.timedelta(days=offset), events=1)


def without_inventory() -> SmallTenant:
    tenant = inventoried()
    del tenant.rows["inventories"]
    return tenant


def with_thirty_days() -> SmallTenant:
    tenant = inventoried()
    cover(tenant, range(60, DAYS))
    return tenant


def with_a_gap() -> SmallTenant:
    tenant = inventoried()
    cover(tenant, range(60), SUB, SUB2)
    cover(tenant, range(70, DAYS), SUB, SUB2)
    return tenant


def without_members() -> SmallTenant:
    tenant = SmallTenant()
    person = tenant.principal(2)
    group = tenant.group(1, [person], complete=False)
    tenant.assign(101, group, CONTRIBUTOR, APP, principal_type="Group")
    return tenant


def without_log_of_data() -> SmallTenant:
    tenant = inventoried()
    resource(tenant, ACCOUNT)
    tenant.add("diagnostic_settings", scope=VM.lower(), name="x", category="AuditEvent", is_group=False, enabled=True)
    tenant.assign(102, tenant.principal(2), BLOB_READER, ACCOUNT)
    return tenant


def load_inventory(tenant: SmallTenant) -> None:
    inventory(tenant)


def load_days(tenant: SmallTenant) -> None:
    cover(tenant, range(DAYS))


def load_members_and_sign_ins(tenant: SmallTenant) -> None:
    tenant.rows["listings"][0]["complete"] = True
    tenant.silent()


def load_log_of_data(tenant: SmallTenant) -> None:
    for offset in range(DAYS):
        for category in ("StorageRead", "StorageWrite", "StorageDelete"):
            row = {"source": "storage_log", "category": category, "state": "observed", "events": 1}
            scope = f"{ACCOUNT}/blobServices/default"
            tenant.add("coverage", **row, scope=scope, day=DAY0 + dt.timedelta(days=offset))


@pytest.mark.parametrize(
    ("made", "load", "items"),
    [
        (without_inventory, load_inventory, ["inventory"]),
        (with_thirty_days, load_days, ["activity_log"]),
        (with_a_gap, load_days, ["declared_days"]),
        (without_members, load_members_and_sign_ins, ["members", "sign_ins:user"]),
        (without_log_of_data, load_log_of_data, ["log:microsoft.storage/storageaccounts"]),
    ],
    ids=["inventory", "thirty-days", "gap", "members", "data"],
)
def test_no_more_becomes_decidable_than_was_promised(
    made: Callable[[], SmallTenant], load: Change, items: list[str]
) -> None:
    """Loading what was missing decides something, and at most the excess that was promised."""
    tenant = made()
    decidable, cells, promises = judged(tenant)
    together = decidable.decided_by_items(items)
    assert set(items) <= {one.item for one in promises}
    before = int(cells["excess"].sum())
    load(tenant)
    came = before - undecided(tenant)
    assert 0 < came <= together
    assert all(came <= one.excess for one in promises if one.item in items) or len(items) > 1


def test_a_tenant_with_everything_gets_no_promise_but_for_reads() -> None:
    """What is there is not missing; the sign-in logs of users who had no token stay."""
    assert set(promised(inventoried())) <= {"providers", "sign_ins:user", "sign_ins:service_principal"}


def test_what_was_done_or_is_there_is_never_promised() -> None:
    """A holder with calls had a token, so no sign-in log decides; a type that the log shows was not absent."""
    tenant = without_inventory()
    found = promised(tenant)
    _, cells, _ = judged(tenant)
    mine = cells.filter(pl.col("role_assignment_id") == guid(101))
    assert not mine.filter(pl.col("ways").list.eval(pl.element().str.contains("sign_ins")).list.any()).height
    machines = mine.filter(pl.col("kind") == "microsoft.compute/virtualmachines")
    assert all("inventory" not in way for ways in machines["ways"] for way in ways)
    assert found["inventory"].excess_alone == found["inventory"].excess > 0


def test_an_operation_that_needs_two_things_is_promised_with_both() -> None:
    """Absence also needs a log of every day; the promise names what else it takes."""
    tenant = with_thirty_days()
    del tenant.rows["inventories"]
    found = promised(tenant)["inventory"]
    assert found.needs == ("activity_log",)
    assert found.excess_alone == 0 < found.excess


def test_shared_promises_count_once() -> None:
    tenant = with_thirty_days()
    del tenant.rows["inventories"]
    decidable, cells, promises = judged(tenant)
    together = decidable.decided_by_items([one.item for one in promises])
    assert together <= int(cells["excess"].sum())
    assert together <= sum(one.excess for one in promises)
    assert decidable.decided_by_items([]) == decidable.decides([]) == 0


def test_an_expected_value_needs_like_scopes() -> None:
    """A log that this store has nowhere has no expected value; one that it has at another scope does."""
    tenant = without_log_of_data()
    item = "log:microsoft.storage/storageaccounts"
    assert promised(tenant)[item].expected is None
    other = f"{DATA}/providers/Microsoft.Storage/storageAccounts/b"
    resource(tenant, other)
    tenant.assign(103, tenant.principal(3), BLOB_READER, other)
    for offset in range(DAYS):
        for category in ("StorageRead", "StorageWrite", "StorageDelete"):
            tenant.add(
                "coverage", source="storage_log", category=category, state="observed", events=1,
                scope=f"{other}/blobServices/default", day=DAY0 + dt.timedelta(days=offset),
            )  # fmt: skip
    promise = promised(tenant)[item]
    assert promise.share == 1.0
    assert promise.expected == promise.excess


def test_use_and_spared_holders_are_no_excess() -> None:
    """Operations with a row of their own are left out, and so are the assignments of spared holders."""
    inputs = inventoried().inputs()
    analysis = analyse(inputs, choose_window(inputs, DAY0 + dt.timedelta(days=DAYS), DAYS))
    cells = weigh_cells(analysis, NOBODY)
    counted = analysis.verdicts.filter(pl.col("verdict").is_in(UNDECIDED))["operations"].sum()
    assert cells.filter(pl.col("verdict").is_in(UNDECIDED))["operations"].sum() == counted
    assert weigh_cells(analysis, pl.Series([guid(1)])).filter(pl.col("principal_id") == guid(1)).is_empty()


def test_days_between_logged_days_may_be_declared_and_others_have_to_be_loaded() -> None:
    tenant = SmallTenant()
    cover(tenant, range(20, 40), SUB)
    cover(tenant, range(50, 80), SUB)
    inputs = tenant.inputs()
    window = choose_window(inputs, DAY0 + dt.timedelta(days=DAYS), DAYS)
    day = DAY0.__class__.fromordinal
    first = DAY0.toordinal()
    inner = as_ranges(inner_gaps(inputs, window)).rows()
    assert inner == [(SUB, day(first + 40), day(first + 49))]
    outer = as_ranges(outer_gaps(inputs, window, pl.Series([SUB2]))).rows()
    assert outer == [
        (SUB, DAY0, day(first + 19)),
        (SUB, day(first + 80), day(first + DAYS - 1)),
        (SUB2, DAY0, day(first + DAYS - 1)),
    ]


def test_the_order_of_rows_changes_nothing() -> None:
    tenant = with_thirty_days()
    promises = judged(tenant)[2]
    for rows in tenant.rows.values():
        rows.reverse()
    assert judged(tenant)[2] == promises
