"""Compare planted jobs with inferred ones, and describe new roles by the planted jobs of their holders.

An operation is *foreign* to a holder that gets it by a new role if it belongs to a planted job, to none of its own,
and the holder did not use it; a *foreign check* is the same of what Azure checks inside a write. It is *misplaced* if
it belongs to an own job, which does it in one environment, and the role is assigned elsewhere too. Reads count as none
of these.

Declare what the code of the suite's pipelines needs later, as `load --declared` would store it.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from math import comb
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, schema_of
from rightsize.demo.suite.model import AHEAD_DAYS, LAST_SEEN, SuiteNeed, SuiteTenant
from rightsize.mining.bitsets import union
from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import PlannedAssignment
from rightsize.model.text import Folded, fold
from rightsize.propose.core.operation_sets import OperationIndex
from rightsize.propose.drafts.reading import TenantReading
from rightsize.propose.jobs import Job, Jobs
from rightsize.propose.pipeline import jobs_of
from rightsize.workflow.suite.contenders import Change

COMMON = "(most jobs)"
"""The planted job of a change that more than half of the jobs have."""
OWN = "(own)"
"""The inferred job of a change that its holder made outside its jobs."""

Label = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JobsFound:
    """How well the inferred jobs of a tenant fit the planted ones.

    Attributes:
        planted: Number of planted jobs whose changes a log shows.
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
    jobs = jobs_of(reading)
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


Pair = tuple[str, str]
"""A holder and an operation."""


@dataclass(frozen=True, slots=True)
class MadeRole:
    """A new role of a change.

    Attributes:
        is_add_on: Whether all its changes are risky; a role without changes is none.
        holders: Number of its holders by their planted jobs; those without a job have an empty name.
        foreign: (holder, operation) of what is foreign.
        checks: (holder, operation) of foreign checks.
        misplaced: (holder, operation) of what is misplaced.
        risky: Those of the operations that are risky.
    """

    tenant: str
    name: str
    strings: int
    is_add_on: bool = False
    holders: Mapping[str, int] = field(default_factory=dict)
    foreign: frozenset[Pair] = frozenset()
    checks: frozenset[Pair] = frozenset()
    misplaced: frozenset[Pair] = frozenset()
    risky: frozenset[str] = frozenset()

    def row(self) -> dict[str, Any]:
        """Return the role as plain values."""
        return {
            "tenant": self.tenant,
            "name": self.name,
            "strings": self.strings,
            "add_on": self.is_add_on,
            "holders": dict(self.holders),
            "foreign": sorted({operation for _, operation in self.foreign}),
            "foreign_holders": len({who for who, _ in self.foreign}),
            "foreign_checks": sorted({operation for _, operation in self.checks}),
            "misplaced": sorted({operation for _, operation in self.misplaced}),
        }


