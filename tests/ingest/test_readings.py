"""The reading of shared texts of records: its rules, and the same result by every lookup."""

from __future__ import annotations

import re

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.ingest.logs.projections import RAW_EVENT_COLUMNS
from rightsize.ingest.logs.values import READ_COLUMNS, with_readings
from tests.examples import SOME

GUID = "-".join(f"[0-9A-Fa-f]{{{digits}}}" for digits in (8, 4, 4, 4, 12))
RAW = [name for name in RAW_EVENT_COLUMNS if name not in READ_COLUMNS]

_HEX = "12ab34CD-0000-4000-8000-00000000000f"
_PIECES = st.sampled_from(
    [_HEX, _HEX.upper(), _HEX.replace("-", ""), _HEX[:9], "-", "{", "}", "/", " ", "\n", "g", "ü", "İ"]
)
_TEXTS = st.none() | st.lists(_PIECES, max_size=4).map("".join) | st.permutations(_HEX).map("".join)


def _guid(text: str | None) -> str | None:
    """Say the rule once more: a GUID by itself, bare, in braces, or as the last step of a path."""
    if text is None:
        return None
    if re.fullmatch("[0-9A-Fa-f]{32}", text):
        return "-".join(text[a:b] for a, b in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))).lower()
    found = re.search(f"(?:^|[/{{])({GUID})}}?\\Z", text)
    return found[1].lower() if found else None


@pytest.mark.slow
@given(st.lists(_TEXTS, min_size=14, max_size=60))
@SOME
def test_the_guid_in_an_id_is_read_by_one_rule_whatever_stands_around_it(texts: list[str | None]) -> None:
    """Dashes at other places, braces that do not match and letters of other scripts make no GUID."""
    con = duckdb.connect()
    con.execute(f"CREATE TABLE raw (place INTEGER, {', '.join(f'{name} VARCHAR' for name in RAW)})")
    con.executemany(
        "INSERT INTO raw (place, claim_app_id, sub_status) VALUES (?, ?, ?)",
        [(n, t, t) for n, t in enumerate(texts * 2)],
    )
    once, each = (
        con.execute(f"SELECT place, {', '.join(READ_COLUMNS)} FROM ({sql}) ORDER BY place").fetchall()
        for sql in (with_readings("FROM raw", (), "raw"), with_readings("FROM raw", ()))
    )
    assert once == each
    place = READ_COLUMNS.index("app_guid") + 1
    assert [row[place] or None for row in once] == [_guid(text) for text in texts * 2]


def test_of_columns_that_a_log_does_not_have_nothing_is_read() -> None:
    """They are null, whether each text is read once or where it stands."""
    con = duckdb.connect()
    con.execute("CREATE TABLE raw AS SELECT '0' AS claim_object_id, 'Ok (200)' AS sub_status")
    absent = ("claim_app_id", "role_assignment_id", "role_definition_id", "evidence_principal_id")
    for table in ("", "raw"):
        found = con.execute(f"SELECT app_guid, sub_status_number FROM ({with_readings('FROM raw', absent, table)})")
        assert found.fetchall() == [(None, "200")]
