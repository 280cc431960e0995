"""Send requests through pipelines of azure-core, without retries, and return raw responses.

A pipeline has the credential (with claims challenges), our user agent and a guarded transport, and nothing else: no
policy follows a redirect, registers a resource provider or reads a body. Typed models would be up to a thousand times
slower, and drop fields that they do not know, such as the condition of a permission.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

from azure.core import PipelineClient
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.policies import BearerTokenCredentialPolicy, UserAgentPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest

from rightsize import __version__
from rightsize.azure.credentials import RenewableCredential, first_line, reason_of
from rightsize.azure.hosts import Cloud, GuardedTransport, RequestGuard
from rightsize.azure.wire import DroppedError, NotSignedInError, Response, Service, WireRequest

if TYPE_CHECKING:
    from rightsize.azure.blobs import Blobs

READ_TIMEOUT = 120.0
"""Seconds that an answer may take; Log Analytics may run a query for ten minutes before it reports a timeout."""
_LOGS_TIMEOUT = 660.0
_CONNECT_TIMEOUT = 30.0


class Clients:
    """The clients of one cloud and one credential, created on first use. Use it in a `with`.

    Threads may share it. `writes` are the Resource Manager paths that a rollout may write; without a rollout it is
    empty.
    """

    def __init__(
        self, cloud: Cloud, credential: RenewableCredential, *, writes: tuple[re.Pattern[str], ...] = ()
    ) -> None:
        self.cloud = cloud
        self._credential = credential
        self._writes = writes
        self._lock = threading.Lock()
        self._pipelines: dict[Service, PipelineClient[Any, Any]] = {}
        self._blobs: Blobs | None = None

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        for client in (*self._pipelines.values(), self._blobs):
            if client is not None:
                client.close()

    def renew(self) -> None:
        """Drop the cached tokens, because a service rejected one of them."""
        self._credential.renew()

    def root(self, service: Service) -> str:
        """Return the endpoint of a service; the URL of a blob names its account."""
        return "" if service == "storage" else str(getattr(self.cloud, service))

    def send(self, request: WireRequest) -> Response:
        """Send a request once and return the response, whatever its status.

        Raises:
            DroppedError: The connection ended before the answer did.
            NotSignedInError: There is no token.
            UnsettledError: The token service asks for a longer wait than is allowed.
            InternalError: The guard blocked the request.
        """
        try:
            return self._open_blobs().send(request) if request.service == "storage" else self._send(request)
        except ClientAuthenticationError as error:
            if found := reason_of(error):
                raise found from error
            raise NotSignedInError(first_line(error)) from error
        except AzureError as error:
            raise DroppedError(first_line(error)) from error

    def _send(self, request: WireRequest) -> Response:
        headers = {"Accept": "application/json", **request.headers}
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        url = request.url if "://" in request.url else f"{self.root(request.service)}{request.url}"
        query = HttpRequest(request.method, url, content=request.body, headers=headers)
        timeout = _LOGS_TIMEOUT if request.service == "logs" else READ_TIMEOUT
        with self._open(request.service).send_request(query, stream=True, read_timeout=timeout) as response:
            content = response.read()
        names = {name.lower(): value for name, value in response.headers.items()}
        return Response(response.status_code, names, content)

    def _open(self, service: Service) -> PipelineClient[Any, Any]:
        with self._lock:
            if service not in self._pipelines:
                root, audience = self.root(service), getattr(self.cloud, f"{service}_audience")
                guard = RequestGuard.of([root], self._writes if service == "arm" else ())
                self._pipelines[service] = PipelineClient(
                    root,
                    transport=GuardedTransport(guard, RequestsTransport(connection_timeout=_CONNECT_TIMEOUT)),
                    policies=[
                        UserAgentPolicy(base_user_agent=f"rightsize/{__version__}"),
                        # Of these, tokens of Graph may end before their time (continuous access evaluation).
                        BearerTokenCredentialPolicy(
                            self._credential, f"{audience}/.default", enable_cae=service == "graph"
                        ),
                    ],
                )
            return self._pipelines[service]

    def _open_blobs(self) -> Blobs:
        with self._lock:
            if self._blobs is None:
                from rightsize.azure.blobs import Blobs  # noqa: PLC0415

                self._blobs = Blobs(self.cloud, self._credential)
            return self._blobs
