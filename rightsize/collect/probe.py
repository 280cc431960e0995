"""What a run could read: the first question of each source, at each scope, without the pages after it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from rightsize.azure.exchange import Exchange
from rightsize.azure.wire import AbsentError, FaultError, NotSignedInError, RefusedError
from rightsize.collect.forms import CollectedPage
from rightsize.collect.known import AskedFor
from rightsize.collect.listing import CollectionRequest, CollectionUnit, Source
from rightsize.collect.pages import records_of

Reach = Literal["readable", "refused", "not there", "unreachable"]

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of one question: of a source, at a scope; `reason` says why it was not answered."""

    source: Source
    scope: str
    reach: Reach
    reason: str = ""


class ProbeKnown(AskedFor):
    """What the first pages say; see `listing.Known`."""

    def __init__(self, question: CollectionRequest) -> None:
        super().__init__(question)
        self._pages: dict[str, list[tuple[str, bytes]]] = {}

    def keep(self, source: str, key: str, page: CollectedPage) -> None:
        """Remember a page."""
        self._pages.setdefault(source, []).append((key, page.lines))

    def parts(self, source: str) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
        """Yield the units of a source: the key of each, and its records."""
        for key, lines in self._pages.get(source, []):
            yield key, records_of(orjson.loads(line) for line in lines.split(b"\n") if line)

    def is_held(self, source: str, key: str) -> bool:  # noqa: ARG002  a probe comes before every run
        """Tell whether an earlier run has a unit."""
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
    """Ask the first question of every source at every scope that it has.

    Raises:
        NotSignedInError: No further question makes sense.
    """
    found: list[Probed] = []
    waiting = list(sources)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="probe") as pool:
        while waiting:
            names = {source.name for source in waiting}
            ready = [source for source in waiting if not names & set(source.after)]
            waiting = [source for source in waiting if source not in ready]
            asked = [(source, unit) for source in ready for unit in _first_of_each_scope(source, known)]
            found += pool.map(lambda pair: _ask(pair[0], pair[1], known, exchange), asked)
    return found


def _first_of_each_scope(source: Source, known: ProbeKnown) -> list[CollectionUnit]:
    firsts: dict[str, CollectionUnit] = {}
    for unit in source.units(known):
        firsts.setdefault(unit.scope, unit)
    return list(firsts.values())


def _ask(source: Source, unit: CollectionUnit, known: ProbeKnown, exchange: Exchange) -> Probed:
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
