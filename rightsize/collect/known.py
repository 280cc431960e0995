"""Read from earlier answers of a run the subscriptions, management groups and records that later requests need."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from rightsize.collect.listing import CollectionRequest
from rightsize.collect.pages import Run, records_of
from rightsize.collect.runs import Earlier
from rightsize.rbac.text import fold

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
