"""For a used operation missing in the catalogue, the narrowest pattern that Azure accepts stays."""

from __future__ import annotations

import pytest

from tests.propose.small_tenant import APP, CONTRIBUTOR, SUB, VM_CONTRIBUTOR, SmallTenant, proposal_for

pytestmark = pytest.mark.slow


LEAN = {"reads": "none", "unobservable": "drop"}


def _kept(role: str, operation: str, scope: str) -> list[str]:
    """Plan for one holder who used one operation, and return the patterns of the new roles."""
    tenant = SmallTenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, role, SUB)
    tenant.use(user, operation, scope)
    plan = tenant.plan(**LEAN)
    proposal = proposal_for(plan, assignment)
    assert proposal.kind == "custom"
    assert proposal.proof.holds
    assert plan.replay["denied"] == 0
    return [text for one in plan.roles for text in one.definition.permissions[0].actions if "*" in text]


@pytest.mark.parametrize(
    ("role", "operation", "type_", "kept"),
    [
        (CONTRIBUTOR, "Microsoft.Compute/newThings/write", "Microsoft.Compute/newThings", "Microsoft.Compute/*"),
        (
            CONTRIBUTOR,
            "MICROSOFT.COMPUTE/virtualmachines/hibernate/action",
            "Microsoft.Compute/virtualMachines",
            "Microsoft.Compute/virtualMachines/*",
        ),
        (CONTRIBUTOR, "Contoso.New/things/write", "Contoso.New/things", "Contoso.New/*"),
        (
            VM_CONTRIBUTOR,
            "Microsoft.Resources/deployments/newThing/action",
            "Microsoft.Resources/deployments",
            "Microsoft.Resources/deployments/*",
        ),
    ],
)
def test_the_pattern_ends_where_the_catalogue_ends(role: str, operation: str, type_: str, kept: str) -> None:
    """In the catalogue's spelling; of a provider that it does not have, the pattern of the provider."""
    assert _kept(role, operation, f"{APP}/providers/{type_}/a") == [kept]


def test_what_today_takes_out_of_the_pattern_stays_out() -> None:
    tenant = SmallTenant()
    user = tenant.principal(1)
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, "Microsoft.Authorization/newThings/check/action", f"{APP}/providers/Microsoft.Authorization/a/b")
    (role,) = tenant.plan(**LEAN).roles
    (block,) = role.definition.permissions
    assert block.actions == ("Microsoft.Authorization/*",)
    assert block.not_actions == ("Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write")
