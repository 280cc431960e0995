"""A published file is fetched again only where it has changed, and without a sign-in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rightsize.azure.published import fetch_published
from rightsize.model.errors import ServiceError, UsageError
from tests.azure.hurried import Hurried
from tests.loopback.server import GRAPH_MAP, Loopback


@pytest.fixture(scope="module")
def service() -> Iterator[Loopback]:
    with Loopback().start() as running:
        yield running


@pytest.fixture
def url(service: Loopback, monkeypatch: pytest.MonkeyPatch) -> str:
    service.forget()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(service.certificate))
    return f"{service.url}{GRAPH_MAP}"


@pytest.mark.slow
def test_a_file_is_fetched_once_and_then_asked_after(service: Loopback, url: str) -> None:
    first = fetch_published(url, "", Hurried())
    assert first.content
    assert first.etag
    again = fetch_published(url, first.etag, Hurried())
    assert (again.content, again.etag) == (None, first.etag)
    assert [entry.status for entry in service.requests] == [200, 304]
    assert not any(entry.token for entry in service.requests)


@pytest.mark.parametrize("kind", ["throttle", "503", "drop", "cut"])
def test_a_fault_that_passes_is_waited_out(service: Loopback, url: str, kind: str) -> None:
    whole = fetch_published(url, "", Hurried())
    service.faults.add(kind, GRAPH_MAP, times=2)
    clock = Hurried()
    assert fetch_published(url, "", clock) == whole
    assert clock.waits == [1, 2]


@pytest.mark.parametrize(("kind", "asked"), [("503", 4), ("404", 1)])
def test_a_file_that_cannot_be_had_is_told(service: Loopback, url: str, kind: str, asked: int) -> None:
    service.faults.add(kind, GRAPH_MAP, times=None)
    with pytest.raises(ServiceError, match=kind):
        fetch_published(url, "", Hurried())
    assert len(service.requests) == asked


def test_an_hour_is_not_waited(service: Loopback, url: str) -> None:
    service.faults.add("throttle", GRAPH_MAP, times=None, retry_after="3600")
    clock = Hurried()
    with pytest.raises(ServiceError):
        fetch_published(url, "", clock)
    assert not clock.waits


@pytest.mark.parametrize("url", ["http://127.0.0.1/x", "file:///etc/passwd", "permissions.json"])
def test_only_addresses_that_cannot_be_read_on_the_way_are_taken(url: str) -> None:
    with pytest.raises(UsageError):
        fetch_published(url, "", Hurried())
