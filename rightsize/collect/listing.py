"""What a source is: declared once, small, and asked by the same code as every other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from rightsize.azure.wire import Service, WireRequest
from rightsize.collect.forms import Form, read_pages


@dataclass(frozen=True, slots=True)
class Right:
    """What it takes to read a source.

    Attributes:
        permission: The action of ARM, or the permission of Graph.
        role: The smallest built-in role that has it: of Azure for an action, of the directory for people who use a
            permission of Graph.
        licence: What the tenant has to have bought, where that is the reason for a refusal too.
        also: Actions that are needed besides.
        is_data_action: Whether it is a data action of Azure.
    """

    permission: str
    role: str = "Reader"
    licence: str = ""
    also: tuple[str, ...] = ()
    is_data_action: bool = False


@dataclass(frozen=True, slots=True)
class CollectionUnit:
    """A part of a source that is complete or incomplete by itself, and is taken up again where it stopped.

    Attributes:
        key: What it is of, unique within its source.
        requests: The questions, in order; each may have further pages.
        instead: What is asked where all of them are refused: the same with less in it.
        scope: The Azure scope that it speaks of.
        first: Start of the time that it covers, for logs, and `last` its end.
        label: What its files are called besides their number: some pages do not say what they list.
    """

    key: str
    requests: tuple[WireRequest, ...]
    scope: str = ""
    first: dt.datetime | None = None
    last: dt.datetime | None = None
    label: str = ""
    instead: tuple[WireRequest, ...] = ()


@dataclass(frozen=True, slots=True)
class CollectionRequest:
    """What a run is asked for.

    Attributes:
        until: End of the window of logs, and `days` its length.
        sources: Names of sources; empty for all.
        subscriptions: Ids; empty for all that can be seen.
        workspaces: Log Analytics workspaces, by workspace id; their tables take the place of other logs.
        containers: `ACCOUNT/CONTAINER` of exported logs.
        raw: Whether rows of Log Analytics are fetched instead of their reduction to distinct use.
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
        """Start of the window, a whole UTC day."""
        day = self.until.replace(hour=0, minute=0, second=0, microsecond=0)
        return day - dt.timedelta(days=self.days)


class Known(Protocol):
    """What sources that were collected before say; from it come the units of those after them."""

    @property
    def question(self) -> CollectionRequest:
        """What the run is asked for."""
        ...

    def records(self, source: str) -> Iterator[dict[str, Any]]:
        """Yield the records of a source, as they came."""
        ...

    def parts(self, source: str) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
        """Yield the units of a source: the key of each, and its records."""
        ...

    def subscriptions(self) -> list[str]:
        """Return the ids of the subscriptions that are asked for and can be seen."""
        ...

    def management_groups(self) -> list[str]:
        """Return the scopes of the management groups that can be seen."""
        ...

    def is_held(self, source: str, key: str) -> bool:
        """Tell whether an earlier run has a unit, complete."""
        ...

    def since(self, source: str, key: str, lateness: dt.timedelta, oldest: dt.datetime | None = None) -> dt.datetime:
        """Return from when on a log is fetched: the start of the window, or where earlier runs have come to.

        Rows come late, so that is a whole UTC day that had passed `lateness` before the end of the earlier run. What
        is before `oldest` the service does not have any more.
        """
        ...


Units = Callable[[Known], Iterable[CollectionUnit]]
Split = Callable[[WireRequest], tuple[WireRequest, ...]]


@dataclass(frozen=True, slots=True)
class Source:
    """Something that can be read of a tenant.

    Attributes:
        name: Unique; the folder of its pages.
        service: Who is asked.
        title: What it is, for a person.
        right: What it takes to read it.
        units: Makes its units of what is known.
        after: Sources that its units come from.
        form: Reads its answers.
        split: Makes smaller questions of one whose answer was partial, none where it cannot be any smaller.
        log: The log that its rows are, as coverage calls it, where its windows can be declared.
        retention: Tells the days that Azure keeps of it.
        is_raw: Whether its pages only serve the collection, or would be taken for another listing; not loaded.
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
        """Name of the budget that bounds how many of its units are asked at once."""
        return self.pool or self.service
