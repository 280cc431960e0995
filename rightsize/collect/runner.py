"""Collect all sources of a run in parallel, each after the sources it needs, with own workers for each budget.

Fetch one unit of a source, from its first request or from where an earlier run stopped, until it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from urllib.parse import urlsplit

from rightsize.azure import wire
from rightsize.azure.exchange import Clock, Exchange, Throttle
from rightsize.azure.hosts import root_of
from rightsize.collect.known import RunKnown
from rightsize.collect.listing import CollectedPage, CollectionUnit, Source
from rightsize.collect.pages import Progress, Run, State

_BUFFER_BYTES = 4 << 20
_BUFFER_SECONDS = 20.0
# A listing is taken as endless after this many consecutive empty pages, or consecutive copies of one page.
_MOST_EMPTY = 500
_MOST_COPIES = 5


@dataclass(slots=True)
class _Buffer:
    """A buffer of pages that are written together, so that many small pages do not become many small files."""

    since: float
    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    rows: int = 0
    pages: int = 0

    def add(self, page: CollectedPage) -> None:
        self.lines.append(page.lines)
        self.size += len(page.lines)
        self.rows += page.rows
        self.pages += 1


class Fetch:
    """A fetcher of units into a run; it reports the source and the number of rows of each answer."""

    def __init__(self, exchange: Exchange, run: Run, clock: Clock, report_progress: Callable[[str, int], None]) -> None:
        self._exchange = exchange
        self._run = run
        self._clock = clock
        self._report_progress = report_progress

    def fetch(self, source: Source, unit: CollectionUnit, root: str) -> Progress:
        """Fetch the missing pages of a unit, and return its progress with its end state; the journal has it too.

        Raises:
            NotSignedInError: The sign-in is lost, so no further request can succeed.
            StoppedError: The run was asked to stop.
            ServiceError: The disk is full.
        """
        at = self._run.progress(source.name, unit)
        if at.state is not None and at.state != "incomplete":
            return at
        task = _Task(self, source, unit, at, root)
        try:
            task.work()
        except wire.StaleLinkError:
            # The links of a listing expire, or rows are missing; the unit then has to be read again from its start.
            self._run.restart(at)
            task = _Task(self, source, unit, at, root)
            try:
                task.work()
            except wire.StaleLinkError as error:
                task.end("incomplete", error.reason)
        return at


class _Task:
    def __init__(self, fetch: Fetch, source: Source, unit: CollectionUnit, at: Progress, root: str) -> None:
        self._fetch = fetch
        self._source = source
        self._unit = unit
        self._at = at
        self._root = root
        self._pending = list(unit.requests if at.pending is None else at.pending)
        self._seen: set[str] = set()
        self._last = at.last_page
        self._copies = 0
        self._empty = 0
        self._left_out = ""
        self._less = ""
        self._buffer = _Buffer(fetch._clock.now())

    def work(self) -> None:
        """Send requests until none is pending."""
        try:
            while self._pending:
                self._step()
        except wire.UnsettledError as error:
            self.end("incomplete", error.reason)
        except wire.NotSignedInError as error:
            self.end("incomplete", error.reason)
            raise
        except wire.StoppedError:
            self.end("incomplete", "the run was stopped")
            raise
        else:
            self._finish()

    def _step(self) -> None:
        request = self._pending[0]
        try:
            page = self._fetch._exchange.ask(request, self._source.form)
        except (wire.RefusedError, wire.AbsentError) as error:
            if self._unit.instead and request in self._unit.requests:
                self._pending[0] = self._unit.instead_of(request)
                self._less = error.reason
                return
            self._pending.pop(0)
            word = "refused" if isinstance(error, wire.RefusedError) else "gone"
            self._at.lost.append(f"{word}: {error.reason}")
            return
        except wire.TooMuchError as error:
            if not self._halve(request):
                raise wire.UnsettledError(error.reason) from error
            return
        # The partial answer is dropped: the halves return its rows again.
        if page.is_partial and self._halve(request):
            return
        if page.is_partial:
            self._left_out = "the service left rows out, and the request cannot be split further"
        # A page that comes again under its next link would count its rows twice, but its own link may end the listing.
        is_copy = self._is_copy(page)
        follow = self._follow(request, page)
        self._pending[0:1] = follow
        self._buffer.add(replace(page, lines=page.envelope, rows=0) if is_copy else page)
        self._fetch._report_progress(self._source.name, page.rows)
        age = self._fetch._clock.now() - self._buffer.since
        if self._pending and (self._buffer.size >= _BUFFER_BYTES or age >= _BUFFER_SECONDS):
            self._flush(None, "")

    def _halve(self, request: wire.WireRequest) -> bool:
        """Replace a request by smaller ones, if the source can split it; return whether it could."""
        halves = self._source.split(request) if self._source.split is not None else ()
        self._pending[0:1] = halves or (request,)
        return bool(halves)

    def _follow(self, request: wire.WireRequest, page: CollectedPage) -> list[wire.WireRequest]:
        """Return the request for the next page; the list is empty at the end.

        Raises:
            UnsettledError: The next link leads to another host, or the links form a circle.
        """
        if page.skip_token:
            return [_with_token(request, page.skip_token)]
        if not page.next_link:
            return []
        link = page.next_link
        if "://" in link and root_of(link) != root_of(self._root):
            raise wire.UnsettledError(f"a next link leads to another host: {urlsplit(link).hostname}")
        if link in self._seen:
            raise wire.UnsettledError("the next links go in a circle")
        self._seen.add(link)
        self._empty = 0 if page.rows else self._empty + 1
        if page.rows:
            self._copies = self._copies + 1 if self._is_copy(page) else 0
            self._last = page.fingerprint
        if self._copies >= _MOST_COPIES or self._empty >= _MOST_EMPTY:
            raise wire.UnsettledError("the listing does not end: the same page or an empty page came again and again")
        return [replace(request, url=link, method="GET", body=None, is_next=True)]

    def _is_copy(self, page: CollectedPage) -> bool:
        """Return whether a page has the rows of the last page that had any.

        Forms without next links give no fingerprint, so that none of their pages is a copy.
        """
        return page.rows > 0 and page.fingerprint != "" and page.fingerprint == self._last

    def _finish(self) -> None:
        lost, rows = self._at.lost, self._at.rows + self._buffer.rows
        if rows < self._unit.rows and not lost and not self._left_out:
            said = f"{rows:,} of {self._unit.rows:,} counted rows arrived"
            raise wire.StaleLinkError(f"{said}; with `--no-resume` they are counted again")
        refused = [text for text in lost if text.startswith("refused")]
        if refused:
            self.end("refused", refused[0].partition(": ")[2])
        elif lost and len(lost) >= len(self._unit.requests):
            self.end("gone", lost[0].partition(": ")[2])
        elif self._left_out:
            self.end("incomplete", self._left_out)
        else:
            self.end("complete", f"without the refused part: {self._less}" if self._less else "")

    def end(self, state: State, reason: str) -> None:
        """Write the buffered pages, and the end state of the unit."""
        self._flush(state, reason)

    def _flush(self, state: State | None, reason: str) -> None:
        buffer = self._buffer
        self._fetch._run.write(
            self._at,
            b"".join(buffer.lines),
            rows=buffer.rows,
            pages=buffer.pages,
            pending=self._pending,
            last_page=self._last,
            label=self._unit.label,
            state=state,
            reason=reason,
        )
        self._buffer = _Buffer(self._fetch._clock.now())


def _with_token(request: wire.WireRequest, token: str) -> wire.WireRequest:
    import orjson  # noqa: PLC0415  only Resource Graph goes on like this

    body = orjson.loads(request.body or "{}")
    body["options"] = {**body.get("options", {}), "$skipToken": token}
    return replace(request, body=orjson.dumps(body).decode())


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a run: whether nothing is left to fetch, and the lost sign-in that stopped it, if any."""

    is_whole: bool
    stopped_by: wire.NotSignedInError | None = None


class Runner:
    """A scheduler that collects sources into the folder of a run."""

    def __init__(
        self,
        run: Run,
        known: RunKnown,
        exchange: Exchange,
        throttle: Throttle,
        clock: Clock,
        root: Callable[[wire.Service], str],
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
        stopped_by: wire.NotSignedInError | None = None
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

    def _settle(self, left: dict[str, int]) -> wire.NotSignedInError | None:
        """Wait until a unit has ended; return its error if the sign-in was lost, which ends the run.

        Raises:
            ServiceError: The disk is full.
        """
        future = self._done.get()
        left[self._running.pop(future)] -= 1
        error = future.exception()
        if isinstance(error, wire.NotSignedInError):
            return error
        if error is not None:
            raise error
        return None
