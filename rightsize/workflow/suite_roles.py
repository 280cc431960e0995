"""Describe the new roles of a change by the planted jobs of their holders: what is foreign, and what is an add-on.

An operation is *foreign* to a holder that gets it by a new role if it belongs to a planted job, to none of its own, and
the holder did not use it; a *foreign check* is the same of what Azure checks inside a write. It is *misplaced* if it
belongs to an own job, which does it in one environment, and the role is assigned elsewhere too. Reads count as none of
these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rightsize.demo.suite.model import SuiteNeed, SuiteTenant
from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import PlannedAssignment
from rightsize.propose.core.operation_sets import OperationIndex, union
from rightsize.rbac.text import Folded, fold
from rightsize.workflow.suite_contenders import Change

Pair = tuple[str, str]
"""A holder and an operation."""


@dataclass(frozen=True, slots=True)
class MadeRole:
    """A new role of a change.

    Attributes:
        tenant: The tenant.
        name: Its name.
        strings: Number of its strings.
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
