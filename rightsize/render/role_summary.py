"""Write the summary of a new role as labelled lines and a small table, for every output that shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rightsize.render.summary import short_scope

SERVICE_COLUMNS = ("service", "today", "stays", "by this role", "used")
"""The columns of the table by service: operations of today's role, those that stay, those of the new role, and used."""
_COUNTS = ("today", "stays", "here", "used")
WHICH, WHO, ELSE, DID, UNSEEN, GOES, ONLY_HERE, BREAKS, BACK = (
    "which job",
    "who gets it",
    "who else has it",
    "what they did",
    "what came along and why",
    "what goes",
    "what no other holder loses",
    "what could break",
    "how to go back",
)
_HOLDERS, _PLACES, _USED, _KEPT, _REMOVED, _SERVICES = 4, 2, 4, 4, 3, 6


@dataclass(frozen=True, slots=True)
class SummaryText:
    """The summary of a role in words: lines with their labels, and rows of the table by service."""

    lines: tuple[tuple[str, str], ...]
    services: tuple[Mapping[str, Any], ...]


def summary_text(summary: Mapping[str, Any], names: Mapping[str, str]) -> SummaryText:
    """Return the summary of a role as text; each output still escapes it.

    Args:
        summary: As the evidence of the role has it.
        names: Display names of principals, roles and high scopes, by id or scope.
    """
    lines = [
        *_labelled(WHICH, _which(summary)),
        *_labelled(WHO, _who(summary, names)),
        *_labelled(ELSE, _else(summary, names)),
        *_labelled(DID, _did(summary)),
        *_labelled(UNSEEN, _unseen(summary)),
        *_labelled(GOES, _goes(summary)),
        *_labelled(ONLY_HERE, _only_here(summary, names)),
        *_labelled(BREAKS, _breaks(summary)),
        *_labelled(BACK, _back(summary, names)),
    ]
    return SummaryText(tuple(lines), tuple(_services(summary)))


def _labelled(label: str, texts: Iterator[str]) -> Iterator[tuple[str, str]]:
    for number, text in enumerate(texts):
        yield ("" if number else label), text


