"""Read the jobs of generated teams, from `data/team_jobs.csv`.

Each team does one job, so that teams differ by their job and their place. All parts are within Contributor. The parts
of a job without a rate are seldom done, and not by everybody.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache

from rightsize.demo.catalogue import read_data
from rightsize.demo.hashing import below
from rightsize.demo.spec import TenantSpec

_SELDOM = "seldom"


@dataclass(frozen=True, slots=True)
class Part:
    """An operation of a job: type and name of its object below the resource group, cadence and rate of `Habit`."""

    operation: str
    below_group: str
    cadence: str
    rate: float


@dataclass(frozen=True, slots=True)
class TeamJob:
    """A job: what its holders do, and (operation, object below the resource group) of what few of them do, seldom."""

    name: str
    parts: tuple[Part, ...]
    seldom: tuple[tuple[str, str], ...]


@cache
def team_jobs() -> tuple[TeamJob, ...]:
    """Return the jobs, in the table's order."""
    rows: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(read_data("team_jobs.csv").splitlines()):
        rows.setdefault(row["job"], []).append(row)
    return tuple(
        TeamJob(
            name,
            tuple(
                Part(row["operation"], row["below_group"], row["cadence"], float(row["rate"]))
                for row in found
                if row["cadence"] != _SELDOM
            ),
            tuple((row["operation"], row["below_group"]) for row in found if row["cadence"] == _SELDOM),
        )
        for name, found in rows.items()
    )


def job_of(spec: TenantSpec, team: int) -> TeamJob:
    """Return the job of a team."""
    return team_jobs()[below(len(team_jobs()), spec.seed, "job", team)]
