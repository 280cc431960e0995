"""The chance that a type comes after the plan, and that its holder needs what was taken away for want of it."""

from __future__ import annotations

import math
import random
from typing import Any

import polars as pl
import pytest

from rightsize.propose.pipeline import bounds_of
from rightsize.propose.risk.estimate import estimate_arrivals
from tests.propose.histories import reading_of
from tests.propose.inventoried import inventoried, inventory, reader, resource
from tests.propose.small_tenant import APP, CONTRIBUTOR, SUB, SUB2, VM, VM_CONTRIBUTOR, SmallTenant, guid, proposal_for

NET = f"{APP}/providers/Microsoft.Network/virtualNetworks/net"
NET_WRITE = "Microsoft.Network/virtualNetworks/write"
SOMEBODY = 50


def said(tenant: SmallTenant, assignment: int = 101, **options: Any) -> dict[str, Any]:
    found = proposal_for(tenant.plan(**options), guid(assignment)).evidence.get("break_probability", {})
    return dict(found)


def created(tenant: SmallTenant, *, start: int = 40, scope: str = NET, write: str = NET_WRITE) -> SmallTenant:
    """Somebody else makes a resource in the window, which is listed at its end."""
    tenant.use(tenant.principal(SOMEBODY), write, scope, start=start, days=1)
    resource(tenant, scope)
    tenant.rows["resources"][-1]["created_on"] = tenant.rows["usage_days"][-1]["first_seen"]
    return tenant


@pytest.mark.nightly
def test_what_types_have_come_is_part_of_the_chance_of_breaking() -> None:
    """A tenant in which a type came in the window may get another one; the share of it stands in the plan."""
    quiet, busy = said(inventoried()), said(created(inventoried()))
    assert (quiet["new_types"]["came"], busy["new_types"]["came"]) == (0, 1)
    assert 0 < quiet["new_types"]["expected"] < busy["new_types"]["expected"]
    assert quiet["new_types"]["bound"] < busy["new_types"]["bound"]
    assert quiet["new_types"]["scopes"] == quiet["new_types"]["scopes_anywhere"] == 1
    plan = inventoried().plan()
    proposal = proposal_for(plan, guid(101))
    (logs,) = (bounds_of(*reading_of(inventoried().inputs()), 30).by_logs[guid(101), "active"].expected,)
    share = quiet["new_types"]["expected"]
    assert proposal.break_probability_30d == pytest.approx(1 - (1 - logs) * (1 - share), abs=2e-4)


@pytest.mark.nightly
@pytest.mark.parametrize("start", [0, 89])
def test_a_write_on_the_first_day_is_no_arrival(start: int) -> None:
    """What was there before the window is not known; on the last day it is."""
    tenant = created(inventoried(), start=start)
    assert said(tenant)["new_types"]["came"] == (0 if start == 0 else 1)


@pytest.mark.nightly
def test_a_write_to_what_was_there_is_no_arrival() -> None:
    """An update of a resource that a listing or an earlier call shows is not the first write of its type."""
    listed = created(inventoried())
    listed.rows["resources"][-1]["created_on"] = None
    assert said(listed)["new_types"]["came"] == 0
    called = created(inventoried())
    called.use(guid(SOMEBODY), "Microsoft.Network/virtualNetworks/subnets/join/action", NET, start=20, days=1)
    assert said(called)["new_types"]["came"] == 0


