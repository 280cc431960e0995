"""What a suspect call used and is still allowed after a containment says through what, and why."""

from __future__ import annotations

import pytest

from tests.guard.contained import contained
from tests.propose.small_tenant import CONTRIBUTOR, OWNER, SUB, VM, SmallTenant, guid

START, KEYS = "Microsoft.Compute/virtualMachines/start/action", "Microsoft.Storage/storageAccounts/listKeys/action"
RESTART = "Microsoft.Compute/virtualMachines/restart/action"
ACCOUNT = f"{SUB}/resourceGroups/data/providers/Microsoft.Storage/storageAccounts/a"


@pytest.mark.slow
def test_a_need_that_the_attacker_used_as_well_stays_and_says_so() -> None:
    tenant = SmallTenant()
    who = tenant.principal(1)
    tenant.assign(200, tenant.principal(2), OWNER, SUB)
    tenant.assign(101, who, CONTRIBUTOR, SUB)
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
