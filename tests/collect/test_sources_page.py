"""The page of sources has a row for each of them."""

from __future__ import annotations

from rightsize.collect.sources import SOURCES
from rightsize.collect.sources_page import write_sources_page


def test_every_source_has_a_row_with_its_request_and_right() -> None:
    """How many rows an hour of a table has is asked beside the table, and has no row of its own."""
    rows = [line.split(" | ") for line in write_sources_page().splitlines() if line.startswith("| `")]
    found = {row[0].strip("| `"): row for row in rows}
    assert found.keys() == {one.name for one in SOURCES if not one.name.endswith("_counts")}
    assert {len(row) for row in rows} == {6}
    for one in SOURCES:
        if one.name in found:
            assert f"`{one.right.permission}`" in found[one.name][3]
            assert found[one.name][2].startswith(("`GET ", "`POST "))
