"""Without a length the window fits the logs: 90 days, or the longest covered one of at least 30, as a preview."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import polars as pl
import pytest

from rightsize.analyze.planes import (
    bucket_of,
    holders_of_unknown_roles,
    score_assignments,
    score_principals,
    unscored,
    with_unknown_roles,
)
from rightsize.analyze.reasons import sentence
from rightsize.analyze.verdicts.judge import analyse
from rightsize.analyze.window import choose_window, short_log, shortfall
from rightsize.model.errors import UsageError
from tests.analyze.tiny import FIRST, LAST, MG, SUB, Tiny

_LOG = "activity_log"
_NO_VERDICTS = pl.DataFrame(schema={"verdict": pl.String, "reason": pl.String})


def days(count: int, until: int = 0) -> Iterable[int]:
    """Return offsets of the `count` days that end `until` days before the newest day."""
    last = (LAST - FIRST).days - until
    return range(last - count + 1, last + 1)


@pytest.mark.parametrize(
    ("covered", "window"),
    [(120, 90), (90, 90), (89, 90), (60, 90), (59, 59), (45, 45), (31, 31), (30, 30), (29, 90), (1, 90)],
)
def test_the_window_is_what_the_logs_cover_where_they_are_no_evidence_for_ninety_days(
    tiny: Tiny, covered: int, window: int
) -> None:
    found = choose_window(tiny.cover(days=days(covered)).inputs())
    assert (found.days, found.last_day) == (window, LAST)
    assert (found.preview is not None) is (window < 90)


def test_without_logs_the_window_is_ninety_days(tiny: Tiny) -> None:
    assert choose_window(tiny.inputs()).days == 90


def test_a_named_length_is_taken_as_it_is(tiny: Tiny) -> None:
    assert choose_window(tiny.cover(days=days(40)).inputs(), days=35).days == 35
    assert choose_window(tiny.cover(days=days(40)).inputs(), days=90).days == 90


def test_the_window_begins_with_a_covered_day_and_may_have_small_gaps(tiny: Tiny) -> None:
    """Of 50 days 5 in a row are missing; a gap of 8 days cuts the window off."""
    assert choose_window(tiny.cover(days=[*days(30), *days(15, 35)]).inputs()).days == 50
    cut = Tiny().cover(days=[*days(31), *days(15, 39)])
    assert choose_window(cut.inputs()).days == 31


def test_a_log_that_ends_early_gives_no_window(tiny: Tiny) -> None:
    """Its newest days are missing: another log covers them, and that one is too short."""
    tiny.cover(days=days(40, 20)).cover(f"{SUB}x", days=days(20))
    assert choose_window(tiny.inputs()).days == 90


def test_one_subscription_with_a_whole_window_is_enough(tiny: Tiny) -> None:
    """What others cover less is out of coverage there: no plan becomes a preview because a subscription is new."""
    tiny.cover(days=days(90)).cover(f"{SUB}x", days=days(30))
    assert choose_window(tiny.inputs()).days == 90


def test_a_declaration_above_counts_for_what_is_below(tiny: Tiny) -> None:
    tiny.rows["scopes"].clear()
    tiny.add("scopes", scope=SUB, kind="subscription", parent_scope=MG, listed=True)
    tiny.cover(days=days(20)).cover(MG, days=days(25, 20), declared_by="user")
    assert choose_window(tiny.inputs()).days == 45


def test_sign_in_logs_make_no_window(tiny: Tiny) -> None:
    tiny.cover(days=days(5)).cover("/", source="sign_in_log", category="interactive", days=days(90))
    assert choose_window(tiny.inputs()).days == 90


def test_logs_of_a_data_plane_fit_where_there_is_no_activity_log(tiny: Tiny) -> None:
    tiny.cover(f"{SUB}/resourceGroups/rg", source="storage_log", category="StorageRead", days=days(33))
    assert choose_window(tiny.inputs()).days == 33


def test_no_window_is_shorter_than_the_days_that_are_asked_for(tiny: Tiny) -> None:
    tiny.cover(days=days(40))
    assert choose_window(tiny.inputs(), min_days=40).days == 40
    assert choose_window(tiny.inputs(), min_days=41).days == 90
    with pytest.raises(UsageError, match="does not fit a window of 90 days"):
        choose_window(tiny.inputs(), min_days=91)


def test_as_of_ends_the_window_that_fits(tiny: Tiny) -> None:
    tiny.cover(days=days(50))
    found = choose_window(tiny.inputs(), LAST - dt.timedelta(days=9))
    assert (found.days, found.last_day) == (40, LAST - dt.timedelta(days=10))


def test_a_tenant_with_thirty_days_gets_verdicts(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").assign("a", "p", "vm").cover(days=days(30))
    tiny.window = choose_window(tiny.inputs())
    assert tiny.judged("a")["Microsoft.Compute/virtualMachines/write"] == ("unused", "covered")


def test_nobody_gets_a_score_of_zero_for_a_role_that_is_not_known(tiny: Tiny) -> None:
    """An empty role that is known scores 0; a role without a definition, also through a group, has no score."""
    tiny.role("empty").assign("a", "p", "empty").assign("b", "q", "nowhere").assign("c", "g", "nowhere")
    tiny.member("g", "r").cover()
    analysis = analyse(tiny.inputs(), tiny.window)
    rows = unscored(score_principals(analysis), "principal_id", holders_of_unknown_roles(analysis.tenant))
    found = {id_: (creep, risk) for id_, creep, risk in rows.select("principal_id", "creep", "risk").iter_rows()}
    nothing = (None, None)
    assert found == {"p": (0.0, 0.0), "q": nothing, "g": nothing, "r": nothing}
    unknown = with_unknown_roles(analysis.tenant)["role_assignment_id"]
    by_assignment = unscored(score_assignments(analysis), "role_assignment_id", unknown)
    assert by_assignment["creep"].to_list() == [0.0, None, None]
    assert (bucket_of(None), bucket_of(0.0)) == (None, "low")


def test_a_window_of_fixed_length_says_how_many_days_fit() -> None:
    """A window that is no longer than what fits has nothing to say, and neither has a store without logs."""
    short, whole = (Tiny().cover(days=days(covered)).inputs() for covered in (40, 90))
    assert shortfall(short, choose_window(short, days=90)) == 40
    assert shortfall(short, choose_window(short, days=40)) is None
    assert shortfall(whole, choose_window(whole, days=90)) is None


@pytest.mark.parametrize("covered", [90, 60, 45, 30])
def test_a_log_that_decides_is_not_short(tiny: Tiny, covered: int) -> None:
    inputs = tiny.cover(days=days(covered)).inputs()
    assert short_log(inputs, choose_window(inputs), _NO_VERDICTS) is None


@pytest.mark.slow
@pytest.mark.parametrize("covered", [1, 5, 20, 29])
def test_a_short_log_decides_on_the_day_on_which_its_window_is_chosen(tiny: Tiny, covered: int) -> None:
    """If each further day is covered, the first preview and the first whole window come on the days that it says."""
    inputs = tiny.cover(days=days(covered)).inputs()
    found = short_log(inputs, choose_window(inputs), _NO_VERDICTS)
    assert found is not None and found.preview_on is not None and found.whole_on is not None
    assert (found.days, found.last_day) == (covered, LAST)
    for on, is_preview in ((found.preview_on, True), (found.whole_on, False)):
        later = Tiny().cover(days=[*days(covered), *range(_offset(LAST) + 1, _offset(on))])
        before = Tiny().cover(days=[*days(covered), *range(_offset(LAST) + 1, _offset(on) - 1)])
        chosen = choose_window(later.inputs())
        assert (chosen.preview is not None, short_log(later.inputs(), chosen, _NO_VERDICTS)) == (is_preview, None)
        earlier = choose_window(before.inputs())
        assert is_preview == (short_log(before.inputs(), earlier, _NO_VERDICTS) is not None)


def test_a_store_without_a_log_says_that_use_was_not_judged(tiny: Tiny) -> None:
    found = short_log(tiny.inputs(), choose_window(tiny.inputs()), _NO_VERDICTS)
    assert found is not None and (found.days, found.preview_on) == (0, None)
    assert "use was not judged" in found.lines[0]


def test_what_other_logs_decide_is_said_beside_a_short_log(tiny: Tiny) -> None:
    """Sign-in logs may show that reads went unused where the Activity Log decides nothing."""
    verdicts = pl.DataFrame({"verdict": ["unused", "unused"], "reason": ["no_arm_token", "no_such_resource"]})
    found = short_log(tiny.inputs(), choose_window(tiny.inputs()), verdicts)
    assert found is not None and found.others == (sentence("no_arm_token"),)
    assert "other logs decide their own part" in found.lines[1]


def _offset(day: dt.date) -> int:
    return (day - FIRST).days
