"""A sender that answers from a script."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

from rightsize.azure.wire import Response, WireRequest

Step = Response | Exception


def answer(status: int = 200, document: Any = None, **headers: str) -> Response:
    """Return an answer; underscores in names of headers stand for dashes."""
    content = document if isinstance(document, bytes) else json.dumps(document or {}).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


def page(*records: Any, next_link: str | None = None) -> Response:
    """Return a page of a listing."""
    document: dict[str, Any] = {"value": list(records)}
    if next_link:
        document["nextLink"] = next_link
    return answer(document=document)


def error(status: int, code: str, message: str = "no", **headers: str) -> Response:
    """Return an error as ARM and Graph tell it."""
    return answer(status, {"error": {"code": code, "message": message}}, **headers)


class Scripted:
    """Answers in turn, or by a function of the request; `asked` has the requests, `renewed` how often it was told."""

    def __init__(self, script: Sequence[Step] | Callable[[WireRequest], Step]) -> None:
        self._script = script
        self._lock = threading.Lock()
        self.asked: list[WireRequest] = []
        self.renewed = 0

    def send(self, request: WireRequest) -> Response:
        with self._lock:
            number = len(self.asked)
            self.asked.append(request)
        step = self._script(request) if callable(self._script) else self._script[min(number, len(self._script) - 1)]
        if isinstance(step, Exception):
            raise step
        return step

    def renew(self) -> None:
        self.renewed += 1
