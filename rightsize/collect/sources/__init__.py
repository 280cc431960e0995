"""Every source that is known, each in a small module with others of its kind."""

from __future__ import annotations

from collections.abc import Sequence

from rightsize.collect.listing import Source
from rightsize.collect.sources.access import ACCESS_SOURCES
from rightsize.collect.sources.activity import ACTIVITY_SOURCES
from rightsize.collect.sources.directory import DIRECTORY_SOURCES
from rightsize.collect.sources.exported import EXPORTED_SOURCES
from rightsize.collect.sources.reports import REPORT_SOURCES
from rightsize.collect.sources.scopes import SCOPE_SOURCES
from rightsize.collect.sources.workspaces import WORKSPACE_SOURCES
from rightsize.model.errors import UsageError

SOURCES: tuple[Source, ...] = (
    *SCOPE_SOURCES,
    *ACCESS_SOURCES,
    *DIRECTORY_SOURCES,
    *ACTIVITY_SOURCES,
    *REPORT_SOURCES,
    *WORKSPACE_SOURCES,
    *EXPORTED_SOURCES,
)
"""In the order in which they are reported."""

RAW_SOURCES = frozenset(source.name for source in SOURCES if source.is_raw)
"""Those of which pages are kept and nothing is loaded."""


def chosen_sources(names: Sequence[str]) -> tuple[Source, ...]:
    """Return the sources of these names with those that they rest on, all for none.

    Raises:
        UsageError: A name is no source.
    """
    known = {source.name: source for source in SOURCES}
    for name in names:
        if name not in known:
            raise UsageError(f"`{name}` is no source", hint=f"one of {', '.join(sorted(known))}")
    wanted = set(names or known)
    waiting = list(wanted)
    while waiting:
        fresh = set(known[waiting.pop()].after) - wanted
        wanted |= fresh
        waiting += fresh
    return tuple(source for source in SOURCES if source.name in wanted)
