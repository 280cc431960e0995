"""Who has which jobs, and which changes the role of a job has."""

from __future__ import annotations

import polars as pl
import pytest

from rightsize.analyze.inputs import Inputs
from rightsize.model.text import fold
from rightsize.propose.jobs import MOST_JOBS, read_work
from tests.propose.jobs.worked import AWAY, HOME, HandWork, core_with, job_with, mask, names_of

SITES = [f"Microsoft.Web/sites/{one}" for one in ("write", "restart/action", "start/action", "stop/action")]
DISKS = [f"Microsoft.Compute/disks/{one}" for one in ("write", "beginGetAccess/action", "endGetAccess/action")]
VAULTS = [f"Microsoft.KeyVault/vaults/{one}" for one in ("write", "deploy/action", "joinPerimeter/action")]
RULES = [f"Microsoft.Insights/alertRules/{one}" for one in ("write", "throttle/action", "resolve/action")]
DELETE = "Microsoft.Web/sites/delete"
RUN = "Microsoft.Compute/virtualMachines/runCommand/action"
KEYS = "Microsoft.Storage/storageAccounts/listKeys/action"
ASSIGN = "Microsoft.Authorization/roleAssignments/write"
ODD = "Microsoft.Web/sites/backup/action"
ELSEWHERE = "Microsoft.Cache/redis/write"


def _two_jobs() -> HandWork:
    """Four people who run sites and four who run disks."""
    tenant = HandWork()
    for number in range(4):
        tenant.worker(f"web{number}", *SITES)
        tenant.worker(f"disk{number}", *DISKS)
    return tenant


def test_a_job_has_its_workers_and_its_changes() -> None:
    jobs = _two_jobs().jobs()
    assert len(jobs.found) == 2
    web = job_with(jobs, SITES[0])
    assert web.workers == {f"web{number}" for number in range(4)}
    assert names_of(jobs, web.core) == set(SITES)
    assert web.key == "microsoft.web/sites/restart/action control"


def test_what_one_worker_alone_uses_is_nobodys_job() -> None:
    tenant = _two_jobs()
    tenant.worker("alone", *RULES)
    jobs = tenant.jobs()
    assert not any(job.changes & mask(jobs.work.index, *RULES) for job in jobs.found)
    assert jobs.of_holder(next(who for who in jobs.work.of_worker if who == "alone")) == ()


def test_who_does_two_jobs_has_both_and_keeps_them_apart() -> None:
    tenant = _two_jobs()
    tenant.worker("both", *SITES, *DISKS)
    jobs = tenant.jobs()
    assert len(jobs.found) == 2
    assert [job.key for job in jobs.of(jobs.work.of_worker[next(w for w in jobs.work.of_worker if w == "both")])] == [
        job_with(jobs, SITES[0]).key,
        job_with(jobs, DISKS[0]).key,
    ]


def test_nobody_has_more_than_three_jobs() -> None:
    tenant = _two_jobs()
    for number in range(4):
        tenant.worker(f"vault{number}", *VAULTS)
        tenant.worker(f"rule{number}", *RULES)
    tenant.worker("all", *SITES, *DISKS, *VAULTS, *RULES)
    jobs = tenant.jobs()
    assert len(jobs.found) == 4
    everything = mask(jobs.work.index, *SITES, *DISKS, *VAULTS, *RULES)
    assert len(jobs.of(everything)) == MOST_JOBS
    assert jobs.of(everything)[0].key == job_with(jobs, SITES[0]).key, "the job with most of the changes is first"


def test_one_change_of_a_job_is_not_that_job_for_who_has_another() -> None:
    tenant = _two_jobs()
    tenant.worker("odd", *SITES, DISKS[0])
    jobs = tenant.jobs()
    assert "odd" in job_with(jobs, SITES[0]).workers
    assert "odd" not in job_with(jobs, DISKS[0]).workers


def test_one_change_is_a_job_for_who_has_no_other() -> None:
    """Sparse use: who restarted once does what the others do more of."""
    tenant = _two_jobs()
    for number in range(4, 20):
        tenant.worker(f"disk{number}", *DISKS)
    tenant.worker("new", SITES[1])
    assert "new" in job_with(tenant.jobs(), SITES[0]).workers


def test_what_one_worker_did_on_a_type_of_the_job_belongs_to_it_if_it_is_ordinary() -> None:
    tenant = _two_jobs()
    tenant.worker("web0", ODD, ELSEWHERE)
    found = core_with(tenant.jobs(), SITES[0])
    assert ODD in found
    assert ELSEWHERE not in found, "the job changes no such type"


