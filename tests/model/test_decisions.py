"""The file of decisions: equal decisions give equal files, and contradictions are reported."""

from __future__ import annotations

import datetime as dt
import json
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.model.decisions import ReviewDecision, read_decisions, write_decisions
from rightsize.model.errors import InputError
from tests.examples import SOME

DAY = dt.date(2026, 10, 1)
ONE = ReviewDecision("a1", "accept", "c" * 64, "custom", "Mei <mei@example.com>", "", DAY)
TWO = ReviewDecision("b2", "reject", "d" * 64, "remove", "Ana", "quarter\u202e end\n", DAY, DAY + dt.timedelta(days=30))
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20).filter(
    lambda text: text.strip() == text
)


def _read(text: str) -> dict[str, ReviewDecision]:
    return read_decisions(text.encode(), "review.jsonl")


@pytest.mark.slow
@SOME
@given(
    st.lists(st.builds(replace, st.just(TWO), proposal=TEXTS, by=TEXTS, reason=TEXTS), unique_by=lambda d: d.proposal)
)
def test_what_was_written_is_read(decisions: list[ReviewDecision]) -> None:
    """One line a decision, in ASCII, whatever people write; order does not matter."""
    text = write_decisions(decisions)
    shuffled = decisions[:]
    random.Random(7).shuffle(shuffled)  # noqa: S311  no secret
    assert write_decisions(shuffled) == text
    assert text.isascii()
    assert text.count("\n") == len(decisions)
    assert _read(text) == {one.proposal: one for one in decisions}


def test_decisions_of_two_branches_merge() -> None:
    """A merge by union of lines is a file again: the same decision twice is one, the later one."""
    later = replace(ONE, decided=DAY + dt.timedelta(days=1), by="Ana")
    assert _read(write_decisions([ONE, TWO]) + write_decisions([later])) == {
        "a1": later,
        "b2": replace(TWO, reason="quarter\u202e end"),
    }


@pytest.mark.parametrize("other", [replace(ONE, decision="reject", reason="no"), replace(ONE, content="e" * 64)])
def test_contradicting_decisions_are_an_error_that_names_both(other: ReviewDecision) -> None:
    with pytest.raises(InputError, match=r"decides twice on proposal `a1`: accepted by Mei .* by Mei"):
        _read(write_decisions([ONE]) + write_decisions([other]))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("<<<<<<< HEAD", "the mark of an unfinished merge"),
        ("{", "no valid JSON"),
        ("[]", "line 1"),
        (json.dumps({"proposal": "a"}), "has no `decision`"),
        (write_decisions([replace(ONE, decision="maybe")]), "unknown decision `maybe`"),  # type: ignore[arg-type]
        (write_decisions([replace(TWO, reason="")]), "has no `reason`"),
        (
            write_decisions([ONE]).replace("2026-10-01", "yesterday"),
            "`decided` of line 1 of `review.jsonl` is not a day",
        ),
        (write_decisions([ONE]).replace('"by"', '"who"'), "unknown key `who`"),
    ],
)
def test_a_line_that_is_no_decision_is_named(line: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        _read(line)
    assert "line 1 of `review.jsonl`" in caught.value.message


def test_a_decision_holds_through_its_last_day() -> None:
    assert TWO.expires is not None
    assert not TWO.has_ended(TWO.expires)
    assert TWO.has_ended(TWO.expires + dt.timedelta(days=1))
    assert not ONE.has_ended(dt.date.max)
