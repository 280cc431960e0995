"""A plan takes away what had no resource, says what proves it, and keeps what only people can decide."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from rightsize.analyze.verdicts.judge import analyse
from rightsize.analyze.window import choose_window
from rightsize.model.options import Reads, Unobservable
from rightsize.model.plan import Plan
from tests.propose.inventoried import CONTAINER_WRITE, JOIN, holder, inventoried, inventory, reader, resource
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
    SmallTenant,
    guid,
    proposal_for,
    strings,
)

KEEP = {"unobservable": Unobservable.KEEP}


def kept(plan: Plan, assignment: str = guid(101)) -> set[str]:
    """Return the strings of the new roles of a proposal."""
    planned = {role.definition.role_definition_id for role in plan.roles}
    roles = {one.role for one in proposal_for(plan, assignment).assignments} & planned
    return {text for role in roles for text in strings(plan, role)}


@pytest.mark.nightly
def test_a_contributor_loses_what_had_no_resource_and_keeps_its_reads_whole() -> None:
    """Endpoint operations and linked checks of absent types go; `*/read` stays one pattern."""
    before = SmallTenant()
    holder(before)
    assert CONTAINER_WRITE in kept(before.plan(**KEEP))
    after = kept(inventoried().plan(**KEEP))
    assert not {CONTAINER_WRITE, JOIN} & after
    assert [text for text in after if text.endswith("/read")] in ([], ["*/read"])
    reads = {text for text in kept(before.plan(**KEEP)) if text.endswith("read")}
    assert {text for text in after if text.endswith("read")} == reads


@pytest.mark.slow
def test_the_evidence_names_types_readers_days_and_times() -> None:
    """A reviewer can look up each proof: which listing, by whom, when, and how many days the log covers."""
    (entry,) = proposal_for(inventoried().plan(**KEEP), guid(101)).evidence["absent"]
    assert entry["reason"] == "no_such_resource"
    assert "Microsoft.Storage/storageAccounts" in entry["resource_types"]
    assert sum(entry["resource_types"].values()) == entry["operations"]
    assert [(one["kind"], one["reader_id"], one["subscriptions"]) for one in entry["listings"]] == [
        ("resource_graph", guid(900), 1),
        ("resource_list", guid(900), 1),
    ]
    assert (entry["log_days"], entry["window_days"]) == (90, 90)


@pytest.mark.nightly
def test_nothing_is_kept_whole_for_want_of_a_resource_alone() -> None:
    """A role for blobs without any account goes, with a chance that one comes, and its owner is asked."""
    tenant = inventoried()
    tenant.assign(103, tenant.principal(3), BLOB_READER, SUB)
    for unobservable in (Unobservable.KEEP, Unobservable.DROP):
        found = proposal_for(tenant.plan(reads=Reads.NONE, unobservable=unobservable), guid(103))
        assert found.kind == "remove"
        assert "had no resource there" in found.reason
        assert "ask its owner" in found.reason
        assert found.break_probability_30d > 0


@pytest.mark.nightly
def test_a_check_of_an_absent_type_goes_although_its_write_stays() -> None:
    """A machine's write may join a subnet; without any network all through the window it joined none."""
    for with_network in (False, True):
        tenant = inventoried()
        tenant.use(guid(1), "Microsoft.Compute/virtualMachines/write", VM)
        if with_network:
            resource(tenant, f"{APP}/providers/Microsoft.Network/virtualNetworks/n")
        assert (JOIN in kept(tenant.plan(**KEEP))) is with_network


@pytest.mark.slow
def test_scopes_that_wait_are_asked_about() -> None:
    """An empty subscription, an eligible assignment and a scope for recovery each get a question."""
    tenant = inventoried()
    reader(tenant, SUB2)
    inventory(tenant, SUB2)
    tenant.assign(103, tenant.principal(3), CONTRIBUTOR, SUB2)
    tenant.assign(104, tenant.principal(4), CONTRIBUTOR, SUB, state="eligible")
    tenant.assign(105, tenant.principal(6), CONTRIBUTOR, f"{SUB}/resourceGroups/bcp-site")
    said = {advice.subject: advice.text for advice in tenant.plan(**KEEP).advice}
    assert "is it for something to come?" in said[SUB2]
    assert "do its holders still need it?" in said[SUB]
    assert said[f"{SUB}/resourceGroups/bcp-site"].startswith("no listing shows a resource there")


@pytest.mark.slow
def test_a_plan_says_what_a_missing_listing_would_decide() -> None:
    """The advice names the subscription, the number of operations and types, and what is missing."""
    tenant = inventoried()
    holder(tenant, SUB2, number=2)
    advice = tenant.plan(**KEEP).advice
    said = [one.text for one in advice if one.subject == SUB2 and "inventory" in one.text]
    assert len(said) == 1
    assert said[0].startswith("an inventory of it would decide up to ")
    assert SUB not in {one.subject for one in advice}


@pytest.mark.nightly
@pytest.mark.parametrize("scope", [SUB, DATA])
def test_a_plan_is_the_same_for_rows_in_another_order(scope: str) -> None:
    """Neither the order of listings nor that of resources changes a plan."""
    tenant = inventoried()
    holder(tenant, scope, number=2)
    first = tenant.plan(**KEEP)
    for rows in tenant.rows.values():
        rows.reverse()
    assert tenant.plan(**KEEP).proposals == first.proposals


@pytest.mark.nightly
def test_a_scope_on_standby_keeps_what_does_not_exist_there() -> None:
    """A person may say that a scope waits; what lies above it is judged."""
    tenant = inventoried()
    inputs = tenant.inputs()
    window = choose_window(inputs, DAY0 + dt.timedelta(days=DAYS), DAYS)
    for standby, expected in (((SUB.upper(),), set()), ((MG,), set()), ((f"{SUB}/resourceGroups/x",), {guid(101)})):
        analysis = analyse(inputs, window, standby=standby)
        rows = analysis.profile_operations.filter(pl.col("reason") == "no_such_resource").join(
            analysis.profiles, on="profile_id"
        )
        assert set(rows["role_assignment_id"]) & {guid(101)} == expected


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["User", "ServicePrincipal"])
def test_whoever_used_nothing_keeps_what_waits(kind: str) -> None:
    """An empty group may be for something to come; its owner is asked. Who works elsewhere is judged as ever."""
    tenant = inventoried()
    empty = f"{SUB}/resourceGroups/later"
    tenant.assign(105, tenant.principal(5, kind), CONTRIBUTOR, empty)
    tenant.assign(106, guid(1), CONTRIBUTOR, empty)
    plan = tenant.plan()
    assert proposal_for(plan, guid(105)).reason.partition(":")[0] == "waits"
    assert proposal_for(plan, guid(106)).kind != "keep"
    without_listing = SmallTenant()
    without_listing.assign(105, without_listing.principal(5), CONTRIBUTOR, empty)
    assert proposal_for(without_listing.plan(), guid(105)).kind == "builtin"
