"""Compare the jobs that are planted in a suite tenant with those that are inferred from its logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from math import comb
from typing import Any

from rightsize.demo.suite.model import SuiteNeed, SuiteTenant
from rightsize.propose.drafts.reading import TenantReading
from rightsize.propose.jobs import Job, Jobs, find_jobs, read_work
from rightsize.rbac.text import fold

COMMON = "(most jobs)"
"""The planted job of a change that more than half of the jobs have."""
OWN = "(own)"
"""The inferred job of a change that its holder made outside its jobs."""

Label = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JobsFound:
    """How well the inferred jobs of a tenant fit the planted ones.

    Attributes:
        tenant: The tenant.
        planted: Number of planted jobs whose changes a log shows.
        inferred: Number of inferred jobs.
        rand_index: The adjusted Rand index over (holder, change); None where there are no such pairs.
        parts: Number of pairs of each planted job, by the inferred job that they came to.
    """

    tenant: str
    planted: int
    inferred: int
    rand_index: float | None
    parts: Mapping[str, Mapping[str, int]]

    def row(self) -> dict[str, Any]:
        """Return the figures of a table."""
        return {
            "tenant": self.tenant,
            "planted": self.planted,
            "inferred": self.inferred,
            "rand_index": self.rand_index,
        }


def jobs_found(tenant: SuiteTenant, reading: TenantReading) -> JobsFound:
    """Return how well the jobs that a plan infers fit the planted ones."""
    index = reading.today.book.index
    jobs = find_jobs(read_work(reading.use.placed, reading.inputs, reading.risky, index))
    labels = [*label_pairs(tenant, jobs)]
    parts: dict[str, Counter[str]] = {}
    for planted, inferred in labels:
        parts.setdefault(planted, Counter())[inferred[0]] += 1
    index_of = rand_index(labels)
    return JobsFound(
        tenant.name,
        len(parts.keys() - {COMMON}),
        len(jobs.found),
        None if index_of is None else round(index_of, 4),
        {name: dict(found.most_common()) for name, found in sorted(parts.items())},
    )


def label_pairs(tenant: SuiteTenant, jobs: Jobs) -> Iterator[tuple[str, Label]]:
    """Yield (planted, inferred job) of each change that a log shows with a holder whose job has it.

    A change of more than half of the jobs belongs to none of them. Of several jobs of a holder that have a change, the
    first by name is taken.
    """
    index, changes = jobs.work.index, jobs.work.changes
    operations = {job.name: job.operations for job in tenant.jobs}
    spread = Counter(chain.from_iterable(operations.values()))
    has = {one.principal_id: one.jobs for one in tenant.principals}
    for need in _distinct(tenant.needs):
        bit = index.bit(need.plane, fold(need.operation))
        key = need.plane, fold(need.operation)
        mine = sorted(name for name in has[need.principal_id] if key in operations[name])
        if bit is None or not mine or not changes >> bit & 1:
            continue
        planted = COMMON if 2 * spread[key] > len(tenant.jobs) else mine[0]
        yield planted, _inferred(need, bit, jobs)


def _distinct(needs: Iterable[SuiteNeed]) -> Iterator[SuiteNeed]:
    known = {(need.principal_id, need.plane, fold(need.operation)): need for need in needs if need.is_recorded}
    yield from known.values()


def _inferred(need: SuiteNeed, bit: int, jobs: Jobs) -> Label:
    """Return the inferred job of a holder that has a change; one whose group has it before one whose role has it."""
    who = fold(need.principal_id)
    mine = jobs.of(jobs.work.of_worker.get(who, 0))
    found: Job | None = next((job for job in mine if job.changes >> bit & 1), None)
    found = found or next((job for job in mine if job.core >> bit & 1), None)
    return (found.key,) if found else (OWN, who)


def rand_index(pairs: Iterable[tuple[Hashable, Hashable]]) -> float | None:
    """Return the adjusted Rand index of two labels of each thing: 1 for the same groups, about 0 for chance.

    Two groupings that both leave everything alone, or together, are the same. None where there is nothing to group.

    Source: Hubert and Arabie, "Comparing partitions", Journal of Classification 2 (1985).
    """
    both = Counter(pairs)
    one: Counter[Hashable] = Counter()
    other: Counter[Hashable] = Counter()
    for (first, second), number in both.items():
        one[first] += number
        other[second] += number
    whole = comb(both.total(), 2)
    if not both:
        return None
    together, in_one, in_other = (sum(comb(number, 2) for number in found.values()) for found in (both, one, other))
    if 2 * together == in_one + in_other:
        return 1.0
    by_chance = in_one * in_other / whole
    return (together - by_chance) / ((in_one + in_other) / 2 - by_chance)
