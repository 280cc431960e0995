"""Requests and answers as the parts of the service see them, and the two shapes of errors and pages."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

JSON = "application/json; charset=utf-8"
HOP = "loopback-hop"
"""The parameter of a next link that a fault added to a page."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request, decoded.

    Attributes:
        base: Scheme, host and port as the client addressed them.
        path: The path, decoded, without a slash at its end.
        query: The first value of each parameter, decoded, under its folded name.
        target: Path and query as they stood on the wire.
    """

    method: str
    base: str
    path: str
    query: Mapping[str, str]
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        """Return the body's document.

        Raises:
            RefusalError: It is no JSON.
        """
        try:
            return json.loads(self.body or b"null")
        except ValueError as error:
            raise RefusalError(
                arm_error(400, "InvalidRequestContent", f"The request content was invalid: {error}")
            ) from None

    def link(self, **changes: str) -> str:
        """Return the address of this request with some parameters changed; `skiptoken` stands for `$skiptoken`."""
        parameters = dict(self.query)
        parameters.update({f"${name}" if name == "skiptoken" else name: value for name, value in changes.items()})
        text = "&".join(f"{quote(name, safe='$-')}={quote(value, safe='')}" for name, value in parameters.items())
        return f"{self.base}{quote(self.path)}?{text}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; `document` is bytes as they are, or what becomes JSON."""

    status: int = 200
    document: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON

    def content(self) -> bytes:
        """Return the bytes of the body."""
        if isinstance(self.document, bytes):
            return self.document
        if self.document is None:
            return b""
        return json.dumps(self.document, ensure_ascii=False, separators=(",", ":")).encode()


class RefusalError(Exception):
    """Ends the handling of a request with an answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def read_request(method: str, base: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Request:
    """Return the request of a line on the wire; headers have folded names."""
    parts = urlsplit(target)
    query: dict[str, str] = {}
    for pair in parts.query.split("&"):
        name, _, value = pair.partition("=")
        if name:
            query.setdefault(unquote(name).lower(), unquote(value.replace("+", " ")))
    return Request(method, base, unquote(parts.path).rstrip("/") or "/", query, target, headers, body)


def arm_error(status: int, code: str, message: str, **headers: str) -> Answer:
    """Return an error as Resource Manager and Log Analytics write it."""
    return Answer(status, {"error": {"code": code, "message": message}}, headers)


def graph_error(status: int, code: str, message: str, **headers: str) -> Answer:
    """Return an error as Microsoft Graph writes it."""
    inner = {"date": "2026-10-01T00:00:00", "request-id": _REQUEST, "client-request-id": _REQUEST}
    return Answer(status, {"error": {"code": code, "message": message, "innerError": inner}}, headers)


_REQUEST = "11111111-2222-4333-8444-555555555555"


def offset_of(token: str) -> int:
    """Return the place that a skip token stands for.

    Raises:
        ValueError: It is none of ours.
    """
    return int(base64.urlsafe_b64decode(token.encode()).decode().partition(":")[2])


def skip_token(offset: int) -> str:
    """Return an opaque token for a place."""
    return base64.urlsafe_b64encode(f"at:{offset}".encode()).decode()


def page(request: Request, items: Sequence[Any], size: int, *, link: str = "nextLink", **head: Any) -> Answer:
    """Return the page that a request asks for: `head`, the items, and the link to the next ones if there are any."""
    token = request.query.get("$skiptoken", "")
    try:
        start = offset_of(token) if token else 0
    except ValueError:
        raise RefusalError(arm_error(400, "InvalidSkipToken", "The skip token is not valid.")) from None
    document = {**head, "value": list(items[start : start + size])}
    if start + size < len(items):
        document[link] = request.link(skiptoken=skip_token(start + size))
    return Answer(document=document)
