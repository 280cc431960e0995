"""The caller of a long-running operation can follow it, whatever is decided about unlogged reads."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from rightsize.model.nouns import PermissionBlock
from rightsize.model.text import fold
from rightsize.propose.core.operation_sets import index_operations
from rightsize.propose.needs.unlogged import Polls
from tests.propose.small_tenant import (
    APP,
    CONTRIBUTOR,
    READER,
    SUB,
    VM,
    SmallTenant,
    proposal_for,
    strings,
)

WRITE = "Microsoft.Compute/virtualMachines/write"
STATUS = "Microsoft.Compute/locations/operations/read"
DISKS = "Microsoft.Compute/disks/operationStatuses/read"
NETWORK = "Microsoft.Network/locations/operations/read"
GROUP = "Microsoft.Resources/subscriptions/operationResults/read"
WRITER = "11111111-0000-4000-8000-000000000001"


def _tenant() -> SmallTenant:
    tenant = SmallTenant()
    tenant.operations |= dict.fromkeys((STATUS, DISKS, NETWORK, GROUP), False)
    tenant.roles[WRITER] = ("Machine Writer", [PermissionBlock(actions=(WRITE,))])
    tenant.custom_roles.add(WRITER)
    return tenant


def _granted(tenant: SmallTenant, assignment: str, **options: str) -> dict[str, set[str]]:
    """Return the strings that take the place of an assignment, by their scope."""
    plan = tenant.plan(roles="max", **options)
    found: dict[str, set[str]] = {}
    for one in proposal_for(plan, assignment).assignments:
        found.setdefault(fold(one.scope), set()).update(strings(plan, one.role))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("reads", ["none", "sibling"])
def test_who_writes_machines_reads_the_status_of_it_and_of_nothing_else(reads: str) -> None:
    """A disk's own status, and the network's, are nobody's who writes machines."""
    tenant = _tenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, WRITE, VM)
    granted = set().union(*_granted(tenant, assignment, reads=reads).values())
    assert {WRITE, STATUS, GROUP} <= granted
    assert not {DISKS, NETWORK} & granted


@pytest.mark.slow
def test_the_status_is_read_at_the_group_of_a_machine_that_is_started_alone() -> None:
    """Its address does not name the machine, and a grant at the machine would not reach it."""
    tenant = _tenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, "Microsoft.Compute/virtualMachines/start/action", VM)
    granted = _granted(tenant, assignment, reads="none")
    assert STATUS in granted[fold(APP)]
    assert all(STATUS not in texts for scope, texts in granted.items() if scope == fold(VM))


@pytest.mark.slow
def test_the_reader_of_a_writer_keeps_the_status_that_its_writing_role_lacks() -> None:
    """The caller asks with all that it holds: without its reading role its deployments would end as failed."""
    tenant = _tenant()
    user, other = tenant.principal(1), tenant.principal(2)
    tenant.assign(101, user, WRITER, APP)
    reader = tenant.assign(102, user, READER, SUB)
    idle = tenant.assign(103, other, READER, SUB)
    tenant.use(user, WRITE, VM)
    plan = tenant.plan(reads="none", unobservable="drop")
    kept = proposal_for(plan, reader)
    assert kept.reason.partition(":")[0] == "narrow already"
    assert kept.kind == "keep", "nothing was used under it, so that no new role is made"
    assert proposal_for(plan, idle).kind == "remove"


@pytest.mark.slow
def test_a_status_that_today_nobody_may_read_is_not_added() -> None:
    tenant = _tenant()
    user = tenant.principal(1)
    assignment = tenant.assign(101, user, WRITER, SUB)
    tenant.use(user, WRITE, VM)
    proposal = proposal_for(tenant.plan(reads="none"), assignment)
    assert [(one.role, fold(one.scope)) for one in proposal.assignments] == [(WRITER, fold(APP))]


@pytest.mark.slow
def test_the_evidence_says_that_it_is_inferred() -> None:
    tenant = _tenant()
    user = tenant.principal(1)
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, WRITE, VM)
    found = [
        action
        for role in tenant.plan(reads="none", roles="max").roles
        for action in role.evidence["actions"]
        if action["action"] == STATUS
    ]
    assert [action["why"] for action in found] == ["status_read"]
    assert found[0]["meaning"][0].startswith("inferred")


@pytest.mark.slow
def test_the_catalogue_has_the_status_of_what_people_deploy(shared_data: Path) -> None:
    """Each is asked for by a write that clients are known to follow; listings of what a provider can do are not."""
    table = pl.read_csv(shared_data / "catalog" / "operations.csv").select("operation", "is_data_action")
    frame = table.select(
        plane=pl.when(pl.col("is_data_action")).then(pl.lit("data")).otherwise(pl.lit("control")),
        operation="operation",
        in_catalogue=pl.lit(True),
    )
    empty = frame.head(0).select("plane", "operation")
    index = index_operations(frame, empty)
    polls = Polls(index)

    def asked(*names: str) -> set[str]:
        asking = index.mask(("control", fold(one)) for one in names)
        return {name for _, name in index.folded_members(polls.asked(asking))}

    expected = {
        "Microsoft.Compute/virtualMachines/write": "Microsoft.Compute/locations/operations/read",
        "Microsoft.Network/virtualNetworks/subnets/write": "Microsoft.Network/locations/operationResults/read",
        "Microsoft.ContainerRegistry/registries/write": "Microsoft.ContainerRegistry/registries/operationStatuses/read",
        "Microsoft.Resources/deployments/write": "Microsoft.Resources/deployments/operationstatuses/read",
        "Microsoft.Sql/servers/databases/write": "Microsoft.Sql/locations/databaseAzureAsyncOperation/read",
        "Microsoft.Web/sites/delete": "Microsoft.Resources/subscriptions/operationresults/read",
    }
    assert {write for write, status in expected.items() if fold(status) not in asked(write)} == set()
    assert asked("Microsoft.Compute/virtualMachines/read") == set()
    assert not any(name.endswith("/deployments/operations/read") for name in asked(*expected))
