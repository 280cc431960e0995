"""Identities that remediate for Azure Policy keep the definitions' roles and their own use; the rest is judged."""

from __future__ import annotations

from typing import Any

import pytest

from rightsize.propose.core.fingerprint import POLICY_NEEDS
from tests.propose.small_tenant import (
    APP,
    CONTRIBUTOR,
    MG,
    READER,
    SUB,
    SUB2,
    VM,
    VM_CONTRIBUTOR,
    SmallTenant,
    guid,
    proposal_for,
)
from tests.propose.written_plans import Written, named

LEAN = {"reads": "none", "unobservable": "drop"}
WRITE = "Microsoft.Compute/virtualMachines/write"
POLICY = f"{SUB.lower()}/providers/microsoft.authorization/policyassignments/agents"
DEFINITION, OTHER, SET = "/d/agents", "/d/disks", "/s/monitoring"


def _tenant(*roles: str, at: str = SUB, **identity: Any) -> tuple[SmallTenant, str, list[str]]:
    """An identity of a policy assignment at a subscription, with a role each."""
    tenant = SmallTenant()
    described = {"alternative_names": ["isExplicit=False", POLICY.upper()]} | identity
    holder = tenant.principal(1, "ManagedIdentity", **described)
    return tenant, holder, [
        tenant.assign(100 + number, holder, role, at, principal_type="ServicePrincipal")
        for number, role in enumerate(roles)
    ]  # fmt: skip


def _policy(tenant: SmallTenant, definition: str = DEFINITION, id_: str = POLICY, **more: Any) -> None:
    row = {"policy_assignment_id": id_, "scope": SUB, "display_name": "Agents", "principal_ids": [guid(1)]}
    tenant.add("policy_assignments", **(row | {"policy_definition_id": definition} | more))


def _definition(tenant: SmallTenant, id_: str = DEFINITION, *, roles: Any = (VM_CONTRIBUTOR,), **more: Any) -> None:
    row = {"policy_definition_id": id_, "is_set": False, "display_name": f"name of {id_}"}
    tenant.add("policy_definitions", **(row | {"role_definition_ids": None if roles is None else [*roles]} | more))


def _set(tenant: SmallTenant, *members: str, versions: tuple[str, ...] = ()) -> None:
    said = {"member_ids": [*members], "member_versions": [*(versions or [""] * len(members))]}
    tenant.add("policy_definitions", policy_definition_id=SET, is_set=True, display_name="Monitoring", **said)


def _said(tenant: SmallTenant, *assignments: str) -> list[tuple[str, str]]:
    """Return the kind and the reason of what one plan proposes for each."""
    plan = tenant.plan(**LEAN)
    return [(found.kind, found.reason) for found in (proposal_for(plan, one) for one in assignments)]


@pytest.mark.slow
def test_what_a_policy_needs_stays_and_what_none_needs_is_judged() -> None:
    """Nothing was used: the one is for a day that may come, the other for nothing."""
    tenant, _, (needed, spare) = _tenant(VM_CONTRIBUTOR, READER)
    _policy(tenant)
    _definition(tenant)
    (kind, reason), (other, _) = _said(tenant, needed, spare)
    assert (kind, reason.split(":")[0]) == ("keep", "policy remediation")
    assert "for the policy Agents, whose definition name of /d/agents names the role; enough would be " in reason
    assert other == "remove"


@pytest.mark.nightly
def test_what_it_used_stays_though_no_policy_names_it() -> None:
    tenant, holder, (needed, spare) = _tenant(VM_CONTRIBUTOR, CONTRIBUTOR)
    _policy(tenant)
    _definition(tenant)
    tenant.use(holder, WRITE, VM, role_assignment_id=spare)
    (kind, reason), (other, _) = _said(tenant, spare, needed)
    assert (kind, "the role was used although none of them names it; " in reason) == ("keep", True)
    assert other == "keep"


