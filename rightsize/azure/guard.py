"""Block each HTTP request that may change something or goes to a host that was not chosen.

Only a rollout may write: role assignments, role definitions, and PIM requests and policies.

The guard is at the transport, below the policies of the SDKs, so it also checks the requests that they add themselves.
For example, ARM's client registers a missing resource provider, and that is a write.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx
from azure.core.pipeline.transport import HttpTransport

from rightsize.model.errors import InternalError

_GUID = r"[0-9a-fA-F-]{36}"

QUERY_POSTS = (
    # Queries that Azure accepts only as POST; its documentation says that none of them changes anything.
    re.compile(rf"/v1/workspaces/{_GUID}/query"),
    re.compile(r"/providers/Microsoft\.ResourceGraph/resources", re.IGNORECASE),
    re.compile(r"/providers/Microsoft\.Management/getEntities", re.IGNORECASE),
    re.compile(r"/v1\.0/directoryObjects/getByIds"),
)
"""Patterns of the paths to which a POST may be sent."""

_AUTHORIZATION = r"/providers/Microsoft\.Authorization/"


def rollout_writes(
    paths: Collection[str], definitions: Collection[str], scopes: Collection[str]
) -> tuple[re.Pattern[str], ...]:
    """Return patterns of the method and path of each write that a rollout may send.

    Args:
        paths: Whole paths of the role assignments that it creates or deletes.
        definitions: GUIDs of the role definitions that it creates or deletes.
        scopes: Scopes at which it sends Privileged Identity Management (PIM) requests and updates PIM policies.
    """
    places = rf"(?:{'|'.join(re.escape(scope.rstrip('/')) for scope in sorted(scopes))})"
    patterns = []
    if paths:
        patterns.append(rf"(?:PUT|DELETE) (?:{'|'.join(re.escape(path) for path in sorted(paths))})")
    if definitions:
        roles = "|".join(re.escape(role) for role in sorted(definitions))
        patterns.append(rf"(?:PUT|DELETE) (?:/[^?]*)?{_AUTHORIZATION}roleDefinitions/(?:{roles})")
    if scopes:
        patterns += [
            rf"PUT {places}{_AUTHORIZATION}role(?:Assignment|Eligibility)ScheduleRequests/{_GUID}",
            rf"PATCH {places}{_AUTHORIZATION}roleManagementPolicies/[0-9a-fA-F_-]{{36,73}}",
        ]
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class RequestGuard:
    """The requests that may be sent: GET, and the POSTs of QUERY_POSTS, to these roots (scheme, host and port).

    PUT, PATCH and DELETE may be sent if `writes` matches their method and path; only a rollout fills `writes`.
    """

    roots: frozenset[str]
    writes: tuple[re.Pattern[str], ...] = ()

    @classmethod
    def of(cls, urls: Sequence[str], writes: tuple[re.Pattern[str], ...] = ()) -> RequestGuard:
        """Return the guard for the hosts of these URLs."""
        return cls(frozenset(root_of(url) for url in urls), writes)

    def check(self, method: str, url: str) -> None:
        """Check that a request may be sent.

        Raises:
            InternalError: The request may change something, or goes to a host that was not chosen.
        """
        if root_of(url) not in self.roots:
            raise InternalError(f"a request to another host was stopped: {root_of(url)}")
        path = urlsplit(url).path
        is_query = method == "POST" and any(pattern.fullmatch(path) for pattern in QUERY_POSTS)
        is_write = any(pattern.fullmatch(f"{method} {path}") for pattern in self.writes)
        if method != "GET" and not is_query and not is_write:
            raise InternalError(f"a request that may change something was stopped: {method} {path}")


def root_of(url: str) -> str:
    """Return scheme, host and port of a URL, in lower case; the port is always there, also the scheme's default."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    standard = {"https": 443, "http": 80}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{standard if port is None else port}"


class GuardedTransport(HttpTransport[Any, Any]):
    """A transport of azure-core that sends only the requests that the guard allows."""

    def __init__(self, guard: RequestGuard, inner: HttpTransport[Any, Any]) -> None:
        self._guard = guard
        self._inner = inner

    def send(self, request: Any, **kwargs: Any) -> Any:
        """Send a request, or raise InternalError."""
        self._guard.check(request.method, request.url)
        return self._inner.send(request, **kwargs)

    def open(self) -> None:
        """Open the connections."""
        self._inner.open()

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()

    def __enter__(self) -> GuardedTransport:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self._inner.__exit__(kind, error, trace)


class GuardedAsyncTransport(httpx.AsyncBaseTransport):
    """A transport of httpx that sends only the requests that the guard allows."""

    def __init__(self, guard: RequestGuard, inner: httpx.AsyncBaseTransport) -> None:
        self._guard = guard
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, or raise InternalError."""
        self._guard.check(request.method, str(request.url))
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()
