"""Collect all sources of a run in parallel, each after the sources it needs, with own workers for each budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

from rightsize.azure.exchange import Exchange
from rightsize.azure.throttle import Clock, Throttle
from rightsize.azure.wire import NotSignedInError, Service
from rightsize.collect.fetch import Fetch
from rightsize.collect.known import RunKnown
from rightsize.collect.listing import CollectionUnit, Source
from rightsize.collect.pages import Progress, Run


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a run: whether nothing is left to fetch, and the lost sign-in that stopped it, if any."""

    is_whole: bool
    stopped_by: NotSignedInError | None = None


class Runner:
    """A scheduler that collects sources into the folder of a run."""

    def __init__(
        self,
        run: Run,
        known: RunKnown,
        exchange: Exchange,
        throttle: Throttle,
        clock: Clock,
        root: Callable[[Service], str],
        report_progress: Callable[[str, int], None] = lambda _source, _rows: None,
    ) -> None:
        self._run = run
        self._known = known
        self._throttle = throttle
        self._clock = clock
        self._root = root
        self._fetch = Fetch(exchange, run, clock, report_progress)
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._running: dict[Future[Progress], str] = {}
        self._units = 0
        self._done: SimpleQueue[Future[Progress]] = SimpleQueue()

    @property
    def counts(self) -> tuple[int, int]:
        """Return the number of units that have ended, and of units known so far."""
        return self._units - len(self._running), self._units

    def collect(self, sources: Sequence[Source]) -> Ended:
        """Fetch all sources, or their missing units.

        After an interrupt, a full disk or a lost sign-in, running requests end and no further ones start.

        Raises:
            ServiceError: The disk is full.
            KeyboardInterrupt: By the user.
        """
        waiting = {source.name: source for source in sources}
        left: dict[str, int] = {}
        stopped_by: NotSignedInError | None = None
        try:
            while stopped_by is None and (waiting or self._running):
                self._start(waiting, left)
                if self._running:
                    stopped_by = self._settle(left)
        except BaseException:
            self._clock.stop()
            raise
        finally:
            if stopped_by is not None:
                self._clock.stop()
            for pool in self._pools.values():
                pool.shutdown(wait=True, cancel_futures=True)
        unfinished = any(unit.state in (None, "incomplete") for unit in self._run.units.values())
        return Ended(stopped_by is None and not unfinished, stopped_by)

    def _start(self, waiting: dict[str, Source], left: dict[str, int]) -> None:
        """Start each source whose needed sources have all ended."""
        for name, source in list(waiting.items()):
            if any(other in waiting or left.get(other) for other in source.after):
                continue
            del waiting[name]
            for unit in source.units(self._known):
                left[name] = left.get(name, 0) + 1
                self._units += 1
                self._running[self._submit(source, unit)] = name

    def _submit(self, source: Source, unit: CollectionUnit) -> Future[Progress]:
        workers = source.workers
        if workers not in self._pools:
            self._pools[workers] = ThreadPoolExecutor(self._throttle.at_once(workers), thread_name_prefix=workers)
        future = self._pools[workers].submit(self._fetch.fetch, source, unit, self._root(source.service))
        future.add_done_callback(self._done.put)
        return future

    def _settle(self, left: dict[str, int]) -> NotSignedInError | None:
        """Wait until a unit has ended; return its error if the sign-in was lost, which ends the run.

        Raises:
            ServiceError: The disk is full.
        """
        future = self._done.get()
        left[self._running.pop(future)] -= 1
        error = future.exception()
        if isinstance(error, NotSignedInError):
            return error
        if error is not None:
            raise error
        return None