def _which(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the job; summaries of older plans do not know it."""
    if "job" not in summary:
        return
    if summary.get("is_add_on"):
        yield "an add-on: risky work, apart from the roles of its holders"
    elif summary.get("job_name"):
        yield f"{summary['job_name']}"
    elif summary["job"]:
        change, _, plane = str(summary["job"]).rpartition(" ")
        yield f"the one with {change}{' (data)' if plane == 'data' else ''}"
    else:
        yield "none: work that its holder shares with nobody"


def _else(summary: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    others = summary.get("others", [])
    if not summary.get("job"):
        return
    if not others:
        yield "nobody does this job without it"
        return
    more = len(others[_HOLDERS:]) + summary.get("more_others", 0)
    named = ", ".join(_named(one, names) for one in others[:_HOLDERS])
    verb = "have the job, and keep or get" if len(others) + more > 1 else "has the job, and keeps or gets"
    yield f"{named}{f' and {more:,} more' if more else ''} {verb} another role"


def _only_here(summary: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    """Yield what each holder loses that no other holder loses; a role with one holder has nothing to compare."""
    if "only_here" not in summary or summary["assignments"] < 2:
        return
    rows = summary["only_here"]
    for one in rows[:_HOLDERS]:
        lost = _counted(one["operations"], "operation")
        yield f"{_named(one['principal_id'], names)}: {lost}, such as {one['for_example']}"
    if not rows:
        yield "nothing: what goes for one of them goes for another, too"


def _who(summary: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    holders = summary["holders"]
    for one in holders[:_HOLDERS]:
        places = [short_scope(scope, names) for scope in one["scopes"]]
        more = f" and {len(places) - _PLACES:,} more places" if len(places) > _PLACES else ""
        through = "" if one["of"] == one["principal_id"] else f" through {_named(one['of'], names)}"
        yield (
            f"{_named(one['principal_id'], names)}, at {', '.join(places[:_PLACES])}{more}; "
            f"today {_today(one, names)}{through}"
        )
    more_holders = len(holders[_HOLDERS:]) + summary["more_holders"]
    if more_holders:
        yield f"and {more_holders:,} more"


def _did(summary: Mapping[str, Any]) -> Iterator[str]:
    if not summary["used"]:
        yield "no log shows a use of its actions in the window"
        return
    shown = summary["most_used"][:_USED]
    for one in shown:
        yield (
            f"{one['action']}: {_counted(one['events'], 'call')} on {_counted(one['days'], 'day')}, "
            f"last {str(one['last_seen'])[:10]}"
        )
    more = summary["used"] - len(shown)
    if more > 0:
        yield f"and {_counted(more, 'more operation')} of it; {_counted(summary['events'], 'call')} in all"


def _unseen(summary: Mapping[str, Any]) -> Iterator[str]:
    kept = summary["kept_unseen"]
    whole = sum(one["actions"] for one in kept)
    if not kept:
        yield "nothing: a log shows the use of each of its actions"
        return
    yield f"{whole:,} of its {_counted(summary['actions'], 'action')}, which no log shows for these holders"
    for number, one in enumerate(kept[:_KEPT]):
        example = "" if number else f", such as {one['for_example']}"
        yield f"{one['actions']:,}: {one['meaning']}{example}"
    more = sum(one["actions"] for one in kept[_KEPT:])
    if more:
        yield f"{more:,} for other reasons"


def _goes(summary: Mapping[str, Any]) -> Iterator[str]:
    rows = summary["removed"]
    if not rows:
        yield "nothing of today's access goes with this change"
        return
    if summary["assignments"] == 1:
        yield f"{_counted(sum(one['most'] for one in rows), 'operation')} of today's assignment"
    else:
        yield f"operations of each of {summary['assignments']:,} assignments of today"
    for one in rows[:_REMOVED]:
        least, most = f"{one['least']:,}", f"{one['most']:,}"
        yield f"{most if least == most else f'{least} to {most}'}: {one['meaning']}"
    others = rows[_REMOVED:]
    if others and summary["assignments"] == 1:
        yield f"{sum(one['most'] for one in others):,} for other reasons"
    elif others:
        yield f"and some for {_counted(len(others), 'other reason')}"


def _breaks(summary: Mapping[str, Any]) -> Iterator[str]:
    chance = f"{100 * summary['breaks']:.1f} % (≤ {100 * summary['breaks_bound']:.1f} %)"
    most = "up to " if summary["assignments"] > 1 else ""
    yield f"the chance that a removed operation is needed within 30 days is {most}{chance}, by logged operations only"
    if summary["blind"]:
        yield f"beside that, no log can show the need of {_counted(summary['blind'], 'removed operation')}"


def _back(summary: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    holders = summary["holders"]
    today = _today(holders[0], names) if summary["assignments"] == 1 and holders else "the role of today to each holder"
    yield f"`rightsize rollout rollback`; or assign {today} again, then remove the assignments of this role"


def _today(one: Mapping[str, Any], names: Mapping[str, str]) -> str:
    state = "" if one["state"] == "active" else f" ({one['state']})"
    return f"{_named(one['role'], names)} at {short_scope(one['scope'], names)}{state}"


def _services(summary: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    rows: Sequence[Mapping[str, Any]] = summary["services"]
    beyond = [*rows[_SERVICES:], summary["other_services"]]
    others = {name: sum(row[name] for row in beyond) for name in _COUNTS}
    number = len(rows[_SERVICES:]) + summary["other_services"]["services"]
    if number:
        rows = [*rows[:_SERVICES], {**others, "service": f"{_counted(number, 'other service')}"}]
    for row in rows:
        yield dict(zip(SERVICE_COLUMNS, (row["service"], *(row[name] for name in _COUNTS)), strict=True))


def _named(id_: str, names: Mapping[str, str]) -> str:
    return names.get(id_, id_)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
