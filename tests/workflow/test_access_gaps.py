"""What may allow more is found where it matters: at and above the scope of a question, and for whom it asks about."""

from __future__ import annotations

from rightsize.rbac.scopes import parse_scope
from rightsize.workflow.tenant_access import read_tenant_access
from tests.analyze.tiny import RG, SUB, Tiny
from tests.tenants.fake_store import FakeStore

START = "Microsoft.Compute/virtualMachines/start/action"


def tenant_of(who: str, kind: str) -> Tiny:
    """A tenant in which one principal may do anything with machines in one resource group."""
    blocks = '[{"actions": ["Microsoft.Compute/*"], "notActions": [], "dataActions": [], "notDataActions": []}]'
    tiny = Tiny().assign("a", who, "vm", RG, principal_type=kind)
    return tiny.add("role_definitions", role_definition_id="vm", role_name="vm", permissions=blocks)


def lacking(tiny: Tiny, scope: str, who: str | None = None, operation: str = START) -> list[tuple[str, str]]:
    tenant = read_tenant_access(FakeStore(tiny.inputs()).table)
    return [(one.listing, one.of) for one in tenant.lacks(operation, ("control",), parse_scope(scope), who)]


def test_a_group_whose_members_are_not_listed_hides_access_below_its_assignment() -> None:
    """Its members may do what it may; elsewhere it hides nothing, and with a complete listing nowhere."""
    tiny = tenant_of("g", "Group")
    tiny.add("principals", principal_id="g", principal_type="Group", listed=True)
    below = f"{RG}/providers/Microsoft.Compute/virtualMachines/x"
    assert lacking(tiny, below) == lacking(tiny, below, "ann") == [("members", "g")]
    assert lacking(tiny, below, "g") == lacking(tiny, SUB, "ann") == []
    assert lacking(tiny, below, "ann", "Microsoft.Network/virtualNetworks/write") == []
    tiny.add("listings", listing="members", of="g", complete=True)
    assert lacking(tiny, RG) == []


def test_a_listing_of_a_management_group_does_not_make_up_for_one_below() -> None:
    """That of a subscription has what is above it; what is not complete elsewhere says nothing here."""
    tiny = tenant_of("ann", "User")
    above = "/providers/microsoft.management/managementgroups/m"
    tiny.add("listings", listing="role_assignments", of=above, complete=True)
    tiny.add("listings", listing="role_assignments", of="/subscriptions/other", complete=False)
    assert lacking(tiny, RG, "bob") == []
    tiny.add("listings", listing="role_assignments", of=SUB.lower(), complete=False)
    assert lacking(tiny, RG, "bob") == [("role_assignments", SUB.lower())]
