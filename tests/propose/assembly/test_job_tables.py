"""Jobs as tables: shares, what one does alone, odd ends, names by the words of roles, and the role of a plan."""

from __future__ import annotations

from typing import Any

import pytest

from rightsize.analyze.inputs import schema_of
from rightsize.analyze.verdicts.judge import analyse
from rightsize.analyze.window import choose_window
from rightsize.model.tables import JOB_TABLES
from rightsize.propose.assembly.purposes import JobTables, job_tables, read_jobs
from tests.propose.small_tenant import APP, CONTRIBUTOR, DATA, SUB, VM, SmallTenant, guid

START, RESTART = (f"Microsoft.Compute/virtualMachines/{verb}/action" for verb in ("start", "restart"))
DELETE, DISK = "Microsoft.Compute/virtualMachines/delete", "Microsoft.Compute/disks/write"
ACCOUNT = f"{DATA}/providers/Microsoft.Storage/storageAccounts/store"
STORAGE = "Microsoft.Storage/storageAccounts/write"


def _tenant(holders: int = 4) -> SmallTenant:
    """A team of operators of machines; the first also writes a disk, and deletes a machine."""
    tenant = SmallTenant()
    for number in range(1, holders + 1):
        user = tenant.principal(number)
        tenant.assign(100 + number, user, CONTRIBUTOR, SUB)
        tenant.use(user, START, VM)
        tenant.use(user, RESTART, VM)
    tenant.use(guid(1), DELETE, VM)
    tenant.use(guid(1), DISK, f"{APP}/providers/Microsoft.Compute/disks/d1")
    return tenant


def _tables(tenant: SmallTenant, roles: dict[str, tuple[str, str]] | None = None) -> JobTables:
    inputs = tenant.inputs()
    return job_tables(read_jobs(inputs, analyse(inputs, choose_window(inputs))), roles or {})


def _holder(tables: JobTables, number: int, job: str) -> dict[str, Any]:
    (row,) = tables.holders.filter(principal_id=guid(number), job=job).to_dicts()
    return row


def test_a_job_has_what_its_holders_share() -> None:
    tables = _tables(_tenant())
    (job,) = tables.jobs.to_dicts()
    assert (job["holder_count"], job["role"]) == (4, None)
    done = {row["operation"]: (row["used_by"], row["share"], row["done_by"]) for row in tables.operations.to_dicts()}
    assert done[START] == done[RESTART] == (4, 1.0, "all")
    assert tables.holders["principal_id"].to_list() == [guid(number) for number in (1, 2, 3, 4)]


@pytest.mark.slow
def test_what_one_does_alone_is_named_and_is_not_of_the_job() -> None:
    """A risky change of one holder is in no role of the job, and neither is work on other types."""
    tables = _tables(_tenant())
    job = tables.jobs["job"].item()
    assert not {DELETE, DISK} & set(tables.operations.filter("is_in_role")["operation"])
    first = _holder(tables, 1, job)
    assert first["alone_operations"] == sorted([DELETE, DISK])
    assert DISK in first["own_operations"]
    assert [_holder(tables, number, job)["alone_operations"] for number in (2, 3, 4)] == [[], [], []]


@pytest.mark.slow
def test_the_work_of_another_job_is_not_alone() -> None:
    """Who has two jobs is no odd one in either."""
    tenant = _tenant()
    for number in (4, 5, 6):
        if number > 4:
            tenant.assign(100 + number, tenant.principal(number), CONTRIBUTOR, SUB)
        tenant.use(guid(number), STORAGE, ACCOUNT)
    tables = _tables(tenant)
    assert tables.jobs.height == 2
    both = [row for row in tables.holders.to_dicts() if row["principal_id"] == guid(4)]
    assert [(row["own_operations"], row["alone_operations"]) for row in both] == [([], []), ([], [])]


@pytest.mark.slow
def test_members_count_singly_and_name_their_group() -> None:
    tenant = SmallTenant()
    members = [tenant.principal(number) for number in (1, 2, 3)]
    group = tenant.group(50, members)
    tenant.assign(101, group, CONTRIBUTOR, SUB, principal_type="Group")
    for user in members:
        tenant.use(user, START, VM)
    tables = _tables(tenant)
    assert tables.jobs["holder_count"].to_list() == [3]
    assert tables.holders["principal_id"].to_list() == members
    assert tables.holders["groups"].to_list() == [[group]] * 3


@pytest.mark.slow
@pytest.mark.parametrize("holders", [2, 5])
def test_a_job_is_named_by_what_most_do(holders: int) -> None:
    """In the words of roles; the odd ends of one holder change no name."""
    assert _tables(_tenant(holders)).jobs["name"].to_list() == ["VM Operator"]


@pytest.mark.slow
def test_a_job_names_the_role_that_it_is_given() -> None:
    job = _tables(_tenant()).jobs["job"].item()
    (row,) = _tables(_tenant(), {job: ("an id", "VM Restarter")}).jobs.to_dicts()
    assert (row["role"], row["role_name"]) == ("an id", "VM Restarter")


@pytest.mark.slow
def test_nobody_shares_anything() -> None:
    """Without shared work the tables are empty and have their columns."""
    for name, frame in _tables(_tenant(1)).named().items():
        assert frame.is_empty() and frame.schema == schema_of(name)
    assert tuple(_tables(_tenant(1)).named()) == JOB_TABLES
