"""Choose the most dangerous subjects of a tenant as cards: each with what to do on Monday and its way back.

The order is that of power: an outside subject that is trusted too widely, then whoever takes the tenant in the fewest
steps, then the holders of severe findings. Emergency access accounts are named apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rightsize.model.nouns import Folded
from rightsize.model.plan import AZURE_ROLES, PLANES_BEYOND, PROPOSAL_KINDS
from rightsize.model.progress import counted
from rightsize.rbac.text import fold
from rightsize.render.next_steps import describe_effort
from rightsize.render.report.figures import Figures
from rightsize.render.report.sections import step_row
from rightsize.render.report.sources import clean
from rightsize.render.summary import describe_grant

CARDS = 5
_REASON = 110
_EMERGENCY = ("emergency_access", "emergency_access_account")
_WAYS_BACK: Mapping[str, str] = {
    AZURE_ROLES: "`rightsize rollout rollback` gives the assignment of today back, with its id",
    "directory": "assign the role again in Microsoft Entra",
    "graph": "grant the permission again, with admin consent",
    "trust": "the script ending in `-rollback` in `trust/` of the plan makes the credential again",
}
_ORDER = ("trust", "directory", "graph", AZURE_ROLES)
"""The planes, the one that gives the most first."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """A dangerous subject.

    Attributes:
        id_: The id of the principal, or issuer and subject of an outsider.
        name: Its display name.
        is_principal: Whether the page has a view of it.
        worst: The proposal for the most dangerous thing that it holds; None where there is none.
        steps: Number of steps in which it takes the tenant; None where it does not.
        rank: Its place in the order.
    """

    id_: str
    name: str
    is_principal: bool
    worst: Mapping[str, Any] | None
    steps: int | None
    rank: tuple[Any, ...]


def danger_cards(figures: Figures) -> dict[str, Any]:
    """Return `cards`, the five most dangerous subjects, the `whole` number of subjects, and what `stays` by design."""
    stays = _emergency_access(figures)
    findings = {fold(row["subject"]): clean(row["reason"]) for row in _severe(figures)}
    # An outsider and the principal that trusts it share a step, which has one card.
    subjects: dict[str, _Subject] = {}
    for one in sorted(_subjects(figures, stays, findings), key=lambda one: one.rank):
        subjects.setdefault(one.worst["id"] if one.worst else one.id_, one)
    cards = [_card(one, findings, figures) for one in list(subjects.values())[:CARDS]]
    names = sorted({figures.principal_name(id_) for id_ in stays})
    return {"cards": cards, "whole": len(subjects), "stays": names}


def _severe(figures: Figures) -> list[dict[str, Any]]:
    return [row for row in figures.sources.findings.to_dicts() if row["severity"] in ("critical", "high")]


def _all_proposals(figures: Figures) -> list[Mapping[str, Any]]:
    return [*figures.proposals, *figures.sources.beyond]


def _emergency_access(figures: Figures) -> set[str]:
    """Return the folded ids of the emergency access accounts, by the findings and by the plan."""
    found = figures.sources.findings
    named = {fold(id_) for control, id_ in found.select("control", "principal_id").iter_rows() if control in _EMERGENCY}
    kept = (
        one for one in _all_proposals(figures)
        if figures.by_design_word(one) in _EMERGENCY or one["reason"].partition(":")[0] in _EMERGENCY
    )  # fmt: skip
    return named | {fold(one["principal_ids"][0]) for one in kept}


def _subjects(figures: Figures, left_alone: set[str], findings: Mapping[Folded, str]) -> Iterator[_Subject]:
    by_holder: dict[str, list[Mapping[str, Any]]] = {}
    by_outsider: dict[str, list[Mapping[str, Any]]] = {}
    for one in _all_proposals(figures):
        by_holder.setdefault(fold(one["principal_ids"][0]), []).append(one)
        trust = one["evidence"].get("trust")
        if trust:
            by_outsider.setdefault(fold(f"{trust['issuer']} {trust['subject']}"), []).append(one)
    seen = set(left_alone)
    for row in figures.sources.reach:
        id_ = fold(row["subject"])
        if not row["takes_tenant"] or row["kind"] == "resource" or id_ in seen:
            continue
        seen.add(id_)
        outside = row["kind"] != "principal"
        worst = _worst_of((by_outsider if outside else by_holder).get(id_, []), findings)
        wide = outside and worst is not None and worst["evidence"]["trust"]["risk"] == "high"
        rank = (not wide, row["state"] != "active", row["tenant_steps"], _keeps(worst), row["cells_used"], row["name"])
        # The issuer of an outsider stands in its own table.
        name = clean(row["name"].rpartition(" (")[0] if outside else row["name"])
        yield _Subject(row["subject"], name, not outside, worst, row["tenant_steps"], rank)
    for row in _severe(figures):
        id_ = fold(row["principal_id"] or "")
        if id_ and id_ not in seen:
            seen.add(id_)
            worst = _worst_of(by_holder.get(id_, []), findings)
            rank = (True, True, float("inf"), _keeps(worst), 0, id_)
            yield _Subject(id_, figures.principal_name(id_), id_ in figures.names, worst, None, rank)


def _worst_of(proposals: Sequence[Mapping[str, Any]], findings: Mapping[Folded, str]) -> Mapping[str, Any] | None:
    return min(proposals, key=lambda one: _worst_first(one, findings), default=None)


def _keeps(proposal: Mapping[str, Any] | None) -> bool:
    return proposal is None or PROPOSAL_KINDS[proposal["kind"]].keeps


def _worst_first(proposal: Mapping[str, Any], findings: Mapping[Folded, str]) -> tuple[Any, ...]:
    severe = any(fold(id_) in findings for id_ in proposal["replaces"])
    narrow = proposal["evidence"]["scope"] != "/"
    plane = _ORDER.index(_plane_of(proposal))
    return (not severe, plane, narrow, _keeps(proposal), -proposal["risk_before"], proposal["id"])


def _plane_of(proposal: Mapping[str, Any]) -> str:
    return str(proposal["plane"]) if proposal["plane"] in PLANES_BEYOND else AZURE_ROLES


def _card(one: _Subject, findings: Mapping[Folded, str], figures: Figures) -> dict[str, Any]:
    held = [*(one.worst["replaces"] if one.worst else ()), one.id_]
    because = next((findings[fold(id_)] for id_ in held if fold(id_) in findings), "")
    way = next((blast["way"] for blast in figures.sources.blasts if fold(blast["subject"]) == fold(one.id_)), None)
    does, effort, back = _monday(one.worst, figures)
    return {
        "principal_id": one.id_ if one.is_principal else "",
        "name": one.name,
        "takes": f"whole tenant in {counted(one.steps, 'step')}" if one.steps is not None else "",
        "because": because or _way_text(way),
        "left": _left_text(way),
        "does": does,
        "effort": effort,
        "back": back,
    }


def _way_text(way: Mapping[str, Any] | None) -> str:
    if not way:
        return "a way leads from what it holds to every role"
    first = way["today"][0]
    return clean(f"{first['why']}: {first['to']}")


def _left_text(way: Mapping[str, Any] | None) -> str:
    """Return what the whole plan leaves of the way, where the page draws it."""
    if not way or way["after"] is None:
        return ""
    if not way["after"]:
        return "The plan leaves no way."
    return f"Under the whole plan, a way of {counted(len(way['after']), 'step')} is left."


def _monday(worst: Mapping[str, Any] | None, figures: Figures) -> tuple[str, str, str]:
    """Return what to do, its effort, and the way back."""
    if worst is None:
        look = "see what it holds with `rightsize explain`"
        more = "; `rightsize propose` plans a change" if figures.sources.proposals is None else ""
        return look + more, "", ""
    step = figures.sources.steps.by_proposal().get(worst["id"])
    if step is not None:
        return step_row(step, figures)["does"], clean(describe_effort(step)), _WAYS_BACK[_plane_of(worst)]
    grant = describe_grant(
        figures.role_name(worst["evidence"]["role"]), worst["evidence"]["scope"], _plane_of(worst),
        figures.sources.scope_names,
    )  # fmt: skip
    reason = worst["reason"].partition(";")[0].partition(" (")[0].replace("_", " ")
    reason = reason if len(reason) <= _REASON else f"{reason[: _REASON - 1]}…"
    return clean(f"ask its owner whether {grant} is needed; the plan keeps it: {reason}"), "", "nothing changes yet"
