"""Only read requests are sent, whatever a client library adds."""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import urllib3
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import HttpTransport
from azure.core.rest import HttpRequest
from azure.core.rest._requests_basic import RestRequestsTransportResponse
from azure.mgmt.authorization import AuthorizationManagementClient
from hypothesis import given
from hypothesis import strategies as st

import rightsize.azure
from rightsize.azure.hosts import GuardedAsyncTransport, GuardedTransport, RequestGuard
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
    """Says that a resource provider is not registered, which makes ARM's client register it."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def send(self, request: Any, **_: Any) -> Any:
        self.sent.append((request.method, request.url))
        internal = _internal(409, {"error": {"code": "MissingSubscriptionRegistration", "message":
            "The subscription registration is in 'Unregistered' state. The subscription must be registered to use "
            "namespace 'Microsoft.ManagedServices'."}})  # fmt: skip
        response = RestRequestsTransportResponse(request=request, internal_response=internal)
        response.read()
        return response

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def _internal(status: int, document: Any) -> Any:
    found = requests.Response()
    found.status_code = status
    body = io.BytesIO(json.dumps(document).encode())
    found.raw = urllib3.HTTPResponse(body, status=status, preload_content=False)
    found.headers["Content-Type"] = "application/json"
    return found


class _Token:
    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken("secret-token", 4_000_000_000)


def test_what_the_client_of_arm_would_write_on_its_own_is_stopped() -> None:
    """It registers a missing resource provider: a POST that nobody asked for."""
    inner = _Answers()
    url = f"{ARM}/subscriptions/0a0b0c0d-1111-2222-3333-444455556666/providers/Microsoft.ManagedServices/x"
    client = AuthorizationManagementClient(_Token(), "x", transport=GuardedTransport(GUARD, inner))
    with pytest.raises(InternalError, match=r"POST .*/register"):
        client._client.send_request(HttpRequest("GET", url))
    assert [method for method, _ in inner.sent] == ["GET"]


def test_the_same_guard_stands_under_graph() -> None:
    reached: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        reached.append(str(request.url))
        return httpx.Response(200, json={})

    async def ask(method: str, url: str) -> None:
        async with httpx.AsyncClient(transport=GuardedAsyncTransport(GUARD, httpx.MockTransport(handle))) as client:
            await client.request(method, url)

    asyncio.run(ask("GET", "https://graph.microsoft.com/v1.0/users"))
    for method, url in (("DELETE", "https://graph.microsoft.com/v1.0/users/a"), ("GET", "https://evil.example/")):
        with pytest.raises(InternalError):
            asyncio.run(ask(method, url))
    assert reached == ["https://graph.microsoft.com/v1.0/users"]


def test_every_client_is_made_with_the_guard() -> None:
    """Each transport that the package makes is handed to a guarded one."""
    folder = Path(inspect.getfile(rightsize.azure)).parent
    made = guarded = 0
    for path in folder.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        made += text.count("RequestsTransport(") + text.count("AsyncHTTPTransport(")
        guarded += len(re.findall(r"Guarded(?:Async)?Transport\(\s*RequestGuard\.of", text))
    assert made == guarded == 4
