"""The reach of a contained principal counts that its sign-in is blocked, and says what leads on without it."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.guard.contained import contained
from tests.propose.small_tenant import (
    CONTRIBUTOR,
    DATA,
    DAY0,
    OPERATIONS,
    OWNER,
    SUB,
    VM,
    VM_CONTRIBUTOR,
    SmallTenant,
    guid,
)

RUN = "Microsoft.Compute/virtualMachines/runCommand/action"
KEYS = "Microsoft.Storage/storageAccounts/listKeys/action"
GIVE = "Microsoft.Authorization/roleAssignments/write"
ACCOUNTS = "Microsoft.Automation/automationAccounts"
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


@pytest.mark.slow
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


@pytest.mark.nightly
def test_the_suspect_calls_alone_count_where_there_are_any() -> None:
    """What it did before the suspect time was its work."""
    tenant, who = tenant_of()
    tenant.rows["usage_days"][1]["suspect"] = 1
    assert [one.node for one in contained(tenant, who).reach.leads] == [f"s:{ACCOUNT.lower()}"]


@pytest.mark.nightly
def test_who_got_a_role_by_a_suspect_call_leads_on_and_so_does_a_webhook() -> None:
    """A webhook needs no sign-in; a role given before the suspect time was work."""
    hook, account = "Microsoft.Automation/automationAccounts/webhooks/write", f"{DATA}/providers/{ACCOUNTS}/aa"
    tenant = SmallTenant(
        operations=OPERATIONS | {hook: False, "Microsoft.Automation/automationAccounts/jobs/write": False}
    )
    who, friend, guest = tenant.principal(1), tenant.principal(4), tenant.principal(5)
    tenant.assign(200, tenant.principal(2), OWNER, SUB)
    tenant.assign(101, who, OWNER, SUB)
    tenant.add("resources", scope=account.lower(), resource_type=ACCOUNTS)
    tenant.use(who, hook, f"{account}/webhooks/w", days=1, suspect=1)
    for number, other, day, suspect in ((1, friend, 10, 0), (2, guest, 20, 1)):
        scope = f"{SUB}/providers/Microsoft.Authorization/roleAssignments/{guid(500 + number)}"
        tenant.use(who, GIVE, scope, days=1, start=day, suspect=suspect)
        time = dt.datetime.combine(DAY0 + dt.timedelta(days=day), dt.time(12))
        tenant.add("role_assignment_requests", correlation_id=f"c{number}", operation=GIVE, scope=scope,
                   principal_id=who, time=time, outcome="succeeded", assigned_principal_id=other)  # fmt: skip
    leads = {(one.node, one.why) for one in contained(tenant, who).reach.leads}
    assert leads == {(f"r:{account.lower()}", "runs a runbook as the account"), (f"p:{guest}", "got a role from it")}


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_managed_identity_is_not_blocked_until_it_is_removed_from_its_resource() -> None:
    """Its reach after the requests is what its assignments still allow."""
    tenant, _ = tenant_of()
    reach = contained(tenant, guid(3), "ManagedIdentity").reach
    assert not reach.is_blocked
    assert reach.attached == (VM.lower(),)
    assert list(reach.counts) == ["today", "after", "and_options"]


@pytest.mark.nightly
def test_a_blocked_application_gets_no_token() -> None:
    """Its owner can enable it again, and is named."""
    tenant, who = tenant_of("ServicePrincipal")
    owner = tenant.principal(4)
    owned = [{"object_id": who, "owner_id": owner, "app_id": None}]
    reach = contained(tenant, who, "ServicePrincipal", object_owners=owned).reach
    assert reach.is_blocked
    assert reach.enabled_by == (owner,)
