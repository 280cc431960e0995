"""The tenants of teams: ten to twelve drawn jobs, and everything unusual that is planted in them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from rightsize.demo.suite.files import read_catalogue, write_catalogue
from rightsize.demo.suite.jobs import jobs, rates, team_jobs
from rightsize.demo.suite.model import TEAMS, PlantedJob, SuiteCatalogue, SuitePrincipal, SuiteTenant
from rightsize.demo.suite.tenants import CROWD, LEAST_JOBS, MOST_JOBS, make_tenant, suite_tenants
from rightsize.demo.writing import Folder
from rightsize.model.text import fold
from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths

pytestmark = pytest.mark.slow

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def catalogue(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> SuiteCatalogue:
    """Azure's whole catalogue."""
    store = tmp_path_factory.mktemp("catalogue") / "store.duckdb"
    load_paths(store, [shared_data / "catalog" / name for name in ("operations.csv", "built-in-roles.json")])
    with open_store(store, read_only=True) as opened:
        return read_catalogue(opened.table("operations"), opened.table("role_definitions"))


def test_the_written_catalogue_is_the_one_that_was_read(catalogue: SuiteCatalogue, tmp_path: Path) -> None:
    """With the descriptions of roles: those that are made for one service are recognised by them."""
    write_catalogue(catalogue, Folder(tmp_path))
    load_paths(tmp_path / "again.duckdb", [tmp_path / "catalogue"])
    with open_store(tmp_path / "again.duckdb", read_only=True) as opened:
        assert read_catalogue(opened.table("operations"), opened.table("role_definitions")) == catalogue
    assert all(role.description for role in catalogue.roles.values())


@pytest.fixture(scope="module", params=SEEDS)
def tenant(request: pytest.FixtureRequest, catalogue: SuiteCatalogue) -> SuiteTenant:
    """The tenant of a seed."""
    return suite_tenants("jobs", request.param, catalogue)[0]


def _operations(tenant: SuiteTenant, who: SuitePrincipal) -> set[tuple[str, str]]:
    return {(one.plane, fold(one.operation)) for one in tenant.needs if one.principal_id == who.principal_id}


def _of(tenant: SuiteTenant, who: SuitePrincipal) -> list[PlantedJob]:
    return [job for job in tenant.jobs if job.name in who.jobs]


@pytest.mark.nightly
def test_ten_to_twelve_jobs_have_some_hundred_holders(tenant: SuiteTenant) -> None:
    """Each has several, and whoever has a job has needs of it alone or of a part that is planted."""
    assert LEAST_JOBS <= len(tenant.jobs) <= MOST_JOBS
    holders = Counter(name for one in tenant.principals for name in one.jobs)
    assert set(holders) == {job.name for job in tenant.jobs}
    assert min(holders.values()) >= 4
    assert 90 <= len([one for one in tenant.principals if one.jobs]) <= 140
    outside = [
        who.name
        for who in tenant.principals
        if who.jobs
        and _operations(tenant, who) - {key for job in _of(tenant, who) for key in job.operations | job.checks}
    ]
    assert len(outside) <= 1


def test_a_seed_gives_one_tenant_and_another_seed_another(catalogue: SuiteCatalogue) -> None:
    """Jobs, drawn operations and holders depend on the seed alone."""
    assert make_tenant(TEAMS, 3, catalogue) == make_tenant(TEAMS, 3, catalogue)
    one, other = make_tenant(TEAMS, 3, catalogue), make_tenant(TEAMS, 4, catalogue)
    assert {job.name for job in one.jobs} != {job.name for job in other.jobs}
    drawn = [{job.name: job.operations for job in tenant.jobs} for tenant in (one, other)]
    both = drawn[0].keys() & drawn[1].keys()
    assert any(drawn[0][name] != drawn[1][name] for name in both)


