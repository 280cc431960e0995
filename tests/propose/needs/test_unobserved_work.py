"""A workload without any observed use keeps what could not be excluded for what exists there, by existing roles."""

from __future__ import annotations

import pytest

from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Plan
from tests.propose.inventoried import inventory, reader, resource
from tests.propose.small_tenant import CONTRIBUTOR, READER, SUB, SmallTenant, guid, proposal_for

HUB = f"{SUB}/resourceGroups/hub"
REGISTRY = f"{HUB}/providers/Microsoft.ContainerRegistry/registries/acr1"
SITE = f"{HUB}/providers/Microsoft.Web/sites/web1"
ACCOUNT = f"{HUB}/providers/Microsoft.Storage/storageAccounts/st1"
PUSH = "Microsoft.ContainerRegistry/registries/push/write"
PULL = "Microsoft.ContainerRegistry/registries/pull/read"
ERASE = "Microsoft.ContainerRegistry/registries/artifacts/delete"
ACR_PUSH, CONTAINERS = guid(71), guid(72)
STORAGE = "Microsoft.Storage/storageAccounts"


def _tenant(*resources: str, kind: str = "ServicePrincipal", listed: bool = True, scope: str = HUB) -> SmallTenant:
    tenant = SmallTenant()
    tenant.operations |= dict.fromkeys((PUSH, PULL, ERASE, "Microsoft.ContainerRegistry/registries/write"), False)
    tenant.operations |= {"Microsoft.Web/sites/read": False, "Microsoft.Web/sites/write": False}
    tenant.roles[ACR_PUSH] = ("AcrPush", [PermissionBlock(actions=(PULL, PUSH))])
    for one in resources:
        resource(tenant, one)
    reader(tenant)
    if listed:
        inventory(tenant)
    tenant.assign(101, tenant.principal(1, kind), CONTRIBUTOR, scope, principal_type=kind)
    return tenant


def _kept(plan: Plan) -> set[str]:
    return {one.role for one in proposal_for(plan, guid(101)).assignments}


@pytest.mark.slow
def test_a_dark_pipeline_keeps_its_push_through_acr_push() -> None:
    """And its owner is asked."""
    plan = _tenant(REGISTRY).plan()
    proposal = proposal_for(plan, guid(101))
    assert _kept(plan) == {ACR_PUSH, READER}
    assert proposal.kind == "builtin"
    assert proposal.proof.holds
    assert "no log shows a use of it" in proposal.reason
    assert "ask its owner" in proposal.reason
    assert any("ask the owners" in one.text and one.subject.lower() == HUB.lower() for one in plan.advice)
    assert plan.roles == ()


@pytest.mark.slow
def test_at_the_registry_itself_no_listing_is_needed() -> None:
    assert _kept(_tenant(REGISTRY, listed=False, scope=REGISTRY).plan()) == {ACR_PUSH, READER}


@pytest.mark.slow
def test_without_a_listing_nothing_is_known_to_be_absent() -> None:
    proposal = proposal_for(_tenant(REGISTRY, listed=False).plan(), guid(101))
    assert (proposal.kind, proposal.reason.partition(":")[0]) == ("keep", "nothing observed")


@pytest.mark.slow
def test_what_no_few_existing_roles_grant_stays_whole() -> None:
    """What runs on the endpoint of a storage account has no role here but the one of today."""
    proposal = proposal_for(_tenant(REGISTRY, ACCOUNT).plan(), guid(101))
    assert (proposal.kind, proposal.reason.partition(":")[0]) == ("keep", "nothing observed")


@pytest.mark.slow
def test_with_a_role_for_each_type_there_are_three() -> None:
    tenant = _tenant(REGISTRY, ACCOUNT)
    tenant.roles[CONTAINERS] = ("Container Operator", [PermissionBlock(actions=(f"{STORAGE}/blobServices/*",))])
    assert _kept(tenant.plan()) == {ACR_PUSH, CONTAINERS, READER}


@pytest.mark.slow
def test_a_person_without_use_ends_as_reader() -> None:
    """People leave calls of their own when they look after a service."""
    assert _kept(_tenant(REGISTRY, kind="User").plan()) == {READER}


@pytest.mark.nightly
def test_a_workload_with_use_is_not_dark() -> None:
    tenant = _tenant(REGISTRY, SITE)
    tenant.use(guid(1), "Microsoft.Web/sites/write", SITE)
    plan = tenant.plan()
    assert ACR_PUSH not in _kept(plan) or "no log shows a use" not in proposal_for(plan, guid(101)).reason


@pytest.mark.slow
@pytest.mark.parametrize("resources", [(SITE,)])
def test_where_no_endpoint_exists_only_reads_stay(resources: tuple[str, ...]) -> None:
    assert _kept(_tenant(*resources).plan()) == {READER}
