"""Find the need of a workload of which no log shows any use: what could not be excluded for what exists at its scope.

A pipeline may work on the endpoint of a service alone, of which no log is loaded. Of its assignment stay the reads, and
the operations on types of which a resource exists there. For some types a rule says which operations a workload does on
the endpoint (`rules/endpoint_work.csv`); for other types all of them stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Set
from functools import reduce
from operator import or_

from rightsize.analyze.absence import shown_types
from rightsize.analyze.verdicts import Analysis
from rightsize.propose.core.bitsets import FoldedKey, OperationIndex
from rightsize.propose.core.role_catalog import Need
from rightsize.propose.needs.drafts import Draft
from rightsize.propose.needs.touched_types import masks_by_type
from rightsize.rbac.text import Folded, fold
from rightsize.rules.tables import rows_of

_RESOURCE = 9
"""Number of segments in the id of a top-level resource of a resource group, with the empty one before the slash."""


class UnobservedWork:
    """A reader of the needs of workloads without observed use.

    Args:
        analysis: The analysis; it has what existed where.
        index: The operations.
    """

    def __init__(self, analysis: Analysis, index: OperationIndex) -> None:
        self._there = shown_types(analysis.existence, analysis.absences)
        self._of_type: Mapping[str, int] = masks_by_type(index)
        self._work = _work(index)

    def need(self, draft: Draft) -> Need | None:
        """Return what stays of an assignment, or None if listings do not show what exists at its scope."""
        subject, profile = draft.subject, draft.profile
        if draft.needs is None or profile is None or profile.open or set(draft.needs.by_scope) != {subject.place}:
            return None
        kinds = self._kinds(subject.place)
        if kinds is None:
            return None
        whole = draft.needs.by_scope[subject.place]
        asked = reduce(or_, (self._of_type.get(kind, 0) & self._work.get(kind, -1) for kind in sorted(kinds)), 0)
        return Need(whole.operations & (asked | profile.reads), whole.parts)

    def _kinds(self, place: Folded) -> Set[Folded] | None:
        """Return the folded types that exist at or below a scope; None if they are not known."""
        segments = place.split("/")
        if len(segments) >= _RESOURCE:
            return {Folded(f"{segments[6]}/{segments[7]}")}
        return self._there.get(place)


def _work(index: OperationIndex) -> dict[Folded, int]:
    """Return by folded type the operations that a workload does on the endpoint, for the types that have a rule."""
    found: dict[Folded, list[FoldedKey]] = defaultdict(list)
    for row in rows_of("endpoint_work"):
        found[fold(row["resource_type"])].append((row["plane"], fold(row["operation"])))
    return {kind: index.mask(names) for kind, names in found.items()}
