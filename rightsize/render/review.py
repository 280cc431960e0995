"""Write the Markdown page of a new role, with what a reviewer needs to decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rightsize.analyze.reasons import sentence
from rightsize.model.plan import Plan, PlannedRole, Proposal
from rightsize.render.chance import describe_chance
from rightsize.render.escape import for_markdown
from rightsize.render.role_summary import SERVICE_COLUMNS, summary_text
from rightsize.render.rows import cell, write_markdown
from rightsize.rules.measured import describe_unlogged


def write_review(role: PlannedRole, proposals: Sequence[Proposal], plan: Plan) -> str:
    """Return the review page of a role as Markdown.

    Args:
        role: The role and its evidence.
        proposals: The proposals that assign it.
        plan: The plan, for its window and its names.
    """
    return "\n".join(_page(role, proposals, plan)).rstrip() + "\n"


def _page(role: PlannedRole, proposals: Sequence[Proposal], plan: Plan) -> Iterator[str]:
    definition = role.definition
    window = plan.generated_from["window"]
    yield f"# {for_markdown(definition.role_name)}"
    yield ""
    yield f"Observed from {window['first_day']} to {window['last_day']}, {window['days']} days."
    yield ""
    if "summary" in role.evidence:
        yield from _summary(role, plan.names)
    yield "## The role and its assignments"
    yield ""
    yield f"- Role definition: {definition.role_definition_id}"
    yield f"- Description: {for_markdown(definition.description)}"
    if "layers" in role.evidence:
        found = ", ".join(str(layer).replace("_", " ") for layer in role.evidence["layers"])
        yield f"- Layer of defence that it defeats: {found or 'none'}"
    yield f"- Assignable at: {', '.join(for_markdown(scope) for scope in definition.assignable_scopes)}"
    yield ""
    yield write_markdown(
        [_user(proposal, definition.role_definition_id, plan.names) for proposal in proposals],
        ("principal", "today", "scope today", "new scope", "may break within 30 days", "proof"),
    )
    yield f"A chance of breaking covers logged operations; its upper bound stands beside it. {describe_unlogged()}"
    yield ""
    yield from _tables(role, proposals, plan)


def _summary(role: PlannedRole, names: Mapping[str, str]) -> Iterator[str]:
    """Yield the first screen: the lines of the summary, and today's access beside what stays, by service."""
    text = summary_text(role.evidence["summary"], names)
    for label, line in text.lines:
        yield f"- **{label[:1].upper()}{label[1:]}**: {for_markdown(line)}" if label else f"  - {for_markdown(line)}"
    yield ""
    yield "Operations of the holders by service: of today's roles, those that stay, those of this role, and those used."
    yield ""
    yield write_markdown(text.services, SERVICE_COLUMNS)


def _tables(role: PlannedRole, proposals: Sequence[Proposal], plan: Plan) -> Iterator[str]:
    yield "## Why each action is there"
    yield ""
    yield write_markdown(
        [row for action in role.evidence["actions"] for row in _actions(action, plan.names)],
        ("action", "plane", "because", "calls", "first seen", "last seen", "by"),
    )
    yield "## Removed operations, by reason"
    yield ""
    yield write_markdown(
        [row for proposal in proposals for row in _removed(proposal, plan.names)],
        ("principal", "operations", "because"),
    )
    absent = [row for proposal in proposals for row in _absent(proposal, plan.names)]
    if absent:
        yield "## What had no resource"
        yield ""
        yield write_markdown(absent, ("principal", "types", "operations", "because", "proof"))
    patterns = [action for action in role.evidence["actions"] if "opens" in action]
    built_in = sorted(
        {one.role for proposal in proposals for one in proposal.proof.tomorrow if one.because == "built_in"}
    )
    if patterns or built_in:
        yield "## What the role may grant later"
        yield ""
        yield "The proof covers every possible operation: today's role grants all that a pattern of this role matches."
        yield ""
    if patterns:
        yield write_markdown(
            [_opening(action) for action in patterns],
            ("pattern", "plane", "operations today", "matches", "for example"),
        )
    if built_in:
        named = ", ".join(for_markdown(_named(role_id, plan.names)) for role_id in built_in)
        yield f"These proposals also assign built-in roles, and Microsoft may change what these grant: {named}"


def _user(proposal: Proposal, role_id: str, names: Mapping[str, str]) -> dict[str, Any]:
    places = [
        f"{one.scope} until {one.end_on}" if one.end_on else one.scope
        for one in proposal.assignments
        if one.role == role_id
    ]
    return {
        "principal": _named(proposal.principal_ids[0], names),
        "today": _named(proposal.evidence["role"], names),
        "scope today": proposal.evidence["scope"],
        "new scope": ", ".join(places),
        "may break within 30 days": describe_chance(proposal.break_probability_30d, proposal.evidence),
        "proof": "used ⊆ proposed ⊆ granted" if proposal.proof.holds else f"fails: {proposal.proof.witness}",
    }


def _removed(proposal: Proposal, names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for reason, number in proposal.evidence.get("removed", {}).items():
        yield {"principal": _named(proposal.principal_ids[0], names), "operations": number, "because": sentence(reason)}


def _absent(proposal: Proposal, names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield a row for each reason that rests on existence: the types, and the listings and days that prove it."""
    for entry in proposal.evidence.get("absent", ()):
        listings = ", ".join(
            f"{one['kind']} of {one['subscriptions']} read by {_named(one['reader_id'], names)} "
            f"{cell(one['read_from'])} to {cell(one['read_to'])}"
            for one in entry.get("listings", ())
        )
        days = f"log of {entry['log_days']} of {entry['window_days']} days" if "log_days" in entry else entry["proof"]
        yield {
            "principal": _named(proposal.principal_ids[0], names),
            "types": ", ".join(f"{kind} ({number})" for kind, number in entry["resource_types"].items()),
            "operations": entry["operations"],
            "because": entry["meaning"],
            "proof": "; ".join(part for part in (listings, days) if part),
        }


def _actions(action: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the row of an action, and for a pattern the rows of the operations that it covers."""
    yield _action(action, names)
    for one in action.get("stands_for", ()):
        yield _action(one, names) | {"action": f"{one['action']} (in {action['action']})"}


def _opening(action: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "pattern": action["action"],
        "plane": action["plane"],
        "operations today": action["operations"],
        "matches": action["opens"],
        "for example": action["for_example"],
    }


def _action(action: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    people = [_named(name, names) for name in action.get("principal_ids", ())]
    more = action.get("principals", 0) - len(people)
    return {
        "action": action["action"],
        "plane": action["plane"],
        "because": _because(action),
        "calls": action.get("events"),
        "first seen": cell(action.get("first_seen"))[:10],
        "last seen": cell(action.get("last_seen"))[:10],
        "by": ", ".join(people) + (f" and {more} more" if more > 0 else ""),
    }


def _because(action: Mapping[str, Any]) -> str:
    """Return why an action is there: `used`, or the sentences of its reasons with the change that brings it along."""
    if action["why"] == "used":
        return "used"
    said = "; ".join(action.get("meaning", ())) or str(action["why"])
    if not isinstance(action.get("with"), str):
        return said
    return f"{said}: {action['with']} ({str(action.get('rule', '')).replace('_', ' ')})"


def _named(id_: str, names: Mapping[str, str]) -> str:
    return f"{names[id_]} ({id_})" if id_ in names else id_