@pytest.mark.slow
@pytest.mark.parametrize(
    "gap", ["no_policy", "no_definition", "no_roles", "no_member", "member_without_roles", "version", "member_version",
            "another_policy", "set_in_set"],
)  # fmt: skip
def test_where_something_is_not_loaded_all_of_it_stays(gap: str) -> None:
    tenant, _, assignments = _tenant(VM_CONTRIBUTOR, READER)
    if gap != "no_policy":
        _policy(tenant, SET if "member" in gap or gap == "set_in_set" else DEFINITION,
                definition_version="2.*.*" if gap == "version" else None)  # fmt: skip
    if gap != "no_definition":
        _definition(tenant, roles=None if gap == "no_roles" else (VM_CONTRIBUTOR,), version="1.0.0")
    if gap == "member_without_roles":
        _definition(tenant, OTHER, roles=None)
    if gap == "another_policy":
        _policy(tenant, OTHER, POLICY + "2")
    _set(tenant, *{"set_in_set": (SET,)}.get(gap, (DEFINITION, OTHER)), versions=("", "")[: 1 + (gap != "set_in_set")])
    if gap == "member_version":
        _definition(tenant, OTHER, roles=(), version="1.0.0")
        tenant.rows["policy_definitions"][-2]["member_versions"] = ["", "3.*.*"]
    for kind, reason in _said(tenant, *assignments):
        assert (kind, reason.split(":")[0]) == ("keep", "policy remediation")
        assert "not all roles that its policies need are known" in reason


@pytest.mark.slow
def test_a_set_needs_what_all_of_its_definitions_name() -> None:
    tenant, _, (first, second, spare) = _tenant(VM_CONTRIBUTOR, CONTRIBUTOR, READER)
    _policy(tenant, SET, definition_version="1.*.*")
    _set(tenant, DEFINITION, OTHER, versions=("1.*.*", ""))
    _definition(tenant, version="1.4.2")
    _definition(tenant, OTHER, roles=(CONTRIBUTOR,))
    said = _said(tenant, first, second, spare)
    assert [kind for kind, _ in said] == ["keep", "keep", "remove_duplicate"]
    assert "name of /d/disks" in said[1][1]


@pytest.mark.slow
@pytest.mark.parametrize(("at", "kept"), [(MG, False), (SUB, False), (SUB2, True), (APP, True)])
def test_a_role_that_is_held_elsewhere_may_be_served_by_another(at: str, kept: bool) -> None:
    """Somebody gave Contributor instead of what the policy names: without it nothing would be remediated."""
    tenant, holder, (wide,) = _tenant(CONTRIBUTOR)
    tenant.assign(200, holder, VM_CONTRIBUTOR, at, principal_type="ServicePrincipal")
    _policy(tenant)
    _definition(tenant)
    ((_, reason),) = _said(tenant, wide)
    assert ("Agents names the role" in reason) is kept


@pytest.mark.nightly
def test_a_user_assigned_identity_keeps_what_its_policies_need() -> None:
    """Nothing but the policy says that it remediates."""
    tenant, _, (needed, spare) = _tenant(VM_CONTRIBUTOR, READER, alternative_names=None)
    assert _said(tenant, needed)[0][0] == "remove"
    _policy(tenant, principal_ids=[guid(1).upper()])
    _definition(tenant)
    assert [kind for kind, _ in _said(tenant, needed, spare)] == ["keep", "remove"]


@pytest.mark.nightly
def test_a_policy_that_needs_another_role_makes_a_plan_stale() -> None:
    tenant, _, (_, spare) = _tenant(VM_CONTRIBUTOR, READER)
    _policy(tenant)
    _definition(tenant)
    written = Written.of(tenant, **LEAN)
    assert not written.verify(tenant).changes
    tenant.rows["policy_definitions"][0]["role_definition_ids"] = [VM_CONTRIBUTOR, READER]
    assert named(written.verify(tenant)) == [("policy_needs", guid(1), "changed")]
    del tenant.rows["policy_definitions"]
    del tenant.rows["policy_assignments"]
    assert named(written.verify(tenant)) == [("policy_needs", guid(1), "changed")]
    assert spare in {one.replaces[0] for one in tenant.plan(**LEAN).proposals}


@pytest.mark.nightly
def test_who_remediates_since_the_plan_was_made_makes_it_stale() -> None:
    """Also for a plan that was written before policies were read."""
    tenant, _, _ = _tenant(READER, alternative_names=None)
    plan = Written.of(tenant, **LEAN)
    earlier = {word: found for word, found in plan.rests_on.items() if word != POLICY_NEEDS}
    for written in (plan, plan.edit(lambda document: document.update(rests_on=earlier))):
        assert not written.verify(tenant).changes
        later = SmallTenant(rows=dict(tenant.rows))
        _policy(later)
        assert named(written.verify(later)) == [("policy_needs", guid(1), "changed")]
