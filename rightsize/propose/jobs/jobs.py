"""Find the jobs of a tenant, who has which, and the changes that the role of each job has."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from rightsize.propose.core.bitsets import bits_of
from rightsize.propose.jobs.inference import group_changes
from rightsize.propose.jobs.work import Sort, Work
from rightsize.propose.needs.touched_types import masks_by_type
from rightsize.rbac.text import Folded

MOST_JOBS = 3
"""Maximum number of jobs of one holder."""
_PART = 4
"""A holder has a job if it used at least one in this number of its changes."""
_FEW = 10
"""A change belongs to the role of a job if at least one in this number of its workers used it."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A group of changes that the same workers use.

    Attributes:
        key: Its first change in the order of names: the same as long as that change is in it.
        changes: The changes that belong together.
        workers: Who has the job, among those who made the calls.
        core: The changes that its role has.
        by_sort: For guests and workloads among its workers, the part of the core that at least one of them used.
    """

    key: str
    changes: int
    workers: frozenset[Folded] = frozenset()
    core: int = 0
    by_sort: Mapping[Sort, int] = field(default_factory=dict)

    def share_of(self, used: int) -> tuple[int, int]:
        """Return the number of its changes that are among the used ones, and of all its changes."""
        return (self.changes & used).bit_count(), self.changes.bit_count()


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs of a tenant.

    Attributes:
        work: The work that they were found in.
        found: The jobs, by key.
    """

    work: Work
    found: tuple[Job, ...] = ()
    _owners: dict[int, Job] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        self._owners.update((bit, job) for job in self.found for bit in bits_of(job.changes))

    def of(self, used: int) -> tuple[Job, ...]:
        """Return the jobs of somebody who used a set of changes: at most three, the one with most of them first.

        Who used one change of a group of several, and has another job, did not do that job.
        """
        ranked = []
        for job in dict.fromkeys(self._owners[bit] for bit in bits_of(used) if bit in self._owners):
            own, whole = job.share_of(used)
            if own * _PART >= whole and own:
                ranked.append((-own, -own / whole, job.key, job))
        ranked.sort(key=lambda item: item[:3])
        chosen: list[Job] = []
        for own, share, _, job in ranked:
            if not chosen or own < -1 or share == -1:
                chosen.append(job)
        return tuple(chosen[:MOST_JOBS])

    def of_holder(self, holder: Folded) -> tuple[Job, ...]:
        """Return the jobs of the holder of assignments."""
        common = self.work.common.get(holder)
        return self.of(self.work.used_by(holder) if common is None else common)


def find_jobs(work: Work) -> Jobs:
    """Return the jobs that the work of a tenant shows; changes that one worker alone uses are nobody's job."""
    index = work.index
    names = {
        bit: f"{index.keys[bit][1]} {index.keys[bit][0]}" for mask in work.of_worker.values() for bit in bits_of(mask)
    }
    bit_of = {name: bit for bit, name in names.items()}
    groups = group_changes({who: {names[bit] for bit in bits_of(mask)} for who, mask in work.of_worker.items()})
    candidates = [Job(group[0], index.mask_of_bits(bit_of[name] for name in group)) for group in groups]
    group_of = {bit: number for number, job in enumerate(candidates) for bit in bits_of(job.changes)}
    users = Counter(number for used in work.of_worker.values() for number in {group_of[bit] for bit in bits_of(used)})
    shared = [job for number, job in enumerate(candidates) if users[number] > 1]
    jobs = Jobs(work, tuple(shared))
    workers: dict[str, set[Folded]] = defaultdict(set)
    for worker, used in work.of_worker.items():
        for job in jobs.of(used):
            workers[job.key].add(worker)
    kept = [replace(job, workers=frozenset(workers[job.key])) for job in shared if len(workers[job.key]) > 1]
    types = _TypeMasks(work)
    owners = {bit: job for job in kept for bit in bits_of(job.changes)}
    return Jobs(work, tuple(_with_core(job, work, types.changed_by(job.changes), owners) for job in kept))


@dataclass(frozen=True, slots=True)
class _TypeMasks:
    """The changes on the top-level types that changes change, plane by plane."""

    work: Work
    _masks: list[int] = field(default_factory=list)

    def changed_by(self, changes: int) -> int:
        """Return all changes on the types of some changes."""
        if not self._masks:
            index = self.work.index
            for mask in masks_by_type(index).values():
                for part in (mask & index.control, mask & ~index.control):
                    self._masks.append(part & self.work.changes)
        whole = 0
        for mask in self._masks:
            if mask & changes:
                whole |= mask
        return whole


def _with_core(job: Job, work: Work, on_types: int, owners: Mapping[int, Job]) -> Job:
    """Return a job with the changes of its role.

    They are the changes of the group and the ordinary ones on its types, where at least two of its workers and a tenth
    used them; and ordinary changes on its types that one worker used and no other job has. Who has another job of which
    a change is does not count for this one. A risky change that only employees, or only others, used is an add-on.
    """
    users: dict[int, set[Folded]] = defaultdict(set)
    for worker in job.workers:
        for bit in bits_of(work.of_worker[worker] & (job.changes | on_types)):
            owner = owners.get(bit, job)
            if owner.key == job.key or worker not in owner.workers:
                users[bit].add(worker)
    risky, core = work.all_risky, 0
    for bit, those in users.items():
        is_common = len(those) > 1 and _FEW * len(those) >= len(job.workers)
        if risky >> bit & 1:
            fits = is_common and _is_usual(bit, those, job, work)
        else:
            fits = is_common or (bit not in owners and bool(on_types >> bit & 1))
        if fits:
            core |= 1 << bit
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
