"""List all sources that can be collected, and select those that a run needs."""

from __future__ import annotations

from collections.abc import Sequence

from rightsize.collect.listing import Source
from rightsize.collect.sources import logs
from rightsize.collect.sources.azure import ACCESS_SOURCES, SCOPE_SOURCES
from rightsize.collect.sources.directory import DIRECTORY_SOURCES
from rightsize.model.errors import UsageError

SOURCES: tuple[Source, ...] = (
    *SCOPE_SOURCES,
    *ACCESS_SOURCES,
    *DIRECTORY_SOURCES,
    *logs.ACTIVITY_SOURCES,
    *logs.REPORT_SOURCES,
    *logs.SECURITY_SOURCES,
    *logs.WORKSPACE_SOURCES,
    *logs.EXPORTED_SOURCES,
)
"""All sources, in the order in which they are reported."""

RAW_SOURCES = frozenset(source.name for source in SOURCES if source.is_raw)
"""The sources whose pages are kept but not loaded."""


_FORMER = ("reduced_activity", "reduced_storage", "reduced_sign_ins")
KNOWN_SOURCES = frozenset((*(source.name for source in SOURCES), *_FORMER))
"""The sources of this version, and those of earlier ones whose pages are still loaded."""


def chosen_sources(
    names: Sequence[str], *, with_workspaces: bool = False, with_containers: bool = False, raw: bool = False
) -> tuple[Source, ...]:
    """Return the sources with these names and the sources they need; without names, all that apply.

    Args:
        names: Names of sources.
        with_workspaces: Whether the user names workspaces; their tables then replace the REST logs.
        with_containers: Whether the user names containers.
        raw: Whether to fetch rows of workspaces where they could be reduced.

    Raises:
        UsageError: A name is not a source, or its source does not apply.
    """
    known = {source.name: source for source in SOURCES}
    named = {f"{name}{more}" for name in names if name in logs.SUMMARY_TABLES for more in ("", "_counts")}
    tables = logs.workspace_source_names(raw=raw) | named if with_workspaces else frozenset()
    applies = {
        source.name
        for source in SOURCES
        if (source.service != "logs" or source.name in tables)
        and (with_containers or source.service != "storage")
        and not (with_workspaces and source.log)
    }
    for name in names:
        if name not in known:
            raise UsageError(f"`{name}` is not a source", hint=f"one of {', '.join(sorted(known))}")
        if name not in applies:
            raise UsageError(f"`--source {name}` does not apply", hint=_why(known[name], with_workspaces))
    wanted = set(names or applies)
    waiting = list(wanted)
    while waiting:
        fresh = set(known[waiting.pop()].after) - wanted
        wanted |= fresh
        waiting += fresh
    return tuple(source for source in SOURCES if source.name in wanted)


def _why(source: Source, with_workspaces: bool) -> str:
    if source.service == "storage":
        return "`--container` is missing"
    if source.service == "logs":
        return "`--raw` decides whether tables are reduced" if with_workspaces else "`--workspace` is missing"
    return "the tables of the workspace replace it"
