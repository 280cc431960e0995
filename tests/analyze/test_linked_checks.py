"""An operation missing in a log is not unused where Azure may have checked it inside another write."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from rightsize.analyze.verdicts import linked_checks
from tests.analyze.tiny import RG, SUB, VM, Tiny

SNAPSHOT = "Microsoft.Compute/snapshots/write"
EXPORT = "Microsoft.Compute/disks/beginGetAccess/action"
SETTING = "Microsoft.Insights/diagnosticSettings/write"
KEYS = "Microsoft.Storage/storageAccounts/listKeys/action"
MACHINE = "Microsoft.Compute/virtualMachines/write"
DISK = "Microsoft.Compute/disks/write"
EXEMPTION = "Microsoft.Authorization/policyExemptions/write"
EXEMPT = "Microsoft.Authorization/policyAssignments/exempt/action"
UNUSED, LINKED = ("unused", "covered"), ("unobservable", "linked_check")
S2 = "/subscriptions/s2"


@pytest.fixture
def holder(tiny: Tiny) -> Tiny:
    """A tenant of one covered subscription in which `p` holds all of these operations."""
    operations = (SNAPSHOT, EXPORT, SETTING, KEYS, MACHINE, DISK, EXEMPTION, EXEMPT)
    tiny.catalogue(dict.fromkeys(operations, False))
    return tiny.role("all", *operations).role("export", EXPORT, KEYS).role("write", SNAPSHOT).cover()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "checked"), [(SNAPSHOT, EXPORT), (SETTING, KEYS), (MACHINE, DISK), (EXEMPTION, EXEMPT)]
)
def test_a_write_that_was_made_takes_the_proof_from_what_it_asks_for(holder: Tiny, write: str, checked: str) -> None:
    """And from nothing else: whoever made no such write was not asked for it."""
    holder.assign("a", "p", "all").use("p", write).assign("b", "q", "all")
    judged = holder.judged("a")
    assert judged[checked] == LINKED
    assert holder.judged("b")[checked] == UNUSED
    assert judged[EXEMPTION if write != EXEMPTION else SNAPSHOT] == UNUSED


def test_a_refused_write_asked_for_nothing(holder: Tiny) -> None:
    """A refusal is demand; what it lacked stands in its message."""
    holder.assign("a", "p", "all").use("p", SNAPSHOT, succeeded=0, denied=3)
    assert holder.judged("a")[EXPORT] == UNUSED


def test_the_write_counts_through_another_assignment_and_through_a_group(holder: Tiny) -> None:
    """Azure asks the caller, not the assignment that allows the write."""
    holder.assign("own", "p", "export").assign("other", "p", "write", RG).use("p", SNAPSHOT)
    holder.member("g", "p", "q").assign("through", "g", "export")
    assert holder.judged("own")[EXPORT] == LINKED
    assert holder.judged("through")[EXPORT] == LINKED


@pytest.mark.slow
def test_the_write_of_a_member_counts_for_the_group_and_not_for_other_members(holder: Tiny) -> None:
    """Two people of one group share what the group holds, and nothing else."""
    holder.member("g", "p", "q").assign("through", "g", "export")
    holder.assign("w", "p", "write").use("p", SNAPSHOT).assign("mine", "q", "export")
    assert holder.judged("through")[EXPORT] == LINKED
    assert holder.judged("mine")[EXPORT] == UNUSED


def test_a_write_that_no_log_could_have_shown_may_have_been_made(holder: Tiny) -> None:
    """The disk's subscription is covered, and the one where the snapshot may stand is not."""
    holder.add("scopes", scope=S2, kind="subscription", parent_scope="/", listed=True)
    holder.assign("a", "p", "export").assign("w", "p", "write", S2).assign("c", "q", "export")
    assert holder.judged("a")[EXPORT] == LINKED
    assert holder.judged("c")[EXPORT] == UNUSED


def test_a_write_by_somebody_unknown_may_have_been_anybodys_who_may_make_it(holder: Tiny) -> None:
    """No listing says who `ghost@contoso.com` is."""
    holder.assign("a", "p", "all").assign("b", "q", "export").use(None, SNAPSHOT, principal_name="ghost@contoso.com")
    judged = holder.judged("a")
    assert judged[EXPORT] == LINKED
    assert holder.judged("b")[EXPORT] == UNUSED


def test_below_a_resource_there_is_nothing_of_another_type(holder: Tiny) -> None:
    """A disk is not below a machine, and a policy assignment may be made at any resource."""
    holder.assign("a", "p", "all", VM).use("p", MACHINE, VM).use("p", EXEMPTION, VM)
    judged = holder.judged("a")
    assert judged[DISK] == UNUSED
    assert judged[EXEMPT] == LINKED


def test_what_was_used_stays_used(holder: Tiny) -> None:
    """A call of the operation itself is in the log."""
    holder.assign("a", "p", "all").use("p", SNAPSHOT).use("p", EXPORT)
    used = [row for row in holder.verdicts() if row[0] == "a" and row[2] == "used"]
    assert {row[1] for row in used} == {SNAPSHOT, EXPORT}


