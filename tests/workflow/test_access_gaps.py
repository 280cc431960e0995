"""What is not loaded and may allow more is found where it matters: at and above the scope of a question."""

from __future__ import annotations

from rightsize.rbac.scopes import parse_scope
from rightsize.workflow.tenant_access import read_tenant_access
from tests.analyze.tiny import RG, SUB, Tiny
from tests.tenants.fake_store import FakeStore


def gaps(tiny: Tiny, scope: str) -> list[str]:
    return read_tenant_access(FakeStore(tiny.inputs()).table).gaps([parse_scope(scope)])


def test_a_group_whose_members_are_not_listed_hides_access_below_its_assignment() -> None:
    """Its members may do what it may; elsewhere it hides nothing, and with a complete listing nowhere."""
    tiny = Tiny().role("vm", "Microsoft.Compute/*").assign("a", "g", "vm", RG, principal_type="Group")
    tiny.add("principals", principal_id="g", principal_type="Group", listed=True)
    (found,) = gaps(tiny, f"{RG}/providers/Microsoft.Compute/virtualMachines/x")
    assert found == "not all members of 1 group with access there are loaded: `g`"
    assert gaps(tiny, SUB) == []
    tiny.add("listings", listing="members", of="g", complete=True)
    assert gaps(tiny, RG) == []
