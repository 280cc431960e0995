"""Unusual texts in the Activity Log: spaces, slashes, padding, ids and times in other forms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ingest.parsing import staged

pytestmark = pytest.mark.slow

DASHED = "abababab-abab-abab-abab-abababababab"


@pytest.mark.many(4)
@pytest.mark.parametrize(
    ("changed", "column", "value"),
    [
        ({"time": "2026-01-05T09:30:45Z"}, "time::VARCHAR", "2026-01-05 09:30:45"),
        ({"time": "2026-01-05 09:30:45.123456"}, "time::VARCHAR", "2026-01-05 09:30:45.123456"),
        ({"time": "2026-01-05T09:30:45.1234567Z"}, "time::VARCHAR", "2026-01-05 09:30:45.123456"),
        ({"resourceId": "  /subscriptions/s/x// "}, "scope", "/subscriptions/s/x"),
        ({"resourceId": "\u00a0/subscriptions/é"}, "scope", "/subscriptions/é"),
        ({"resourceId": "/"}, "scope", "/"),
        ({"operationName": "/a/b"}, "operation", "/a/b"),
        ({"uti": "ab+/c== "}, "token_id", "ab-_c"),
        ({"uti": " "}, "token_id", None),
        ({"uti": "ab_c"}, "token_id", "ab_c"),
        ({"oid": "{" + DASHED.upper() + "}"}, "principal_id", DASHED),
        ({"oid": "AB" * 16}, "principal_id", DASHED),
        ({"oid": "g" * 36}, "principal_id", None),
        ({"oid": "g" * 32}, "principal_id", None),
        ({"oid": "-" + "ab" * 15 + "a"}, "principal_id", None),
        ({"oid": "{" + "ab" * 15 + "}"}, "principal_id", None),
        ({"oid": "{" + DASHED[1:-1] + "}"}, "principal_id", None),
        ({"oid": "abababab-abab-abab-abab-abab-bababab"}, "principal_id", None),
        ({"oid": "abab-ababababab-abab-abababababababa"}, "principal_id", None),
        ({"oid": "\u0661" + DASHED[1:]}, "principal_id", None),
        ({"oid": f"/users/{DASHED}"}, "principal_id", DASHED),
        ({"operationName": "\u00a0 A/b/write "}, "operation", "A/b/write"),
    ],
)  # fmt: skip
def test_texts_that_are_not_as_most_are(
    changed: dict[str, str], column: str, value: str | None, tmp_path: Path
) -> None:
    """What nearly every text needs not, the others still get: spaces, slashes, padding, ids in other forms."""
    record = {"time": "2026-01-05T09:00:00Z", "category": "Write", "operationName": "A/b/write", "correlationId": "c"}
    claims = {key: text for key, text in changed.items() if key in ("uti", "oid")}
    record |= {"resourceId": "/subscriptions/s", "resultType": "Success"} | changed
    record = {key: text for key, text in record.items() if key not in claims}
    path = tmp_path / "export.json"
    path.write_text(json.dumps(record | {"identity": {"claims": claims}}) + "\n")
    con, _ = staged(path)
    assert con.execute(f"SELECT {column} FROM stage_event_rows").fetchall() == [(value,)]
