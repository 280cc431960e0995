"""`rightsize status`: show what is loaded, what the logs cover, and what could not be used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from rightsize.cli.command import Common, command
from rightsize.cli.layout import terminal_width, wrapped
from rightsize.cli.narration import say
from rightsize.cli.options import DEFAULT_PLAN
from rightsize.cli.output import write
from rightsize.model.progress import counted
from rightsize.render.escape import for_terminal
from rightsize.workflow.data import status as workflow

_STATES = ("observed", "declared_empty", "quiet", "missing")
_FEW = 3
_LABELS = {"principals": "principals in listings"}


@command()
def status(*, common: Common) -> None:
    """Show what is loaded, and which days the logs cover.

    It also lists rejected records; `-v` names every scope.
    """
    is_told = common.is_table and not common.quiet
    found, step = workflow.read_status_and_next(common.db, DEFAULT_PLAN if is_told else None)
    if common.is_table:
        write(_page(found, terminal_width(), all_scopes=common.verbose > 0))
    else:
        columns = ("section", "subject", "measure", "value")
        common.show(list(found.rows()), columns, document=found.document())
    if found.is_empty:
        say("nothing is loaded: `rightsize load PATH…` reads exports, `rightsize demo` makes a sample")
    elif not found.has_catalogue:
        say("no catalogue of operations is loaded, so unused ones cannot be named")
    if step is not None:
        common.say_next(common.with_db(step))


def _page(found: workflow.StoreStatus, width: int, *, all_scopes: bool) -> str:
    sections = (
        ("Sources", _sources(found)),
        ("Contents", _contents(found)),
        ("Window of an analysis", _window(found)),
        ("Stored analysis", _analysis(found)),
        ("Coverage, in days", _coverage(found, all_scopes=all_scopes)),
        ("Listings of access", _listings(found, all_scopes=all_scopes)),
        ("Inventories, by subscription", _inventories(found, all_scopes=all_scopes)),
        ("Requests of data planes", _requests(found)),
        ("Rejected records", _rejects(found)),
        ("Unknown operations", _unknown(found)),
        ("Missing, and what it blocks", _missing(found)),
    )
    return "\n".join("\n".join([title, *_fit(lines, width), ""]) for title, lines in sections)


def _fit(lines: Iterator[str], width: int) -> Iterator[str]:
    """Yield the lines with harmless text, broken where they are too long for the terminal."""
    for line in lines:
        margin = " " * (len(line) - len(line.lstrip()))
        yield from wrapped(for_terminal(line.lstrip()), width, indent=margin, hanging=f"{margin}  ")


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield rows as lines with aligned cells: names to the left, counts to the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))] if rows else []
    for row in rows:
        counts = "  ".join(cell.rjust(size) for cell, size in zip(row[1:], widths[1:], strict=True))
        yield f"  {row[0].ljust(widths[0])}  {counts}"


def _sources(found: workflow.StoreStatus) -> Iterator[str]:
    counts = [
        (
            row["source"],
            *(f"{row[name] or 0:,}" for name in ("files", "read", "rejected", "unused_record")),
        )
        for row in found.sources
    ]
    yield from _columns([("", "files", "records", "rejected", "not used"), *counts]) if counts else ("  none",)


def _contents(found: workflow.StoreStatus) -> Iterator[str]:
    for what, rows in groupby(found.contents, key=lambda row: row["what"]):
        kinds = [(row["kind"], row["rows"]) for row in rows]
        total = sum(count for _, count in kinds)
        named = ", ".join(f"{kind or 'unknown'} {count:,}" for kind, count in kinds)
        is_plain = total == 0 or all(kind is None for kind, _ in kinds)
        label = _LABELS.get(what, what)
        yield f"  {label}: {total:,}" if is_plain else f"  {label}: {total:,} ({named})"


def _window(found: workflow.StoreStatus) -> Iterator[str]:
    if found.window is None:
        yield "  none: no log is loaded"
    else:
        yield f"  {found.window.first_day} to {found.window.last_day}, {found.window.days} days"
        if found.window.preview is not None:
            yield f"  a preview: {found.window.preview}"


def _analysis(found: workflow.StoreStatus) -> Iterator[str]:
    if found.analysis is None:
        yield "  none: `rightsize analyze` stores one, from which `explain`, `reach` and `report` answer quickly"
        return
    days = f"  {found.analysis['first_day']} to {found.analysis['last_day']}"
    if found.analysis["is_current"]:
        yield f"{days}, of the loaded content"
    else:
        yield f"{days}, of earlier content: `rightsize analyze` renews it"


def _coverage(found: workflow.StoreStatus, *, all_scopes: bool) -> Iterator[str]:
    """Yield the lines about coverage; scopes with equal coverage share a line."""
    for log, of_log in groupby(found.coverage, key=lambda row: (row["source"], row["category"])):
        yield f"  {log[0]} {log[1]}"
        alike: dict[tuple[Any, ...], list[str]] = {}
        for row in of_log:
            key = (row["first_day"], row["last_day"], *(row[state] for state in _STATES))
            alike.setdefault(key, []).append(row["scope"])
        for (first, last, *counts), scopes in sorted(alike.items()):
            states = ", ".join(
                f"{state.replace('_', ' ')} {count:,}" for state, count in zip(_STATES, counts, strict=True) if count
            )
            yield f"    {first}: {states}" if first == last else f"    {first} to {last}: {states}"
            yield from _few(scopes, all_scopes=all_scopes)
    if not found.coverage:
        yield "  none"


def _few(scopes: list[str], *, all_scopes: bool) -> Iterator[str]:
    shown = scopes if all_scopes else scopes[:_FEW]
    yield from (f"      {scope}" for scope in shown)
    if len(scopes) > len(shown):
        yield f"      and {len(scopes) - len(shown):,} more; -v names them"


def _listings(found: workflow.StoreStatus, *, all_scopes: bool) -> Iterator[str]:
    """Yield the listings of access that are not complete, each with its command, the dearest kind first."""
    for _, of_kind in groupby(found.listings, key=lambda one: one.listing):
        lacks = list(of_kind)
        yield f"  {lacks[0].words}: {counted(len(lacks), 'listing')} not complete, so {lacks[0].costs}"
        shown = lacks if all_scopes else lacks[:_FEW]
        for lack in shown:
            yield f"    {lack.of}: {lack.why}"
            if lack.command:
                yield f"      {lack.command}"
        if len(lacks) > len(shown):
            yield f"    and {len(lacks) - len(shown):,} more; -v names them"
    if not found.listings:
        yield "  all complete"


def _inventories(found: workflow.StoreStatus, *, all_scopes: bool) -> Iterator[str]:
    """Yield whether resources and providers are listed completely; subscriptions with equal answers share a line."""
    alike: dict[tuple[str, str], list[str]] = {}
    for row in found.inventories:
        answer = "complete" if row["complete"] else f"not complete: {row['problem']}"
        alike.setdefault((_INVENTORIES[row["kind"]], answer), []).append(row["scope"])
    for (kind, answer), scopes in sorted(alike.items()):
        yield f"  {kind}: {answer}"
        yield from _few(scopes, all_scopes=all_scopes)
    if not found.inventories:
        yield "  none"


_INVENTORIES = {
    None: "no listing",
    "resource_list": "resources by `az resource list`",
    "resource_graph": "resources by Resource Graph",
    "providers": "resource providers",
}
_ACCESS = {
    "roles": "by Azure roles",
    "key": "by keys",
    "sas": "by signatures",
    "anonymous": "anonymous",
    "access_policy": "by access policies",
    "own_roles": "by roles of the service",
    "none": "needed no permission",
    "unmapped": "not mapped to a permission",
    "unsaid": "by a caller that the record does not name",
}


def _requests(found: workflow.StoreStatus) -> Iterator[str]:
    """Yield for each log the kinds of access that allowed its requests, with their shares."""
    for source, of_source in groupby(found.requests, key=lambda row: row["source"]):
        rows = list(of_source)
        total = sum(row["requests"] for row in rows)
        yield f"  {source}: {counted(total, 'request')}"
        yield from _columns(
            [
                (
                    f"  {_ACCESS[row['access']]}",
                    f"{row['requests']:,}",
                    f"{row['requests'] / total:.1%}",
                )
                for row in rows
            ]
        )
    for row in found.unmapped:
        yield (
            f"  {row['source']}: {counted(row['operations'], 'operation')} in no rule; "
            "`rightsize queries run unmapped-operations` names them"
        )
    if not found.requests:
        yield "  none"


def _rejects(found: workflow.StoreStatus) -> Iterator[str]:
    yield from (f"  {row['records']:,}  {row['source']}: {row['reason']}" for row in found.rejects)
    if not found.rejects:
        yield "  none"


def _unknown(found: workflow.StoreStatus) -> Iterator[str]:
    unknown = found.unknown_operations
    if unknown["operations"]:
        calls = counted(unknown["events"], "call")
        yield f"  {unknown['operations']:,} in {calls}; `rightsize queries run unknown-operations` names them"
    else:
        yield "  none"


def _missing(found: workflow.StoreStatus) -> Iterator[str]:
    yield from (f"  {one.what}: {one.blocks}" for one in found.missing)
    if not found.missing:
        yield "  nothing"
