"""What is missing, what it could decide, and that no more than this becomes decidable once it is there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import polars as pl
import pytest

from rightsize.analyze.observability.needs import read_needs
from rightsize.analyze.observability.promises import Decidable, Promise, make_promises, read_decidable
from rightsize.analyze.observability.undecided import UNDECIDED, as_ranges, inner_gaps, weigh_cells
from rightsize.analyze.observability.ways import find_ways, held_for_rules
from rightsize.analyze.verdicts.judge import analyse
from rightsize.analyze.window import choose_window
from tests.propose.inventoried import inventoried, inventory, resource
from tests.propose.small_tenant import (
    APP,
    BLOB_READER,
    CONTRIBUTOR,
    DATA,
    DAY0,
    DAYS,
    MG,
    SUB,
    SUB2,
    VM,
    VM_CONTRIBUTOR,
    SmallTenant,
    guid,
)

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


@pytest.mark.nightly
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


@pytest.mark.slow
def test_a_tenant_with_everything_gets_no_promise_but_for_reads() -> None:
    """What is there is not missing; the sign-in logs of users who had no token stay."""
    assert set(promised(inventoried())) <= {"providers", "sign_ins:user", "sign_ins:service_principal"}


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_operation_that_needs_two_things_is_promised_with_both() -> None:
    """Absence also needs a log of every day; the promise names what else it takes."""
    tenant = with_thirty_days()
    del tenant.rows["inventories"]
    found = promised(tenant)["inventory"]
    assert found.needs == ("activity_log",)
    assert found.excess_alone == 0 < found.excess


@pytest.mark.slow
def test_shared_promises_count_once() -> None:
    tenant = with_thirty_days()
    del tenant.rows["inventories"]
    decidable, cells, promises = judged(tenant)
    together = decidable.decided_by_items([one.item for one in promises])
    assert together <= int(cells["excess"].sum())
    assert together <= sum(one.excess for one in promises)
    assert decidable.decided_by_items([]) == decidable.decides([]) == 0


def in_two_subscriptions() -> SmallTenant:
    """Return a tenant with a group of two subscriptions whose days are missing, and a holder above and at each."""
    tenant = inventoried()
    cover(tenant, range(60), SUB)
    cover(tenant, range(70, DAYS), SUB)
    for number, scope in ((102, MG), (103, SUB2)):
        tenant.assign(number, tenant.principal(number), CONTRIBUTOR, scope)
    return tenant


@pytest.mark.slow
def test_each_scope_has_a_part_of_the_promise() -> None:
    """What is above both needs both, so each part alone decides less than the two together."""
    decidable, _, promises = judged(in_two_subscriptions())
    (promise,) = [one for one in promises if one.item == "activity_log"]
    parts = {one.scope: one for one in promise.parts}
    assert {SUB, SUB2, MG.lower()} <= set(parts)
    assert 0 < parts[SUB2].excess_alone < parts[SUB2].excess
    assert decidable.decides(f"activity_log@{scope}" for scope in parts) == promise.excess_alone
    assert sum(one.excess_alone for one in promise.parts) < promise.excess_alone


@pytest.mark.slow
def test_days_may_be_declared_at_one_scope_and_loaded_at_another() -> None:
    """Both meet the same need, so that a mixed set decides as much as one of a kind."""
    decidable, _, promises = judged(in_two_subscriptions())
    loaded = [f"activity_log@{scope}" for scope in (SUB, SUB2, MG.lower())]
    mixed = [f"declared_days@{SUB}", *loaded[1:]]
    assert decidable.decides(mixed) == decidable.decides(loaded) > decidable.decides(loaded[1:]) > 0
    (declared,) = [one for one in promises if one.item == "declared_days"]
    assert [one.scope for one in declared.parts] == [SUB]
    assert "activity_log" in declared.needs


def eligible_twice() -> SmallTenant:
    """Return a tenant where one of two eligible assignments of a role was activated, nobody knows which one."""
    tenant = SmallTenant()
    person = tenant.principal(2)
    for number, scope in ((101, APP), (102, DATA)):
        tenant.assign(number, person, VM_CONTRIBUTOR, scope, state="eligible")
    began = dt.datetime.combine(DAY0 + dt.timedelta(days=20), dt.time(9))
    tenant.add(
        "pim_records", record_id="r", time=began, step="activated", plane="control", principal_id=person,
        role_definition_id=VM_CONTRIBUTOR, start_on=began, end_on=began + dt.timedelta(hours=4), succeeded=True,
    )  # fmt: skip
    return tenant


@pytest.mark.nightly
def test_a_request_may_tell_which_eligible_assignment_was_activated() -> None:
    """The history of PIM is promised where an activation names no scope, and what it decides is within the bound."""
    tenant = eligible_twice()
    promise = promised(tenant)["pim_history"]
    before = undecided(tenant)
    (record,) = tenant.rows["pim_records"]
    tenant.add(
        "schedule_requests", request_id="q", plane="control", asks_for="assignment", request_type="selfactivate",
        status="provisioned", principal_id=record["principal_id"], role_definition_id=VM_CONTRIBUTOR, scope=APP,
        start_on=record["start_on"], end_on=record["end_on"],
    )  # fmt: skip
    assert 0 < before - undecided(tenant) <= promise.excess
    assert "pim_history" not in promised(tenant)


@pytest.mark.slow
def test_unused_excess_waits_for_activation_rules_only_where_something_stays() -> None:
    """A plan removes an eligible assignment whole without them; one that it narrows takes its rules along."""
    tenant = eligible_twice()
    inputs = tenant.inputs()
    analysis = analyse(inputs, choose_window(inputs, DAY0 + dt.timedelta(days=DAYS), DAYS))
    whole = weigh_cells(analysis, NOBODY)
    key = {"place": pl.String(), "role": pl.String()}
    held = held_for_rules(whole, analysis, pl.DataFrame(schema=key))
    assert set(held["role_assignment_id"]) == {guid(101), guid(102)}
    assert set(held["verdict"]) == {"unused"}
    known = pl.DataFrame([(APP.lower(), VM_CONTRIBUTOR)], schema=key, orient="row")
    assert set(held_for_rules(whole, analysis, known)["role_assignment_id"]) == {guid(102)}
    del tenant.rows["pim_records"]
    inputs = tenant.inputs()
    dormant = analyse(inputs, analysis.window)
    assert held_for_rules(weigh_cells(dormant, NOBODY), dormant, pl.DataFrame(schema=key)).is_empty()


@pytest.mark.nightly
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


@pytest.mark.slow
def test_use_and_spared_holders_are_no_excess() -> None:
    """Operations with a row of their own are left out, and so are the assignments of spared holders."""
    inputs = inventoried().inputs()
    analysis = analyse(inputs, choose_window(inputs, DAY0 + dt.timedelta(days=DAYS), DAYS))
    cells = weigh_cells(analysis, NOBODY)
    counted = analysis.verdicts.filter(pl.col("verdict").is_in(UNDECIDED))["operations"].sum()
    assert cells.filter(pl.col("verdict").is_in(UNDECIDED))["operations"].sum() == counted
    assert weigh_cells(analysis, pl.Series([guid(1)])).filter(pl.col("principal_id") == guid(1)).is_empty()


@pytest.mark.slow
def test_only_days_between_logged_days_may_be_declared() -> None:
    tenant = SmallTenant()
    cover(tenant, range(20, 40), SUB)
    cover(tenant, range(50, 80), SUB)
    inputs = tenant.inputs()
    window = choose_window(inputs, DAY0 + dt.timedelta(days=DAYS), DAYS)
    day = DAY0.__class__.fromordinal
    first = DAY0.toordinal()
    inner = as_ranges(inner_gaps(inputs, window)).rows()
    assert inner == [(SUB, day(first + 40), day(first + 49))]


@pytest.mark.slow
def test_the_order_of_rows_changes_nothing() -> None:
    tenant = with_thirty_days()
    promises = judged(tenant)[2]
    for rows in tenant.rows.values():
        rows.reverse()
    assert judged(tenant)[2] == promises
