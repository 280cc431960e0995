"""Scripted faults: the requests that meet them, and the answers that a client then gets.

A fault is changed on the way of a good answer (`empty_page`), stands in place of one (`throttle`), or breaks the
connection (`drop`). The README beside this file lists them.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.loopback.login import OBJECT_ID, Login
from tests.loopback.wire import HOP, Answer, Request, arm_error, graph_error

ROTATION: tuple[Mapping[str, Any], ...] = (
    {"kind": "throttle", "retry_after": "1"},
    {"kind": "503"},
    {"kind": "drop"},
    {"kind": "500"},
    {"kind": "truncate"},
    {"kind": "502"},
    {"kind": "cut"},
    {"kind": "html"},
    {"kind": "504"},
    {"kind": "claims"},
    {"kind": "throttle", "retry_after": None},
    {"kind": "empty_page"},
    {"kind": "duplicate_page"},
)
"""What `every:N` goes through, in order; a retry of each succeeds."""

_STATUSES = {
    "500": ("InternalServerError", "Encountered internal server error."),
    "502": ("BadGateway", "The gateway received an invalid response."),
    "503": ("ServiceUnavailable", "The service is unavailable."),
    "504": ("GatewayTimeout", "The gateway did not receive a response in time."),
    "404": ("ResourceNotFound", "The resource was not found."),
}
BROKEN = ("drop", "cut")


@dataclass(slots=True)
class Fault:
    """One rule: the requests that match meet the fault, `times` times after `skip` were let through.

    Attributes:
        match: A regular expression over `METHOD path?query`, as it stood on the wire, decoded. An empty one means
            every request of the services, but not of sign-in.
        times: How often, or None for always.
        retry_after: The value of that header for `throttle`, `forbidden` and the plain statuses, or None for none.
        retry_after_ms: The value of `retry-after-ms`.
    """

    kind: str
    match: str = ""
    times: int | None = 1
    skip: int = 0
    retry_after: str | None = None
    retry_after_ms: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"there is no fault `{self.kind}`: {', '.join(sorted(KINDS))}")


@dataclass(slots=True)
class Faults:
    """The rules of a service, in force until their times are up; and one every so many requests.

    Attributes:
        every: Every how many requests (of the services, not of sign-in) a fault of ROTATION strikes; 0 for never.
    """

    rules: list[Fault] = field(default_factory=list)
    every: int = 0
    _seen: int = 0
    _turn: int = 0
    _struck: set[tuple[str, str, bytes]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, match: str = "", **options: Any) -> None:
        """Add a rule in front of all others."""
        with self._lock:
            self.rules.insert(0, Fault(kind, match, **options))

    def clear(self) -> None:
        """Take all rules away."""
        with self._lock:
            self.rules.clear()
            self.every = 0

    def next_for(self, request: Request, *, sign_in: bool) -> Fault | None:
        """Return the fault that strikes a request, if one does."""
        line = f"{request.method} {request.path}?" + "&".join(
            f"{name}={value}" for name, value in request.query.items()
        )
        with self._lock:
            for rule in self.rules:
                if sign_in and not rule.match:
                    continue
                if rule.times != 0 and re.search(rule.match, line, re.IGNORECASE):
                    if rule.skip:
                        rule.skip -= 1
                        continue
                    if rule.times is not None:
                        rule.times -= 1
                    return rule
            if not self.every or sign_in:
                return None
            self._seen += 1
            key = (request.method, request.target, request.body)
            if key in self._struck:
                self._struck.discard(key)
                return None
            if self._seen % self.every:
                return None
            self._struck.add(key)
            self._turn += 1
            return Fault(**ROTATION[(self._turn - 1) % len(ROTATION)])


def read_faults(text: str) -> Faults:
    """Return the faults that `every:N`, or the JSON list of rules in the file of that name, asks for."""
    if text.startswith("every:"):
        return Faults(every=int(text.removeprefix("every:")))
    with open(text, encoding="utf-8") as stream:  # noqa: PTH123  the command line's own argument
        return Faults([Fault(**rule) for rule in json.load(stream)])


def struck(fault: Fault, request: Request, login: Login, answer: Callable[[], Answer], foreign: str) -> Answer:
    """Return what the client sees instead of, or made from, the good answer; not for the BROKEN kinds."""
    return KINDS[fault.kind](fault, request, login, answer, foreign)


def _is_graph(request: Request) -> bool:
    return request.path.startswith(("/v1.0", "/beta"))


def _error(request: Request, status: int, code: str, message: str, headers: Mapping[str, str]) -> Answer:
    made = graph_error if _is_graph(request) else arm_error
    return made(status, code, message, **headers)


def _retry(fault: Fault) -> dict[str, str]:
    headers = {"Retry-After": fault.retry_after, "retry-after-ms": fault.retry_after_ms}
    return {name: value for name, value in headers.items() if value is not None}


def _throttle(fault: Fault, request: Request, *_: Any) -> Answer:
    return _error(request, 429, "TooManyRequests", "Too many requests.", _retry(fault))


def _status(fault: Fault, request: Request, *_: Any) -> Answer:
    code, message = _STATUSES[fault.kind]
    return _error(request, int(fault.kind), code, message, _retry(fault))


def _forbidden(fault: Fault, request: Request, *_: Any) -> Answer:
    if _is_graph(request):
        text = "Insufficient privileges to complete the operation."
        return graph_error(403, "Authorization_RequestDenied", text, **_retry(fault))
    scope = request.path.partition("/providers/")[0] or "/"
    text = (
        f"The client '{OBJECT_ID}' with object id '{OBJECT_ID}' does not have authorization to perform action "
        f"'{request.method}' over scope '{scope}' or the scope is invalid. If access was recently granted, please "
        "refresh your credentials."
    )
    return arm_error(403, "AuthorizationFailed", text, **_retry(fault))


def _vanish(fault: Fault, request: Request, *_: Any) -> Answer:
    fault.times = None
    found = re.search(r"/subscriptions/([^/?]+)", request.path, re.IGNORECASE)
    name = found[1] if found else "?"
    return arm_error(404, "SubscriptionNotFound", f"The subscription '{name}' could not be found.")


def _claims(fault: Fault, request: Request, login: Login, *_: Any) -> Answer:
    return _unauthorized(request, login, claims=True)


def _expire(fault: Fault, request: Request, login: Login, *_: Any) -> Answer:
    login.expire_all()
    return _unauthorized(request, login, claims=False)


def _unauthorized(request: Request, login: Login, *, claims: bool) -> Answer:
    code = "InvalidAuthenticationToken" if _is_graph(request) else "ExpiredAuthenticationToken"
    answer = _error(request, 401, code, "The access token has expired or is not yet valid.", {})
    return Answer(401, answer.document, login.challenge(request, claims=claims))


def unauthorized(request: Request, login: Login) -> Answer:
    """Return the answer to a request without a good token."""
    return _unauthorized(request, login, claims=False)


def _truncate(fault: Fault, request: Request, login: Login, answer: Callable[[], Answer], *_: Any) -> Answer:
    whole = answer()
    content = whole.content()
    return Answer(whole.status, content[: len(content) // 2], whole.headers, whole.content_type)


def _html(*_: Any) -> Answer:
    text = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>One moment please.</body></html>"
    return Answer(200, text, content_type="text/html; charset=utf-8")


def _not_json(*_: Any) -> Answer:
    return Answer(200, b"upstream connect error or disconnect/reset before headers")


def _link_of(answer: Answer) -> str | None:
    document = answer.document
    if not isinstance(document, dict) or not isinstance(document.get("value"), list):
        return None
    return "@odata.nextLink" if "@odata.context" in document else "nextLink"


def _with_link(request: Request, answer: Answer, url: str, items: Iterable[Any] | None = None) -> Answer:
    link = _link_of(answer)
    if link is None:
        return answer
    document = {**answer.document, link: url}
    if items is not None:
        document["value"] = list(items)
    return Answer(answer.status, document, answer.headers, answer.content_type)


def _hop(request: Request) -> str:
    """Return a link to the same page that no earlier answer gave, so that a second fault makes no circle."""
    return request.link(**{HOP: str(int(request.query.get(HOP, "0")) + 1)})


def _empty_page(fault: Fault, request: Request, login: Login, answer: Callable[[], Answer], *_: Any) -> Answer:
    return _with_link(request, answer(), _hop(request), [])


def _duplicate_page(fault: Fault, request: Request, login: Login, answer: Callable[[], Answer], *_: Any) -> Answer:
    return _with_link(request, answer(), _hop(request))


def _loop(fault: Fault, request: Request, login: Login, answer: Callable[[], Answer], *_: Any) -> Answer:
    return _with_link(request, answer(), request.base + request.target)


def _foreign(fault: Fault, request: Request, login: Login, answer: Callable[[], Answer], foreign: str) -> Answer:
    return _with_link(request, answer(), foreign + request.target)


def _partial(fault: Fault, request: Request, login: Login, answer: Callable[[], Answer], *_: Any) -> Answer:
    whole = answer()
    document = whole.document if isinstance(whole.document, dict) else json.loads(whole.content())
    tables = document.get("tables")
    if not tables:
        return whole
    tables[0]["rows"] = tables[0]["rows"][: len(tables[0]["rows"]) // 2]
    return Answer(200, {**document, "error": partial_error(500_000)}, whole.headers)


def partial_error(limit: int) -> dict[str, Any]:
    """Return the error that stands beside a partial answer of Log Analytics."""
    return {
        "code": "PartialError",
        "message": "There were some errors when processing your query.",
        "details": [
            {
                "code": "EngineError",
                "message": "Something went wrong processing your query on the server.",
                "innererror": {
                    "code": "-2133196797",
                    "message": f"The results of this query exceed the set limit of {limit} records, so not all records "
                    "were returned (E_QUERY_RESULT_SET_TOO_LARGE, 0x80DA0003). See https://aka.ms/kustoquerylimits for "
                    "more information and possible solutions.",
                    "severity": 2,
                    "severityName": "Error",
                },
            }
        ],
    }


def _broken(*_: Any) -> Answer:
    raise AssertionError("a broken connection has no answer")


KINDS: Mapping[str, Callable[..., Answer]] = {
    "throttle": _throttle,
    **dict.fromkeys(_STATUSES, _status),
    "forbidden": _forbidden,
    "vanish": _vanish,
    "claims": _claims,
    "expire": _expire,
    "truncate": _truncate,
    "html": _html,
    "not_json": _not_json,
    "empty_page": _empty_page,
    "duplicate_page": _duplicate_page,
    "loop": _loop,
    "foreign_link": _foreign,
    "partial": _partial,
    **dict.fromkeys(BROKEN, _broken),
}