def test_jobs_are_others_than_those_of_the_other_tenants(catalogue: SuiteCatalogue) -> None:
    """No change but common ones stands in both tables, and each operation is in Azure's catalogue."""
    changes = [
        {fold(row.operation) for job in table for row in job.needs if row.kind == "logged" and not row.draws}
        for table in (jobs(), team_jobs())
    ]
    assert changes[0] & changes[1] == {"microsoft.resources/deployments/write"}
    known = {fold(name) for name, _, _ in catalogue.operations}
    assert changes[1] <= known


def test_some_work_is_done_in_one_environment_only(tenant: SuiteTenant) -> None:
    """Deletes of development: nobody needs them in another subscription."""
    only = {key: scope for job in tenant.jobs for key, scope in job.only_at.items()}
    assert only
    needed = [one for one in tenant.needs if (one.plane, fold(one.operation)) in only]
    assert needed
    assert all(fold(one.scope).startswith(only[one.plane, fold(one.operation)]) for one in needed)
    assert {name.rsplit("/", 1)[-1] for _, name in only} == {"delete"}


def test_one_of_a_group_of_forty_does_something_else(tenant: SuiteTenant) -> None:
    """All have the same job, a part of them does nothing, and one does parts of another job besides."""
    people = {one.principal_id: one for one in tenant.principals}
    (crowd,) = [members for members in tenant.members.values() if len(members) == CROWD]
    assert len({people[one].jobs for one in crowd}) == 1
    job = _of(tenant, people[crowd[0]])[0]
    odd = [one for one in crowd if _operations(tenant, people[one]) - job.operations - job.checks]
    assert len(odd) == 1
    more = _operations(tenant, people[odd[0]]) - job.operations - job.checks
    assert 2 <= len(more) <= 3
    assert any(more <= other.operations for other in tenant.jobs if other is not job)
    assert any(not _operations(tenant, people[one]) for one in crowd)


def test_people_and_an_account_have_two_jobs(tenant: SuiteTenant) -> None:
    """People do parts of both; the account, which does both on purpose, does all that its grants allow."""
    both = [one for one in tenant.principals if len(one.jobs) == 2]
    assert Counter(one.kind for one in both) == {"user": 4, "app": 1}
    (account,) = [one for one in both if one.kind == "app"]
    done = _operations(tenant, account)
    assert all(done & job.operations for job in _of(tenant, account))


def test_a_pipeline_does_everything_and_has_no_job(tenant: SuiteTenant) -> None:
    """It does changes of every job, and more of them than anybody else."""
    (pipeline,) = [one for one in tenant.principals if one.name == "release-everything"]
    done = _operations(tenant, pipeline)
    assert pipeline.jobs == ()
    assert all(done & job.operations for job in tenant.jobs)
    assert len(done) > max(len(_operations(tenant, one)) for one in tenant.principals if one.jobs)


def test_guests_do_a_part_of_a_job(tenant: SuiteTenant) -> None:
    """They are people of one job, and their names are those of guests."""
    guests = [one for one in tenant.principals if one.is_guest]
    assert [(one.kind, len(one.jobs), "#EXT#" in one.name) for one in guests] == [("user", 1, True)] * 3


def test_holders_of_some_jobs_use_a_third_of_it(tenant: SuiteTenant) -> None:
    """For two jobs the share of (holder, change) that a log shows is far below that of the others."""
    shares = []
    for job in tenant.jobs:
        own = [one for one in tenant.principals if one.jobs == (job.name,) and not one.is_guest]
        seen = Counter(one.principal_id for one in tenant.needs if one.kind == "logged")
        active = [seen[one.principal_id] for one in own if seen[one.principal_id]]
        if len(own) < CROWD:
            changes = len([key for key in job.operations if not key[1].endswith("/read")])
            shares.append(sum(len(_shown(tenant, one)) for one in own) / (changes * max(1, len(active))))
    assert rates()["sparse"] < rates()["guest"] < rates()["logged"]
    assert sum(share < 0.45 for share in shares) >= 2
    assert sum(share > 0.5 for share in shares) >= len(shares) / 2


def _shown(tenant: SuiteTenant, who: SuitePrincipal) -> set[str]:
    return {
        fold(one.operation) for one in tenant.needs if one.principal_id == who.principal_id and one.kind == "logged"
    }
