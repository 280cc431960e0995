"""Read from earlier answers what later requests need, and check which sources the caller can read."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from rightsize.azure.exchange import Exchange
from rightsize.azure.wire import AbsentError, FaultError, NotSignedInError, RefusedError
from rightsize.collect.listing import CollectedPage, CollectionRequest, CollectionUnit, Source
from rightsize.collect.pages import Run, records_of
from rightsize.collect.runs import Earlier
from rightsize.model.text import fold

_MANAGEMENT_GROUPS = "/providers/microsoft.management/managementgroups/"


class AskedFor(ABC):
    """The subscriptions and management groups that the collected listings name; see `listing.Known`."""

    def __init__(self, question: CollectionRequest) -> None:
        self._question = question

    @property
    def question(self) -> CollectionRequest:
        """Return what the run is asked to collect."""
        return self._question

    @abstractmethod
    def parts(self, source: str) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
        """Yield each unit of a source as its key and its records."""

    def records(self, source: str) -> Iterator[dict[str, Any]]:
        """Yield the records of a source unchanged."""
        for _, records in self.parts(source):
            yield from records

    def subscriptions(self) -> list[str]:
        """Return the ids of the subscriptions that are asked for and visible, folded and sorted."""
        wanted = {fold(text) for text in self._question.subscriptions}
        found = {
            fold(identifier)
            for record in self.records("subscriptions")
            if isinstance(identifier := record.get("subscriptionId"), str)
        }
        return sorted(found & wanted if wanted else found)

    def management_groups(self) -> list[str]:
        """Return the scopes of the visible management groups, sorted; none if the request names subscriptions."""
        if self._question.subscriptions:
            return []
        found = {
            fold(identifier): identifier
            for record in self.records("management_groups")
            if isinstance(identifier := record.get("id"), str) and fold(identifier).startswith(_MANAGEMENT_GROUPS)
        }
        return [found[key] for key in sorted(found)]


class RunKnown(AskedFor):
    """The records that a run has collected so far; see `listing.Known`."""

    def __init__(self, run: Run, question: CollectionRequest, earlier: Earlier) -> None:
        super().__init__(question)
        self._run = run
        self._earlier = earlier

    def parts(self, source: str) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
        """Yield each unit of a source as its key and its records."""
        for unit in self._run.units_of(source):
            yield unit.key, records_of(self._run.lines(unit))

    def is_held(self, source: str, key: str) -> bool:
        """Return whether an earlier run has a unit completely."""
        return (source, key) in self._earlier.held

    def since(self, source: str, key: str, lateness: dt.timedelta, oldest: dt.datetime | None = None) -> dt.datetime:
        """Return the start of the time to fetch of a log, a whole UTC day."""
        start = max(self._question.since, oldest) if oldest else self._question.since
        first, last = self._earlier.watermarks.get((source, key), (None, None))
        # A window that starts before those of earlier runs is fetched whole, so that it has no gap.
        if first is None or last is None or first > start:
            return start
        day = (last - lateness).replace(hour=0, minute=0, second=0, microsecond=0)
        return max(day, start)


Reach = Literal["readable", "refused", "not there", "unreachable"]

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Probed:
    """The result of the first request of a source at a scope; `reason` says why it failed."""

    source: Source
    scope: str
    reach: Reach
    reason: str = ""


class ProbeKnown(AskedFor):
    """The records of the first pages; see `listing.Known`."""

    def __init__(self, question: CollectionRequest) -> None:
        super().__init__(question)
        self._pages: dict[str, list[tuple[str, bytes]]] = {}

    def keep(self, source: str, key: str, page: CollectedPage) -> None:
        """Store a page of a unit."""
        self._pages.setdefault(source, []).append((key, page.lines))

    def parts(self, source: str) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
        """Yield each unit of a source as its key and its records."""
        for key, lines in self._pages.get(source, []):
            yield key, records_of(orjson.loads(line) for line in lines.split(b"\n") if line)

    def is_held(self, source: str, key: str) -> bool:  # noqa: ARG002  a probe comes before every run
        """Return False: a probe uses no earlier runs."""
        return False

    def since(
        self,
        source: str,  # noqa: ARG002  likewise
        key: str,  # noqa: ARG002
        lateness: dt.timedelta,  # noqa: ARG002
        oldest: dt.datetime | None = None,  # noqa: ARG002
    ) -> dt.datetime:
        """Return the start of the window."""
        return self.question.since


def probe(sources: Sequence[Source], known: ProbeKnown, exchange: Exchange) -> list[Probed]:
    """Return the result of the first request of each source at each of its scopes.

    Raises:
        NotSignedInError: The sign-in is lost, so no further request can succeed.
    """
    found: list[Probed] = []
    waiting = list(sources)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="probe") as pool:
        while waiting:
            names = {source.name for source in waiting}
            ready = [source for source in waiting if not names & set(source.after)]
            waiting = [source for source in waiting if source not in ready]
            asked = [(source, unit) for source in ready for unit in _first_of_each_scope(source, known)]
            found += pool.map(lambda pair: probe_unit(pair[0], pair[1], known, exchange), asked)
    return found


def _first_of_each_scope(source: Source, known: ProbeKnown) -> list[CollectionUnit]:
    firsts: dict[str, CollectionUnit] = {}
    for unit in source.units(known):
        firsts.setdefault(unit.scope, unit)
    return list(firsts.values())


def probe_unit(source: Source, unit: CollectionUnit, known: ProbeKnown, exchange: Exchange) -> Probed:
    """Send the first request of a unit, keep its answer in `known`, and return how it ended.

    Raises:
        NotSignedInError: The sign-in is lost, so no further request can succeed.
    """
    try:
        known.keep(source.name, unit.key, exchange.ask(unit.requests[0], source.form))
    except NotSignedInError:
        raise
    except RefusedError as error:
        return Probed(source, unit.scope, "refused", error.reason)
    except AbsentError as error:
        return Probed(source, unit.scope, "not there", error.reason)
    except FaultError as error:
        return Probed(source, unit.scope, "unreachable", error.reason)
    return Probed(source, unit.scope, "readable")
