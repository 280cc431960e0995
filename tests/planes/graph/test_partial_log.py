"""A log of Microsoft Graph that covers a part of the window is evidence of its days."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import pytest

from rightsize.analyze.window import Window
from tests.planes.graph.small_map import WINDOW, Apps

QUARTER = Window(WINDOW.first_day, dt.date(2026, 3, 31))
HELD = ("User.Read.All", "Mail.Send")


def apps(covered: Iterable[int], asked: Iterable[int] = range(25, 90, 2)) -> Apps:
    found = Apps(days=0, window=QUARTER).app("sync").holds("sync", *HELD).asks("sync", "GET /users", days=asked)
    for day in covered:
        found.add(
            "coverage", source="graph_activity_log", category="MicrosoftGraphActivityLogs", scope="/",
            day=WINDOW.first_day + dt.timedelta(days=day), state="observed",
        )  # fmt: skip
    return found


@pytest.mark.slow
def test_what_the_log_of_sixty_five_days_does_not_show_is_unused() -> None:
    found = apps(range(25, 90))
    assert found.judged("sync")["Mail.Send"] == ("unused", "covered_in_part")
    row = found.analysis().verdicts.filter(operation="Mail.Send").row(0, named=True)
    assert row["covered_days"] == 65
    proposal = found.proposal("sync/Mail.Send")
    assert (proposal.kind, proposal.reason) == ("remove", "not used in the window (covered 65 of 90 days)")
    assert proposal.evidence["covered_days"] == 65


@pytest.mark.slow
@pytest.mark.parametrize("covered", [range(31, 90), range(89), [*range(40), *range(48, 90)]])
def test_with_less_nothing_goes(covered: Iterable[int]) -> None:
    found = apps(covered)
    assert found.judged("sync")["Mail.Send"] == ("out_of_coverage", "days_missing")
    assert found.proposal("sync/Mail.Send").kind == "keep"


def test_the_chance_of_breaking_rests_on_the_covered_days() -> None:
    """Requests on other days are no samples."""
    told = apps(range(25, 90), range(90)).proposal("sync/Mail.Send").evidence["break_probability"]
    assert told["active_days"] == 65
