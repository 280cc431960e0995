"""A clock for tests whose waits pass at once."""

from __future__ import annotations

import datetime as dt
import threading

from rightsize.azure.exchange import Clock
from rightsize.azure.wire import StoppedError

START = dt.datetime(2026, 10, 1, 12, 0, tzinfo=dt.UTC)


class Hurried(Clock):
    """A clock that jumps ahead where the real one would wait; `waits` has every wait that was asked for."""

    def __init__(self, utc: dt.datetime = START) -> None:
        super().__init__()
        self._utc = utc
        self._passed = 0.0
        self._guard = threading.Lock()
        self.waits: list[float] = []

    def now(self) -> float:
        return self._passed

    def utc(self) -> dt.datetime:
        return self._utc + dt.timedelta(seconds=self._passed)

    def sleep(self, seconds: float) -> None:
        if self.is_stopped:
            raise StoppedError
        with self._guard:
            self.waits.append(seconds)
            self._passed += max(seconds, 0)

    def pass_by(self, seconds: float) -> None:
        """Let time pass without anybody waiting for it."""
        with self._guard:
            self._passed += seconds
