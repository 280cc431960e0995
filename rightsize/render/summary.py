"""Write the HTML summary of a plan: the numbers on the first screen, everything else below.

It has no script, no outside resource and a strict policy. The template engine escapes every name, so that the name of
a principal stays text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from heapq import nlargest
from typing import Any

from rightsize.model.plan import PROPOSAL_KINDS, Plan, PlanePart, Proposal
from rightsize.model.plan_totals import total_excess
from rightsize.render import sentences
from rightsize.render.escape import for_terminal
from rightsize.render.pictures import CURVE_HEIGHT, CURVE_WIDTH, draw_curve
from rightsize.render.templating import open_templates, select_classes
from rightsize.rules.prices import describe_unlogged

_TOP = 8
_SHOWN_BEYOND = 50
MOST_ROWS = 2_000
"""The most changes, and the most kept assignments, on the page: no browser shows a hundred thousand."""
_SHOWN_VERDICTS = ("used", "unused", "unobservable", "out_of_coverage")


def write_summary(plan: Plan, title: str = "Least privilege for this tenant", *, layers: str = "") -> str:
    """Return the summary page as HTML.

    Args:
        plan: The plan.
        title: The heading of the page.
        layers: The matrix of `render.pictures`; an empty text leaves it out.
    """
    return open_templates().get_template("summary.html.j2").render(_facts(plan, title), layers=layers)


def _facts(plan: Plan, title: str) -> dict[str, Any]:
    changed = [one for one in plan.proposals if one.kind.changes]
    kinds: Counter[str] = Counter(one.kind for one in plan.proposals)
    excess = total_excess(plan.proposals)
    return {
        "title": title,
        "window": plan.generated_from["window"],
        "short": [_text(line) for line in sentences.short_lines(plan.generated_from["window"])],
        "content_hash": plan.generated_from["content_hash"],
        "unlogged": describe_unlogged(),
        "assignments": len(plan.proposals),
        "principals": {name for one in plan.proposals for name in one.principal_ids},
        "changes": len(changed),
        "verdicts": {name: plan.verdicts.get(name, 0) for name in ("granted", *_SHOWN_VERDICTS, "unexplained")},
        "shares": _shares(plan.verdicts),
        "excess": sentences.excess_facts(excess),
        "replay": plan.replay,
        "keeps": select_classes("kind", (kind for kind in PROPOSAL_KINDS.values() if kind.keeps)),
        "removes": select_classes("kind", sorted((kind for kind in PROPOSAL_KINDS.values() if kind.removes), key=len)),
        "kinds": [(kind, kinds[kind]) for kind in PROPOSAL_KINDS if kinds[kind]],
        "beyond": [_of_part(part, {**plan.names, **part.names}) for part in plan.parts if part.proposals],
        "reads": plan.reads,
        "separation": [_text(line) for line in sentences.separation_lines(plan.separation)],
        "curve": draw_curve(plan.curve, len(plan.roles), excess.all_live),
        "curve_size": (CURVE_WIDTH, CURVE_HEIGHT),
        "top": _top(plan),
        "changed": [_row(one, plan.names) for one in _weightiest(changed, lambda one: one.excess_after)],
        "kept_number": len(plan.proposals) - len(changed),
        "kept": [
            _row(one, plan.names)
            for one in _weightiest([one for one in plan.proposals if one.kind.keeps], lambda _: 0.0)
        ],
        "most_rows": MOST_ROWS,
        "advice": [{"subject": _named(one.subject, plan.names), "text": _text(one.text)} for one in plan.advice],
    }


def _weightiest(proposals: Sequence[Proposal], left: Callable[[Proposal], float]) -> Sequence[Proposal]:
    """Return the proposals that remove the most excess, as many as the page has room for, in the given order."""
    if len(proposals) <= MOST_ROWS:
        return proposals
    kept = {one.id for one in nlargest(MOST_ROWS, proposals, key=lambda one: (one.excess_before - left(one), one.id))}
    return [one for one in proposals if one.id in kept]


def _of_part(part: PlanePart, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the page's part on a plane beyond Azure roles; its counts have other units and are not added up."""
    changed = [one for one in part.proposals if one.kind.changes]
    changed.sort(key=lambda one: (one.excess_after - one.excess_before, one.id))
    return {
        "plane": part.plane,
        "title": sentences.plane_title(part.plane),
        "proposals": len(part.proposals),
        "changes": len(changed),
        "replay": part.replay,
        "rows": [_row(one, names) for one in changed[:_SHOWN_BEYOND]],
        "reads": part.reads,
        "advice": [_text(one.text) for one in part.advice[:_SHOWN_BEYOND]],
    }


def _shares(verdicts: Mapping[str, int]) -> list[tuple[str, float]]:
    whole = sum(verdicts.get(name, 0) for name in _SHOWN_VERDICTS)
    return [(name, round(100 * verdicts.get(name, 0) / whole, 1)) for name in _SHOWN_VERDICTS if whole]


def _top(plan: Plan) -> list[dict[str, Any]]:
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for one in plan.proposals:
        for name in one.principal_ids:
            before[name] += round(one.excess_before)
            after[name] += round(one.excess_after)
    ranked = sorted(before, key=lambda name: (after[name] - before[name], name))[:_TOP]
    return [
        {
            "name": _named(name, plan.names),
            "before": before[name],
            "after": after[name],
            "left": round(100 * after[name] / before[name]) if before[name] else 0,
        }
        for name in ranked
    ]


def _row(proposal: Proposal, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "principal": _named(proposal.principal_ids[0], names),
        "kind": proposal.kind,
        "role": _named(proposal.evidence["role"], names),
        "at": _text(sentences.short_scope(proposal.evidence["scope"], names)),
        "becomes": _becomes(proposal, names),
        "reason": _text(proposal.reason),
        "breaks": sentences.describe_chance(proposal.break_probability_30d, proposal.evidence),
    }


def _becomes(proposal: Proposal, names: Mapping[str, str]) -> Sequence[Mapping[str, str]]:
    if proposal.comes_beyond:
        return [{"role": _text(name), "at": ""} for name in proposal.comes_beyond]
    places: dict[str, list[str]] = {}
    for one in proposal.assignments:
        until = f" until {one.end_on[:10]}" if one.end_on else ""
        places.setdefault(one.role, []).append(_text(sentences.short_scope(one.scope, names)) + until)
    return [{"role": _named(role, names), "at": ", ".join(found)} for role, found in places.items()]


def _named(id_: str, names: Mapping[str, str]) -> str:
    return _text(names.get(id_, id_))


def _text(text: str) -> str:
    """Return text without invisible and direction-changing characters; the template engine escapes the rest."""
    return for_terminal(text)
