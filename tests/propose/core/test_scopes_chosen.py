"""The scope at which a use must be granted, and why none narrower: lasting resources, changing groups."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.analyze.verdicts.judge import analyse
from rightsize.analyze.window import choose_window
from rightsize.propose.core.operation_sets import index_operations
from rightsize.propose.core.scopes import FEW_PER_ASSIGNMENT, FEW_RESOURCES, WIDER, group_at_least
from rightsize.propose.needs.assignments import lifetimes_of, place_uses
from tests.examples import FEW
from tests.propose.small_tenant import APP, CONTRIBUTOR, DAYS, MG, NET, OWNER, SUB, SUB2, VM, SmallTenant, guid

START = "Microsoft.Compute/virtualMachines/start/action"
WRITE = "Microsoft.Compute/virtualMachines/write"
DELETE = "Microsoft.Compute/virtualMachines/delete"
BLOB = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
DEPLOY = "Microsoft.Resources/deployments/write"
GROUP = "Microsoft.Resources/subscriptions/resourceGroups"


def _vm(number: int, group: str = APP) -> str:
    return f"{group}/providers/Microsoft.Compute/virtualMachines/vm{number}"


def _tenant(role: str = CONTRIBUTOR, scope: str = SUB, **more: Any) -> tuple[SmallTenant, str]:
    tenant = SmallTenant()
    user = tenant.principal(1)
    tenant.assign(101, user, role, scope, **more)
    return tenant, user


def _placed(tenant: SmallTenant) -> pl.DataFrame:
    inputs = tenant.inputs()
    analysis = analyse(inputs, choose_window(inputs, None, DAYS))
    index = index_operations(analysis.tenant.operations, inputs.role_operations)
    return place_uses(inputs, analysis, analysis.tenant, index, lifetimes_of(inputs, analysis))


def _targets(tenant: SmallTenant) -> dict[str, set[tuple[str, str]]]:
    """For each operation of the first assignment the folded scopes where it is granted, and why no narrower."""
    found: dict[str, set[tuple[str, str]]] = {}
    for operation, target, wider in _placed(tenant).select("operation", "target", "wider").iter_rows():
        found.setdefault(operation, set()).add((target, wider))
    return found


@pytest.mark.slow
def test_a_resource_that_lasts_takes_the_place_of_its_group() -> None:
    tenant, user = _tenant()
    tenant.use(user, START, VM)
    assert _targets(tenant) == {START: {(VM.lower(), "used_here")}}


@pytest.mark.slow
def test_three_resources_do_and_four_do_not() -> None:
    for number in (FEW_RESOURCES, FEW_RESOURCES + 1):
        tenant, user = _tenant()
        for machine in range(number):
            tenant.use(user, START, _vm(machine))
        resources = {(_vm(machine).lower(), "used_here") for machine in range(number)}
        expected = resources if number == FEW_RESOURCES else {(APP.lower(), "many_resources")}
        assert _targets(tenant)[START] == expected


@pytest.mark.slow
def test_an_assignment_is_not_spread_over_many_resources() -> None:
    """Few in each group, but too many in all: the groups stay."""
    for groups in (FEW_PER_ASSIGNMENT // 2, FEW_PER_ASSIGNMENT // 2 + 1):
        tenant, user = _tenant()
        for number in range(groups):
            tenant.use(user, START, _vm(1, f"{SUB}/resourceGroups/g{number}"))
            tenant.use(user, START, _vm(2, f"{SUB}/resourceGroups/g{number}"))
        reasons = {wider for _, wider in _targets(tenant)[START]}
        assert reasons == ({"used_here"} if groups * 2 <= FEW_PER_ASSIGNMENT else {"many_resources"})


@pytest.mark.slow
@pytest.mark.parametrize("operation", [WRITE, DELETE])
def test_who_creates_or_deletes_needs_the_group(operation: str) -> None:
    """And everything else that is done there goes along: it would only cost more assignments."""
    tenant, user = _tenant()
    tenant.use(user, operation, _vm(9), start=20)
    tenant.use(user, START, VM)
    found = _targets(tenant)
    assert found[operation] == {(APP.lower(), "creates_resources")}
    assert found[START] == {(APP.lower(), "group_needed_anyway")}


@pytest.mark.slow
def test_a_write_to_what_was_there_before_creates_nothing() -> None:
    """Somebody restarted it before the first write, so the write is an update."""
    tenant, user = _tenant()
    tenant.use(guid(9), START, VM, start=2, days=1)
    tenant.use(user, WRITE, VM, start=20)
    assert _targets(tenant)[WRITE] == {(VM.lower(), "used_here")}


@pytest.mark.nightly
def test_what_was_refused_or_only_begun_proves_no_existence() -> None:
    for outcome in ({"succeeded": 0, "denied": 1}, {"succeeded": 0, "started": 1}, {"succeeded": 0, "failed": 1}):
        tenant, user = _tenant()
        tenant.use(guid(9), START, VM, start=2, days=1, **outcome)
        tenant.use(user, WRITE, VM, start=20)
        assert _targets(tenant)[WRITE] == {(APP.lower(), "creates_resources")}


@pytest.mark.slow
def test_a_resource_that_anybody_made_or_deleted_is_no_place_for_an_assignment() -> None:
    for operation in (WRITE, DELETE):
        tenant, user = _tenant()
        tenant.use(guid(9), operation, VM, start=2, days=1)
        tenant.use(user, START, VM, start=20)
        assert _targets(tenant)[START] == {(APP.lower(), "resource_comes_and_goes")}


@pytest.mark.slow
def test_a_group_whose_resources_were_moved_has_none_that_last() -> None:
    tenant, user = _tenant()
    tenant.use(guid(9), f"{GROUP}/moveResources/action", APP, start=2, days=1)
    tenant.use(user, START, VM, start=20)
    assert _targets(tenant)[START] == {(APP.lower(), "resource_comes_and_goes")}


@pytest.mark.slow
def test_without_a_whole_log_nobody_knows_what_lasted() -> None:
    tenant, user = _tenant()
    tenant.covered = (SUB2, MG, "/")
    tenant.use(user, START, VM)
    assert _targets(tenant)[START] == {(APP.lower(), "existence_unproved")}


@pytest.mark.slow
def test_a_child_counts_at_its_top_level_resource() -> None:
    """Who creates one needs the parent; a blob's container counts at its account."""
    tenant, user = _tenant()
    account = f"{APP}/providers/Microsoft.Storage/storageAccounts/st1"
    tenant.operations["Microsoft.Compute/virtualMachines/extensions/write"] = False
    tenant.use(user, "Microsoft.Compute/virtualMachines/extensions/write", f"{VM}/extensions/agent")
    tenant.use(user, "Microsoft.Storage/storageAccounts/blobServices/containers/write", f"{account}/blobServices/a/c/d")
    found = _targets(tenant)
    assert found["Microsoft.Compute/virtualMachines/extensions/write"] == {(VM.lower(), "inside_resource")}
    (at, why) = next(iter(found["Microsoft.Storage/storageAccounts/blobServices/containers/write"]))
    assert (at, why) == (account.lower(), "inside_resource")