class RoleJudge:
    """Describes new roles in one tenant.

    Args:
        tenant: The tenant with its truth.
        index: The operations.
        risky: The risky changes, as a set of operations.
    """

    def __init__(self, tenant: SuiteTenant, index: OperationIndex, risky: int) -> None:
        self._tenant, self._index, self._risky = tenant, index, risky
        self._members: dict[Folded, tuple[Folded, ...]] = {
            fold(group): tuple(map(fold, members)) for group, members in tenant.members.items()
        }
        self._jobs: dict[Folded, tuple[str, ...]] = {fold(one.principal_id): one.jobs for one in tenant.principals}
        self._masks = {job.name: index.mask(job.operations) & ~index.reads for job in tenant.jobs}
        self._checks = {job.name: index.mask(job.checks) & ~index.reads for job in tenant.jobs}
        self._used: dict[Folded, int] = {}
        for need in tenant.needs:
            if need.is_recorded:
                who = fold(need.principal_id)
                self._used[who] = self._used.get(who, 0) | self._bit(need)

    @property
    def jobs_in_use(self) -> int:
        """Number of planted jobs of which a log shows a change."""
        shown = {
            name for who, used in self._used.items() for name in self._jobs.get(who, ()) if used & self._masks[name]
        }
        return len(shown)

    def describe(self, change: Change, strings: Sequence[int]) -> Iterator[MadeRole]:
        """Yield each new role of a change, whose number of strings is given."""
        for role, number in zip(change.roles, strings, strict=True):
            places = [one for one in change.made if fold(one.role) == fold(role.role_definition_id)]
            yield self._describe(role.role_name, role.permissions, places, number)

    def holders(self, change: Change) -> int:
        """Return the number of holders with a planted job that get a new role."""
        new = {fold(role.role_definition_id) for role in change.roles}
        return len({who for one in change.made if fold(one.role) in new for who in self._people(one) if self._has(who)})

    def _describe(
        self, name: str, blocks: Sequence[PermissionBlock], places: Sequence[PlannedAssignment], strings: int
    ) -> MadeRole:
        granted = self._index.granted_by(blocks) & ~self._index.reads
        foreign: set[Pair] = set()
        checks: set[Pair] = set()
        misplaced: set[Pair] = set()
        people = {who for one in places for who in self._people(one)}
        holders = Counter(" + ".join(self._has(who)) for who in people)
        called, checked = union(self._masks.values()), union(self._checks.values())
        for who in filter(self._has, people):
            more = granted & ~self._own(who)
            foreign |= {(who, operation) for _, operation in self._index.folded_members(more & called)}
            checks |= {(who, operation) for _, operation in self._index.folded_members(more & checked & ~called)}
        for one in places:
            for who in self._people(one):
                misplaced |= {(who, operation) for operation in self._misplaced(who, one.scope, granted)}
        risky = self._index.folded_members(granted & self._risky)
        return MadeRole(
            self._tenant.name,
            name,
            strings,
            bool(granted) and not granted & ~self._risky,
            dict(sorted(holders.items(), key=lambda one: (-one[1], one[0]))),
            frozenset(foreign),
            frozenset(checks),
            frozenset(misplaced),
            frozenset(operation for _, operation in risky),
        )

    def _misplaced(self, who: Folded, scope: str, granted: int) -> Iterator[str]:
        """Yield the operations that an assignment gives beyond the environment in which the holder's jobs do them."""
        only = [job.only_at for job in self._tenant.jobs if job.name in self._has(who)]
        for places in only:
            for key, subscription in places.items():
                if self._index.mask((key,)) & granted and not f"{fold(scope)}/".startswith(f"{subscription}/"):
                    yield key[1]

    def _own(self, who: Folded) -> int:
        """Return what somebody used, and what belongs to the own jobs."""
        jobs = self._has(who)
        return self._used.get(who, 0) | union(self._masks[job] | self._checks[job] for job in jobs)

    def _people(self, one: PlannedAssignment) -> tuple[Folded, ...]:
        return self._members.get(fold(one.principal_id), (fold(one.principal_id),))

    def _has(self, who: Folded) -> tuple[str, ...]:
        return self._jobs.get(who, ())

    def _bit(self, need: SuiteNeed) -> int:
        return self._index.mask(((need.plane, fold(need.operation)),)) & ~self._index.reads


_LATE = ("seasonal", "future")
_WORKLOADS = ("app", "identity")


def late_needs(tenant: SuiteTenant) -> Iterator[SuiteNeed]:
    """Yield the seasonal and future needs of workloads that code can say: changes of the control plane."""
    workloads = {one.principal_id for one in tenant.principals if one.kind in _WORKLOADS}
    for need in tenant.needs:
        if need.kind in _LATE and need.plane == "control" and need.principal_id in workloads:
            yield need


def with_declared(tenant: SuiteTenant, inputs: Inputs) -> Inputs:
    """Return the tables of a tenant whose pipelines declare what they need later."""
    return replace(inputs, declared_needs=pl.DataFrame(_rows(tenant), schema=schema_of("declared_needs")))


def _rows(tenant: SuiteTenant) -> list[dict[str, Any]]:
    places = {(fold(need.principal_id), need.operation, fold(need.scope)) for need in late_needs(tenant)}
    return [
        {
            "principal_id": principal,
            "operation": operation,
            "scope": scope,
            "sha256": "0" * 64,
            "file": "main.bicep",
            "resource": "the code",
            "rule": "write",
            "declared_on": LAST_SEEN,
            "until": LAST_SEEN + dt.timedelta(days=AHEAD_DAYS),
        }
        for principal, operation, scope in sorted(places)
    ]
