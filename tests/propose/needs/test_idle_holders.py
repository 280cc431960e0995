"""A holder that used nothing loses what is proved unused, and more evidence of absence never leaves it more."""

from __future__ import annotations

from pathlib import Path

import pytest

from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Plan
from rightsize.propose.core.role_catalog import blocks_by_role
from rightsize.rbac.algebra import grants
from tests.conftest import MadeOnce
from tests.propose.inventoried import inventory, reader, resource
from tests.propose.small_tenant import CONTRIBUTOR, DATA, SUB, VM, SmallTenant, guid, proposal_for
from tests.propose.whole_catalogue import WholeTenant, logged_operations, read_catalogue, write_catalogue

PULL, PUSH = "Microsoft.ContainerRegistry/registries/pull/read", "Microsoft.ContainerRegistry/registries/push/write"
REGISTRY = f"{DATA}/providers/Microsoft.ContainerRegistry/registries/acr1"
ACR = {"AcrPull": (PULL,), "AcrPush": (PULL, PUSH)}
READING_ROLES = ("Monitoring Contributor",)
"""Roles that read everything, as Reader does, and otherwise do what a log shows."""
DOMAIN_ROLES = (
    "Network Contributor",
    "Website Contributor",
    "SQL DB Contributor",
    "SQL Server Contributor",
    "Redis Cache Contributor",
    "DocumentDB Account Contributor",
    "Locks Contributor",
    "Reader and Data Access",
    "Virtual Machine Contributor",
    "Storage Account Contributor",
)


def _acr(role: str, kind: str = "User") -> SmallTenant:
    tenant = SmallTenant()
    tenant.operations |= dict.fromkeys((PULL, PUSH, "Microsoft.ContainerRegistry/registries/read"), False)
    tenant.roles[guid(71)] = (role, [PermissionBlock(actions=ACR[role])])
    resource(tenant, REGISTRY)
    reader(tenant)
    inventory(tenant)
    tenant.assign(101, tenant.principal(1, kind), guid(71), DATA, principal_type=kind)
    return tenant


@pytest.mark.nightly
@pytest.mark.parametrize("role", ACR)
@pytest.mark.parametrize("signs_in", [False, True])
def test_a_role_on_an_endpoint_alone_stays_and_its_owner_is_asked(role: str, *, signs_in: bool) -> None:
    """No log shows a pull, and not each pull asks for a token."""
    tenant = _acr(role)
    if not signs_in:
        tenant.silent()
    found = proposal_for(tenant.plan(), guid(101))
    assert (found.kind, found.reason.partition(":")[0]) == ("keep", "endpoint only")
    assert "ask its owner" in found.reason


@pytest.mark.slow
def test_it_goes_by_the_option_that_drops_what_no_log_shows_and_never_with_chance_0() -> None:
    found = proposal_for(_acr("AcrPull").plan(unobservable="drop"), guid(101))
    assert found.kind == "remove"
    assert found.break_probability_30d > 0
    assert found.evidence["break_probability"]["bound"] == 1


@pytest.mark.slow
def test_it_goes_where_no_registry_was_all_through_the_window() -> None:
    tenant = _acr("AcrPull")
    tenant.rows["resources"].clear()
    resource(tenant, f"{DATA}/providers/Microsoft.Compute/virtualMachines/vm2")
    assert proposal_for(tenant.plan(), guid(101)).kind == "remove"


@pytest.fixture(scope="module")
def catalogue(shared_data: Path, made_once: MadeOnce) -> Path:
    """The folder with the tables of Azure's catalogue."""
    return made_once("whole-catalogue", lambda folder: write_catalogue(shared_data, folder))


def _after(plan: Plan, assignment: str, catalogue: Path) -> list[PermissionBlock]:
    """Return the permissions of the roles that an assignment ends in."""
    blocks = blocks_by_role(read_catalogue(catalogue)["role_permissions"])
    blocks |= {role.definition.role_definition_id: role.definition.permissions for role in plan.roles}
    return [block for one in proposal_for(plan, assignment).assignments for block in blocks[one.role]]


def _idle_holders(catalogue: Path, kind: str, names: tuple[str, ...]) -> tuple[Plan, dict[str, str]]:
    """Return the plan of a tenant where somebody idle holds each of some roles, and the assignments by role."""
    tenant = WholeTenant(folder=catalogue)
    ids = {name: id_ for id_, name in tenant.role_names.items()}
    resource(tenant, VM)
    reader(tenant)
    inventory(tenant)
    held = {
        name: tenant.assign(100 + number, tenant.principal(number, kind), ids[name], SUB, principal_type=kind)
        for number, name in enumerate(names, start=1)
    }
    return tenant.plan(), held


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["User", "ServicePrincipal"])
def test_an_idle_role_loses_what_a_log_proves_unused_where_an_existing_role_has_its_reads(
    catalogue: Path, kind: str
) -> None:
    plan, held = _idle_holders(catalogue, kind, READING_ROLES)
    ids = {name: id_ for id_, name in WholeTenant(folder=catalogue).role_names.items()}
    for name, assignment in held.items():
        found = proposal_for(plan, assignment)
        assert found.kind != "keep", (name, found.reason)
        blocks = _after(plan, assignment, catalogue)
        unused = [one for one in logged_operations(catalogue)[ids[name]] if not one.endswith("/read")]
        assert unused
        assert not [one for one in unused if grants(blocks, one, "control") == "yes"], name
        assert found.proof.holds


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["User", "ServicePrincipal"])
def test_an_idle_role_whose_reads_no_existing_role_has_stays_and_its_owner_is_asked(catalogue: Path, kind: str) -> None:
    """A new role of which nothing was used is none."""
    plan, held = _idle_holders(catalogue, kind, DOMAIN_ROLES)
    assert plan.roles == ()
    for name, assignment in held.items():
        found = proposal_for(plan, assignment)
        assert (found.kind, found.reason.partition(":")[0]) == ("keep", "nothing observed"), name
        assert "ask its owner" in found.reason


@pytest.mark.nightly
def test_the_twin_of_whom_more_is_proved_keeps_no_more() -> None:
    """Of one idle Contributor no sign-in log tells; of the other, one shows a token for something else than Azure."""
    left = {}
    for proved in (False, True):
        tenant = SmallTenant()
        resource(tenant, VM)
        reader(tenant)
        inventory(tenant)
        idle = tenant.principal(3)
        tenant.assign(103, idle, CONTRIBUTOR, SUB)
        if proved:
            tenant.silent()
            tenant.sign_in(idle, guid(990))
        left[proved] = proposal_for(tenant.plan(), guid(103))
    assert left[False].kind == "builtin"
    assert left[True].excess_after <= left[False].excess_after