@pytest.mark.slow
def test_assignments_with_the_same_linked_checks_share_a_profile(holder: Tiny) -> None:
    """Who wrote the same is judged alike, and who wrote nothing apart."""
    for name in ("p", "q", "r"):
        holder.assign(name, name, "all")
    holder.use("p", SNAPSHOT).use("q", SNAPSHOT)
    profiles = dict(holder.analyse().profiles.select("role_assignment_id", "profile_id").iter_rows())
    assert profiles["p"] == profiles["q"] != profiles["r"]


def test_too_many_different_holders_share_the_checks_of_all(holder: Tiny, monkeypatch: Any) -> None:
    """It keeps more than it has to; who wrote nothing stays out of it."""
    monkeypatch.setattr(linked_checks, "LINKED_ROWS", 8)
    for name, write in (("p", SNAPSHOT), ("q", SETTING), ("r", None)):
        holder.assign(name, name, "all")
        if write is not None:
            holder.use(name, write)
    assert holder.judged("p")[KEYS] == holder.judged("p")[EXPORT] == holder.judged("q")[EXPORT] == LINKED
    assert holder.judged("r")[EXPORT] == UNUSED


def test_the_verdict_rows_count_each_operation_once(holder: Tiny) -> None:
    """Whatever is granted is in one counted row or one used row."""
    holder.assign("a", "p", "all", SUB).use("p", SNAPSHOT).use("p", MACHINE)
    assert sum(row[4] for row in holder.verdicts() if row[0] == "a") == 8


SITE, API_KEYS = "Microsoft.Web/sites/write", "Microsoft.Insights/Components/ApiKeys/Action"
SITE_AT = f"{RG}/providers/Microsoft.Web/sites/one"
COMPONENT_AT = f"{RG}/providers/Microsoft.Insights/components/one"


@pytest.fixture
def deployer(tiny: Tiny) -> Tiny:
    """Somebody who writes a site that refers to a component, and was refused keys of another component on that day."""
    tiny.catalogue(dict.fromkeys((SITE, API_KEYS), False)).role("all", SITE, API_KEYS).cover()
    tiny.add("resource_references", scope=SITE_AT.lower(), target=COMPONENT_AT.lower())
    tiny.assign("a", "p", "all").use("p", SITE, SITE_AT).assign("b", "q", "all").use("q", SITE, SITE_AT)
    return tiny.use("p", API_KEYS, f"{S2}{COMPONENT_AT[len(SUB) :]}", succeeded=0, denied=1)


@pytest.mark.slow
def test_a_refusal_and_a_reference_tie_an_operation_to_a_write(deployer: Tiny) -> None:
    """No rule has this pair; who was not refused did not show it."""
    assert deployer.judged("a")[API_KEYS] == LINKED
    assert deployer.judged("b")[API_KEYS] == UNUSED


@pytest.mark.slow
def test_a_refusal_before_the_window_tells_of_writes_within(deployer: Tiny) -> None:
    """One after it tells nothing: a plan of that day could not know it."""
    for row in (deployer.rows["usage_days"][0], deployer.rows["usage_days"][2]):
        row.update(day=dt.date(2025, 12, 1))
    deployer.use("p", SITE, SITE_AT)
    assert deployer.judged("a")[API_KEYS] == LINKED
    for row in (deployer.rows["usage_days"][0], deployer.rows["usage_days"][2]):
        row.update(day=dt.date(2026, 2, 1))
    assert deployer.judged("a")[API_KEYS] == UNUSED


@pytest.mark.parametrize(
    "change",
    [
        lambda tiny: tiny.rows.pop("resource_references"),
        lambda tiny: tiny.rows["usage_days"][0].update(day=dt.date(2026, 1, 6)),
        lambda tiny: tiny.rows["usage_days"][0].update(succeeded=0, denied=1),
        lambda tiny: tiny.rows["usage_days"][2].update(principal_id="q"),
    ],
    ids=["no reference", "another day", "the write was refused", "of somebody else"],
)
def test_a_refusal_without_such_a_write_ties_nothing(deployer: Tiny, change: Callable[[Tiny], object]) -> None:
    """It may have been a call of its own."""
    change(deployer)
    assert deployer.judged("a")[API_KEYS] == UNUSED


POOL, CONTAINER = (
    "Microsoft.Batch/batchAccounts/pools/write",
    "Microsoft.Storage/storageAccounts/blobServices/containers/write",
)


def test_an_endpoint_write_that_a_rule_names_is_made_by_resource_manager_too() -> None:
    """A pool of Batch joins a subnet; a container is only made at the endpoint of its account."""
    operations = pl.DataFrame({"name": [POOL.lower(), CONTAINER.lower()], "why": ["data_endpoint"] * 2})
    found = operations.select(linked_checks.runs_elsewhere(pl.col("why"), pl.col("name")))
    assert found.to_series().to_list() == [False, True]
