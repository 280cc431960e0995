"""Send one request and retry it until it succeeds or fails permanently.

The retries of the SDKs are switched off through their public settings. They wait an hour if a service asks for it, fail
on a `Retry-After` that is not a number, do not retry a throttled POST, and accept half a document as an answer.
This module has all the retry logic.

Limit the rate and the number of parallel requests to each Azure service, and wait as long as it asks.

Source of the budgets: Microsoft Learn, "Understand how Azure Resource Manager throttles requests", "Microsoft Graph
service-specific throttling limits", "Azure Monitor service limits" (Log Analytics queries), "Throttled requests in
Azure Resource Graph".
"""

from __future__ import annotations

import datetime as dt
import email.utils
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from rightsize.azure import wire

LONGEST_WAIT = 300.0
"""Maximum wait in seconds. If a service asks for more, its source stops; the run continues and can be resumed."""


class Clock:
    """A clock whose waits end with StoppedError when the run is stopped."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def now(self) -> float:
        """Return the seconds of a monotonic clock."""
        return time.monotonic()

    def utc(self) -> dt.datetime:
        """Return the current UTC time."""
        return dt.datetime.now(dt.UTC)

    def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            StoppedError: The run was asked to stop.
        """
        if self._stop.wait(max(seconds, 0)):
            raise wire.StoppedError

    def stop(self) -> None:
        """Make each current and future wait raise StoppedError."""
        self._stop.set()

    @property
    def is_stopped(self) -> bool:
        """Return whether the run was asked to stop."""
        return self._stop.is_set()


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit: `requests` (or units of cost) in `seconds`, with at most `at_once` requests in parallel."""

    requests: float
    seconds: float
    at_once: int


BUDGETS = {
    # A bucket of 250 a subscription that refills with 25 a second.
    "arm": Budget(250, 10, 8),
    # Activity Log: 50 queries in 30 seconds a user.
    "activity": Budget(50, 30, 4),
    "resource_graph": Budget(15, 5, 2),
    # The smallest tenants have 3,500 resource units in 10 seconds.
    "graph": Budget(3500, 10, 8),
    # Identity and access reports: 5 requests in 10 seconds, an application and tenant.
    "reports": Budget(5, 10, 4),
    # Identity protection: 1 request a second and tenant, and no Retry-After when it is exceeded.
    "risk": Budget(1, 1, 1),
    "alerts": Budget(150, 60, 2),
    # 200 requests in 30 seconds, five queries at once.
    "logs": Budget(200, 30, 5),
    # Neither has a published rate; both say by status 429 when it is too much.
    "kusto": Budget(100, 10, 4),
    "lake": Budget(20, 10, 2),
    "storage": Budget(2000, 1, 8),
}
"""The budgets of Azure by name; `NAME:KEY` is a separate bucket with the budget of NAME."""


@dataclass(slots=True)
class _Bucket:
    budget: Budget
    left: float
    filled_at: float
    paused_until: float = 0.0
    limit: float = 1.0
    running: int = 0
    free: threading.Condition = field(default_factory=threading.Condition)


class Throttle:
    """A rate limiter that keeps each bucket within its budget, and sends fewer parallel requests after throttling.

    The number of parallel requests halves when a service throttles, and grows by one with each round of answers:
    additive increase, multiplicative decrease.
    """

    def __init__(self, clock: Clock, budgets: Mapping[str, tuple[float, float]] | None = None) -> None:
        """Take the budgets of Azure, and replace those that `budgets` (requests, seconds) names."""
        self._clock = clock
        self._budgets = dict(BUDGETS)
        for name, (requests, seconds) in (budgets or {}).items():
            known = BUDGETS.get(name, BUDGETS["arm"])
            self._budgets[name] = Budget(requests, seconds, known.at_once)
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def at_once(self, name: str) -> int:
        """Return the maximum number of parallel requests of a budget."""
        return self._budgets[name.partition(":")[0]].at_once

    @contextmanager
    def turn(self, name: str, cost: float = 1.0) -> Iterator[None]:
        """Wait until the budget allows a request, and count it as running until the block ends.

        Raises:
            StoppedError: The run was asked to stop.
        """
        bucket = self._bucket(name)
        with bucket.free:
            while bucket.running >= int(bucket.limit):
                if self._clock.is_stopped:
                    raise wire.StoppedError
                bucket.free.wait(0.2)
            bucket.running += 1
        try:
            self._take(bucket, cost)
            yield
        finally:
            with bucket.free:
                bucket.running -= 1
                bucket.free.notify()

    def _take(self, bucket: _Bucket, cost: float) -> None:
        while True:
            with bucket.free:
                now = self._clock.now()
                rate = bucket.budget.requests / bucket.budget.seconds
                bucket.left = min(bucket.budget.requests, bucket.left + (now - bucket.filled_at) * rate)
                bucket.filled_at = now
                need = min(cost, bucket.budget.requests)
                wait = max(bucket.paused_until - now, (need - bucket.left) / rate)
                # Less than a microsecond is a rounding error of the refill; sleeping for it may never end.
                if wait <= 1e-6:
                    bucket.left -= need
                    return
            self._clock.sleep(wait)

    def refused(self, name: str, wait: float) -> None:
        """Pause a budget for `wait` seconds, and halve its number of parallel requests."""
        bucket = self._bucket(name)
        with bucket.free:
            bucket.paused_until = max(bucket.paused_until, self._clock.now() + wait)
            bucket.limit = max(1.0, bucket.limit / 2)

    def answered(self, name: str) -> None:
        """Raise the number of parallel requests of a budget after an answer."""
        bucket = self._bucket(name)
        with bucket.free:
            bucket.limit = min(float(bucket.budget.at_once), bucket.limit + 1 / bucket.limit)

    def _bucket(self, name: str) -> _Bucket:
        with self._lock:
            if name not in self._buckets:
                budget = self._budgets[name.partition(":")[0]]
                self._buckets[name] = _Bucket(
                    budget, budget.requests, self._clock.now(), limit=max(1.0, budget.at_once / 2)
                )
            return self._buckets[name]


_DURATION = re.compile(r"(\d{1,3}):(\d{2}):(\d{2})(?:\.\d+)?")


def retry_after(headers: Mapping[str, str], now: dt.datetime) -> float | None:
    """Return the seconds that a response asks to wait, or None if it has no header that can be parsed.

    Headers in milliseconds take precedence. A date counts from the response's own `Date`, which the same clock wrote.
    """
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if (found := _number(headers.get(name, ""))) is not None:
            return found / 1000
    text = headers.get("retry-after", "").strip()
    if (found := _number(text)) is not None:
        return found
    moment = _moment(text)
    if moment is not None:
        return max(0.0, (moment - (_moment(headers.get("date", "")) or now)).total_seconds())
    # Resource Graph returns the time until its quota is full again.
    if "retry-after" not in headers and (reset := _DURATION.fullmatch(headers.get("x-ms-user-quota-resets-after", ""))):
        hours, minutes, seconds = (int(part) for part in reset.groups())
        return float(hours * 3600 + minutes * 60 + seconds)
    return None


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if 0 <= found < float("inf") else None


def _moment(text: str) -> dt.datetime | None:
    try:
        found = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


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
_QUERIED = ("logs", "kusto", "lake")
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

    def send(self, request: wire.WireRequest) -> wire.Response:
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

    def ask(self, request: wire.WireRequest, read: Callable[[bytes], T]) -> T:
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
            response: wire.Response | None = None
            with self._throttle.turn(budget, request.cost):
                generation = self._generation
                try:
                    response = self._sender.send(request)
                    said = f"answered with status {response.status}"
                except wire.DroppedError as error:
                    said = f"broke off: {error}"
            self._count(response)
            if response is not None and response.status in request.accepts:
                try:
                    found = read(response.content)
                except wire.BadAnswerError as error:
                    said = f"answered with {error}"
                    with self._lock:
                        self.tally.failed += 1
                else:
                    self._throttle.answered(budget)
                    return found
            elif response is not None and request.service in _QUERIED and response.status in _TOO_MUCH:
                raise wire.TooMuchError(f"the query is too large or too slow: status {response.status}")
            elif response is not None and response.status == 429:
                throttled += 1
                wait = self._wait(request, response, throttled)
                if throttled >= _THROTTLED_TRIES:
                    raise wire.UnsettledError(f"{request.service} throttled the request {throttled} times")
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
                raise wire.UnsettledError(f"{request.service} {said}, {failures} times")
            self._clock.sleep(self._wait(request, response, failures))

    def _renew(self, generation: int) -> None:
        """Drop the cached token, once for all threads whose requests failed with it."""
        with self._lock:
            if generation == self._generation:
                self._generation += 1
                self._sender.renew()

    def _count(self, response: wire.Response | None) -> None:
        with self._lock:
            self.tally.requests += 1
            self.tally.bytes += len(response.content) if response is not None else 0
            if response is not None and response.status == 429:
                self.tally.throttled += 1
            elif response is None or response.status in _SERVER_FAULTS:
                self.tally.failed += 1

    def _wait(self, request: wire.WireRequest, response: wire.Response | None, tries: int) -> float:
        asked = retry_after(response.headers, self._clock.utc()) if response is not None else None
        if asked is None:
            return min(_FIRST_WAIT * 2.0 ** (tries - 1), _SLOWEST_WAIT)
        if asked > LONGEST_WAIT:
            raise wire.UnsettledError(f"{request.service} asks for a wait of {asked:,.0f} seconds, longer than allowed")
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


def _raise_final(request: wire.WireRequest, response: wire.Response) -> None:
    code, message = error_of(response.content)
    said = f"{code or response.status}: {message}" if message else code or f"status {response.status}"
    if response.status == 401:
        raise wire.NotSignedInError(f"{request.service} rejects the token: {said}", code)
    # Kusto's error number for an unknown name: the workspace has no such table.
    if code.lower() in _NOT_OFFERED or b"SEM0100" in response.content:
        raise wire.AbsentError(said, code)
    if response.status in (402, 403) or code.lower() in _NO_LICENCE:
        raise wire.RefusedError(said, code)
    if request.is_next and response.status in _STALE:
        raise wire.StaleLinkError(said, code)
    if response.status in (404, 410):
        raise wire.AbsentError(said, code)
    raise wire.UnsettledError(f"{request.service} answered {said}", code)


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
