"""An agent is told what a refused listing leaves unknown, in the same words as the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from rightsize.cli.main import run
from rightsize.mcp.questions import Questions
from tests.tenants.refused_listing import ANN, BOB, COMMAND, LISTED, REFUSED, TEAM, WRITE, documents, write_files

pytestmark = pytest.mark.slow


def questions(tmp_path: Path, *, members: bool = True) -> Questions:
    db = tmp_path / "s.duckdb"
    folder = write_files(tmp_path / "exports", documents(members=members))
    assert run(["load", str(folder), "--db", str(db), "-q"]) == 0
    return Questions(db, tmp_path / "plan", 10, 1)


@pytest.mark.nightly
def test_a_no_is_unknown_where_the_listing_was_refused(tmp_path: Path) -> None:
    asked = questions(tmp_path)
    found = asked.can(BOB, WRITE, REFUSED, None).document
    assert found["answer"] == "unknown"
    (why,) = found["why_unknown"]
    assert COMMAND in why
    assert asked.can(BOB, WRITE, LISTED, None).document["answer"] == "no"
    assert asked.can(ANN, WRITE, LISTED, None).document["answer"] == "yes"
    who = asked.who_can(WRITE, REFUSED, None).document
    assert (who["count"], who["is_complete"], who["principals"]) == (0, False, [])
    assert COMMAND in who["why_unknown"][0]
    assert asked.who_can(WRITE, LISTED, None).document["is_complete"]


def test_members_that_are_not_listed_make_a_no_unknown(tmp_path: Path) -> None:
    """As on the command line."""
    asked = questions(tmp_path, members=False)
    found = asked.can(BOB, WRITE, LISTED, None).document
    assert found["answer"] == "unknown"
    assert TEAM in found["why_unknown"][0]
    assert not asked.who_can(WRITE, LISTED, None).document["is_complete"]
