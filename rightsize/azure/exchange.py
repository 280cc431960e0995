"""Send one request and retry it until it succeeds or fails permanently.

The retries of the SDKs are switched off through their public settings. They wait an hour if a service asks for it, fail
on a `Retry-After` that is not a number, do not retry a throttled POST, and accept half a document as an answer.
This module has all the retry logic.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from rightsize.azure.throttle import LONGEST_WAIT, Clock, Throttle, retry_after
from rightsize.azure.wire import (
    AbsentError,
    BadAnswerError,
    DroppedError,
    NotSignedInError,
    RefusedError,
    Response,
    StaleLinkError,
    TooMuchError,
    UnsettledError,
    WireRequest,
)

_TRIES = 6
_THROTTLED_TRIES = 25
# The client policies share one token cache between threads. Another thread may have stored a token just before it was
# rejected, so a request may meet the same bad token twice.
_UNAUTHORISED_TRIES = 4
_FIRST_WAIT = 1.0
_SLOWEST_WAIT = 60.0
_SERVER_FAULTS = (408, 500, 502, 503, 504)
# Log Analytics returns these after ten minutes, or when the answer is too large to send.
_TOO_MUCH = (413, 504)
_STALE = (400, 404, 410)
# Error codes of ARM and Graph for a cloud without the service, a subscription without the provider, and a tenant
# without the licence.
_NOT_OFFERED = frozenset(
    code.lower()
    for code in (
        "NoRegisteredProviderFound",
        "MissingSubscriptionRegistration",
        "SubscriptionNotRegistered",
        "InvalidResourceType",
        "InvalidResourceNamespace",
        "InvalidApiVersionParameter",
        "SubscriptionNotFound",
        "DisallowedOperation",
        "FeatureNotSupported",
        "ResourceTypeNotSupported",
        "UnsupportedResourceType",
    )
)
_NO_LICENCE = frozenset(
    code.lower()
    for code in (
        "Authentication_RequestFromNonPremiumTenantOrB2CTenant",
        "Authentication_RequestFromUnsupportedUserRole",
        "AadPremiumLicenseRequired",
        "TenantNotLicensed",
        "PremiumLicenseRequired",
    )
)

T = TypeVar("T")


class Sender(Protocol):
    """An object that sends one request once: the SDK clients, or a script in a test."""

    def send(self, request: WireRequest) -> Response:
        """Return the response, whatever its status; raise DroppedError, NotSignedInError, or the error of the guard."""
        ...

    def renew(self) -> None:
        """Drop the cached token, because a service rejected it."""
        ...


@dataclass
class ExchangeTally:
    """The counts of requests and bytes, for the summary of a run."""

    requests: int = 0
    throttled: int = 0
    failed: int = 0
    bytes: int = 0


class Exchange:
    """A sender of requests that keeps to the budgets and retries where a retry may help."""

    def __init__(self, sender: Sender, throttle: Throttle, clock: Clock) -> None:
        self._sender = sender
        self._throttle = throttle
        self._clock = clock
        self._lock = threading.Lock()
        self._generation = 0
        self.tally = ExchangeTally()

    def ask(self, request: WireRequest, read: Callable[[bytes], T]) -> T:
        """Send a request and return its answer, parsed by `read`, which raises BadAnswerError for an unusable answer.

        Raises:
            RefusedError: A right or a licence is missing.
            AbsentError: The object does not exist, or the service does not offer it there.
            TooMuchError: A query is too large or too slow for Log Analytics.
            StaleLinkError: The service no longer accepts the link to the next page.
            NotSignedInError: There is no token, or the service rejects it.
            UnsettledError: The service gave no usable answer.
            StoppedError: The run was asked to stop.
        """
        budget = request.budget or request.service
        failures = throttled = unauthorised = 0
        while True:
            response: Response | None = None
            with self._throttle.turn(budget, request.cost):
                generation = self._generation
                try:
                    response = self._sender.send(request)
                    said = f"answered with status {response.status}"
                except DroppedError as error:
                    said = f"broke off: {error}"
            self._count(response)
            if response is not None and response.status in request.accepts:
                try:
                    found = read(response.content)
                except BadAnswerError as error:
                    said = f"answered with {error}"
                    with self._lock:
                        self.tally.failed += 1
                else:
                    self._throttle.answered(budget)
                    return found
            elif response is not None and request.service == "logs" and response.status in _TOO_MUCH:
                raise TooMuchError(f"the query is too large or too slow: status {response.status}")
            elif response is not None and response.status == 429:
                throttled += 1
                wait = self._wait(request, response, throttled)
                if throttled >= _THROTTLED_TRIES:
                    raise UnsettledError(f"{request.service} throttled the request {throttled} times")
                self._throttle.refused(budget, wait)
                continue
            elif response is not None and response.status not in _SERVER_FAULTS and not _is_cut(response.content):
                unauthorised += response.status == 401
                if response.status != 401 or unauthorised >= _UNAUTHORISED_TRIES:
                    _raise_final(request, response)
                self._renew(generation)
                continue
            failures += 1
            if failures >= _TRIES:
                raise UnsettledError(f"{request.service} {said}, {failures} times")
            self._clock.sleep(self._wait(request, response, failures))

    def _renew(self, generation: int) -> None:
        """Drop the cached token, once for all threads whose requests failed with it."""
        with self._lock:
            if generation == self._generation:
                self._generation += 1
                self._sender.renew()

    def _count(self, response: Response | None) -> None:
        with self._lock:
            self.tally.requests += 1
            self.tally.bytes += len(response.content) if response is not None else 0
            if response is not None and response.status == 429:
                self.tally.throttled += 1
            elif response is None or response.status in _SERVER_FAULTS:
                self.tally.failed += 1

    def _wait(self, request: WireRequest, response: Response | None, tries: int) -> float:
        asked = retry_after(response.headers, self._clock.utc()) if response is not None else None
        if asked is None:
            return min(_FIRST_WAIT * 2.0 ** (tries - 1), _SLOWEST_WAIT)
        if asked > LONGEST_WAIT:
            raise UnsettledError(f"{request.service} asks for a wait of {asked:,.0f} seconds, longer than allowed")
        return asked


def _is_cut(content: bytes) -> bool:
    """Return whether an answer is the beginning of a JSON document: its error code, which decides, is lost."""
    if not content.lstrip().startswith(b"{"):
        return False
    try:
        json.loads(content)
    except ValueError:
        return True
    except RecursionError:
        return False
    return False


def _raise_final(request: WireRequest, response: Response) -> None:
    code, message = error_of(response.content)
    said = f"{code or response.status}: {message}" if message else code or f"status {response.status}"
    if response.status == 401:
        raise NotSignedInError(f"{request.service} rejects the token: {said}", code)
    # Kusto's error number for an unknown name: the workspace has no such table.
    if code.lower() in _NOT_OFFERED or b"SEM0100" in response.content:
        raise AbsentError(said, code)
    if response.status in (402, 403) or code.lower() in _NO_LICENCE:
        raise RefusedError(said, code)
    if request.is_next and response.status in _STALE:
        raise StaleLinkError(said, code)
    if response.status in (404, 410):
        raise AbsentError(said, code)
    raise UnsettledError(f"{request.service} answered {said}", code)


def error_of(content: bytes) -> tuple[str, str]:
    """Return the code and message of an error document; both are empty if there is none."""
    try:
        document: Any = json.loads(content)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(document, dict):
        return "", ""
    error = document.get("error", document.get("odata.error", document))
    if not isinstance(error, dict):
        return "", ""
    code, message = error.get("code"), error.get("message")
    if isinstance(message, dict):
        message = message.get("value")
    # Services write long messages; a person reads the first line.
    first = str(message or "").strip().split("\n")[0][:300]
    return str(code or ""), first
