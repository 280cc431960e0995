"""List and download blobs of exported logs with azure-storage-blob, as the requests and responses of `wire`.

The client cannot send a raw request. So a listing becomes a document with `value` and `nextLink`, and a blob becomes
its bytes. The URL of a request is `/ACCOUNT/CONTAINER?prefix=…&marker=…` or `/ACCOUNT/CONTAINER/BLOB`.
"""

from __future__ import annotations

import json
import threading
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobProperties, ContainerClient

from rightsize.azure.hosts import Cloud, GuardedTransport, RequestGuard
from rightsize.azure.wire import DroppedError, Response, WireRequest

BLOBS_A_PAGE = 5000


class Blobs:
    """The containers of one cloud and one credential. Threads may share it."""

    def __init__(self, cloud: Cloud, credential: TokenCredential) -> None:
        self._cloud = cloud
        self._credential = credential
        self._lock = threading.Lock()
        self._containers: dict[tuple[str, str], ContainerClient] = {}

    def send(self, request: WireRequest) -> Response:
        """Send a request once and return the response.

        Raises:
            DroppedError: The connection ended before the answer did.
            ClientAuthenticationError: There is no token.
        """
        parts = urlsplit(request.url)
        _, account, name, *blob = parts.path.split("/", 3)
        container = self._open(account, unquote(name))
        try:
            if blob:
                return Response(200, {}, container.download_blob(unquote(blob[0]), max_concurrency=1).readall())
            return Response(200, {}, _listing(container, request.url, parse_qs(parts.query)))
        except ClientAuthenticationError as error:
            if error.response is None:
                raise
            return _refusal(error)
        except HttpResponseError as error:
            if error.response is None:
                raise DroppedError(str(error.message).split("\n")[0]) from error
            return _refusal(error)
        except AzureError as error:
            raise DroppedError(str(error).split("\n")[0]) from error

    def close(self) -> None:
        """Close the connections."""
        for container in self._containers.values():
            container.close()

    def _open(self, account: str, name: str) -> ContainerClient:
        with self._lock:
            if (account, name) not in self._containers:
                endpoint = self._cloud.blob_endpoint(account)
                transport = RequestsTransport(connection_timeout=30, read_timeout=120)
                self._containers[account, name] = ContainerClient(
                    endpoint,
                    name,
                    self._credential,
                    audience=self._cloud.storage_audience,
                    transport=GuardedTransport(RequestGuard.of([endpoint]), transport),
                    # `Exchange` retries; a retry of the client would wait as long as the service asks.
                    retry_total=0,
                    permit_redirects=False,
                )
            return self._containers[account, name]


def _listing(container: ContainerClient, url: str, query: dict[str, list[str]]) -> bytes:
    prefix = query.get("prefix", [""])[0]
    marker = query.get("marker", [""])[0] or None
    pages: Any = container.list_blobs(name_starts_with=prefix or None, results_per_page=BLOBS_A_PAGE)
    found = pages.by_page(marker)
    blobs: list[BlobProperties] = list(next(found, []))
    document: dict[str, Any] = {
        "value": [{"name": blob.name, "etag": str(blob.etag), "size": blob.size} for blob in blobs]
    }
    if found.continuation_token:
        path = url.partition("?")[0]
        document["nextLink"] = (
            f"{path}?prefix={quote(prefix, safe='')}&marker={quote(found.continuation_token, safe='')}"
        )
    return json.dumps(document).encode()


def _refusal(error: HttpResponseError) -> Response:
    """Return an error as the response that caused it; its XML body is already reduced to the error code."""
    status = error.status_code or 0
    code = getattr(error, "error_code", None) or ""
    message = str(error.message or "").split("\n")[0]
    response: Any = error.response
    headers = {name.lower(): value for name, value in response.headers.items()}
    body = {"error": {"code": str(getattr(code, "value", code)), "message": message}}
    return Response(status, headers, json.dumps(body).encode())
