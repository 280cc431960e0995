"""The reads that a contained deployer needs: kept by option, with a price, and never those of secrets."""

from __future__ import annotations

import pytest

from rightsize.guard.containment_plan import Containment
from tests.guard.contained import contained, contributor
from tests.propose.small_tenant import APP, CONTRIBUTOR, OPERATIONS, OWNER, READER, SUB, VM, SmallTenant, strings

WRITE = "Microsoft.Compute/virtualMachines/write"
SCRIPTS = "Microsoft.Compute/virtualMachines/extensions/read"
STATUS = "Microsoft.Resources/subscriptions/resourceGroups/deployments/operationStatuses/read"


def deployer() -> tuple[SmallTenant, str]:
    """An application that deploys machines, their extensions among them, in one group."""
    extension = {"Microsoft.Compute/virtualMachines/extensions/write": False, SCRIPTS: False, STATUS: False}
    tenant = SmallTenant(operations=OPERATIONS | extension)
    who, other = tenant.principal(1, "ServicePrincipal"), tenant.principal(2)
    tenant.assign(200, other, OWNER, SUB)
    tenant.assign(101, who, CONTRIBUTOR, SUB, principal_type="ServicePrincipal")
    tenant.use(who, WRITE, VM)
    tenant.use(who, "Microsoft.Compute/virtualMachines/extensions/write", f"{VM}/extensions/agent")
    tenant.use(who, "Microsoft.Resources/deployments/write", f"{APP}/providers/Microsoft.Resources/deployments/d")
    for name, kind in ((VM, "Microsoft.Compute/virtualMachines"), (f"{APP}/providers/Microsoft.Compute/disks/d", "x")):
        tenant.add("resources", scope=name.lower(), resource_type=kind)
    return tenant, who


def reads_of(found: Containment) -> set[str]:
    """The reads in the new roles."""
    roles = [role.definition.role_definition_id for role in found.plan.roles]
    return {name for role in roles for name in strings(found.plan, role) if name.endswith("/read")}


@pytest.mark.slow
def test_without_the_option_no_read_stays_and_the_price_of_the_option_is_known() -> None:
    """The machine itself can be read with it, and the disk beside it cannot."""
    found = contained(*deployer(), "ServicePrincipal").found
    assert found.plan.roles
    assert reads_of(found) == set()
    reads = found.reads
    assert (reads.kept, reads.deploys, reads.resources) == (False, True, 1)
    assert reads.operations > 0


@pytest.mark.slow
def test_with_the_option_the_reads_of_what_is_written_stay_without_those_that_show_scripts() -> None:
    """The status and the outcome of a deployment stay, and are counted as what they show."""
    tenant, who = deployer()
    found = contained(tenant, who, "ServicePrincipal", keep_reads=True).found
    kept = reads_of(found)
    assert {"Microsoft.Compute/virtualMachines/read", "Microsoft.Resources/deployments/read", STATUS} <= kept
    assert SCRIPTS not in kept
    assert "Microsoft.Authorization/roleAssignments/read" not in kept
    assert found.plan.generated_from["options"]["reads"] == "sibling"
    assert (found.reads.kept, found.reads.operations) == (True, len(kept))
    assert found.reads.sensitive == 2


@pytest.mark.nightly
def test_who_may_read_by_another_assignment_needs_nothing_kept() -> None:
    """Reader of the subscription stays, since it leads nowhere."""
    tenant, who = deployer()
    tenant.assign(102, who, READER, SUB, principal_type="ServicePrincipal")
    assert contained(tenant, who, "ServicePrincipal").found.reads.operations == 0


@pytest.mark.nightly
def test_who_only_starts_machines_does_not_deploy() -> None:
    tenant, who = contributor()
    tenant.use(who, "Microsoft.Compute/virtualMachines/start/action", VM)
    assert not contained(tenant, who).found.reads.deploys
