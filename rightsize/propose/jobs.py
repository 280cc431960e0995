"""Find the jobs of a tenant: groups of changes that the same holders use. They decide which roles a plan writes.

A *worker* is whoever made a call: a person, a workload, or a member through its group. A *holder* is who has the
assignment. The work of a group is what its members did through it. Use in quarantine is no work.

A change is any operation but a read of Resource Manager; a worker is whoever called it. `change_groups` says which
changes belong together.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Literal

import polars as pl

from rightsize.analyze.inputs import Inputs, folded
from rightsize.mining.bitsets import bits_of, mask_of, union
from rightsize.model.text import Folded
from rightsize.propose.change_groups import PART, group_changes, places_of
from rightsize.propose.core.operation_sets import OperationIndex
from rightsize.propose.core.scopes import anchor_of
from rightsize.propose.needs.assignments import masks_of
from rightsize.propose.needs.privileged import RiskKind
from rightsize.propose.needs.unlogged import masks_by_type

_ALONE = 3
"""In a group of more workers than this, what a single one used is no job of the group."""
Sort = Literal["employee", "guest", "workload"]
"""Whom a worker acts for: guests and workloads get nothing that only employees used."""


@dataclass(frozen=True, slots=True)
class Work:
    """The changes that were used, as sets of operations of an index.

    Attributes:
        changes: All operations but reads of Resource Manager.
        risky: By kind, the changes that a job has only where most of its workers use them.
        of_worker: The changes that each worker used.
        of_holder: The changes that were used under the assignments of each holder.
        common: For each group of more than three workers, the changes that at least two of them used.
        by_subscription: The same for each worker, by the subscription or management group.
        sorts: Whom each worker acts for.
        through: The changes that a member used through each of its groups, by the member.
    """

    index: OperationIndex
    changes: int = 0
    risky: Mapping[RiskKind, int] = field(default_factory=dict)
    of_worker: Mapping[Folded, int] = field(default_factory=dict)
    of_holder: Mapping[Folded, int] = field(default_factory=dict)
    common: Mapping[Folded, int] = field(default_factory=dict)
    by_subscription: Mapping[Folded, Mapping[str, int]] = field(default_factory=dict)
    sorts: Mapping[Folded, Sort] = field(default_factory=dict)
    through: Mapping[Folded, Mapping[Folded, int]] = field(default_factory=dict)

    @property
    def all_risky(self) -> int:
        """The risky changes of all kinds."""
        return union(self.risky.values())

    def used_by(self, principal: Folded) -> int:
        """Return the changes that a principal used itself, by any assignment, or that its members did."""
        return self.of_holder.get(principal, 0) | self.of_worker.get(principal, 0)

    def kind_of(self, bit: int) -> RiskKind | None:
        """Return the kind of risk of a change, or None for an ordinary one."""
        return next((kind for kind, mask in self.risky.items() if mask >> bit & 1), None)

    def sort_of(self, worker: Folded) -> Sort:
        """Return whom a worker acts for; an unknown one is taken for a workload, which gets least."""
        return self.sorts.get(worker, "workload")


def read_work(uses: pl.DataFrame, inputs: Inputs, risky: Mapping[RiskKind, int], index: OperationIndex) -> Work:
    """Return the work of a tenant.

    Args:
        uses: Rows of `assignments.read_bits`, or with these columns: use in the window, and use before it that still
            counts.
        inputs: The tables.
        risky: The risky changes, by kind.
        index: The operations.
    """
    changes = (1 << len(index.names)) - 1 & ~index.reads
    held = inputs.role_assignments.select("role_assignment_id", "state", holder=folded(pl.col("principal_id")))
    bits = pl.DataFrame(
        {"bit": [bit for bit in range(len(index.names)) if changes >> bit & 1]}, schema={"bit": pl.Int64}
    )
    used = (
        uses.filter(pl.col("bit").is_not_null())
        .join(bits, on="bit", how="semi")
        .join(held, on=["role_assignment_id", "state"])
        .select(
            "holder",
            "bit",
            worker=folded(pl.coalesce("principal_id", "holder")),
            anchor=anchor_of(pl.col("place")),
        )
        .unique()
    )

    def masks(*by: str) -> dict[tuple[str, ...], int]:
        return {tuple(values): mask for *values, mask in masks_of(used, *by)}

    shared = used.with_columns(workers=pl.col("worker").n_unique().over("holder")).filter(pl.col("workers") > _ALONE)
    common = (
        shared.group_by("holder", "bit")
        .agg(users=pl.col("worker").n_unique())
        .group_by("holder")
        .agg(pl.col("bit").filter(pl.col("users") > 1))
        .sort("holder")
    )
    by_subscription: dict[Folded, dict[str, int]] = defaultdict(dict)
    for (worker, anchor), mask in masks("worker", "anchor").items():
        by_subscription[Folded(worker)][anchor] = mask
    through: dict[Folded, dict[Folded, int]] = defaultdict(dict)
    for (worker, holder), mask in masks("worker", "holder").items():
        if worker != holder:
            through[Folded(worker)][Folded(holder)] = mask
    return Work(
        index,
        changes,
        risky,
        {Folded(worker): mask for (worker,), mask in masks("worker").items()},
        {Folded(holder): mask for (holder,), mask in masks("holder").items()},
        {Folded(holder): mask_of(found) for holder, found in common.iter_rows()},
        by_subscription,
        _with_groups(_sorts(inputs), through),
        through,
    )


def _with_groups(sorts: Mapping[Folded, Sort], through: Mapping[Folded, Mapping[Folded, int]]) -> dict[Folded, Sort]:
    """Return whom each principal acts for; a group acts for the least trusted of those who worked through it."""
    acting: dict[Folded, set[Sort]] = defaultdict(set)
    for worker, groups in through.items():
        for group in groups:
            acting[group].add(sorts.get(worker, "workload"))
    ranked: tuple[Sort, ...] = ("workload", "guest", "employee")
    return {**sorts, **{group: next(one for one in ranked if one in found) for group, found in acting.items()}}


def _sorts(inputs: Inputs) -> dict[Folded, Sort]:
    rows = inputs.principals.select(
        folded(pl.col("principal_id")), "principal_type", guest=folded(pl.col("user_type").fill_null("")) == "guest"
    )
    return {
        id_: ("guest" if guest else "employee") if kind == "User" else "workload"
        for id_, kind, guest in rows.iter_rows()
    }


MOST_JOBS = 3
"""Maximum number of jobs of one holder."""
_FEW = 10
"""A change on what a job changes belongs to its role if at least one in this number of its workers used it; any other
change has to be used by one in `PART`.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A group of changes that the same workers use.

    Attributes:
        key: Its first change in the order of names: the same as long as that change is in it.
        changes: The changes that belong together.
        workers: Who has the job, among those who made the calls.
        core: The changes that its role has.
        by_sort: For guests and workloads among its workers, the part of the core that at least one of them used.
        is_of_one_provider: Whether all its changes but deployments and tags are of one resource provider.
    """

    key: str
    changes: int
    workers: frozenset[Folded] = frozenset()
    core: int = 0
    by_sort: Mapping[Sort, int] = field(default_factory=dict)

    is_of_one_provider: bool = False

    def share_of(self, used: int) -> tuple[int, int]:
        """Return the number of its changes that are among the used ones, and of all its changes."""
        return (self.changes & used).bit_count(), self.changes.bit_count()


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs of a tenant.

    Attributes:
        work: The work that they were found in.
        found: The jobs, by key.
        names: The name of each job by its key, once `purposes.name_jobs` was asked for them.
    """

    work: Work
    found: tuple[Job, ...] = ()
    names: dict[str, str] = field(default_factory=dict, compare=False)
    _by_key: dict[str, Job] = field(default_factory=dict, compare=False)
    _owners: dict[int, Job] = field(default_factory=dict, compare=False)
    _of_holder: dict[Folded, tuple[Job, ...]] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        self._by_key.update((job.key, job) for job in self.found)
        self._owners.update((bit, job) for job in self.found for bit in bits_of(job.changes))

    def named(self, key: str) -> Job | None:
        """Return the job with a key."""
        return self._by_key.get(key)

    def of(self, used: int) -> tuple[Job, ...]:
        """Return the jobs of somebody who used a set of changes: at most three, the one with most of them first.

        Who used one change of a group of several, and has another job, did not do that job. Who used less than a
        quarter of a job has it only if it is of one resource provider, and at least two of its changes were used.
        """
        ranked = []
        for job in dict.fromkeys(self._owners[bit] for bit in bits_of(used) if bit in self._owners):
            own, whole = job.share_of(used)
            if own * PART >= whole or (own > 1 and job.is_of_one_provider):
                ranked.append((-own, -own / whole, job.key, job))
        ranked.sort(key=lambda item: item[:3])
        chosen: list[Job] = []
        for own, share, _, job in ranked:
            if not chosen or own < -1 or share == -1:
                chosen.append(job)
        return tuple(chosen[:MOST_JOBS])

    def of_holder(self, holder: Folded) -> tuple[Job, ...]:
        """Return the jobs of the holder of assignments."""
        if holder not in self._of_holder:
            common = self.work.common.get(holder)
            self._of_holder[holder] = self.of(self.work.used_by(holder) if common is None else common)
        return self._of_holder[holder]

    def usual_in(self) -> dict[Folded, int]:
        """Return by group the changes of the roles of the jobs that at least two of its members do through it."""
        having: dict[Folded, Counter[str]] = defaultdict(Counter)
        for groups in self.work.through.values():
            for group, used in groups.items():
                having[group].update(job.key for job in self.of(used))
        core = {job.key: job.core for job in self.found}
        return {group: union(core[key] for key, number in keys.items() if number > 1) for group, keys in having.items()}


