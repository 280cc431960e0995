"""Download a public file if it changed since the last download."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import HttpRequest, RequestsTransport

from rightsize.azure.credentials import first_line
from rightsize.azure.exchange import LONGEST_WAIT, Clock, retry_after
from rightsize.azure.hosts import GuardedTransport, RequestGuard
from rightsize.model.errors import ServiceError, UsageError

_TRIES = 4
_FIRST_WAIT = 1.0
_AGAIN = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Published:
    """A downloaded file: its content (None if it has not changed), its entity tag (ETag), and its URL."""

    content: bytes | None
    etag: str
    url: str

    @property
    def tag(self) -> str:
        """Return the text to remember for the next download: the entity tag and its URL."""
        return f"{self.etag} {self.url}"


def fetch_published(url: str, etag: str, clock: Clock) -> Published:
    """Download a file without signing in, unless its entity tag is still this one.

    Raises:
        UsageError: The URL is not an https URL.
        ServiceError: The file cannot be downloaded.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise UsageError(f"`{url}` is not an https address")
    wait = _FIRST_WAIT
    with GuardedTransport(
        RequestGuard.of([url]), RequestsTransport(connection_timeout=30, read_timeout=120)
    ) as transport:
        for turn in range(_TRIES):
            headers = {"If-None-Match": etag} if etag else {}
            try:
                answer = transport.send(HttpRequest("GET", url, headers=headers))
                # A truncated body raises an error when it is read.
                content = bytes(answer.body())
            except AzureError as error:
                said = first_line(error)
            else:
                if answer.status_code == 200:
                    return Published(content, str(answer.headers.get("ETag") or ""), url)
                if answer.status_code == 304:
                    return Published(None, etag, url)
                said = f"status {answer.status_code}"
                if answer.status_code not in _AGAIN:
                    break
                names = {name.lower(): value for name, value in answer.headers.items()}
                wait = retry_after(names, clock.utc()) or wait
            if turn == _TRIES - 1 or wait > LONGEST_WAIT:
                break
            clock.sleep(wait)
            wait *= 2
    raise ServiceError(f"cannot download `{url}`: {said}")
