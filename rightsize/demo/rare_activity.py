"""Choose the rare, calendar-bound and unused work of generated staff, which tests the break estimate.

Everyday work is the same every month, so it cannot test the break estimate. Therefore some teams have people who now
and then do something for the first time. Every second team also has one more assignment: for a month end, a recovery
drill or the rotation of certificates, or one that its holder never or hardly ever uses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rightsize.demo.hashing import below
from rightsize.demo.spec import TenantSpec
from rightsize.demo.team_jobs import TeamJob

Case = Literal["", "month_end", "drill", "rotation", "silent", "unused"]
_CASES: tuple[Case, ...] = ("month_end", "drill", "rotation", "silent", "silent", "unused", "unused", "", "", "", "")
# Assignments that follow the calendar: name of the holder, cadence, operation, one more that comes now and then, place.
SEASONS = {
    "month_end": (
        "closing",
        "month_end",
        "Microsoft.Sql/servers/databases/export/action",
        "Microsoft.Sql/servers/databases/import/action",
        "Microsoft.Sql/servers/{app}/databases/main",
    ),
    "drill": (
        "drill",
        "four_weekly",
        "Microsoft.Sql/servers/databases/failover/action",
        "Microsoft.Sql/servers/databases/restorePoints/action",
        "Microsoft.Sql/servers/{app}/databases/main",
    ),
    "rotation": (
        "rotate",
        "monthly",
        "Microsoft.Web/certificates/Write",
        "Microsoft.Web/certificates/Delete",
        "Microsoft.Web/certificates/{app}",
    ),
}
NEW_IN_A_CYCLE = 0.15
"""Chance that a cycle has an operation that the other cycles lack."""
_STIRRING = 8
"""One in this many holders of an unused assignment uses it for some days after all."""
_SPELL_DAYS = 5
_LEAST, _SPREAD = 0.004, 15.0


@dataclass(frozen=True, slots=True)
class Occasion:
    """A rare operation: its place, and its chance on each day of the cadence."""

    operation: str
    below_group: str
    rate: float


def case_of(spec: TenantSpec, team: int) -> Case:
    """Return the purpose of the assignment that a team has besides its group's."""
    return _CASES[below(len(_CASES), spec.seed, "case", team)]


def seldom_work(spec: TenantSpec, team: int, person: int, job: TeamJob) -> Iterator[Occasion]:
    """Yield the rare operations of a member of a team, all of its job; half of the teams have none."""
    restless = below(4, spec.seed, "restless", team)
    if restless < 2 or (restless == 2 and person) or person % 2:
        return
    first = below(len(job.seldom), spec.seed, "seldom", team, person)
    many = 1 + below(restless, spec.seed, "seldom number", team, person) // 2
    for number in range(min(many, len(job.seldom))):
        share = below(1000, spec.seed, "seldom rate", team, person, number) / 1000
        operation, below_group = job.seldom[(first + number) % len(job.seldom)]
        yield Occasion(operation, below_group, _LEAST * _SPREAD**share)


def stirring_days(spec: TenantSpec, team: int) -> tuple[int, int] | None:
    """Return first and last day, counted backwards, on which an idle assignment was used after all; mostly None."""
    if below(_STIRRING, spec.seed, "stirs", team):
        return None
    first = _SPELL_DAYS + below(spec.days - _SPELL_DAYS, spec.seed, "stirring", team)
    return first, first - _SPELL_DAYS + 1