def find_jobs(work: Work) -> Jobs:
    """Return the jobs that the work of a tenant shows; changes that one worker alone uses are nobody's job."""
    index = work.index
    names = {
        bit: f"{index.keys[bit][1]} {index.keys[bit][0]}" for mask in work.of_worker.values() for bit in bits_of(mask)
    }
    bit_of = {name: bit for bit, name in names.items()}
    groups = group_changes({who: {names[bit] for bit in bits_of(mask)} for who, mask in work.of_worker.items()})
    candidates = [
        Job(
            group[0],
            mask_of(bit_of[name] for name in group),
            is_of_one_provider=len(places_of(group)) == 1,
        )
        for group in groups
    ]
    group_of = {bit: number for number, job in enumerate(candidates) for bit in bits_of(job.changes)}
    users = Counter(number for used in work.of_worker.values() for number in {group_of[bit] for bit in bits_of(used)})
    shared = [job for number, job in enumerate(candidates) if users[number] > 1]
    jobs = Jobs(work, tuple(shared))
    workers: dict[str, set[Folded]] = defaultdict(set)
    for worker, used in work.of_worker.items():
        for job in jobs.of(used):
            workers[job.key].add(worker)
    kept = [replace(job, workers=frozenset(workers[job.key])) for job in shared if len(workers[job.key]) > 1]
    on_type = dict(_changes_by_type(work))

    def on_types(changes: int) -> int:
        return union({on_type.get(bit, 0) for bit in bits_of(changes)})

    owners = {bit: job for job in kept for bit in bits_of(job.changes)}
    several = {worker for worker, number in Counter(one for job in kept for one in job.workers).items() if number > 1}
    return Jobs(work, tuple(_with_core(job, work, on_types, owners, several) for job in kept))


