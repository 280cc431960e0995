"""Pages of records, Event Hubs, REST and Graph: a fast reader for normal pages, a slow one for all others."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.ingest.files import readers
from rightsize.ingest.logs import batches
from tests.ingest.parsing import staged, told
from tests.ingest.renderings import Call, diagnostic

CALLS = [diagnostic(Call(number)) for number in range(6)]
HEALTH = {**CALLS[0], "category": "ServiceHealth"}
CAPITALS = {key.upper(): value for key, value in CALLS[1].items()}
SIGN_IN = {
    "id": "s1",
    "correlationId": "00000001-0000-4000-8000-000000000009",
    "createdDateTime": "2026-01-02T03:04:05Z",
    "userId": "00000001-0000-4000-8000-000000000000",
    "userPrincipalName": "one@example.com",
    "appId": "c44b4083-3bb0-49c1-b47d-974e53cbdf3c",
    "resourceDisplayName": "Azure Resource Manager",
    "status": {"errorCode": 0},
}
LINKED = {"@odata.nextLink": "https://graph.example/next"}


def lines(*pages: Any) -> bytes:
    return b"".join(json.dumps(page).encode() + b"\n" for page in pages)


PLAIN = {
    "event-hub": lines({"records": CALLS[:2]}, {"records": CALLS[2:]}),
    "rest": json.dumps({"value": CALLS, **LINKED}, indent=2).encode(),
    "both": lines({"value": CALLS[:3], "records": CALLS[3:]}),
    "empty-last": lines({"value": CALLS}, {"value": []}),
    "no-error": lines({"value": CALLS, "error": None}),
    "packed": gzip.compress(lines({"records": CALLS[:2]}, {"records": CALLS[2:]})),
    "sign-ins": lines({"value": [SIGN_IN, {**SIGN_IN, "id": "s2"}], **LINKED}),
    "mixed": lines({"records": [CALLS[0], SIGN_IN, CALLS[1], HEALTH]}),
}
ODD = {
    "capitals": lines({"records": [CALLS[0], CAPITALS]}),
    "failed-in-part": lines({"value": CALLS, "error": {"code": "PartialError", "message": "too much"}}),
    "bare-between": lines({"records": CALLS[:2]}, CALLS[2], {"records": CALLS[3:]}),
    "list-of-pages": json.dumps([{"value": CALLS[:2]}, {"value": CALLS[2:]}]).encode(),
    "no-list": lines({"records": CALLS[:2]}, {"value": "none", "records": CALLS[2:]}),
    "no-objects": lines({"records": [CALLS[0], None, 5, [], CALLS[1]]}),
    "twice": lines({"records": CALLS[:2]})
    + b'{"records": ['
    + json.dumps(CALLS[2]).encode()[:-1]
    + b', "time": "x"}]}',
    "no-time": lines({"records": [CALLS[0], {**CALLS[1], "time": None}, CALLS[2]]}),
    "text-within": lines({"records": [CALLS[0], {**CALLS[1], "identity": json.dumps(CALLS[1]["identity"])}]}),
    "unknown": lines({"records": [CALLS[0], {"foo": 1}]}),
}


def told_of(path: Path) -> dict[str, list[Any]]:
    con, report = staged(path)
    return {**told(con, {0: path.name}), "notes": list(report.notes)}


@pytest.mark.nightly
@pytest.mark.many(3)
@pytest.mark.parametrize("name", [*PLAIN, *ODD])
def test_a_page_says_the_same_however_it_is_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, rejects with their places and counts are those of a reader that takes whole records."""
    path = tmp_path / name
    path.write_bytes({**PLAIN, **ODD}[name])
    read = told_of(path)
    without = {form: word for form, word in readers.JSON_FORMS.items() if form != "documents"}
    monkeypatch.setattr(readers, "JSON_FORMS", without)
    assert read == told_of(path)
    assert read["stage_event_rows"] or read["stage_sign_in_rows"]


@pytest.mark.slow
@pytest.mark.many(4)
@pytest.mark.parametrize("name", PLAIN)
def test_plain_pages_are_read_once(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole records take four times the processor and ten times the memory."""
    path = tmp_path / name
    path.write_bytes(PLAIN[name])
    monkeypatch.setattr(batches, "read_whole", None)
    assert told_of(path)["stage_files"]


@pytest.mark.nightly
@pytest.mark.parametrize("records", [CALLS, [*CALLS, SIGN_IN]])
def test_a_page_longer_than_a_record_may_be(
    records: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing of a year may be one page, of one log or of several."""
    short, long = tmp_path / "short", tmp_path / "long"
    short.write_bytes(json.dumps({"value": records}).encode())
    long.write_bytes(json.dumps({"value": [{**record, "more": "x" * 3_000_000} for record in records]}).encode())
    assert long.stat().st_size > readers.MAX_RECORD_BYTES
    expected = told_of(short)
    monkeypatch.setattr(batches, "read_whole", None)
    found = told_of(long)
    for table in ("stage_event_rows", "stage_sign_in_rows"):
        assert [row[1:] for row in found[table]] == [row[1:] for row in expected[table]]
    assert expected["stage_event_rows"]
