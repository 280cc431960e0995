"""Send requests through the Azure SDK clients, with our transport and no SDK retries, and return raw responses.

Responses are read as bytes from the clients' own pipelines (credentials, claims challenges, user agent). The typed
models are up to a thousand times slower and drop fields that they do not know, such as the condition of a permission.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import threading
import urllib.request
from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.policies import RedirectPolicy, SansIOHTTPPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest

from rightsize.azure.credentials import RenewableCredential, first_line, reason_of
from rightsize.azure.hosts import Cloud, GuardedAsyncTransport, GuardedTransport, RequestGuard, root_of
from rightsize.azure.wire import DroppedError, NotSignedInError, Response, Service, WireRequest

if TYPE_CHECKING:
    import httpx
    from azure.core import PipelineClient
    from azure.mgmt.authorization import AuthorizationManagementClient
    from azure.monitor.query import LogsQueryClient
    from msgraph.graph_request_adapter import GraphRequestAdapter
    from msgraph.graph_service_client import GraphServiceClient

    from rightsize.azure.blobs import Blobs

READ_TIMEOUT = 120.0
"""Seconds that an answer may take; Log Analytics may run a query for ten minutes before it reports a timeout."""
_LOGS_TIMEOUT = 660.0
_CONNECT_TIMEOUT = 30.0


class NoRetry(SansIOHTTPPolicy[Any, Any]):
    """A policy that replaces the retry policy of a client and never retries; `Exchange` retries for all clients."""


class Clients:
    """The SDK clients of one cloud and one credential, created on first use. Use it in a `with`.

    Threads may share it. The Graph client has its own event loop in its own thread: it is asynchronous only and cannot
    move to a second loop. `writes` are the Resource Manager paths that a rollout may write; without a rollout it is
    empty.
    """

    def __init__(
        self, cloud: Cloud, credential: RenewableCredential, *, writes: tuple[re.Pattern[str], ...] = ()
    ) -> None:
        self.cloud = cloud
        self._credential = credential
        self._writes = writes
        self._lock = threading.Lock()
        self._arm: AuthorizationManagementClient | None = None
        self._logs: LogsQueryClient | None = None
        self._graph: _GraphLoop | None = None
        self._blobs: Blobs | None = None
        self._kusto: dict[str, PipelineClient[Any, Any]] = {}

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        for client in (self._arm, self._logs, self._graph, self._blobs, *self._kusto.values()):
            if client is not None:
                client.close()

    def renew(self) -> None:
        """Drop the cached tokens, because a service rejected one of them."""
        self._credential.renew()

    def root(self, service: Service) -> str:
        """Return the endpoint of a service."""
        roots: Mapping[Service, str] = {
            "arm": self.cloud.arm,
            "graph": self.cloud.graph,
            "logs": self.cloud.logs,
            # The URL of a request names its cluster.
            "kusto": "",
            "lake": self.cloud.lake,
            "storage": "",
        }
        return roots[service]

    def send(self, request: WireRequest) -> Response:
        """Send a request once and return the response, whatever its status.

        Raises:
            DroppedError: The connection ended before the answer did.
            NotSignedInError: There is no token.
            UnsettledError: The token service asks for a longer wait than is allowed.
            InternalError: The guard blocked the request.
        """
        try:
            if request.service == "graph":
                return self._open_graph().send(request, self._absolute(request))
            if request.service == "storage":
                return self._open_blobs().send(request)
            return self._send(request)
        except ClientAuthenticationError as error:
            if found := reason_of(error):
                raise found from error
            raise NotSignedInError(first_line(error)) from error
        except AzureError as error:
            raise DroppedError(first_line(error)) from error

    def _absolute(self, request: WireRequest) -> str:
        return request.url if "://" in request.url else f"{self.root(request.service)}{request.url}"

    def _send(self, request: WireRequest) -> Response:
        headers = dict(request.headers)
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        query = HttpRequest(request.method, self._absolute(request), content=request.body, headers=headers)
        # As a stream, so that no policy parses the body on its way.
        if request.service == "arm":
            response = self._open_arm()._client.send_request(query, stream=True)
        elif request.service in ("kusto", "lake"):
            response = self._open_kusto(request).send_request(query, stream=True, read_timeout=_LOGS_TIMEOUT)
        else:
            response = self._open_logs().send_request(query, stream=True, read_timeout=_LOGS_TIMEOUT)
        with response:
            content = response.read()
        names = {name.lower(): value for name, value in response.headers.items()}
        return Response(response.status_code, names, content)

    def _settings(self, root: str, writes: tuple[re.Pattern[str], ...] = ()) -> dict[str, Any]:
        transport = RequestsTransport(connection_timeout=_CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT)
        return {
            "transport": GuardedTransport(RequestGuard.of([root], writes), transport),
            "retry_policy": NoRetry(),
            # A redirect could lead to any host that a response names.
            "redirect_policy": RedirectPolicy(permit_redirects=False),
        }

    def _open_arm(self) -> AuthorizationManagementClient:
        with self._lock:
            if self._arm is None:
                from azure.mgmt.authorization import AuthorizationManagementClient  # noqa: PLC0415  each when needed

                # Only typed calls use the subscription, and nothing here makes them. The client has no public method to
                # send a raw request; its `_client`, an ARMPipelineClient, has one.
                self._arm = AuthorizationManagementClient(
                    self._credential,
                    "00000000-0000-0000-0000-000000000000",
                    base_url=self.cloud.arm,
                    credential_scopes=[f"{self.cloud.arm_audience}/.default"],
                    **self._settings(self.cloud.arm, self._writes),
                )
            return self._arm

    def _open_logs(self) -> LogsQueryClient:
        with self._lock:
            if self._logs is None:
                from azure.monitor.query import LogsQueryClient  # noqa: PLC0415

                self._logs = LogsQueryClient(
                    self._credential,
                    endpoint=self.cloud.logs,
                    audience=self.cloud.logs_audience,
                    **self._settings(self.cloud.logs),
                )
            return self._logs

    def _open_kusto(self, request: WireRequest) -> PipelineClient[Any, Any]:
        root = root_of(self._absolute(request))
        with self._lock:
            if root not in self._kusto:
                from azure.core import PipelineClient  # noqa: PLC0415
                from azure.core.pipeline.policies import BearerTokenCredentialPolicy  # noqa: PLC0415

                # A token for a cluster is of use there only.
                audience = self.cloud.lake_audience if request.service == "lake" else root.removesuffix(":443")
                signing = BearerTokenCredentialPolicy(self._credential, f"{audience}/.default")
                settings = self._settings(root)
                self._kusto[root] = PipelineClient(
                    root, policies=[settings["redirect_policy"], settings["retry_policy"], signing],
                    transport=settings["transport"],
                )  # fmt: skip
            return self._kusto[root]

    def _open_blobs(self) -> Blobs:
        with self._lock:
            if self._blobs is None:
                from rightsize.azure.blobs import Blobs  # noqa: PLC0415

                self._blobs = Blobs(self.cloud, self._credential)
            return self._blobs

    def _open_graph(self) -> _GraphLoop:
        with self._lock:
            if self._graph is None:
                self._graph = _GraphLoop(self.cloud, self._credential)
            return self._graph


class _GraphLoop:
    """The Graph client in its own event loop."""

    def __init__(self, cloud: Cloud, credential: TokenCredential) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="graph", daemon=True)
        self._thread.start()
        self._adapter, self._transport = _graph_adapter(cloud, credential)
        from msgraph.graph_service_client import GraphServiceClient  # noqa: PLC0415

        self.client: GraphServiceClient = GraphServiceClient(request_adapter=self._adapter)

    def send(self, request: WireRequest, url: str) -> Response:
        """Send a request from any thread and wait for the answer."""
        future: Future[Response] = asyncio.run_coroutine_threadsafe(self._send(request, url), self._loop)
        return future.result()

    async def _send(self, request: WireRequest, url: str) -> Response:
        import httpx  # noqa: PLC0415
        from kiota_abstractions.method import Method  # noqa: PLC0415
        from kiota_abstractions.request_information import RequestInformation  # noqa: PLC0415

        question = RequestInformation(Method[request.method])
        question.url = url
        question.headers.try_add("Accept", "application/json")
        for name, value in request.headers.items():
            question.headers.try_add(name, value)
        if request.body is not None:
            question.set_stream_content(request.body.encode(), "application/json")
        span = self._adapter.start_tracing_span(question, "collect")
        try:
            response = await self._adapter.get_http_response_message(question, span)
            content = await response.aread()
        except httpx.HTTPError as error:
            raise DroppedError(str(error) or type(error).__name__) from error
        finally:
            span.end()
        return Response(response.status_code, dict(response.headers), content)

    async def _close(self) -> None:
        # The SDK wraps our transport and does not pass on the call to close it.
        await self._transport.aclose()
        # Connections are taken down by the loop in its next round.
        await asyncio.sleep(0)

    def close(self) -> None:
        """End the loop and its thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_CONNECT_TIMEOUT)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _graph_adapter(cloud: Cloud, credential: TokenCredential) -> tuple[GraphRequestAdapter, httpx.AsyncBaseTransport]:
    import httpx  # noqa: PLC0415
    from kiota_authentication_azure.azure_identity_authentication_provider import (  # noqa: PLC0415
        AzureIdentityAuthenticationProvider,
    )
    from kiota_http.middleware.options import RedirectHandlerOption, RetryHandlerOption  # noqa: PLC0415
    from msgraph.graph_request_adapter import GraphRequestAdapter  # noqa: PLC0415
    from msgraph.graph_request_adapter import options as graph_options  # noqa: PLC0415
    from msgraph_core import GraphClientFactory  # noqa: PLC0415

    host = urlsplit(cloud.graph).hostname or ""
    inner = httpx.AsyncHTTPTransport(verify=_trusted(), http2=True, proxy=_proxy_of(host))
    transport = GuardedAsyncTransport(RequestGuard.of([cloud.graph]), inner)
    client = GraphClientFactory.create_with_default_middleware(
        client=httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(READ_TIMEOUT, connect=_CONNECT_TIMEOUT),
        ),
        options={
            **graph_options,
            RetryHandlerOption.get_key(): RetryHandlerOption(max_retries=0, should_retry=False),
            RedirectHandlerOption.get_key(): RedirectHandlerOption(max_redirect=0, should_redirect=False),
        },
    )
    provider = AzureIdentityAuthenticationProvider(
        credential, scopes=[f"{cloud.graph_audience}/.default"], allowed_hosts=[host]
    )
    adapter = GraphRequestAdapter(provider, client=client)
    adapter.base_url = f"{cloud.graph}/v1.0"
    return adapter, transport


def _trusted() -> ssl.SSLContext:
    """Return a TLS context that trusts the certificates of REQUESTS_CA_BUNDLE, as `az` does."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    if bundle:
        return ssl.create_default_context(cafile=bundle)
    import httpx  # noqa: PLC0415

    return httpx.create_ssl_context()


def _proxy_of(host: str) -> str | None:
    """Return the proxy from the environment; left to itself, httpx would replace the guarded transport for it."""
    return None if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get("https")
