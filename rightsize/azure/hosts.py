"""Define the endpoints of each Azure cloud; no other module has endpoints.

Source: Microsoft Learn, "Azure Government developer guide", "Microsoft Graph national cloud deployments", and the
endpoints that `az cloud show` prints.

Block each HTTP request that may change something or goes to a host that was not chosen.

Only a rollout may write: role assignments, role definitions, and PIM requests and policies.

The guard is at the transport, below the policies of the SDKs, so it also checks the requests that they add themselves.
For example, ARM's client registers a missing resource provider, and that is a write.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx
from azure.core.pipeline.transport import HttpTransport

from rightsize.model.errors import InputError, InternalError, UsageError
from rightsize.model.file_reading import SMALL, read_given
from rightsize.model.json_schemas import load_object


@dataclass(frozen=True, slots=True)
class Cloud:
    """The endpoints of one cloud, each without a slash at its end.

    Attributes:
        name: The name of the cloud in the manifest of a run.
        authority: The host that issues tokens.
        arm: Azure Resource Manager; `arm_audience` is the audience of its tokens.
        graph: Microsoft Graph; `graph_audience` is the audience of its tokens.
        logs: Log Analytics; `logs_audience` is the audience of its tokens.
        lake: The data lake of Microsoft Sentinel; `lake_audience` is the audience of its tokens. Empty where a cloud
            has none.
        storage: The suffix of the host of a storage account, after `ACCOUNT.blob.`; a whole URL where accounts are
            paths of one host.
        storage_audience: The audience of tokens for storage.
        instance_discovery: Whether azure-identity asks Microsoft first whether the authority is one of its own.
        budgets: Requests and seconds by budget name, for each service whose limits differ from Azure's.
    """

    name: str
    authority: str
    arm: str
    arm_audience: str
    graph: str
    graph_audience: str
    logs: str
    logs_audience: str
    storage: str
    storage_audience: str = "https://storage.azure.com"
    lake: str = ""
    lake_audience: str = ""
    instance_discovery: bool = True
    budgets: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def blob_endpoint(self, account: str) -> str:
        """Return the blob endpoint of a storage account."""
        if "://" in self.storage:
            return f"{self.storage}/{account}"
        return f"https://{account}.blob.{self.storage}"


CLOUDS = {
    cloud.name: cloud
    for cloud in (
        Cloud(
            name="public",
            authority="https://login.microsoftonline.com",
            arm="https://management.azure.com",
            arm_audience="https://management.azure.com",
            graph="https://graph.microsoft.com",
            graph_audience="https://graph.microsoft.com",
            logs="https://api.loganalytics.io",
            logs_audience="https://api.loganalytics.io",
            storage="core.windows.net",
            lake="https://api.securityplatform.microsoft.com",
            lake_audience="4500ebfb-89b6-4b14-a480-7f749797bfcd",
        ),
        Cloud(
            name="usgov",
            authority="https://login.microsoftonline.us",
            arm="https://management.usgovcloudapi.net",
            arm_audience="https://management.usgovcloudapi.net",
            graph="https://graph.microsoft.us",
            graph_audience="https://graph.microsoft.us",
            logs="https://api.loganalytics.us",
            logs_audience="https://api.loganalytics.us",
            storage="core.usgovcloudapi.net",
        ),
        Cloud(
            name="china",
            authority="https://login.chinacloudapi.cn",
            arm="https://management.chinacloudapi.cn",
            arm_audience="https://management.chinacloudapi.cn",
            graph="https://microsoftgraph.chinacloudapi.cn",
            graph_audience="https://microsoftgraph.chinacloudapi.cn",
            logs="https://api.loganalytics.azure.cn",
            logs_audience="https://api.loganalytics.azure.cn",
            storage="core.chinacloudapi.cn",
        ),
    )
}
"""The clouds of Microsoft."""

_OPTIONAL = ("storage_audience", "lake", "lake_audience", "instance_discovery", "budgets")
_URLS = ("authority", "arm", "arm_audience", "graph", "graph_audience", "logs", "logs_audience")


def read_cloud(text: str) -> Cloud:
    """Return the cloud with this name, or the cloud that a JSON file describes with the attributes of `Cloud`.

    Raises:
        UsageError: The text is neither the name of a cloud nor a file.
        InputError: The file does not describe a cloud.
    """
    if text in CLOUDS:
        return CLOUDS[text]
    path = Path(text)
    if not path.is_file():
        raise UsageError(
            f"`{text}` is not a known cloud", hint=f"one of {', '.join(CLOUDS)}, or a JSON file with its endpoints"
        )
    document = load_object(read_given(path, most=SMALL), f"`{text}`")
    return _described(document, text)


def _described(document: Mapping[str, Any], text: str) -> Cloud:
    names = {attribute.name for attribute in fields(Cloud)}
    missing = sorted(names - document.keys() - set(_OPTIONAL))
    unknown = sorted(document.keys() - names)
    if missing or unknown:
        what = f"lacks {', '.join(missing)}" if missing else f"has the unknown keys {', '.join(unknown)}"
        raise InputError(f"`{text}` does not describe a cloud: it {what}")
    values = dict(document)
    for name in (*_URLS, "storage"):
        if not isinstance(values[name], str):
            raise InputError(f"`{name}` in `{text}` is not a string")
        values[name] = values[name].rstrip("/")
    for name in _URLS:
        # A token must never travel unencrypted, in any cloud.
        if urlsplit(values[name]).scheme != "https" or not urlsplit(values[name]).netloc:
            raise InputError(f"`{name}` in `{text}` is not an https URL")
    try:
        values["budgets"] = {
            str(name): (float(requests), float(seconds))
            for name, (requests, seconds) in dict(values.get("budgets", {})).items()
        }
    except (TypeError, ValueError) as error:
        raise InputError(f"`budgets` in `{text}` has a value that is not a pair of requests and seconds") from error
    return Cloud(**values)


_GUID = r"[0-9a-fA-F-]{36}"

QUERY_POSTS = (
    # Queries that Azure accepts only as POST; its documentation says that none of them changes anything.
    re.compile(rf"/v1/workspaces/{_GUID}/(query|search)"),
    re.compile(r"(/lake/kql)?/v2/rest/query"),
    re.compile(r"/providers/Microsoft\.ResourceGraph/resources", re.IGNORECASE),
    re.compile(r"/providers/Microsoft\.Management/getEntities", re.IGNORECASE),
    re.compile(r"/v1\.0/directoryObjects/getByIds"),
)
"""Patterns of the paths to which a POST may be sent."""

_AUTHORIZATION = r"/providers/Microsoft\.Authorization/"


def rollout_writes(
    paths: Collection[str], definitions: Collection[str], scopes: Collection[str], vaults: Collection[str]
) -> tuple[re.Pattern[str], ...]:
    """Return patterns of the method and path of each write that a rollout may send.

    Args:
        paths: Whole paths of the role assignments that it creates or deletes.
        definitions: GUIDs of the role definitions that it creates or deletes.
        scopes: Scopes at which it sends Privileged Identity Management (PIM) requests and updates PIM policies.
        vaults: Resource ids of the key vaults that it switches from access policies to roles, or back.
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
    if vaults:
        patterns.append(rf"PATCH (?:{'|'.join(re.escape(vault) for vault in sorted(vaults))})")
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