def test_what_another_job_has_is_no_odd_end_of_this_one() -> None:
    """On the same type two jobs stay two: who restarts sites is not who builds them."""
    tenant = HandWork()
    build = ["Microsoft.Web/sites/write", "Microsoft.Web/sites/config/write", "Microsoft.Web/sites/slots/write"]
    run = ["Microsoft.Web/sites/restart/action", "Microsoft.Web/sites/start/action", "Microsoft.Web/sites/stop/action"]
    for number in range(5):
        tenant.worker(f"builder{number}", *build)
        tenant.worker(f"runner{number}", *run)
    tenant.worker("runner0", build[0])
    jobs = tenant.jobs()
    assert core_with(jobs, run[0]) == set(run)
    assert core_with(jobs, build[0]) == set(build)


@pytest.mark.parametrize("risky", [DELETE, KEYS, RUN, ASSIGN])
@pytest.mark.parametrize(("users", "is_in"), [(1, False), (2, True), (4, True)])
def test_a_risky_change_needs_two_workers_and_half_of_them(risky: str, users: int, *, is_in: bool) -> None:
    tenant = _two_jobs()
    for number in range(users):
        tenant.worker(f"web{number}", risky)
    jobs = tenant.jobs()
    in_group = bool(job_with(jobs, SITES[0]).changes & mask(jobs.work.index, risky))
    on_type = risky == DELETE
    assert (risky in core_with(jobs, SITES[0])) is (is_in and (in_group or on_type))
    assert jobs.work.kind_of(jobs.work.index.bits["control", risky.lower()]) is not None  # type: ignore[index]


def test_two_of_five_are_not_half() -> None:
    tenant = _two_jobs()
    tenant.worker("web4", *SITES)
    for number in range(2):
        tenant.worker(f"web{number}", DELETE)
    assert DELETE not in core_with(tenant.jobs(), SITES[0])
    tenant.worker("web2", DELETE)
    assert DELETE in core_with(tenant.jobs(), SITES[0])


def test_a_delete_used_in_one_subscription_only_is_not_in_the_role_of_the_job() -> None:
    """Development and production have one role; where two people work without the delete, nobody is given it."""
    tenant = HandWork()
    for number in range(4):
        tenant.worker(f"web{number}", *SITES, DELETE, place=AWAY)
        tenant.worker(f"web{number}", *SITES, place=HOME)
    assert DELETE not in core_with(tenant.jobs(), SITES[0])
    tenant.worker("web0", DELETE, place=HOME)
    assert DELETE in core_with(tenant.jobs(), SITES[0])


def test_a_change_of_fewer_than_a_tenth_is_not_in_the_role() -> None:
    """Two of thirty, and three; the use is with the job, as it would not be by chance."""
    tenant = HandWork()
    for number in range(30):
        tenant.worker(f"web{number}", *SITES)
    for number in range(60):
        tenant.worker(f"disk{number}", *DISKS)
    for number in range(2):
        tenant.worker(f"web{number}", ELSEWHERE)
    assert core_with(tenant.jobs(), SITES[0]) == set(SITES)
    tenant.worker("web2", ELSEWHERE)
    assert core_with(tenant.jobs(), SITES[0]) == {*SITES, ELSEWHERE}


def test_what_one_of_a_job_used_on_its_types_is_in_the_role_of_all() -> None:
    """Nobody else used it, though it belongs to the group of changes."""
    tenant = HandWork()
    for number in range(4):
        tenant.worker(f"web{number}", SITES[0], SITES[number % 3 + 1])
    assert core_with(tenant.jobs(), SITES[0]) == set(SITES)


def test_who_used_two_changes_of_a_job_of_one_provider_has_it() -> None:
    """Two of nine are less than a quarter. A lone restart is nothing of the builders', whose role may write."""
    tenant = HandWork()
    on_sites = [f"Microsoft.Web/sites/{one}/write" for one in ("slots", "config", "backups", "hybridconnection")]
    for number in range(4):
        tenant.worker(f"web{number}", *SITES, *on_sites, "Microsoft.Web/serverfarms/write")
    tenant.worker("new", *SITES[:2])
    tenant.worker("restarts", SITES[1])
    workers = job_with(tenant.jobs(), SITES[0]).workers
    assert "new" in workers
    assert "restarts" not in workers


