"""All sources of a run: each when what it rests on is there, several at once, and each budget with its own workers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from rightsize.azure.exchange import Exchange
from rightsize.azure.throttle import Clock, Throttle
from rightsize.azure.wire import NotSignedInError, Service
from rightsize.collect.fetch import Fetch
from rightsize.collect.listing import Question, Source, Unit
from rightsize.collect.pages import Progress, Run
from rightsize.collect.runs import Earlier
from rightsize.rbac.text import fold


class RunKnown:
    """What a run has collected so far; see `listing.Known`."""

    def __init__(self, run: Run, question: Question, earlier: Earlier) -> None:
        self._run = run
        self._question = question
        self._earlier = earlier

    @property
    def question(self) -> Question:
        """What the run is asked for."""
        return self._question

    def records(self, source: str) -> Iterator[dict[str, Any]]:
        """Yield the records of a source, as they came."""
        for _, records in self.parts(source):
            yield from records

    def parts(self, source: str) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
        """Yield the units of a source: the key of each, and its records."""
        for unit in self._run.units_of(source):
            yield unit.key, _records(self._run.lines(unit))

    def subscriptions(self) -> list[str]:
        """Return the ids of the subscriptions that are asked for and can be seen, folded, in order."""
        wanted = {fold(text) for text in self._question.subscriptions}
        found = {
            fold(identifier)
            for record in self.records("subscriptions")
            if isinstance(identifier := record.get("subscriptionId"), str)
        }
        return sorted(found & wanted if wanted else found)

    def management_groups(self) -> list[str]:
        """Return the scopes of the management groups that can be seen, in order; none where subscriptions are named."""
        if self._question.subscriptions:
            return []
        found = {
            fold(identifier): identifier
            for record in self.records("management_groups")
            if isinstance(identifier := record.get("id"), str)
            and fold(identifier).startswith("/providers/microsoft.management/managementgroups/")
        }
        return [found[key] for key in sorted(found)]

    def is_held(self, source: str, key: str) -> bool:
        """Tell whether an earlier run has a unit, complete."""
        return (source, key) in self._earlier.held

    def since(self, source: str, key: str, lateness: dt.timedelta) -> dt.datetime:
        """Return from when on a log is fetched, a whole UTC day."""
        earlier = self._earlier.watermarks.get((source, key))
        if earlier is None:
            return self._question.since
        day = (earlier - lateness).replace(hour=0, minute=0, second=0, microsecond=0)
        return max(day, self._question.since)


def _records(lines: Iterator[Any]) -> Iterator[dict[str, Any]]:
    """Yield the records of pages, and the records that are lines themselves."""
    for line in lines:
        if not isinstance(line, dict):
            continue
        records = line.get("value", line.get("data"))
        for record in records if isinstance(records, list) else [line]:
            if isinstance(record, dict):
                yield record


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: whether nothing is left to ask, and what stopped it else."""

    is_whole: bool
    stopped_by: NotSignedInError | None = None


class Runner:
    """Runs sources into a run's folder."""

    def __init__(
        self,
        run: Run,
        known: RunKnown,
        exchange: Exchange,
        throttle: Throttle,
        clock: Clock,
        root: Callable[[Service], str],
        told: Callable[[str, int], None] = lambda _source, _rows: None,
    ) -> None:
        self._run = run
        self._known = known
        self._throttle = throttle
        self._clock = clock
        self._root = root
        self._fetch = Fetch(exchange, run, clock, told)
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._running: dict[Future[Progress], str] = {}
        self._units = 0
        self._done: SimpleQueue[Future[Progress]] = SimpleQueue()

    @property
    def counts(self) -> tuple[int, int]:
        """Units that have ended, and units that are known by now."""
        return self._units - len(self._running), self._units

    def collect(self, sources: Sequence[Source]) -> Ended:
        """Fetch all sources, or what is missing of them.

        An interrupt, a full disk and a lost sign-in let what is being asked end, and stop the rest.

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
        """Start each source of which nothing that it rests on is still waiting or being asked."""
        for name, source in list(waiting.items()):
            if any(other in waiting or left.get(other) for other in source.after):
                continue
            del waiting[name]
            for unit in source.units(self._known):
                left[name] = left.get(name, 0) + 1
                self._units += 1
                self._running[self._submit(source, unit)] = name

    def _submit(self, source: Source, unit: Unit) -> Future[Progress]:
        workers = source.workers
        if workers not in self._pools:
            self._pools[workers] = ThreadPoolExecutor(self._throttle.at_once(workers), thread_name_prefix=workers)
        future = self._pools[workers].submit(self._fetch.fetch, source, unit, self._root(source.service))
        future.add_done_callback(self._done.put)
        return future

    def _settle(self, left: dict[str, int]) -> NotSignedInError | None:
        """Wait until a unit has ended; return the lost sign-in that ends the run, if that is how it ended.

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
