"""Give the reasons for strings of a new role that no assignment used which the role replaces.

Such a string is of the job (others with the same job used it), its holder used it under another assignment, it comes
along with a change of the role, or an earlier plan gave it to the role.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rightsize.analyze.reasons import UnobservableReason
from rightsize.propose.core.bitsets import bits_of, union
from rightsize.propose.jobs.jobs import Jobs
from rightsize.propose.needs.needs import ADOPTED, COMPANION, JOB, STATUS_READ, USED_ELSEWHERE, WHY, NeedReader
from rightsize.rbac.text import Folded

SAME_TYPE = "same_type"
"""The word for the rule that whatever acts on a changed type comes along with the change."""
_ELSEWHERE = "a holder of the role used it under another assignment"
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class JobReasons:
    """The work and the rules that the strings of new roles follow from.

    Attributes:
        jobs: The jobs of the tenant.
        reader: The reader of what changes bring along.
        adopted: The ids of the roles of an earlier plan.
    """

    jobs: Jobs
    reader: NeedReader
    adopted: frozenset[Folded]

    def of_role(
        self, role_id: Folded, job: str, holders: Iterable[Folded], unexplained: int, changes: int
    ) -> dict[int, dict[str, Any]]:
        """Return the evidence for each operation of a role that has none yet, by its bit.

        Args:
            role_id: The id of the role.
            job: The key of its job, or empty.
            holders: Who is assigned it.
            unexplained: The operations without a reason.
            changes: All changes that the role has.
        """
        found: dict[int, dict[str, Any]] = {}
        work = self.jobs.work
        of_holders = union(map(work.used_by, holders))
        workers = next((one.workers for one in self.jobs.found if one.key == job), frozenset())
        for bit in bits_of(unexplained & of_holders):
            found[bit] = {"why": USED_ELSEWHERE, "meaning": [_ELSEWHERE]}
        for bit in bits_of(unexplained & ~of_holders):
            users = sorted(worker for worker in workers if work.of_worker.get(worker, 0) >> bit & 1)
            if users:
                used = {"principal_ids": users[:_MOST_NAMED], "principals": len(users)}
                found[bit] = {"why": JOB, "meaning": [WHY[JOB]], "job": job, **used}
        left = unexplained & ~self.reader.index.mask_of_bits(found)
        for bit, change, rule in self._brought(left, changes & ~left):
            found.setdefault(bit, {"why": COMPANION, "meaning": [WHY[COMPANION]], "with": change, "rule": rule})
        if role_id in self.adopted:
            for bit in bits_of(unexplained):
                found.setdefault(bit, {"why": ADOPTED, "meaning": [WHY[ADOPTED]]})
        return found

    def _brought(self, wanted: int, changes: int) -> Iterator[tuple[int, str, str]]:
        """Yield what changes bring along: its bit, the first change in the order of names, and the rule."""
        index = self.reader.index
        ordered: Mapping[str, int] = {index.names[bit][1]: bit for bit in bits_of(changes)}
        for name in sorted(ordered) if wanted else ():
            one = 1 << ordered[name]
            for bit in bits_of(self.reader.companions(one, wanted & ~one)):
                yield bit, name, self._rule(one, 1 << bit)

    def _rule(self, change: int, brought: int) -> str:
        if self.reader.polls.asked(change) & brought:
            return STATUS_READ
        return UnobservableReason.LINKED_CHECK.value if self.reader.checks.linked & brought else SAME_TYPE