@pytest.mark.slow
def test_deployments_and_extensions_count_at_what_they_target() -> None:
    tenant, user = _tenant(OWNER)
    tenant.use(user, DEPLOY, f"{APP}/providers/Microsoft.Resources/deployments/d")
    lock = "Microsoft.Authorization/roleAssignments/write"
    tenant.use(user, lock, f"{_vm(1, NET)}/providers/Microsoft.Authorization/roleAssignments/r")
    found = _targets(tenant)
    assert found[DEPLOY] == {(APP.lower(), "targets_group")}
    assert found[lock] == {(_vm(1, NET).lower(), "inside_resource")}


@pytest.mark.slow
def test_groups_that_come_and_go_need_their_subscription() -> None:
    tenant, user = _tenant()
    fresh = f"{SUB}/resourceGroups/fresh"
    tenant.use(user, f"{GROUP}/write", fresh, start=10)
    tenant.use(user, START, _vm(1, fresh), start=20)
    found = _targets(tenant)
    assert found[f"{GROUP}/write"] == {(SUB, "creates_groups")}
    assert found[START] == {(SUB, "group_comes_and_goes")}


@pytest.mark.slow
def test_a_group_deleted_before_the_window_may_have_been_made_again() -> None:
    """Work in the first one proves nothing of the second."""
    tenant, user = _tenant()
    tenant.use(guid(9), START, VM, start=-30, days=1)
    tenant.use(guid(9), f"{GROUP}/delete", APP, start=-20, days=1)
    tenant.use(user, f"{GROUP}/write", APP, start=5, days=1)
    tenant.use(user, START, VM, start=20)
    assert _targets(tenant)[START] == {(SUB, "group_comes_and_goes")}


