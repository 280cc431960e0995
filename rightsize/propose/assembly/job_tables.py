"""Write the jobs of a tenant as the tables `jobs`, `job_operations` and `job_holders`, each job with a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, schema_of
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.model.plan import Plan
from rightsize.propose.core.bitsets import OperationIndex, bits_of, index_operations, union
from rightsize.propose.jobs.jobs import Job, Jobs, find_jobs
from rightsize.propose.jobs.work import read_work
from rightsize.propose.needs.assignments import place_uses
from rightsize.propose.needs.privileged import risky_changes
from rightsize.propose.selection.role_names import unique_names
from rightsize.propose.selection.role_purpose import RoleUse, name_purposes
from rightsize.rbac.text import Folded

JOB_TABLES = ("jobs", "job_operations", "job_holders")


@dataclass(frozen=True, slots=True)
class JobTables:
    """The jobs as frames with the columns of the tables of these names.

    Attributes:
        jobs: The jobs, those with the most holders first.
        operations: Their operations, in the order of the jobs; those that most holders used come first.
        holders: Their holders, in the order of the jobs, by id.
    """

    jobs: pl.DataFrame
    operations: pl.DataFrame
    holders: pl.DataFrame

    def named(self) -> dict[str, pl.DataFrame]:
        """Return the frames by the names of the tables."""
        return dict(zip(JOB_TABLES, (self.jobs, self.operations, self.holders), strict=True))


def read_jobs(inputs: Inputs, analysis: Analysis) -> Jobs:
    """Return the jobs that a plan of the same tables and verdicts finds."""
    tenant = analysis.tenant
    index = index_operations(tenant.operations, inputs.role_operations)
    placed = place_uses(inputs, analysis, tenant, index)
    return find_jobs(read_work(placed, inputs, risky_changes(tenant.operations, index), index))


def roles_of_jobs(plan: Plan) -> dict[str, str]:
    """Return the id of the new role for each job that has one: of several that which is assigned most often."""
    assigned = Counter(one.role for proposal in plan.proposals for one in proposal.assignments)
    ranked = sorted(
        (one.job, -assigned[one.definition.role_definition_id], one.definition.role_definition_id)
        for one in plan.roles
        if one.job and assigned[one.definition.role_definition_id]
    )
    return {job: role for job, _, role in reversed(ranked)}


def name_jobs(jobs: Jobs) -> dict[str, str]:
    """Return the name of each job by its key: the purpose of a role that has its changes.

    Only what most of those use who use the most common of its changes tells it: an odd end does not name a job.
    """
    index, used = jobs.work.index, jobs.work.of_worker
    uses: dict[str, RoleUse] = {}
    for job in jobs.found:
        mask = job.core or job.changes
        users = {index.names[bit]: sum(used[who] >> bit & 1 for who in job.workers) for bit in bits_of(mask)}
        most = max(users.values(), default=0)
        uses[job.key] = RoleUse(tuple(users), frozenset(key for key, number in users.items() if 2 * number >= most))
    wanted = {Folded(key): names for key, names in name_purposes(uses).items()}
    return {str(key): name for key, name in unique_names(wanted, ()).items()}


def job_tables(jobs: Jobs, roles: Mapping[str, str]) -> JobTables:
    """Return the tables of the jobs of a tenant.

    Args:
        jobs: The jobs.
        roles: As `roles_of_jobs` returns them.
    """
    names = name_jobs(jobs)
    ordered = sorted(jobs.found, key=lambda job: (-len(job.workers), names[job.key], job.key))
    of_worker = {who: jobs.of(used) for who, used in jobs.work.of_worker.items()}
    rows = {name: list[dict[str, Any]]() for name in JOB_TABLES}
    for job in ordered:
        operations = list(_operations(job, jobs))
        rows["jobs"].append(
            {
                "job": job.key,
                "name": names[job.key],
                "role": roles.get(job.key),
                "holder_count": len(job.workers),
                "operation_count": len(operations),
            }
        )
        rows["job_operations"] += operations
        rows["job_holders"] += _holders(job, jobs, of_worker)
    return JobTables(*(pl.DataFrame(rows[name], schema=schema_of(name), orient="row") for name in JOB_TABLES))


def _operations(job: Job, jobs: Jobs) -> Iterable[dict[str, Any]]:
    index, used, whole = jobs.work.index, jobs.work.of_worker, len(job.workers)
    rows = []
    for bit in bits_of(_all_of(job)):
        users = sum(used[who] >> bit & 1 for who in job.workers)
        plane, operation = index.names[bit]
        rows.append(
            {
                "job": job.key,
                "operation": operation,
                "plane": plane,
                "used_by": users,
                "share": users / whole,
                "done_by": "all" if users == whole else "most" if 2 * users >= whole else "few",
                "is_in_role": bool(job.core >> bit & 1),
            }
        )
    return sorted(rows, key=lambda row: (-row["used_by"], row["operation"], row["plane"]))


def _holders(job: Job, jobs: Jobs, of_worker: Mapping[Folded, tuple[Job, ...]]) -> Iterable[dict[str, Any]]:
    work = jobs.work
    seen = Counter(bit for who in job.workers for bit in bits_of(work.of_worker[who]))
    single = work.index.mask_of_bits(bit for bit, number in seen.items() if number == 1)
    for who in sorted(job.workers):
        used = work.of_worker[who]
        others = union(_all_of(other) for other in of_worker[who] if other.key != job.key)
        through = work.through.get(who, {})
        yield {
            "job": job.key,
            "principal_id": who,
            "groups": sorted(group for group, mask in through.items() if mask & _all_of(job)),
            "used_operations": (used & _all_of(job)).bit_count(),
            "own_operations": _named(used & ~others & ~_all_of(job), work.index),
            "alone_operations": _named(used & single & ~others, work.index),
        }


def _all_of(job: Job) -> int:
    return job.core | job.changes


def _named(mask: int, index: OperationIndex) -> list[str]:
    return sorted({operation for _, operation in index.members(mask)})
