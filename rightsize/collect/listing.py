"""Define how a source is declared: its service, the right to read it, its units and its form of answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from rightsize.azure.wire import Service, WireRequest
from rightsize.collect.forms import Form, read_pages


@dataclass(frozen=True, slots=True)
class Right:
    """The permission, role and licence that reading a source needs.

    Attributes:
        permission: The Azure action, or the Graph permission.
        role: The smallest built-in role that has it: an Azure role for an action, a directory role for people who use
            a Graph permission.
        licence: The licence that the tenant needs, if a missing licence is also a reason for a refusal.
        also: Further actions that are needed.
        is_data_action: Whether it is an Azure dataAction.
    """

    permission: str
    role: str = "Reader"
    licence: str = ""
    also: tuple[str, ...] = ()
    is_data_action: bool = False


@dataclass(frozen=True, slots=True)
class CollectionUnit:
    """A part of a source that is complete or incomplete on its own, and can be resumed where it stopped.

    Attributes:
        key: Its name, unique within its source.
        requests: The requests, in order; each may have further pages.
        instead: For each of `requests` the one to send if it is refused: the same with fewer fields.
        scope: The Azure scope that it covers.
        first: Start of the time that it covers, for logs; `last` is its end.
        label: A text in its file names beside their number, for pages that do not say what they list.
    """

    key: str
    requests: tuple[WireRequest, ...]
    scope: str = ""
    first: dt.datetime | None = None
    last: dt.datetime | None = None
    label: str = ""
    instead: tuple[WireRequest, ...] = ()

    def instead_of(self, request: WireRequest) -> WireRequest:
        """Return the request to send instead of a refused one."""
        return self.instead[self.requests.index(request)]


@dataclass(frozen=True, slots=True)
class CollectionRequest:
    """The choices of a user for a run.

    Attributes:
        until: End of the window of logs; `days` is its length.
        sources: Names of sources; empty for all.
        subscriptions: Ids; empty for all visible subscriptions.
        workspaces: Ids of Log Analytics workspaces; their tables replace the other logs.
        containers: `ACCOUNT/CONTAINER` of exported logs.
        raw: Whether to fetch rows of Log Analytics instead of their reduction to distinct use.
    """

    until: dt.datetime
    days: int = 90
    sources: tuple[str, ...] = ()
    subscriptions: tuple[str, ...] = ()
    workspaces: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    raw: bool = False

    @property
    def since(self) -> dt.datetime:
        """Return the start of the window, a whole UTC day."""
        day = self.until.replace(hour=0, minute=0, second=0, microsecond=0)
        return day - dt.timedelta(days=self.days)


class Known(Protocol):
    """The records of sources that were collected before; later sources make their units from them."""

    @property
    def question(self) -> CollectionRequest:
        """Return what the run is asked to collect."""
        ...

    def records(self, source: str) -> Iterator[dict[str, Any]]:
        """Yield the records of a source unchanged."""
        ...

    def parts(self, source: str) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
        """Yield each unit of a source as its key and its records."""
        ...

    def subscriptions(self) -> list[str]:
        """Return the ids of the subscriptions that are asked for and visible."""
        ...

    def management_groups(self) -> list[str]:
        """Return the scopes of the visible management groups."""
        ...

    def is_held(self, source: str, key: str) -> bool:
        """Return whether an earlier run has a unit completely."""
        ...

    def since(self, source: str, key: str, lateness: dt.timedelta, oldest: dt.datetime | None = None) -> dt.datetime:
        """Return the start of the time to fetch of a log: the start of the window, or the end of earlier runs.

        Rows arrive late. So the end of an earlier run is moved back by `lateness`, to the start of its UTC day. The
        service no longer has rows from before `oldest`.
        """
        ...


Units = Callable[[Known], Iterable[CollectionUnit]]
Split = Callable[[WireRequest], tuple[WireRequest, ...]]


@dataclass(frozen=True, slots=True)
class Source:
    """A listing or log that can be collected from a tenant.

    Attributes:
        name: Unique; the folder of its pages.
        service: The service that answers its requests.
        title: A description for a person.
        right: The right that reading it needs.
        units: Makes its units from the records of earlier sources.
        after: The sources that its units need.
        form: Parses its answers.
        split: Makes smaller requests of one whose answer was partial; none if it cannot be split further.
        log: The log that its rows belong to, in the terms of coverage, if its windows can be declared.
        retention: Returns the number of days that Azure keeps of it.
        is_raw: Whether its pages are not loaded: they serve only the collection, or look like another listing.
    """

    name: str
    service: Service
    title: str
    right: Right
    units: Units
    after: tuple[str, ...] = ()
    form: Form = read_pages
    log: str = ""
    retention: Callable[[Known], int] | None = None
    is_raw: bool = False
    split: Split | None = None
    pool: str = ""

    @property
    def workers(self) -> str:
        """Return the name of the budget that limits how many of its units are fetched in parallel."""
        return self.pool or self.service
