"""What a suspect call used and is still allowed after a containment says through what, and why."""

from __future__ import annotations

import polars as pl
import pytest

from rightsize.guard.still_allowed import find_beyond_roles
from rightsize.render.sentences import what_ends
from tests.guard.contained import contained, contributor
from tests.propose.small_tenant import CONTRIBUTOR, OWNER, SUB, VM, SmallTenant, guid, strings

START, KEYS = "Microsoft.Compute/virtualMachines/start/action", "Microsoft.Storage/storageAccounts/listKeys/action"
RESTART = "Microsoft.Compute/virtualMachines/restart/action"
OTHER = f"{SUB}/resourceGroups/data/providers/Microsoft.Compute/virtualMachines/vm2"
ACCOUNT = f"{SUB}/resourceGroups/data/providers/Microsoft.Storage/storageAccounts/a"


@pytest.mark.slow
def test_a_need_that_the_attacker_used_as_well_stays_and_says_so() -> None:
    tenant, who = contributor()
    tenant.use(who, START, VM)
    tenant.use(who, START, VM, days=1, start=60, succeeded=1, suspect=1)
    tenant.use(who, KEYS, ACCOUNT, days=1, start=60, succeeded=1, suspect=1)
    found = contained(tenant, who, suspect=[(guid(101), "active")]).found
    assert [(one.operation, one.why, one.times) for one in found.allowed] == [(START, "needed", 6)]
    assert found.allowed[0].last == "2026-01-13"


@pytest.mark.slow
def test_what_a_group_holds_is_named_as_such() -> None:
    tenant = SmallTenant()
    who = tenant.principal(1)
    group = tenant.group(3, [who])
    tenant.assign(200, tenant.principal(2), OWNER, SUB)
    tenant.assign(101, group, CONTRIBUTOR, SUB)
    tenant.use(who, RESTART, VM, days=1, start=60, succeeded=1, suspect=1)
    found = contained(tenant, who).found
    assert [(one.operation, one.why, one.holder) for one in found.allowed] == [(RESTART, "group", group)]


def test_requests_to_graph_say_what_ends_them_or_why_nothing_does() -> None:
    row = {"principal_id": "A", "operation": "GET /users", "succeeded": 3, "failed": 0, "started": 0, "suspect": 2}
    graph = pl.DataFrame([row, row | {"operation": "GET /groups", "suspect": 0}])
    usage = graph.with_columns(plane=pl.lit("control"))
    (found,) = find_beyond_roles(usage, graph, ["a"], ["remove_permission", "block_sign_in", "leave_group"])
    assert (found.operation, found.calls, found.times) == ("GET /users", 2, 1)
    assert found.ended_by == ("remove_permission", "block_sign_in")
    (left,) = find_beyond_roles(usage, graph, ["a"], [])
    assert "nothing blocks a managed identity" in what_ends({"ended_by": left.ended_by, "times": left.times})


@pytest.mark.slow
def test_no_new_role_brings_along_what_its_holder_needs_elsewhere() -> None:
    """One role for the needs of two places would leave to the attacker, at one of them, what only the other needs."""
    tenant, who = contributor()
    for operation, place in ((START, VM), (RESTART, VM), (START, OTHER)):
        tenant.use(who, operation, place)
    tenant.use(who, RESTART, OTHER, days=1, start=60, succeeded=1, suspect=1)
    found = contained(tenant, who, suspect=[(guid(101), "active")]).found
    given = [one for proposal in found.plan.proposals for one in proposal.assignments]
    granted = {(one.scope, name) for one in given for name in strings(found.plan, str(one.role))}
    assert granted == {(VM, START), (VM, RESTART), (OTHER, START)}
    assert found.allowed == ()
