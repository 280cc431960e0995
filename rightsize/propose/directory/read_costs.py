"""Count for each choice of `--reads` the reads of the directory that it keeps without evidence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rightsize.analyze.directory.judge import DirectoryAnalysis
from rightsize.propose.core.options import Reads
from rightsize.propose.directory.cases import DirectoryAssignmentCase, keeps_read, touched_entities
from rightsize.propose.directory.choose import DirectoryRoleCatalog
from rightsize.propose.directory.holders import Holders
from rightsize.rbac.resource_actions import is_read
from rightsize.rules.directory import is_job_read


def price_reads(
    analysis: DirectoryAnalysis,
    cases: Iterable[DirectoryAssignmentCase],
    chosen: Reads,
    holders: Holders,
    catalogue: DirectoryRoleCatalog,
) -> dict[str, Any]:
    """Return `chosen`, and for each choice `operations` and `sensitive`, as `Plan.reads` has them for Azure roles.

    A read counts once for each assignment that allows it today and may change, without those that everybody has.
    `sensitive` counts those that are a task of their own, such as the sign-in logs.
    """
    touched = touched_entities(analysis)
    totals = {choice: [0, 0] for choice in Reads}
    for case in cases:
        if case.left:
            continue
        default = catalogue.default if case.holder in holders.members else frozenset()
        unseen = [name for name in case.unlogged - default if is_read(name)]
        entities = touched.get(case.holder, frozenset())
        for choice in Reads:
            kept = [name for name in unseen if keeps_read(name, choice, entities)]
            totals[choice][0] += len(kept)
            totals[choice][1] += sum(map(is_job_read, kept))
    return {
        "chosen": str(chosen),
        "choices": [
            {"reads": str(choice), "operations": operations, "sensitive": sensitive}
            for choice, (operations, sensitive) in totals.items()
        ],
    }