@pytest.mark.nightly
def test_arrivals_elsewhere_count_less_than_arrivals_here() -> None:
    """Scopes borrow from each other: a type that came to another subscription makes one here more likely."""

    def two(scope: str | None) -> dict[str, Any]:
        tenant = inventoried()
        reader(tenant, SUB2)
        tenant.rows["role_assignments"][-1]["role_assignment_id"] = guid(9001)
        inventory(tenant, SUB2)
        other = f"{SUB2}/resourceGroups/x/providers/Microsoft.Network/virtualNetworks/net"
        tenant.covered = [SUB, SUB2]
        if scope is not None:
            created(tenant, scope={"here": NET, "there": other}[scope])
        return dict(said(tenant)["new_types"])

    nowhere, there, here = two(None), two("there"), two("here")
    assert nowhere["scopes_anywhere"] == there["scopes_anywhere"] == 2
    assert (there["came"], there["came_anywhere"], here["came"]) == (0, 1, 1)
    assert nowhere["a_month"] < there["a_month"] < here["a_month"]
    # The type of the other subscription is the likeliest to come here, too.
    assert nowhere["lost_share"] < there["lost_share"]


@pytest.mark.nightly
def test_a_narrow_role_is_concerned_by_fewer_types() -> None:
    """Of all types that could come, a role for machines loses few."""
    tenant = inventoried()
    user = tenant.principal(2)
    tenant.use(user, "Microsoft.Compute/virtualMachines/start/action", VM)
    tenant.assign(102, user, VM_CONTRIBUTOR, SUB)
    wide, narrow = said(tenant), said(tenant, 102)
    if narrow:
        assert narrow["new_types"]["lost"] < wide["new_types"]["lost"]
        assert narrow["new_types"]["bound"] < wide["new_types"]["bound"]


@pytest.mark.nightly
def test_nobody_is_asked_who_could_not_use_what_comes() -> None:
    """At a resource no other type can come, and who keeps the assignment loses nothing."""
    tenant = inventoried()
    user = tenant.principal(2)
    tenant.use(user, "Microsoft.Compute/virtualMachines/start/action", VM)
    tenant.assign(102, user, CONTRIBUTOR, VM)
    assert "new_types" not in said(tenant, 102)
    kept = proposal_for(inventoried().plan(max_break=0.0), guid(101))
    assert (kept.kind, kept.break_probability_30d) == ("keep", 0.0)
    assert kept.reason.startswith("break risk")


def _simulated(lot: random.Random, mean: float, scopes: int, share: float) -> tuple[dict[str, Any], list[float]]:
    """Draw a tenant: the rate of each scope, what came in a window, and the true chance of each holder afterwards."""
    rates = [lot.expovariate(1 / mean) if mean else 0.0 for _ in range(scopes)]
    came = [_arrivals(lot, rate) for rate in rates]
    rows = {
        "came": came,
        "scopes": [1] * scopes,
        "came_anywhere": [sum(came)] * scopes,
        "scopes_anywhere": [scopes] * scopes,
        "lost_share": [1.0] * scopes,
        "used": [sum(lot.random() < share for _ in range(20)) for _ in rates],
        "granted": [20] * scopes,
    }
    return rows, [1 - math.exp(-rate * share / 3) for rate in rates]


def _arrivals(lot: random.Random, rate: float) -> int:
    """Draw how many types come in one window."""
    count, at = 0, lot.expovariate(rate) if rate else 1.0
    while at < 1:
        count, at = count + 1, at + lot.expovariate(rate)
    return count


@pytest.mark.slow
@pytest.mark.parametrize(("mean", "share"), [(0.0, 0.3), (0.3, 0.3), (3.0, 0.1), (6.0, 0.5)])
def test_the_chance_holds_on_drawn_tenants(mean: float, share: float) -> None:
    """Over many tenants the expected chance is the true one, and the bound is above it; with and without arrivals."""
    lot = random.Random(7)  # noqa: S311  tenants, not secrets
    expected, bound, true = [], [], []
    for _ in range(60):
        rows, chances = _simulated(lot, mean, 30, share)
        found = estimate_arrivals(pl.DataFrame(rows), 30, 90)
        expected += found["expected"].to_list()
        bound += found["bound"].to_list()
        true += chances
    really = sum(true) / len(true)
    assert sum(bound) / len(bound) > really
    assert sum(expected) / len(expected) == pytest.approx(really, abs=0.01)
