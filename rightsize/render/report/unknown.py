"""Compute the report's card of what stays unknown: what would decide it, its price, and what the plan keeps for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from rightsize.model.plan import PROPOSAL_KINDS
from rightsize.model.plan_totals import latent_of
from rightsize.model.progress import counted
from rightsize.render.log_amounts import gigabytes_text, price_text
from rightsize.render.report.figures import Figures
from rightsize.render.report.sources import clean

_ROWS = 4
"""The most options in the table of the card; the list below it has all of them."""
_LISTED, _COMMANDS = 40, 12
"""The most options of the list, and the most commands of each."""
_STAYS = 4
"""The most reasons to stay that have rows of their own."""
_LEAST_SHARE = 0.001
_IN_ROLES = "kept without evidence in new or smaller roles"
_UNDECIDED = {
    "cannot narrow": "kept whole: for most of it no log can tell",
    "nothing observed": "kept whole: no log shows any use",
    "endpoint only": "kept whole: no log shows a use of an endpoint",
    "no able owner": "kept whole: no Owner is known to be able to act",
    "not worth a role": "kept whole: not worth a new role",
}
"""The first words of the reason of a kept assignment, as rows of the card; other reasons stand as they are."""


def unknown_card(figures: Figures) -> dict[str, Any]:
    """Return the numbers of the card: `options`, `all`, `count`, `decidable`, `unlisted`, `prices` and `stays`."""
    undecided = figures.sources.undecided
    rows = [_option(row) for row in undecided.options]
    known = [row for row in undecided.options if row["price_as_of"] is not None]
    return {
        "options": rows[:_ROWS],
        "all": rows[:_LISTED],
        "count": len(rows),
        "decidable": undecided.decidable,
        "unlisted": undecided.unlisted,
        "prices": {
            "plan": undecided.options[0]["plan"] if undecided.options else "",
            "region": undecided.region,
            "as_of": min((row["price_as_of"] for row in known), default=None),
        },
        "stays": list(_stays(figures)),
    }


def _option(row: Mapping[str, Any]) -> dict[str, Any]:
    commands = [clean(one) for one in row["commands"]]
    return {
        "rank": row["rank"],
        "title": clean(row["title"]),
        "share": _share_text(row["share"]),
        "width": round(100 * row["share"], 1),
        "notes": list(_notes(row)),
        "volume": _volume_text(row["gb_per_month"]),
        "price": price_text(row),
        "decides_on": row["decides_on"],
        "commands": commands[:_COMMANDS],
        "more": max(0, len(commands) - _COMMANDS),
    }


def _notes(row: Mapping[str, Any]) -> Iterator[str]:
    yield f"{counted(row['operations'], 'operation')} of {counted(row['assignments'], 'assignment')}"
    if row["expected"] is not None and row["excess"]:
        yield f"{100 * row['expected'] // row['excess']} % of it unused in like scopes"
    if row["is_assumed"]:
        yield "the number of records is assumed"
    if row["needs"]:
        yield f"needs also {', '.join(clean(name) for name in row['needs'])}"
    if row["licence"]:
        yield f"licence: {clean(row['licence'])}"


def _share_text(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= _LEAST_SHARE or not share else f"<{100 * _LEAST_SHARE:.1f} %"


def _volume_text(gigabytes: float | None) -> str:
    if not gigabytes:
        return "unknown volume" if gigabytes is None else "no volume"
    return f"{gigabytes_text(gigabytes)} GB a month"


def _stays(figures: Figures) -> Iterator[dict[str, Any]]:
    """Yield why live excess stays under the plan, the most first; what stays by design is left out."""
    excess: Counter[str] = Counter()
    assignments: Counter[str] = Counter()
    whole = 0.0
    for one in figures.proposals:
        if figures.by_design_word(one):
            continue
        absent = latent_of(one["kind"], one["evidence"])
        whole += max(0.0, one["excess_before"] - absent.before)
        left = max(0.0, one["excess_after"] - absent.after)
        if left:
            word = _IN_ROLES if PROPOSAL_KINDS[one["kind"]].changes else str(one["reason"]).partition(":")[0]
            excess[word] += left
            assignments[word] += 1
    ranked = sorted(excess, key=lambda word: (-excess[word], word))
    shown = ranked if len(ranked) <= _STAYS + 1 else ranked[:_STAYS]
    for text, words in [*((word, [word]) for word in shown), ("other reasons", ranked[len(shown) :])]:
        if words:
            left = sum(excess[word] for word in words)
            yield {
                "text": clean(_text_of(text)),
                "assignments": sum(assignments[word] for word in words),
                "excess": left,
                "share": round(100 * left / whole, 1) if whole else 0.0,
            }


def _text_of(word: str) -> str:
    return _UNDECIDED.get(word) or (word if word in (_IN_ROLES, "other reasons") else f"kept whole: {word}")
