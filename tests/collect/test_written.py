"""A collection's folder is believed only where each value is what a collection writes."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args

import pytest

from rightsize.azure.wire import Service, WireRequest
from rightsize.collect.pages import check_entry, check_manifest
from rightsize.model.errors import InputError

REQUEST: dict[str, Any] = {
    "service": "arm", "url": "/", "method": "GET", "body": None, "headers": {}, "budget": "", "cost": 1.0,
    "is_next": False, "accepts": [200],
}  # fmt: skip
FILE = {"name": "00001-users.jsonl.gz", "sha256": "0" * 64, "rows": 1, "pages": 1}
ENTRY: dict[str, Any] = {
    "source": "users", "unit": "/", "scope": "/", "first": "", "last": "2026-07-01", "reason": "", "lost": [],
    "state": None, "pending": [REQUEST], "file": FILE,
}  # fmt: skip
COVER = {"source": "activity_log", "scope": "/", "first": "2026-07-01", "last": "2026-09-30"}
MANIFEST: dict[str, Any] = {"started": "2026-10-01T01:00:00+00:00", "covers": [COVER]}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (ENTRY | {"source": "../users"}, "`source`"),
        (ENTRY | {"last": "1999-01-01"}, "`last` is not a time of which Azure can have logs"),
        (ENTRY | {"last": "9999-01-01"}, "`last` is not a time of which Azure can have logs"),
        (ENTRY | {"state": "done"}, "`state`"),
        (ENTRY | {"file": FILE | {"name": "../00001.jsonl.gz"}}, "`file.name`"),
        (ENTRY | {"file": FILE | {"rows": True}}, "`file.rows`"),
        (ENTRY | {"file": FILE | {"size": 1}}, "`file.size`"),
        (ENTRY | {"pending": [REQUEST | {"cost": -1}]}, r"`pending\[0\].cost`"),
        (ENTRY | {"pending": [REQUEST | {"method": "DELETE"}]}, r"`pending\[0\].method`"),
        (ENTRY | {"pending": [REQUEST | {"more": 1}]}, r"`pending\[0\].more`"),
        ({"source": "users", "restart": True}, "`unit`"),
        ([], "is not an object"),
    ],
)
def test_a_line_that_no_collection_writes_is_refused(entry: Any, said: str) -> None:
    with pytest.raises(InputError, match=f"line 1 cannot be used: .*{said}"):
        check_entry(entry, "line 1")


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (MANIFEST | {"started": None}, "`started` is not a time"),
        (MANIFEST | {"cloud": 1}, "`cloud`"),
        (MANIFEST | {"question": {"until": "2026-10-01"}}, "`question.days`"),
        (MANIFEST | {"covers": [COVER | {"last": "2026-10-05"}]}, "`last` is not a time of which Azure can have logs"),
        (MANIFEST | {"covers": [COVER | {"first": "2026-07-01T00:00:00Z"}]}, r"`covers\[0\].first`"),
        (MANIFEST | {"covers": [COVER | {"last": "2026-06-01"}]}, "end before they begin"),
    ],
)
def test_a_manifest_that_no_collection_writes_is_refused(manifest: Any, said: str) -> None:
    with pytest.raises(InputError, match=f"it cannot be used: .*{said}"):
        check_manifest(manifest, "it")


def test_what_a_collection_writes_is_believed() -> None:
    """Every field of a request is in a line, and every service may be asked."""
    assert {one.name for one in fields(WireRequest)} == set(REQUEST)
    for service in get_args(Service):
        check_entry(ENTRY | {"pending": [REQUEST | {"service": service}]}, "it")
    check_manifest(MANIFEST, "it")
