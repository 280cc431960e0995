"""Find the jobs of a tenant in a store: their holders, what these share, and what one of them does alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.model.errors import UsageError
from rightsize.model.options import USUAL, WindowOptions
from rightsize.model.tables.answers import DONE_BY
from rightsize.propose.assembly.purposes import JobTables, job_tables, read_jobs
from rightsize.store.connection import Store, open_store
from rightsize.workflow.analysis.behaviour import with_holds
from rightsize.workflow.analysis.find_analysis import require_content
from rightsize.workflow.analysis.keep_analysis import analysis_of_rbac
from rightsize.workflow.names import read_names
from rightsize.workflow.plan.propose import require_catalogue, require_coverage

_SHOWN = 12


@dataclass(frozen=True, slots=True)
class JobsResult:
    """The result of `jobs`.

    Attributes:
        names: Display names of principals, by id.
    """

    tables: JobTables
    names: Mapping[str, str]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a job: its holders and operations, and how many of these all, most and few of them do."""
        operations, holders = (
            frame.rows_by_key("job", named=True) for frame in (self.tables.operations, self.tables.holders)
        )
        return [
            {
                **{name: row[name] for name in ("job", "name", "role")},
                "holders": [one["principal_id"] for one in holders[row["job"]]],
                "operations": list(dict.fromkeys(one["operation"] for one in operations[row["job"]])),
                **_counts(operations[row["job"]]),
                "alone": sum(bool(one["alone_operations"]) for one in holders[row["job"]]),
            }
            for row in self.tables.jobs.iter_rows(named=True)
        ]

    def one(self, asked: str) -> dict[str, Any]:
        """Return one job by its key, its name or a part of the name: its row, with operations and holders in detail.

        Raises:
            UsageError: No job has this name, or several have.
        """
        job = self._find(asked)
        row = next(one for one in self.rows() if one["job"] == job)
        return row | {"uses": self._uses(job), "members": self._members(job)}

    def _find(self, asked: str) -> str:
        named = list(self.tables.jobs.select("job", "name").iter_rows())
        wanted = asked.strip().casefold()
        for fits in (str.__eq__, str.startswith, str.__contains__):
            found = [key for key, name in named if wanted and (key == wanted or fits(name.casefold(), wanted))]
            if len(found) == 1:
                return str(found[0])
            if found:
                raise UsageError(f"several jobs have the name `{asked}`", hint=f"one of {_some(named, found)}")
        known = f"one of {_some(named, [key for key, _ in named])}" if named else "no two principals share a job here"
        raise UsageError(f"no job has the name `{asked}`", hint=known)

    def _uses(self, job: str) -> list[dict[str, Any]]:
        return self.tables.operations.rows_by_key("job", named=True)[job]

    def _members(self, job: str) -> list[dict[str, Any]]:
        return [
            {
                "principal_id": row["principal_id"],
                "name": self.names.get(row["principal_id"], row["principal_id"]),
                **row,
            }
            for row in self.tables.holders.rows_by_key("job", named=True)[job]
        ]


def find_jobs(db: Path, asked: WindowOptions = USUAL, *, note: Callable[[str], None] = lambda _: None) -> JobsResult:
    """Return the jobs of the tenant, as a plan of the same window finds them.

    `note` is called with a sentence where no stored analysis is of the present content and these options.

    Raises:
        EvidenceError: Nothing is loaded, there is no catalogue of operations, or no log covers any of the window.
    """
    with open_store(db, read_only=True) as store:
        require_content(store)
        inputs = Inputs.read(with_holds(store))
        require_catalogue(inputs)
        analysis = analysis_of_rbac(store, inputs, asked, note)
        require_coverage(inputs, analysis.window)
        return JobsResult(tables_of(store, inputs, analysis), read_names(store, inputs)[0])


def tables_of(store: Store, inputs: Inputs, analysis: Analysis) -> JobTables:
    """Return the jobs of an analysis, with the roles that the last plan of the store makes for them."""
    roles = store.table("jobs").filter(pl.col("role").is_not_null())
    return job_tables(read_jobs(inputs, analysis), dict(roles.select("job", "role").iter_rows()))


def _counts(operations: list[dict[str, Any]]) -> dict[str, int]:
    counted = Counter(one["done_by"] for one in operations)
    return {word: counted[word] for word in DONE_BY}


def _some(named: list[tuple[str, str]], keys: list[str]) -> str:
    """Return the first names of jobs, as a text."""
    names = [name for key, name in named if key in keys]
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
