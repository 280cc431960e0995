"""The reach of a contained principal counts that its sign-in is blocked, and says what leads on without it."""

from __future__ import annotations

from tests.propose.containment.contained import contained
from tests.propose.small_tenant import CONTRIBUTOR, DATA, OPERATIONS, OWNER, SUB, VM, VM_CONTRIBUTOR, SmallTenant, guid

RUN = "Microsoft.Compute/virtualMachines/runCommand/action"
KEYS = "Microsoft.Storage/storageAccounts/listKeys/action"
ACCOUNT = f"{DATA}/providers/Microsoft.Storage/storageAccounts/st"


def tenant_of(kind: str = "User") -> tuple[SmallTenant, str]:
    """A Contributor who once ran a command on a machine, whose identity has a role too."""
    tenant = SmallTenant(operations=OPERATIONS | {RUN: False})
    who = tenant.principal(1, kind, app_id=guid(901))
    tenant.assign(200, tenant.principal(2), OWNER, SUB)
    tenant.assign(101, who, CONTRIBUTOR, SUB)
    machine = tenant.principal(3, "ManagedIdentity", alternative_names=["isExplicit=False", VM])
    tenant.assign(103, machine, VM_CONTRIBUTOR, DATA)
    for scope, type_ in ((VM, "Microsoft.Compute/virtualMachines"), (ACCOUNT, "Microsoft.Storage/storageAccounts")):
        tenant.add("resources", scope=scope.lower(), resource_type=type_)
    tenant.use(who, RUN, VM, days=1)
    tenant.use(who, KEYS, ACCOUNT, days=1)
    return tenant, who


def test_when_no_token_is_left_only_what_was_left_behind_leads_on() -> None:
    """The machine on which it ran a command acts on as its identity, and the keys of the account work on."""
    reach = contained(*tenant_of()).reach
    assert reach.is_blocked
    assert list(reach.counts) == ["today", "after", "while_tokens_last", "and_options"]
    assert {(one.node, one.why.split(",")[0]) for one in reach.leads} == {
        (f"r:{VM.lower()}", "runs commands on the machine"),
        (f"s:{ACCOUNT.lower()}", "reads the keys of the account"),
    }
    assert reach.counts["and_options"]["identities"] == 1, "the identity of the machine"
    assert reach.counts["today"]["cells"] > reach.counts["and_options"]["cells"] > 0
    assert not reach.enables_itself


def test_the_suspect_calls_alone_count_where_there_are_any() -> None:
    """What it did before the suspect time was its work."""
    tenant, who = tenant_of()
    tenant.rows["usage_days"][1]["suspect"] = 1
    assert [one.node for one in contained(tenant, who).reach.leads] == [f"s:{ACCOUNT.lower()}"]


def test_an_application_that_it_owns_leads_on_and_can_lead_back() -> None:
    """An owner may have added a credential; this application can enable users again, and so its owner."""
    tenant = SmallTenant()
    who = tenant.principal(1)
    app = tenant.principal(9, "ServicePrincipal", app_id=guid(909))
    owned = [{"object_id": app, "owner_id": who, "app_id": None}]
    rights = [{"app_role_assignment_id": "g", "principal_id": app, "app_role_id": "r", "resource_id": guid(77)}]
    names = [{"api_app_id": "00000003-0000-0000-c000-000000000000", "permission_id": "r",
              "permission": "User.ReadWrite.All", "access": "application"}]  # fmt: skip
    tenant.principal(77, "ServicePrincipal", app_id="00000003-0000-0000-c000-000000000000")
    reach = contained(tenant, who, object_owners=owned, app_role_assignments=rights, api_permissions=names).reach
    assert [one.node for one in reach.leads] == [f"p:{app}"]
    assert reach.enabled_by == (app,)
    assert reach.enables_itself


def test_a_managed_identity_is_not_blocked_until_it_is_removed_from_its_resource() -> None:
    """Its reach after the requests is what its assignments still allow."""
    tenant, _ = tenant_of()
    reach = contained(tenant, guid(3), "ManagedIdentity").reach
    assert not reach.is_blocked
    assert reach.attached == (VM.lower(),)
    assert list(reach.counts) == ["today", "after", "and_options"]


def test_a_blocked_application_gets_no_token() -> None:
    """Its owner can enable it again, and is named."""
    tenant, who = tenant_of("ServicePrincipal")
    owner = tenant.principal(4)
    owned = [{"object_id": who, "owner_id": owner, "app_id": None}]
    reach = contained(tenant, who, "ServicePrincipal", object_owners=owned).reach
    assert reach.is_blocked
    assert reach.enabled_by == (owner,)
