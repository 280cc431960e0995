"""What was measured on generated tenants is what the page of figures says."""

from __future__ import annotations

import re
from pathlib import Path

from rightsize.demo.suite.model import IN_LOG
from rightsize.rules.prices import describe_unlogged, measured_proposals
from rightsize.rules.tables import rows_of

_PAGE = Path(__file__).parents[2] / "docs" / "figures.md"


def _table(head: str) -> list[list[str]]:
    """The cells of the rows below a head."""
    _, _, rest = _PAGE.read_text(encoding="utf-8").partition(f"\n{head}\n")
    lines = rest.splitlines()[1:]
    end = next(number for number, line in enumerate(lines) if not line.startswith("|"))
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[:end]]


def test_the_rates_of_proposals_are_those_of_the_page() -> None:
    shown = {
        (basis, int(weeks.split()[0]) if weeks != "any" else None): (int(broke), int(of.replace(",", "")))
        for basis, weeks, of, broke in _table("| basis | new weeks | proposals | broke |")
    }
    assert shown == {(one.what, one.new_weeks): (one.broke, one.of) for one in measured_proposals()}
    assert {one.what for one in measured_proposals()} == {"used", "seasonal", "silent", "unused"}


def test_the_rate_of_needs_that_no_log_shows_is_that_of_the_page() -> None:
    """The planted needs of the suite that are in no log, and those of them that the default plan loses."""
    head = "| needs lost | read | linked | unruled | endpoint | data | seasonal | future |"
    kinds = [one.strip() for one in head.strip("|").split("|")][1:]
    rows = {cells[0]: dict(zip(kinds, map(int, cells[1:]), strict=True)) for cells in _table(head)}
    unlogged = [kind for kind in kinds if kind not in IN_LOG]
    planted, lost = (sum(rows[name][kind] for kind in unlogged) for name in ("planted", "default"))
    (rate,) = (row for row in rows_of("measured_breaks") if row["what"] == "unlogged")
    assert (int(rate["broke"]), int(rate["of"])) == (lost, planted)
    assert f"lost {lost} of {planted} of them" in describe_unlogged()


def test_every_rate_has_its_day() -> None:
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", row["measured"]) for row in rows_of("measured_breaks"))