def test_what_a_quarter_of_a_job_does_on_another_service_is_in_its_role() -> None:
    """Who has the job of that service as well does not count."""
    tenant = HandWork()
    for number in range(8):
        tenant.worker(f"web{number}", *SITES)
        tenant.worker(f"disk{number}", *DISKS)
    tenant.worker("web0", DISKS[0])
    tenant.worker("web1", *DISKS)
    assert core_with(tenant.jobs(), SITES[0]) == set(SITES)
    tenant.worker("web2", DISKS[0])
    assert core_with(tenant.jobs(), SITES[0]) == {*SITES, DISKS[0]}


@pytest.mark.parametrize(("part", "is_in"), [(2, False), (3, True)])
def test_a_risky_change_is_no_part_of_a_job_that_somebody_does_a_little_of(part: int, *, is_in: bool) -> None:
    """The other one has a job of its own, and did not delete."""
    tenant = _two_jobs()
    for number in range(5):
        tenant.worker(f"deletes{number}", *SITES, DELETE)
    tenant.worker("beside", *DISKS, *SITES[:part])
    assert (DELETE in core_with(tenant.jobs(), SITES[0])) is is_in


@pytest.mark.parametrize("sort", ["guest", "workload"])
def test_guests_and_workloads_get_nothing_that_only_employees_used(sort: str) -> None:
    tenant = _two_jobs()
    tenant.worker("stranger", *SITES[:2], sort=sort)  # type: ignore[arg-type]
    job = job_with(jobs := tenant.jobs(), SITES[0])
    assert names_of(jobs, job.core) == set(SITES)
    assert names_of(jobs, job.by_sort[sort]) == set(SITES[:2])  # type: ignore[index]
    assert names_of(jobs, job.by_sort["employee"]) == set(SITES)


def test_a_risky_change_that_only_employees_used_is_in_no_role_of_the_job() -> None:
    tenant = _two_jobs()
    for number in range(4):
        tenant.worker(f"web{number}", DELETE)
    assert DELETE in core_with(tenant.jobs(), SITES[0])
    tenant.worker("stranger", *SITES[:2], sort="guest")
    assert core_with(tenant.jobs(), SITES[0]) == set(SITES)
    tenant.worker("stranger", DELETE, sort="guest")
    assert DELETE in core_with(tenant.jobs(), SITES[0])


def test_a_worker_that_nothing_says_anything_of_is_taken_for_a_workload() -> None:
    tenant = _two_jobs()
    tenant.worker("unknown", *SITES[:2])
    del tenant.sorts[next(who for who in tenant.sorts if who == "unknown")]
    jobs = tenant.jobs()
    assert names_of(jobs, job_with(jobs, SITES[0]).by_sort["workload"]) == set(SITES[:2])


def test_who_does_everything_joins_no_jobs() -> None:
    tenant = _two_jobs()
    for number in range(4):
        tenant.worker(f"vault{number}", *VAULTS)
    for name in ("pipeline1", "pipeline2"):
        tenant.worker(name, *SITES, *DISKS, *VAULTS, sort="workload")
    jobs = tenant.jobs()
    assert {frozenset(names_of(jobs, job.core)) for job in jobs.found} == {
        frozenset(own) for own in (SITES, DISKS, VAULTS)
    }


def test_the_order_of_workers_decides_nothing() -> None:
    tenant, other = _two_jobs(), HandWork()
    for name, places in reversed(tenant.used.items()):
        for place, changes in places.items():
            other.worker(name, *changes, place=place)
    one, two = tenant.jobs().found, other.jobs().found
    assert [(job.key, job.core, job.workers) for job in one] == [(job.key, job.core, job.workers) for job in two]


def test_no_work_is_no_job() -> None:
    assert HandWork().jobs().found == ()


def test_work_at_two_management_groups_is_work_at_two_places() -> None:
    """As in two subscriptions: a risky change that was used at one of them is judged there alone."""
    groups = [f"/providers/microsoft.management/managementgroups/{name}" for name in ("a", "b")]
    places = [*groups, "/subscriptions/s/resourcegroups/g"]
    tenant = HandWork()
    tenant.worker("ann", *SITES[:3])
    index = tenant.work().index
    bits = [index.bits["control", fold(name)] for name in SITES[:3]]
    keys = {"role_assignment_id": ["1"] * 3, "state": ["active"] * 3}
    held = pl.DataFrame({"role_assignment_id": ["1"], "state": ["active"], "principal_id": ["Ann"]})
    uses = pl.DataFrame({**keys, "principal_id": ["Ann"] * 3, "place": places, "bit": bits})
    work = read_work(uses, Inputs.of(role_assignments=held), {}, index)
    wanted = zip([*groups, "/subscriptions/s"], bits, strict=True)
    assert work.by_subscription == {"ann": {place: 1 << bit for place, bit in wanted}}
