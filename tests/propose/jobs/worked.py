"""Work written by hand: who used which changes, in which subscriptions, and what is found in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from rightsize.model.text import Folded
from rightsize.propose.core.operation_sets import OperationIndex, index_operations
from rightsize.propose.jobs import Job, Jobs, Sort, Work, find_jobs
from rightsize.propose.needs.privileged import risky_changes
from rightsize.rules.operations import classify

HOME, AWAY = "/subscriptions/home", "/subscriptions/away"


@dataclass
class HandWork:
    """Collects who used what; every name of an operation is on the control plane."""

    used: dict[str, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    sorts: dict[Folded, Sort] = field(default_factory=dict)

    def worker(self, name: str, *changes: str, place: str = HOME, sort: Sort = "employee") -> None:
        """Let a worker use changes in a subscription."""
        self.used[name][place] |= set(changes)
        self.sorts[Folded(name)] = sort

    def work(self) -> Work:
        """Return the work; each worker holds its own assignments."""
        names = {one for places in self.used.values() for changes in places.values() for one in changes}
        index = _index_of(sorted(names | {one.rsplit("/", 1)[0] + "/read" for one in names}))

        def masks(places: Mapping[str, set[str]]) -> dict[str, int]:
            return {place: mask(index, *changes) for place, changes in places.items()}

        by_place = {Folded(who): masks(places) for who, places in self.used.items()}
        whole = {who: _union(places) for who, places in by_place.items()}
        risky = risky_changes(classify(_catalogue(sorted(names))), index)
        changes = (1 << len(index.names)) - 1 & ~index.reads
        return Work(index, changes, risky, whole, dict(whole), by_subscription=by_place, sorts=self.sorts)

    def jobs(self) -> Jobs:
        """Return the jobs that the work shows."""
        return find_jobs(self.work())


def mask(index: OperationIndex, *names: str) -> int:
    """Return the set of some operations of the control plane."""
    return index.mask(("control", Folded(name.lower())) for name in names)


def names_of(jobs: Jobs, operations: int) -> set[str]:
    """Return the names in a set of operations."""
    return {name for _, name in jobs.work.index.members(operations)}


def job_with(jobs: Jobs, change: str) -> Job:
    """Return the job whose group has a change."""
    (found,) = [job for job in jobs.found if job.changes & mask(jobs.work.index, change)]
    return found


def core_with(jobs: Jobs, change: str) -> set[str]:
    """Return the names of the changes that the role of a job has, by a change of its group."""
    return names_of(jobs, job_with(jobs, change).core)


def _catalogue(names: list[str]) -> pl.DataFrame:
    schema = {"operation": pl.String, "is_data_action": pl.Boolean}
    rows = pl.DataFrame([(name, False) for name in names], schema=schema, orient="row")
    return rows.with_columns(name=pl.col("operation").str.to_lowercase(), plane=pl.lit("control"))


def _index_of(names: list[str]) -> OperationIndex:
    schema = {"plane": pl.String, "operation": pl.String, "in_catalogue": pl.Boolean}
    rows = pl.DataFrame([("control", name, True) for name in names], schema=schema, orient="row")
    return index_operations(rows, rows.clear().select("plane", "operation"))


def _union(places: Mapping[str, int]) -> int:
    found = 0
    for one in places.values():
        found |= one
    return found
