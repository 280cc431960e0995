"""A Graph permission used only before the window stays, until that use is forgotten."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from rightsize.planes.planes import verify_graph
from rightsize.propose.verify.plan_reader import WrittenPart
from tests.planes.graph.small_map import WINDOW, Apps

BEFORE = ("out_of_coverage", "used_before_window")
HELD = ("User.Read.All", "Group.ReadWrite.All", "Mail.Send")


@pytest.fixture
def apps() -> Apps:
    return Apps().app("sync").holds("sync", *HELD).asks("sync", "GET /users", days=range(10))


def test_what_was_asked_before_the_window_is_not_unused(apps: Apps) -> None:
    apps.asks("sync", "POST /groups", days=(-3,))
    judged = apps.judged("sync")
    assert (judged["User.Read.All"][0], judged["Group.ReadWrite.All"]) == ("used", BEFORE)
    assert judged["Mail.Send"] == ("unused", "covered")
    row = apps.analysis().verdicts.filter(pl.col("reason") == BEFORE[1]).row(0, named=True)
    assert (row["operation"], row["events"], row["last_seen"].date().isoformat()) == (HELD[1], 3, "2025-12-29")


@pytest.mark.slow
@pytest.mark.parametrize(("forget", "kept"), [(13, True), (12, False), (0, False)])
def test_it_is_forgotten_after_the_days_that_were_asked_for(apps: Apps, forget: int, kept: bool) -> None:
    apps.window = replace(WINDOW, forget_days=forget)
    apps.asks("sync", "POST /groups", days=(-3,))
    assert (apps.judged("sync")[HELD[1]] == BEFORE) == kept
    assert (HELD[1] in apps.after("sync")) == kept


def test_days_after_the_window_are_never_looked_at(apps: Apps) -> None:
    assert apps.asks("sync", "POST /groups", days=(10,)).judged("sync")[HELD[1]] == ("unused", "covered")


def test_a_suspect_request_before_it_holds_what_it_may_have_used(apps: Apps) -> None:
    apps.asks("sync", "POST /groups", days=(-3,), suspect=3)
    assert apps.judged("sync")[HELD[1]] == ("out_of_coverage", "quarantined")


def test_a_refused_request_before_it_says_nothing(apps: Apps) -> None:
    apps.asks("sync", "POST /groups", days=(-3,), use=0, denied=4)
    assert apps.judged("sync")[HELD[1]] == ("unused", "covered")
    assert apps.analysis().denied.is_empty()


def test_a_request_that_nothing_explains_is_told_of_the_window_only(apps: Apps) -> None:
    apps.asks("sync", "GET /auditlogs/signins", days=(-3,))
    assert apps.analysis().verdicts.filter(verdict="unexplained").is_empty()


def test_the_same_request_in_the_window_is_counted_without_its_past(apps: Apps) -> None:
    apps.asks("sync", "GET /users", days=(-3,))
    row = apps.analysis().verdicts.filter(operation="User.Read.All").row(0, named=True)
    assert (row["verdict"], row["events"], row["first_seen"].date()) == ("used", 30, WINDOW.first_day)


def test_the_proposal_says_when_and_the_plan_verifies(apps: Apps) -> None:
    """The days before count as need for a swap too: what comes has to allow them."""
    apps.asks("sync", "POST /groups", days=(-3,))
    proposal = apps.proposal(f"sync/{HELD[1]}")
    (told,) = proposal.evidence["permissions"]
    assert (proposal.kind, told["days_ago"], told["reason"]) == ("keep", 13, "used_before_window")
    assert proposal.excess_before == 0.0
    window = apps.window
    apps.window = replace(window.remembered, last_day=window.last_day)
    part = WrittenPart("graph", window, (), {})
    assert verify_graph(part, apps.analysis()) == []
