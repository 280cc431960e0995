"""Each fault of a service, met by the real clients; and every way to sign in."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from rightsize.collect import pages
from rightsize.collect.pages import Run
from rightsize.collect.runs import find_runs
from rightsize.model.errors import ServiceError
from tests.azure.hurried import Hurried
from tests.collect.collecting import Collect, collector, ids, row_of
from tests.loopback.fixtures import sign_in
from tests.loopback.login import CLIENT_ID, FEDERATED_TOKEN, IDENTITY_HEADER
from tests.loopback.server import Loopback

pytestmark = pytest.mark.slow


SOURCES = ["role_assignments", "groups"]
PLACES = {"role_assignments": "roleassignments", "groups": "/v1.0/groups"}
SIGN_IN = (
    "AZURE_TENANT_ID AZURE_CLIENT_ID AZURE_CLIENT_SECRET AZURE_FEDERATED_TOKEN_FILE AZURE_AUTHORITY_HOST "
    "IDENTITY_ENDPOINT IDENTITY_HEADER MSI_ENDPOINT AZURE_POD_IDENTITY_AUTHORITY_HOST AZURE_TOKEN_CREDENTIALS"
)

Whole = dict[str, set[str]]


@pytest.fixture(scope="module")
def whole(loopback_service: Loopback, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """What there is, collected without faults."""
    with pytest.MonkeyPatch.context() as patch:
        sign_in(patch, loopback_service)
        report = collector(loopback_service, tmp_path_factory.mktemp("whole"))(sources=SOURCES)
    return {source: ids(report, source) for source in SOURCES}


@pytest.mark.parametrize("source", SOURCES)
def test_a_page_that_comes_again_counts_once(loopback: Loopback, collect: Collect, whole: Whole, source: str) -> None:
    """The number of rows says whether a listing is complete."""
    once = row_of(collect("once", sources=[source]), source).rows
    loopback.forget()
    loopback.faults.add("duplicate_page", PLACES[source])
    report = collect("again", sources=[source])
    assert (row_of(report, source).rows, ids(report, source)) == (once, whole[source])


@pytest.mark.many(4)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ({"retry_after": "7"}, 7),
        ({"retry_after_ms": "250"}, 0.25),
        ({"retry_after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        ({"retry_after": "soon"}, 1),
        ({}, 1),
    ],
    ids=["seconds", "milliseconds", "a date that has passed", "nonsense", "nothing"],
)
def test_a_service_is_left_alone_for_as_long_as_it_says(
    loopback: Loopback,
    collect: Collect,
    whole: Whole,
    source: str,
    headers: dict[str, str],
    waited: float,
) -> None:
    loopback.faults.add("throttle", PLACES[source], **headers)
    clock = Hurried()
    report = collect(sources=SOURCES, clock=clock)
    assert report.is_whole
    assert ids(report, source) == whole[source]
    assert report.tally.throttled == 1
    assert max(clock.waits, default=0) == pytest.approx(waited, abs=0.2)


@pytest.mark.many(6)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "kind", ["empty_page", "duplicate_page", "claims", "expire", "drop", "cut", "truncate", "html"]
)
def test_a_fault_that_passes_loses_and_doubles_nothing(
    loopback: Loopback, collect: Collect, whole: Whole, source: str, kind: str
) -> None:
    loopback.faults.add(kind, PLACES[source])
    report = collect(sources=SOURCES)
    assert report.is_whole
    assert ids(report, source) == whole[source]
    assert [entry.fault for entry in loopback.requests if entry.fault] == [kind]


def test_a_page_that_comes_empty_then_twice_is_no_circle(loopback: Loopback, collect: Collect, whole: Whole) -> None:
    """Faults that meet the same listing one after the other, as they do where requests run side by side."""
    loopback.faults.add("duplicate_page", PLACES["groups"])
    loopback.faults.add("empty_page", PLACES["groups"])
    report = collect(sources=SOURCES)
    assert report.is_whole
    assert ids(report, "groups") == whole["groups"]
    assert [entry.fault for entry in loopback.requests if entry.fault] == ["empty_page", "duplicate_page"]


@pytest.mark.parametrize("kind", ["empty_page", "duplicate_page"])
def test_next_links_of_a_listing_that_starts_with_post_are_followed_by_get(
    loopback: Loopback, collect: Collect, kind: str
) -> None:
    loopback.faults.add(kind, "getEntities")
    assert collect(sources=["management_groups"]).is_whole
    assert [entry.method for entry in loopback.requests if "getEntities" in entry.path] == ["POST", "GET"]


@pytest.mark.parametrize("after", [1, 4])
def test_a_full_disk_stops_the_run_and_the_rest_follows_when_there_is_room(
    collect: Collect, whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    write, written = pages.replace_found, 0

    def fill(folder: Path, name: str, content: bytes) -> None:
        nonlocal written
        written += name != pages.MANIFEST
        if written > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(folder, name, content)

    with monkeypatch.context() as patched:
        patched.setattr(pages, "replace_found", fill)
        with pytest.raises(ServiceError, match="the disk is full"):
            collect(sources=SOURCES)
    (folder,) = find_runs(tmp_path / "runs")
    assert sum(len(unit.files) for unit in Run.read(folder).units.values()) == after
    report = collect(sources=SOURCES)
    assert report.resumed
    assert {source: ids(report, source) for source in SOURCES} == whole


def test_links_that_lead_nowhere_do_not_end_the_run(loopback: Loopback, collect: Collect) -> None:
    loopback.faults.add("loop", PLACES["groups"], times=None)
    report = collect(sources=SOURCES)
    assert row_of(report, "groups").reason == "the next links go in a circle"
    assert row_of(report, "role_assignments").state == "complete"


@pytest.fixture
def nobody(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that says nothing of who signs in."""
    for name in SIGN_IN.split():
        monkeypatch.delenv(name, raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(loopback.certificate))
    return monkeypatch


def signed_in_by(collect: Collect, auth: str) -> str:
    found: list[Any] = []
    report = collect(auth=auth, sources=["subscriptions", "groups"], signed_in=found.append)
    assert report.is_whole
    return str(found[0].credential)


def test_a_federated_token_signs_in(loopback: Loopback, collect: Collect, nobody: Any, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(FEDERATED_TOKEN)
    nobody.setenv("AZURE_FEDERATED_TOKEN_FILE", str(token))
    nobody.setenv("AZURE_CLIENT_ID", CLIENT_ID)
    nobody.setenv("AZURE_TENANT_ID", loopback.tenant.tenant_id)
    assert signed_in_by(collect, "workload") == "WorkloadIdentityCredential"


@pytest.mark.parametrize("auth", ["managed-identity", "default"])
def test_the_identity_of_an_app_service_signs_in(loopback: Loopback, collect: Collect, nobody: Any, auth: str) -> None:
    """With the default chain too, which comes to it after what the environment does not have."""
    nobody.setenv("IDENTITY_ENDPOINT", f"{loopback.url}/msi/token")
    nobody.setenv("IDENTITY_HEADER", IDENTITY_HEADER)
    assert signed_in_by(collect, auth) == "ManagedIdentityCredential"


def test_the_identity_of_a_machine_signs_in(loopback: Loopback, collect: Collect, nobody: Any) -> None:
    nobody.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", loopback.url)
    assert signed_in_by(collect, "managed-identity") == "ManagedIdentityCredential"