def _changes_by_type(work: Work) -> Iterator[tuple[int, int]]:
    """Yield each change on a top-level type, with all changes on that type, plane by plane."""
    for mask in masks_by_type(work.index).values():
        for part in (mask & work.index.control & work.changes, mask & ~work.index.control & work.changes):
            yield from ((bit, part) for bit in bits_of(part))


def _with_core(
    job: Job, work: Work, on_types: Callable[[int], int], owners: Mapping[int, Job], several: Set[Folded]
) -> Job:
    """Return a job with the changes of its role.

    They are the changes of the group and those on its types, where at least two of its workers and a tenth used them,
    what a quarter of them used elsewhere, and on the types of these the ordinary changes that one worker used and no
    other job has. Who has another job of which a change is does not count for this one, and who has several jobs does
    not count elsewhere. A risky change that only employees, or only others, used is an add-on, and so is one that
    somebody did not use who does less than half of the job beside another one.
    """
    users: dict[int, set[Folded]] = defaultdict(set)
    near = job.changes | on_types(job.changes)
    for worker in job.workers:
        for bit in bits_of(work.of_worker[worker] & (near if worker in several else -1)):
            owner = owners.get(bit, job)
            if owner.key == job.key or worker not in owner.workers:
                users[bit].add(worker)
    risky = work.all_risky
    shares = {worker: job.share_of(work.of_worker[worker]) for worker in job.workers & several}
    beside = {worker for worker, (own, whole) in shares.items() if 2 * own < whole}

    def is_common(bit: int, those: Set[Folded]) -> bool:
        share = _FEW if near >> bit & 1 else PART
        return len(those) > 1 and share * len(those) >= len(job.workers)

    core = mask_of(
        bit
        for bit, those in users.items()
        if is_common(bit, those) and (not risky >> bit & 1 or (_is_usual(bit, those, job, work) and beside <= those))
    )
    core |= mask_of(
        bit for bit in bits_of(on_types(core) & ~risky) if bit in users and owners.get(bit, job).key == job.key
    )
    used_by: dict[Sort, int] = defaultdict(int)
    for worker in job.workers:
        used_by[work.sort_of(worker)] |= work.of_worker[worker]
    for used in used_by.values():
        core &= ~risky | used
    return replace(job, core=core, by_sort={sort: core & used for sort, used in used_by.items()})


def _is_usual(bit: int, users: Iterable[Folded], job: Job, work: Work) -> bool:
    """Return whether half of the workers of a job use a risky change, and somebody wherever two of them work."""
    users = set(users)
    if 2 * len(users) < len(job.workers):
        return False
    active: dict[str, set[Folded]] = defaultdict(set)
    for worker in job.workers:
        for anchor, used in work.by_subscription.get(worker, {}).items():
            if used & job.changes:
                active[anchor].add(worker)
    return all(
        len(those) < 2 or any(work.by_subscription[worker].get(anchor, 0) >> bit & 1 for worker in those)
        for anchor, those in active.items()
    )
