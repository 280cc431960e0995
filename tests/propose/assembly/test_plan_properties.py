"""On random small tenants a plan denies no used operation and grants no new one, by an independent evaluator."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rightsize.model.nouns import DenyAssignment, PermissionBlock, RoleAssignment
from rightsize.model.plan import Plan
from rightsize.model.text import fold
from rightsize.rbac.access import Access, AssignedRole, read_membership
from rightsize.rbac.permissions import read_permissions
from rightsize.rbac.scopes import parse_scope
from tests.examples import FEW
from tests.propose.small_tenant import (
    APP,
    BLOB_READER,
    CONTRIBUTOR,
    DATA,
    MG,
    OPERATIONS,
    OWNER,
    READER,
    SUB,
    SUB2,
    VM,
    VM_CONTRIBUTOR,
    SmallTenant,
    guid,
)
from tests.rbac.places import by_place

pytestmark = pytest.mark.slow

# A plan takes a quarter of a second, and shrinking a failure would take minutes; the examples are small as they come.
_PLANS = settings(
    FEW,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
EXTRA = {
    guid(71): (
        "Two blocks",
        [
            PermissionBlock(actions=("Microsoft.Compute/*",), not_actions=("Microsoft.Compute/*/delete",)),
            PermissionBlock(actions=("Microsoft.Network/*", "*/read"), not_actions=("Microsoft.Network/*/action",)),
        ],
    ),
    guid(72): ("No reads of storage", [PermissionBlock(actions=("*",), not_actions=("Microsoft.Storage/*",))]),
    guid(73): (
        "Blobs",
        [PermissionBlock(actions=("Microsoft.Storage/*/read",), data_actions=("Microsoft.Storage/*",))],
    ),
    guid(74): ("Starter", [PermissionBlock(actions=("Microsoft.Compute/virtualMachines/start/action",))]),
}
ROLE_IDS = (OWNER, CONTRIBUTOR, READER, VM_CONTRIBUTOR, BLOB_READER, *EXTRA)
ASSIGNED_AT = ("/", MG, SUB, SUB2, APP, DATA, VM)
USED_AT = (
    MG,
    SUB,
    APP,
    VM,
    f"{APP}/providers/Microsoft.Resources/deployments/d",
    f"{VM}/providers/Microsoft.Authorization/roleAssignments/r",
    f"{DATA}/providers/Microsoft.Storage/storageAccounts/s",
    f"{SUB2}/resourceGroups/other/providers/Microsoft.Network/virtualNetworks/v",
)
UNLISTED = ("Microsoft.Compute/virtualMachines/hibernate/action", "Microsoft.Network/oddities/write")
PEOPLE = tuple(guid(number) for number in (1, 2, 3))
GROUPS = (guid(11), guid(12))

holders = st.sampled_from((*PEOPLE, *GROUPS))
assignments = st.lists(
    st.tuples(
        holders, st.sampled_from(ROLE_IDS), st.sampled_from(ASSIGNED_AT), st.sampled_from(["active"] * 5 + ["eligible"])
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda row: row[:3],
)
uses = st.lists(
    st.tuples(
        st.sampled_from(PEOPLE),
        st.sampled_from((*OPERATIONS, *UNLISTED)),
        st.sampled_from(USED_AT),
        st.integers(1, 3),
    ),
    max_size=8,
)
members = st.lists(st.tuples(st.sampled_from(GROUPS), st.sampled_from(PEOPLE)), max_size=4, unique=True)
options = st.fixed_dictionaries(
    {
        "reads": st.sampled_from(["none", "sibling", "namespace", "all"]),
        "unobservable": st.sampled_from(["keep", "drop"]),
        "split_groups": st.booleans(),
        "role_worth": st.sampled_from([0, 0, 5_000]),
        "separate_layers": st.booleans(),
    }
)


def _build(
    held: list[tuple[str, str, str, str]],
    done: list[tuple[str, str, str, int]],
    inside: list[tuple[str, str]],
    silent: bool,
) -> SmallTenant:
    tenant = SmallTenant()
    tenant.roles |= EXTRA
    tenant.custom_roles |= set(EXTRA)
    for number in (1, 2, 3):
        tenant.principal(number)
    for group, number in zip(GROUPS, (11, 12), strict=True):
        tenant.group(number, [member for owner, member in inside if owner == group])
    for number, (holder, role, scope, state) in enumerate(held, start=101):
        tenant.assign(number, holder, role, scope, state=state)
    for person, operation, scope, days in done:
        tenant.use(person, operation, scope, days=days)
    if silent:
        tenant.silent()
    return tenant


def _access(
    tenant: SmallTenant,
    inside: list[tuple[str, str]],
    held: list[RoleAssignment],
    plan: Plan,
    denies: list[DenyAssignment],
) -> Access:
    roles = {fold(id_): AssignedRole(name, read_permissions(blocks)) for id_, (name, blocks) in tenant.roles.items()}
    roles |= {
        role.definition.role_definition_id: AssignedRole("new", read_permissions(role.definition.permissions))
        for role in plan.roles
    }
    tree = {parse_scope(child).key: parent for child, parent in tenant.parents.items()}
    membership = read_membership([(owner, member) for owner, member in inside])
    return Access(roles, by_place(held), denies, membership, tree)


def _today(held: list[tuple[str, str, str, str]]) -> list[RoleAssignment]:
    return [
        RoleAssignment(guid(number), holder, role, scope, state)  # type: ignore[arg-type]
        for number, (holder, role, scope, state) in enumerate(held, start=101)
    ]


def _after(today: list[RoleAssignment], plan: Plan) -> list[RoleAssignment]:
    gone = {one.replaces[0] for one in plan.proposals if one.kind != "keep"}
    new = [
        RoleAssignment("new", one.principal_id, one.role, one.scope)
        for proposal in plan.proposals
        for one in proposal.assignments
    ]
    return [one for one in today if one.role_assignment_id not in gone] + new


@_PLANS
@given(held=assignments, done=uses, inside=members, silent=st.booleans(), chosen=options)
def test_nothing_used_is_denied_and_nothing_new_is_granted(
    held: list[tuple[str, str, str, str]],
    done: list[tuple[str, str, str, int]],
    inside: list[tuple[str, str]],
    silent: bool,
    chosen: dict[str, object],
) -> None:
    """Every call that was allowed stays allowed; every answer `yes` afterwards was `yes` before."""
    tenant = _build(held, done, inside, silent)
    plan = tenant.plan(**chosen)
    today = _today(held)
    before, after = (_access(tenant, inside, rows, plan, []) for rows in (today, _after(today, plan)))
    plane = {True: "data", False: "control"}
    for person, operation, scope, _ in done:
        where, on = parse_scope(scope), plane[bool(OPERATIONS.get(operation))]
        if before.decide(person, operation, on, where).allowed != "no":
            assert after.decide(person, operation, on, where).allowed != "no", (person, operation, scope)
    probes = [
        *((name, plane[bool(flag)]) for name, flag in OPERATIONS.items()),
        *((name, "control") for name in UNLISTED),
    ]
    probes += [("Microsoft.Never/heard/of/read", "control"), ("Microsoft.Storage/never/action", "data")]
    for person in PEOPLE:
        for scope in (*ASSIGNED_AT, USED_AT[-1]):
            for operation, on in probes:
                if after.decide(person, operation, on, parse_scope(scope)).allowed == "yes":
                    assert before.decide(person, operation, on, parse_scope(scope)).allowed == "yes", (
                        person,
                        operation,
                        scope,
                    )
    assert all(proposal.proof.holds for proposal in plan.proposals)
    assert plan.replay["denied"] == 0


@pytest.mark.nightly
@_PLANS
@given(held=assignments, done=uses, inside=members)
def test_an_unseen_assignment_is_kept_or_explained(
    held: list[tuple[str, str, str, str]], done: list[tuple[str, str, str, int]], inside: list[tuple[str, str]]
) -> None:
    """Each assignment has exactly one proposal, with a reason and with itself as what it speaks of."""
    plan = _build(held, done, inside, silent=True).plan()
    assert sorted(one.replaces for one in plan.proposals) == [(guid(number),) for number in range(101, 101 + len(held))]
    for proposal in plan.proposals:
        assert proposal.reason
        assert proposal.excess_after <= proposal.excess_before
        assert proposal.risk_after <= proposal.risk_before
        assert 0 <= proposal.break_probability_30d <= 1
        assert (proposal.kind == "keep") <= (proposal.assignments == ())
