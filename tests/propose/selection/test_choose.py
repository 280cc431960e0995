"""Needs without a new role: the reason that is given where none is allowed, or none is worth it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rightsize.model.nouns import PermissionBlock
from rightsize.propose.core.role_patterns import AzureLimits, RoleRoom
from tests.propose.small_tenant import CONTRIBUTOR, SUB, SmallTenant, guid, proposal_for

LEAN = {"reads": "none", "unobservable": "drop"}
START = "Microsoft.Compute/virtualMachines/start/action"
WRITE = "Microsoft.Network/virtualNetworks/write"
ACCOUNT = "Microsoft.Storage/storageAccounts/one"


def _tenant(*operations: str) -> tuple[SmallTenant, list[str]]:
    """Holders of roles that share nothing, and of which no role grants less, each of whom uses one operation."""
    tenant = SmallTenant(roles={})
    ids = []
    for number, operation in enumerate(operations, start=1):
        provider = operation.split("/", maxsplit=1)[0]
        tenant.roles[guid(70 + number)] = (provider, [PermissionBlock(actions=(f"{provider}/*",))])
        user = tenant.principal(number)
        ids.append(tenant.assign(100 + number, user, guid(70 + number), SUB))
        tenant.use(user, operation, SUB)
    return tenant, ids


@pytest.mark.slow
def test_a_full_tenant_is_said_with_its_numbers() -> None:
    tenant, (first, second) = _tenant(START, WRITE)
    plan = tenant.plan(AzureLimits(custom_roles=20, headroom=0.95), **LEAN)
    kept = [proposal_for(plan, one) for one in (first, second) if proposal_for(plan, one).kind == "keep"]
    assert len(plan.roles) == 1
    assert [one.reason for one in kept] == [
        "custom role limit: the tenant has 0 of at most 20 custom roles, 19 are kept free, and the plan would add 2"
    ]


@pytest.mark.nightly
def test_the_option_is_said_as_the_option() -> None:
    """It is no limit of Azure, and nothing is said of one."""
    tenant, (first, second) = _tenant(START, WRITE)
    plan = tenant.plan(roles=1, **LEAN)
    reasons = {proposal_for(plan, one).reason for one in (first, second)}
    assert "max custom roles: `--roles` allows 1 new roles, and a plan without excess has 2" in reasons
    assert not any("limit" in reason for reason in reasons)


@pytest.mark.nightly
def test_what_saves_less_live_excess_than_asked_is_said_as_not_worth_a_role() -> None:
    """With the number, and with what is asked; the same tenant gets all roles where any worth is enough."""
    tenant, ids = _tenant(START, WRITE)
    plan = tenant.plan(role_worth=1_000_000, **LEAN)
    assert plan.roles == ()
    for one in ids:
        reason = proposal_for(plan, one).reason
        assert reason.startswith("not worth a role: a new role would save ")
        assert reason.endswith(" of live excess; it has to save 2% and 1,000,000")
    assert len(tenant.plan(role_worth=0, **LEAN).roles) == len(tenant.plan(roles="max", **LEAN).roles) == len(ids)


@pytest.mark.parametrize(
    ("limits", "existing", "option", "most", "word"),
    [
        (AzureLimits(), 0, None, 4_750, "custom_role_limit"),
        (AzureLimits(), 4_998, None, 0, "custom_role_limit"),
        (AzureLimits(), 4_740, 50, 10, "custom_role_limit"),
        (AzureLimits(), 4_740, 5, 5, "max_custom_roles"),
        (replace(AzureLimits(), custom_roles=2_000), 1_899, None, 1, "custom_role_limit"),
    ],
)
def test_the_smaller_of_option_and_limit_is_what_a_refusal_names(
    limits: AzureLimits, existing: int, option: int | None, most: int, word: str
) -> None:
    room = RoleRoom(limits, existing, option)
    assert room.most == most
    assert room.refusal(most + 1).partition(":")[0] == word


@pytest.mark.slow
def test_a_linked_check_alone_brings_no_role_of_another_service() -> None:
    """What joins subnets for databases is nothing for somebody who writes storage accounts."""
    of_network = "Microsoft.Network/virtualNetworks/subnets/join/action"
    tenant = SmallTenant()
    tenant.operations |= dict.fromkeys((f"Microsoft.Sql/servers/{verb}" for verb in ("write", "delete")), False)
    databases, storage = guid(71), guid(72)
    tenant.roles[databases] = ("Databases", [PermissionBlock(actions=("Microsoft.Sql/*", of_network))])
    tenant.roles[storage] = ("Storage", [PermissionBlock(actions=("Microsoft.Storage/storageAccounts/write",))])
    user = tenant.principal(1)
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, "Microsoft.Storage/storageAccounts/write", f"{SUB}/resourceGroups/app/providers/{ACCOUNT}")
    plan = tenant.plan(roles=0, reads="none")
    assert databases not in {one.role for proposal in plan.proposals for one in proposal.assignments}
