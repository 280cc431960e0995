"""A linked check without a rule stays by a reference, a refusal or its provider, and where its type exists."""

from __future__ import annotations

import pytest

from rightsize.model.options import Unobservable
from rightsize.model.plan import Plan
from rightsize.rbac.algebra import grants
from tests.propose.inventoried import inventory, reader, resource
from tests.propose.small_tenant import APP, CONTRIBUTOR, NET, SUB, SUB2, VM, SmallTenant, guid, proposal_for

# The published schemas leave open what a cloud service can refer to.
SERVICE_WRITE = "Microsoft.Compute/cloudServices/write"
SERVICE = f"{APP}/providers/Microsoft.Compute/cloudServices/c1"
THING_JOIN = "Contoso.Things/things/join/action"
SET_WRITE = "Microsoft.Compute/machineGroups/write"
SET_JOIN = "Microsoft.Compute/machineGroups/join/action"
REGION_JOIN = "Microsoft.Compute/locations/offers/join/action"
THING = f"{NET}/providers/Contoso.Things/things/t1"
SET = f"{APP}/providers/Microsoft.Compute/machineGroups/s1"
HOLDER = guid(101)


def tenant(*resources: str, listed: bool = True) -> SmallTenant:
    """Return a tenant with a Contributor who writes a cloud service, and checks that no rule knows."""
    made = SmallTenant()
    made.operations |= dict.fromkeys((SERVICE_WRITE, THING_JOIN, SET_JOIN, REGION_JOIN), False)
    user = made.principal(1)
    made.assign(101, user, CONTRIBUTOR, SUB)
    made.use(user, SERVICE_WRITE, SERVICE)
    for scope in (SERVICE, *resources):
        resource(made, scope)
    if listed:
        reader(made)
        inventory(made)
    return made


def checks(plan: Plan, assignment: str = HOLDER) -> set[str]:
    """Return the checks that the new roles of a proposal grant."""
    held = {one.role for one in proposal_for(plan, assignment).assignments}
    new = [role.definition.permissions for role in plan.roles if role.definition.role_definition_id in held]
    return {
        name
        for name in (THING_JOIN, SET_JOIN, REGION_JOIN)
        if any(grants(blocks, name, "control") == "yes" for blocks in new)
    }


@pytest.mark.nightly
def test_a_check_of_another_provider_goes_and_one_of_the_same_stays_where_its_type_exists() -> None:
    """What is in a region is in no listing, so a listing cannot exclude it."""
    assert checks(tenant(THING).plan()) == {REGION_JOIN}
    assert checks(tenant(THING, SET).plan()) == {SET_JOIN, REGION_JOIN}


@pytest.mark.slow
def test_without_a_complete_listing_existence_is_assumed() -> None:
    assert checks(tenant(listed=False).plan()) == {SET_JOIN, REGION_JOIN}


@pytest.mark.nightly
def test_existence_elsewhere_does_not_count() -> None:
    made = tenant(SET.replace(SUB, SUB2))
    assert checks(made.plan()) == {REGION_JOIN}


@pytest.mark.nightly
def test_an_assignment_at_a_resource_keeps_checks_of_that_type_only() -> None:
    for scope, write, stays in ((SERVICE, SERVICE_WRITE, False), (SET, SET_WRITE, True)):
        made = tenant(SET, listed=False)
        made.operations[SET_WRITE] = False
        made.rows["role_assignments"][0]["scope"] = scope
        made.use(guid(1), write, scope)
        plan = made.plan()
        assert proposal_for(plan, HOLDER).kind == "custom"
        assert (SET_JOIN in checks(plan)) is stays


@pytest.mark.nightly
@pytest.mark.parametrize(("from_", "to", "stays"), [(SERVICE, THING, True), (SERVICE, SET, False), (SET, THING, False)])
def test_a_reference_ties_a_check_to_the_writes_of_the_type_that_refers(from_: str, to: str, stays: bool) -> None:
    """Anywhere in the tenant: it says which type can refer to which."""
    made = tenant(THING)
    made.operations["Contoso.Others/others/write"] = False
    made.add("resource_references", scope=from_.replace(SUB, SUB2).lower(), target=to.replace(SUB, SUB2).lower())
    if from_ == SET:
        # A write of the provider is not a write of the type that refers.
        made.rows["resource_references"][-1]["scope"] = f"{NET}/providers/contoso.others/others/o".lower()
    assert (THING_JOIN in checks(made.plan())) is stays


@pytest.mark.nightly
def test_a_reference_to_what_no_longer_exists_keeps_nothing() -> None:
    made = tenant()
    made.add("resource_references", scope=SERVICE.lower(), target=THING.lower())
    assert THING_JOIN not in checks(made.plan())


@pytest.mark.nightly
def test_a_refusal_that_names_the_check_keeps_it_beside_any_write() -> None:
    made = tenant(THING)
    made.use(made.principal(2), THING_JOIN, THING, succeeded=0, denied=1)
    assert THING_JOIN in checks(made.plan())


@pytest.mark.nightly
@pytest.mark.parametrize(("group", "stays"), [("web", False), ("web-dr", True)])
def test_a_scope_for_recovery_waits(group: str, *, stays: bool) -> None:
    """What it is for may not exist yet."""
    made = tenant()
    user = made.principal(2)
    made.assign(102, user, CONTRIBUTOR, f"{SUB}/resourceGroups/{group}")
    made.use(user, SERVICE_WRITE, f"{SUB}/resourceGroups/{group}/providers/Microsoft.Compute/cloudServices/c1")
    plan = made.plan()
    assert proposal_for(plan, guid(102)).kind == "custom"
    assert (SET_JOIN in checks(plan, guid(102))) is stays


@pytest.mark.nightly
def test_keep_keeps_every_check_beside_any_write_and_the_evidence_counts_the_rest() -> None:
    made = tenant(THING, listed=False)
    kept = made.plan(unobservable=Unobservable.KEEP)
    assert checks(kept) == {THING_JOIN, SET_JOIN, REGION_JOIN}
    assert "nothing_refers" not in proposal_for(kept, HOLDER).evidence["removed"]
    assert proposal_for(made.plan(), HOLDER).evidence["removed"]["nothing_refers"] == 1


@pytest.mark.nightly
def test_without_a_kept_write_nothing_is_said_to_lack_a_reference() -> None:
    """Then no option would keep a check."""
    made = tenant(THING)
    user = made.principal(2)
    made.assign(102, user, CONTRIBUTOR, SUB)
    made.use(user, "Microsoft.Compute/virtualMachines/start/action", VM)
    plan = made.plan(roles="max")
    assert checks(plan, guid(102)) == set()
    assert "nothing_refers" not in proposal_for(plan, guid(102)).evidence["removed"]
