"""Only read requests are sent, whatever a client library adds."""

from __future__ import annotations

import inspect
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import HttpTransport
from azure.core.rest._requests_basic import RestRequestsTransportResponse
from hypothesis import given
from hypothesis import strategies as st

import rightsize.azure
from rightsize.azure.clients import Clients
from rightsize.azure.credentials import RenewableCredential
from rightsize.azure.hosts import CLOUDS, RequestGuard
from rightsize.azure.wire import Service, WireRequest
from rightsize.model.errors import InternalError
from tests.examples import MANY

ARM = "https://management.azure.com"
WORKSPACE = "0a0b0c0d-1111-2222-3333-444455556666"
GUARD = RequestGuard.of([ARM, "https://graph.microsoft.com", "https://api.loganalytics.io"])


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", f"{ARM}/subscriptions?api-version=1"),
        ("GET", "https://MANAGEMENT.azure.com:443/subscriptions"),
        ("POST", f"https://api.loganalytics.io/v1/workspaces/{WORKSPACE}/query"),
        ("POST", f"{ARM}/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01"),
        ("POST", f"{ARM}/providers/Microsoft.Management/getEntities?api-version=2020-05-01"),
        ("POST", "https://graph.microsoft.com/v1.0/directoryObjects/getByIds"),
    ],
)
def test_questions_pass(method: str, url: str) -> None:
    GUARD.check(method, url)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "get", ""])
def test_no_other_method_passes(method: str) -> None:
    with pytest.raises(InternalError, match="may change something"):
        GUARD.check(method, f"{ARM}/subscriptions")


@pytest.mark.parametrize(
    "path",
    [
        "/providers/Microsoft.Authorization/elevateAccess",
        "/subscriptions/a/providers/Microsoft.Storage/register",
        "/subscriptions/a/providers/Microsoft.Storage/storageAccounts/b/listKeys",
        f"/v1/workspaces/{WORKSPACE}/query/x",
        f"/x/v1/workspaces/{WORKSPACE}/query",
        "/v1.0/$batch",
        "/v1.0/users",
    ],
)
def test_no_other_post_passes(path: str) -> None:
    for root in (ARM, "https://graph.microsoft.com"):
        with pytest.raises(InternalError):
            GUARD.check("POST", f"{root}{path}")


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/subscriptions",
        "https://management.azure.com.evil.example/",
        "https://management.azure.com@evil.example/",
        "http://management.azure.com/subscriptions",
        "https://management.azure.com:8443/subscriptions",
        "https://management.azure.com:99999999/",
        "//management.azure.com/subscriptions",
        "",
    ],
)
def test_no_other_host_passes(url: str) -> None:
    with pytest.raises(InternalError, match="another host"):
        GUARD.check("GET", url)


@pytest.mark.slow
@given(st.text(max_size=12), st.text(max_size=40))
@MANY
def test_nothing_passes_by_accident(method: str, rest: str) -> None:
    """Of random methods and hosts none gets through."""
    if method == "GET" and rest.startswith(("management.azure.com/", "graph.microsoft.com/")):
        return
    with pytest.raises((InternalError, ValueError)):
        GUARD.check(method, f"https://x{rest}")


class _Answers(HttpTransport[Any, Any]):
    """Says that a resource provider is not registered, and where to ask instead."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def send(self, request: Any, **_: Any) -> Any:
        self.sent.append((request.method, request.url))
        found = requests.Response()
        found.status_code = 307 if len(self.sent) > 1 else 409
        body = json.dumps({"error": {"code": "MissingSubscriptionRegistration"}}).encode()
        found.raw = urllib3.HTTPResponse(io.BytesIO(body), status=found.status_code, preload_content=False)
        found.headers.update({"Content-Type": "application/json", "Location": "https://evil.example/"})
        return RestRequestsTransportResponse(request=request, internal_response=found)

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


class _Token:
    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken("secret-token", 4_000_000_000)


@pytest.mark.parametrize("service", ["arm", "graph", "logs"])
def test_a_client_sends_what_it_was_asked_and_nothing_else(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """No provider is registered, no redirect followed, and no other host or method reached."""
    inner = _Answers()
    monkeypatch.setattr("rightsize.azure.clients.RequestsTransport", lambda **_: inner)
    with Clients(CLOUDS["public"], RenewableCredential(_Token, asks=False)) as clients:
        for status in (409, 307):
            assert clients.send(WireRequest(service, "/v1.0/x")).status == status
        for wrong in (WireRequest(service, "https://evil.example/"), WireRequest(service, "/v1.0/x", method="DELETE")):
            with pytest.raises(InternalError):
                clients.send(wrong)
    assert [method for method, _ in inner.sent] == ["GET", "GET"]


def test_every_client_is_made_with_the_guard() -> None:
    """Each transport that the package makes is handed to a guarded one."""
    folder = Path(inspect.getfile(rightsize.azure)).parent
    made = guarded = 0
    for path in folder.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        made += text.count("RequestsTransport(")
        guarded += len(re.findall(r"GuardedTransport\(\s*(?:RequestGuard\.of|guard, )", text))
    assert made == guarded == 3
