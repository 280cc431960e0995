"""Verdicts where logs cover a part of the window: how many days, of which scopes, of which resources."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from rightsize.analyze.observability.undecided import find_gaps
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.window import Window, choose_window
from rightsize.model.errors import UsageError
from tests.analyze.explained import explain_tiny
from tests.analyze.tiny import FIRST, MG, RG, SUB, VM, Tiny

SUB2 = "/subscriptions/s2"
START = "Microsoft.Compute/virtualMachines/start/action"
DELETE = "Microsoft.Compute/virtualMachines/delete"
GROUP_WRITE = "Microsoft.Management/managementGroups/write"
GET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
VAULT = f"{RG}/providers/Microsoft.KeyVault/vaults/kv"
PART = ("unused", "covered_in_part")
LESS = ("out_of_coverage", "days_missing")


@pytest.fixture
def wide(tiny: Tiny) -> Tiny:
    """A tenant with a window of ninety days, to the end of March."""
    tiny.window = Window(FIRST, dt.date(2026, 3, 31))
    return tiny.role("vm", "Microsoft.Compute/virtualMachines/*", "Microsoft.Management/*")


def covered_days(analysis: Analysis, assignment: str) -> set[int | None]:
    rows = analysis.verdicts.filter(
        (pl.col("role_assignment_id") == assignment) & (pl.col("reason") == "covered_in_part")
    )
    return set(rows["covered_days"])


@pytest.mark.slow
def test_what_the_log_of_sixty_five_days_does_not_show_is_unused(wide: Tiny) -> None:
    wide.assign("a", "p", "vm").cover(days=range(25, 90)).use("p", START, day=dt.date(2026, 2, 1))
    assert wide.judged("a")[DELETE] == PART
    assert wide.judged("a")[START] == ("used", "elimination")
    assert covered_days(wide.analyse(), "a") == {65}
    assert find_gaps(wide.analyse()).covered(wide.window).rows() == [("a", "active", 65)]


@pytest.mark.slow
def test_use_on_a_day_without_a_log_is_use(wide: Tiny) -> None:
    """A row says what it says, whatever the log of its day lacks."""
    wide.assign("a", "p", "vm").cover(days=range(25, 90)).use("p", START, day=dt.date(2026, 1, 5))
    assert wide.judged("a")[START] == ("used", "elimination")


@pytest.mark.slow
def test_use_before_the_window_is_never_unused(wide: Tiny) -> None:
    wide.assign("a", "p", "vm").cover(days=range(25, 90)).use("p", START, day=dt.date(2025, 12, 29))
    assert wide.judged("a")[START] == ("out_of_coverage", "used_before_window")
    assert wide.judged("a")[DELETE] == PART


@pytest.mark.slow
def test_with_less_nothing_is_concluded(wide: Tiny) -> None:
    wide.assign("a", "p", "vm").cover(days=range(31, 90))
    assert wide.judged("a")[DELETE] == LESS
    assert covered_days(wide.analyse(), "a") == set()
    wide.window = Window(wide.window.first_day, wide.window.last_day, min_days=59)
    assert wide.judged("a")[DELETE] == PART


@pytest.mark.slow
def test_of_several_subscriptions_the_days_count_that_all_logs_cover(wide: Tiny) -> None:
    wide.rows["scopes"][0]["parent_scope"] = MG
    wide.add("scopes", scope=MG, kind="management_group", parent_scope="/", listed=True)
    wide.add("scopes", scope=SUB2, kind="subscription", parent_scope=MG, listed=True)
    wide.assign("a", "p", "vm", MG).assign("b", "p", "vm", SUB)
    wide.cover(days=range(25, 90)).cover(SUB2, days=[*range(30), *range(35, 90)])
    assert wide.judged("a")[DELETE] == PART
    assert covered_days(wide.analyse(), "a") == {60}
    assert covered_days(wide.analyse(), "b") == {65}
    # What can be done at the management group needs its own log.
    assert wide.judged("a")[GROUP_WRITE] == ("out_of_coverage", "scope_not_covered")
    wide.cover(MG, days=range(90))
    assert wide.judged("a")[GROUP_WRITE] == ("unused", "covered")
    wide.rows["coverage"] = [row for row in wide.rows["coverage"] if row["scope"] != SUB2]
    assert wide.judged("a")[DELETE] == ("out_of_coverage", "scope_not_covered")


@pytest.mark.slow
def test_a_log_of_the_whole_window_says_so(wide: Tiny) -> None:
    wide.assign("a", "p", "vm").cover(days=range(90))
    assert wide.judged("a")[DELETE] == ("unused", "covered")
    assert find_gaps(wide.analyse()).days.is_empty()


@pytest.mark.slow
def test_the_log_of_a_resource_is_evidence_of_its_days(wide: Tiny) -> None:
    """Days before the resource was made lack nothing."""
    wide.catalogue({GET: True}).role("secrets", data=[GET]).assign("a", "p", "secrets", VAULT)
    wide.cover(VAULT, source="key_vault_log", category="AuditEvent", days=range(25, 90))
    assert wide.judged("a") == {GET: PART}
    assert covered_days(wide.analyse(), "a") == {65}
    wide.add("resources", scope=VAULT.lower(), resource_type="Microsoft.KeyVault/vaults")
    wide.rows["resources"][0]["created_on"] = dt.datetime(2026, 1, 16)
    assert covered_days(wide.analyse(), "a") == {80}
    wide.rows["coverage"] = wide.rows["coverage"][10:]
    assert wide.judged("a") == {GET: PART}
    wide.rows["coverage"] = wide.rows["coverage"][10:]
    assert wide.judged("a") == {GET: LESS}


def test_an_eligible_assignment_still_needs_every_day(wide: Tiny) -> None:
    """What is activated once a quarter may have been activated on a day without a log."""
    wide.assign("a", "p", "vm", state="eligible").cover(days=range(1, 90))
    assert wide.judged("a", "eligible")[DELETE] == PART
    assert wide.judged("a", "eligible")["Microsoft.Compute/virtualMachines/read"] == ("unobservable", "arm_read")


@pytest.mark.slow
def test_an_explanation_says_how_many_days_are_covered(wide: Tiny) -> None:
    wide.assign("a", "p", "vm").cover(days=range(25, 90)).use("p", START, VM, day=dt.date(2026, 2, 1))
    (row,) = [one for one in explain_tiny(wide)["verdicts"] if one["reason"] == "covered_in_part"]
    assert row["meaning"].startswith("covered 65 of 90 days: ")


@pytest.mark.parametrize("asked", [0, 91, -1])
def test_days_that_do_not_fit_the_window_are_refused(wide: Tiny, asked: int) -> None:
    with pytest.raises(UsageError, match=f"`--min-days {asked}` does not fit a window of 90 days"):
        choose_window(wide.inputs(), None, 90, 400, asked)
