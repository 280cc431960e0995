"""Limit the rate and the number of parallel requests to each Azure service, and wait as long as it asks.

Source of the budgets: Microsoft Learn, "Understand how Azure Resource Manager throttles requests", "Microsoft Graph
service-specific throttling limits", "Azure Monitor service limits" (Log Analytics queries), "Throttled requests in
Azure Resource Graph".
"""

from __future__ import annotations

import datetime as dt
import email.utils
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rightsize.azure.wire import StoppedError

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
            raise StoppedError

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
                    raise StoppedError
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
