"""Compute the report's section of what stays by design: assignments that no evidence would change."""

from __future__ import annotations

from typing import Any

from rightsize.model.plan import PLANE_NAMES, PROPOSAL_KINDS
from rightsize.model.plan_totals import total_excess_of
from rightsize.model.progress import counted
from rightsize.render.report.figures import SHOWN, Figures
from rightsize.render.report.sources import clean

_BEYOND = ("emergency_access", "excluded", "last_global_administrator", "by_the_service", "first_party")
"""The first words of the reasons in other planes that no evidence would change."""


def by_design_part(figures: Figures) -> dict[str, Any]:
    """Return `fact`, a line; `rows`, the assignments with the largest excess first; `whole`, the number of all.

    Rows of other planes come last, and their excess is not shown: it has other units.
    """
    totals = total_excess_of(figures.proposals)
    own = sorted(filter(figures.by_design_word, figures.proposals), key=lambda one: (-one["excess_before"], one["id"]))
    beyond = [
        one for one in figures.sources.beyond if PROPOSAL_KINDS[one["kind"]].keeps and _word_beyond(one["reason"])
    ]
    beyond.sort(key=lambda one: (one["plane"], one["id"]))
    reasons = sorted(totals.reasons.items(), key=lambda one: (-one[1], one[0]))
    named = ", ".join(f"{number:,} {word.replace('_', ' ')}" for word, number in reasons)
    share = f"{100 * totals.share_by_design:.0f} % of all excess"
    fact = [f"{counted(len(own), 'assignment')} with {share} ({named})"] if own else []
    fact += [f"{counted(len(beyond), 'assignment')} beyond Azure roles"] if beyond else []
    rows = [_row(one, figures) for one in own] + [_row_beyond(one, figures) for one in beyond]
    return {"fact": ", ".join(fact), "rows": rows[:SHOWN], "whole": len(rows)}


def _row(one: Any, figures: Figures) -> dict[str, Any]:
    word = figures.by_design_word(one)
    sentence = one["reason"].partition(": ")[2].partition("; enough would be")[0]
    return {
        "proposal": one["id"],
        "principal": figures.principal_name(one["principal_ids"][0]),
        "role": figures.role_name(one["evidence"]["role"]),
        "at": figures.place(one["evidence"]["scope"]),
        "word": clean(word),
        "why": clean(sentence),
        "enough": clean(one["evidence"].get("enough", "")),
        "excess": one["excess_before"],
    }


def _row_beyond(one: Any, figures: Figures) -> dict[str, Any]:
    return {
        "proposal": "",
        "principal": figures.principal_name(one["principal_ids"][0]),
        "role": figures.role_name(one["evidence"]["role"]),
        "at": PLANE_NAMES[one["plane"]],
        "word": _word_beyond(one["reason"]),
        "why": clean(one["reason"].partition(": ")[2]),
        "enough": "",
        "excess": None,
    }


def _word_beyond(reason: str) -> str:
    word = reason.partition(":")[0]
    return word if word in _BEYOND else ""
