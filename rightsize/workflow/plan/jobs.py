"""Find the jobs of a tenant in a store: their holders, what these share, and what one of them does alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rightsize.model.errors import UsageError
from rightsize.model.nouns import DONE_BY
from rightsize.model.options import USUAL, WindowOptions
from rightsize.model.tables import JOB_TABLES
from rightsize.store.connection import Store, open_store
from rightsize.store.stored_analysis import Analysed, stored_analysis
from rightsize.workflow.analysis.find_analysis import require_content

# A stored analysis has the jobs, and its readers need no frames.
if TYPE_CHECKING:
    from rightsize.analyze.inputs import Inputs
    from rightsize.analyze.verdicts.judge import Analysis
    from rightsize.propose.assembly.purposes import JobTables

_SHOWN = 12
_Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class JobsResult:
    """The result of `jobs`.

    Attributes:
        tables: The rows of the tables `jobs`, `job_operations` and `job_holders`, in the order of `JobTables`.
        names: Display names of principals, by id.
    """

    tables: Mapping[str, _Rows]
    names: Mapping[str, str]

    def rows(self) -> _Rows:
        """Return one row a job: its holders and operations, and how many of these all, most and few of them do."""
        return [
            {
                **{name: row[name] for name in ("job", "name", "role", "role_name")},
                "holders": [one["principal_id"] for one in self._holders[row["job"]]],
                "operations": list(dict.fromkeys(one["operation"] for one in self._operations[row["job"]])),
                **_counts(self._operations[row["job"]]),
                "alone": sum(bool(one["alone_operations"]) for one in self._holders[row["job"]]),
            }
            for row in self.tables["jobs"]
        ]

    @cached_property
    def _operations(self) -> dict[str, _Rows]:
        return _by_job(self.tables["job_operations"])

    @cached_property
    def _holders(self) -> dict[str, _Rows]:
        return _by_job(self.tables["job_holders"])

    def one(self, asked: str) -> dict[str, Any]:
        """Return one job by its key, its name or a part of the name: its row, with operations and holders in detail.

        Raises:
            UsageError: No job has this name, or several have.
        """
        job = self._find(asked)
        row = next(one for one in self.rows() if one["job"] == job)
        return row | {"uses": self._operations[job], "members": self._members(job)}

    def _find(self, asked: str) -> str:
        named = [(row["job"], row["name"]) for row in self.tables["jobs"]]
        wanted = asked.strip().casefold()
        for fits in (str.__eq__, str.startswith, str.__contains__):
            found = [key for key, name in named if wanted and (key == wanted or fits(name.casefold(), wanted))]
            if len(found) == 1:
                return str(found[0])
            if found:
                raise UsageError(f"several jobs have the name `{asked}`", hint=f"one of {_some(named, found)}")
        known = f"one of {_some(named, [key for key, _ in named])}" if named else "no two principals share a job here"
        raise UsageError(f"no job has the name `{asked}`", hint=known)

    def _members(self, job: str) -> _Rows:
        return [
            {
                "principal_id": row["principal_id"],
                "name": self.names.get(row["principal_id"], row["principal_id"]),
                **row,
            }
            for row in self._holders[job]
        ]


def find_jobs(db: Path, asked: WindowOptions = USUAL, *, note: Callable[[str], None] = lambda _: None) -> JobsResult:
    """Return the jobs of the tenant, as a plan of the same window finds them.

    `note` is called with a sentence where no stored analysis is of the present content and these options.

    Raises:
        EvidenceError: Nothing is loaded, there is no catalogue of operations, or no log covers any of the window.
    """
    with open_store(db, read_only=True) as store:
        require_content(store)
        stored = stored_analysis(store, asked)
        return (_read(store, stored) if stored is not None else None) or _infer(store, asked, note)


def _read(store: Store, stored: Analysed) -> JobsResult | None:
    """Return the jobs of the stored analysis; None where it has none, which has a reason to be found out."""
    tables = {name: stored.rows(f"SELECT * EXCLUDE (n) FROM analysed.{name} ORDER BY n") for name in JOB_TABLES}
    if not tables["jobs"]:
        return None
    roles = _planned(store)
    for row in tables["jobs"]:
        row["role"], row["role_name"] = roles.get(row["job"], (None, None))
    holders = "SELECT DISTINCT id, name FROM analysed.names SEMI JOIN analysed.job_holders ON principal_id = id"
    return JobsResult(tables, dict(stored.tuples(holders)))


def _infer(store: Store, asked: WindowOptions, note: Callable[[str], None]) -> JobsResult:
    from rightsize.analyze.inputs import Inputs  # noqa: PLC0415
    from rightsize.analyze.requirements import require_catalogue  # noqa: PLC0415
    from rightsize.workflow.analysis.behaviour import with_holds  # noqa: PLC0415
    from rightsize.workflow.analysis.keep_analysis import analysis_of_rbac  # noqa: PLC0415
    from rightsize.workflow.names import read_names  # noqa: PLC0415
    from rightsize.workflow.plan.propose import require_coverage  # noqa: PLC0415

    inputs = Inputs.read(with_holds(store))
    require_catalogue(inputs)
    analysis = analysis_of_rbac(store, inputs, asked, note)
    require_coverage(inputs, analysis.window)
    tables = {name: frame.to_dicts() for name, frame in tables_of(store, inputs, analysis).named().items()}
    return JobsResult(tables, read_names(store, inputs)[0])


def tables_of(store: Store, inputs: Inputs, analysis: Analysis) -> JobTables:
    """Return the jobs of an analysis, with the roles that the last plan of the store makes for them."""
    from rightsize.propose.assembly.purposes import job_tables, read_jobs  # noqa: PLC0415

    return job_tables(read_jobs(inputs, analysis), _planned(store))


def _planned(store: Store) -> dict[str, tuple[str, str]]:
    """Return id and name of the role that the last plan of the store makes for each job that has one.

    A plan by an older version left no names.
    """
    rows = store.connection.execute("SELECT job, role, coalesce(role_name, role) FROM jobs WHERE role IS NOT NULL")
    return {job: (role, name) for job, role, name in rows.fetchall()}


def _by_job(rows: _Rows) -> dict[str, _Rows]:
    """Return rows by their job, without it."""
    found: dict[str, _Rows] = defaultdict(list)
    for row in rows:
        found[row["job"]].append({name: value for name, value in row.items() if name != "job"})
    return found


def _counts(operations: list[dict[str, Any]]) -> dict[str, int]:
    counted = Counter(one["done_by"] for one in operations)
    return {word: counted[word] for word in DONE_BY}


def _some(named: list[tuple[str, str]], keys: list[str]) -> str:
    """Return the first names of jobs, as a text."""
    names = [name for key, name in named if key in keys]
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