@pytest.mark.slow
def test_a_refused_attempt_makes_no_group_older() -> None:
    """It was refused in a group that was not there yet; the write after it is its creation."""
    tenant, user = _tenant()
    tenant.use(user, f"{GROUP}/write", APP, start=5, days=1, succeeded=0, denied=1)
    tenant.use(user, f"{GROUP}/write", APP, start=6, days=1)
    tenant.use(user, START, VM, start=20)
    assert _targets(tenant)[START] == {(SUB, "group_comes_and_goes")}


@pytest.mark.slow
def test_what_happens_higher_up_stays_there() -> None:
    tenant, user = _tenant(OWNER, MG)
    write = "Microsoft.Authorization/roleAssignments/write"
    tenant.use(user, write, f"{MG}/providers/Microsoft.Authorization/roleAssignments/x")
    tenant.use(user, DEPLOY, f"{SUB}/providers/Microsoft.Resources/deployments/d")
    found = _targets(tenant)
    assert found[write] == {(MG.lower(), "management_group_use")}
    assert found[DEPLOY] == {(SUB, "subscription_use")}


@pytest.mark.slow
def test_what_happens_at_the_tenant_stays_there() -> None:
    tenant, user = _tenant(OWNER, "/")
    tenant.operations["Microsoft.Aadiam/diagnosticSettings/write"] = False
    tenant.use(user, "Microsoft.Aadiam/diagnosticSettings/write", "/providers/Microsoft.Aadiam/diagnosticSettings/x")
    assert _targets(tenant)["Microsoft.Aadiam/diagnosticSettings/write"] == {("/", "tenant_use")}


@pytest.mark.slow
def test_a_grant_that_is_narrower_stays_inside() -> None:
    account = f"{APP}/providers/Microsoft.Storage/storageAccounts/st1"
    container = f"{account}/blobServices/default/containers/c"
    tenant, user = _tenant(OWNER, container)
    tenant.use(user, "Microsoft.Storage/storageAccounts/blobServices/containers/write", f"{container}/x/y")
    (found,) = _targets(tenant).values()
    assert found == {(container.lower(), "granted_here")}


@pytest.mark.slow
def test_eligible_access_is_not_given_at_resources() -> None:
    tenant, user = _tenant(state="eligible")
    tenant.use(user, START, VM)
    assert _targets(tenant)[START] == {(APP.lower(), "eligible_floor")}


@pytest.mark.parametrize(
    ("place", "assigned", "expected"),
    [
        (VM, SUB, APP),
        (APP, SUB, APP),
        (SUB, MG, SUB),
        (MG, "/", MG),
        (VM, VM, VM),
        (f"{VM}/extensions/x", VM, VM),
        (VM, APP, APP),
    ],
)
def test_where_what_no_resource_grants_by_itself_may_stand(place: str, assigned: str, expected: str) -> None:
    """The resource group at least, and never beyond today's grant."""
    assert group_at_least(place.lower(), assigned.lower()) == expected.lower()


_USES = st.lists(
    st.tuples(
        st.sampled_from([START, WRITE, DELETE, DEPLOY, f"{GROUP}/write", f"{GROUP}/delete"]),
        st.sampled_from([SUB, APP, NET, *(_vm(number) for number in range(4)), _vm(1, NET), f"{VM}/extensions/x"]),
        st.integers(0, 80),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.nightly
@given(_USES, st.sampled_from([SUB, APP, VM, MG]), st.randoms(use_true_random=False))
@FEW
def test_a_target_is_above_its_use_and_within_todays_grant(
    uses: list[tuple[str, str, int]], scope: str, random: Any
) -> None:
    """Whatever is done: one word says why it is no narrower, and the order of rows changes nothing."""
    tenant, user = _tenant(OWNER, scope)
    for operation, at, start in uses:
        tenant.use(user, operation, at, start=start, days=1)
    placed = _placed(tenant)
    for place, target, wider in placed.select("place", "target", "wider").iter_rows():
        assert place == target or place.startswith(target + "/")
        assert target == scope.lower() or target.startswith(scope.lower() + "/") or scope == MG
        assert wider in WIDER
        assert (wider == "used_here") == (place == target)
    random.shuffle(tenant.rows.get("usage_days", []))
    assert _placed(tenant).sort(placed.columns[:9]).equals(placed.sort(placed.columns[:9]))
