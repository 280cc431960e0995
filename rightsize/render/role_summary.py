"""Write the summary of a new role as labelled lines and a small table, for every output that shows it.

Write the Markdown page of a new role, with what a reviewer needs to decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rightsize.analyze.reasons import sentence
from rightsize.model.plan import Plan, PlannedRole, Proposal
from rightsize.render.escape import for_markdown
from rightsize.render.rows import cell, write_markdown
from rightsize.render.sentences import describe_chance, short_scope
from rightsize.rules.prices import describe_unlogged

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
_HOLDERS, _PLACES, _USED, _KEPT, _REMOVED, _SERVICES, _TYPES = 4, 2, 4, 4, 3, 6, 5


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
        yield "an add-on, only for those who did this, apart from the roles of their jobs"
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
        beside = f" with {one['with']}" if "with" in one else ""
        example = "" if number else f", such as {one['for_example']}{beside}"
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
    yield write_markdown([_user(proposal, definition.role_definition_id, plan.names) for proposal in proposals])
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
    yield write_markdown([row for action in role.evidence["actions"] for row in _actions(action, plan.names)])
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
        yield write_markdown(absent)
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
        yield write_markdown([_opening(action) for action in patterns])
    if built_in:
        named = ", ".join(for_markdown(_name_with_id(role_id, plan.names)) for role_id in built_in)
        yield f"These proposals also assign built-in roles, and Microsoft may change what these grant: {named}"


def _user(proposal: Proposal, role_id: str, names: Mapping[str, str]) -> dict[str, Any]:
    places = [
        f"{one.scope} until {one.end_on}" if one.end_on else one.scope
        for one in proposal.assignments
        if one.role == role_id
    ]
    return {
        "principal": _name_with_id(proposal.principal_ids[0], names),
        "today": _name_with_id(proposal.evidence["role"], names),
        "scope today": proposal.evidence["scope"],
        "new scope": ", ".join(places),
        "may break within 30 days": describe_chance(proposal.break_probability_30d, proposal.evidence),
        "proof": "used ⊆ proposed ⊆ granted" if proposal.proof.holds else f"fails: {proposal.proof.witness}",
    }


def _removed(proposal: Proposal, names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for reason, number in proposal.evidence.get("removed", {}).items():
        yield {
            "principal": _name_with_id(proposal.principal_ids[0], names),
            "operations": number,
            "because": sentence(reason),
        }


def _absent(proposal: Proposal, names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield a row for each reason that rests on existence: the types, and the listings and days that prove it."""
    for entry in proposal.evidence.get("absent", ()):
        listings = ", ".join(
            f"{one['kind']} of {one['subscriptions']} read by {_name_with_id(one['reader_id'], names)} "
            f"{cell(one['read_from'])} to {cell(one['read_to'])}"
            for one in entry.get("listings", ())
        )
        days = f"log of {entry['log_days']} of {entry['window_days']} days" if "log_days" in entry else entry["proof"]
        yield {
            "principal": _name_with_id(proposal.principal_ids[0], names),
            "types": _most(entry["resource_types"]),
            "operations": entry["operations"],
            "because": entry["meaning"],
            "proof": "; ".join(part for part in (listings, days) if part),
        }


def _most(types: Mapping[str, int]) -> str:
    """Return the types with most operations; the plan's table of absent types has all of them."""
    shown = sorted(types.items(), key=lambda one: (-one[1], one[0]))[:_TYPES]
    more = len(types) - len(shown)
    return ", ".join(f"{kind} ({number})" for kind, number in shown) + (f" and {more} more" if more else "")


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
    people = [_name_with_id(name, names) for name in action.get("principal_ids", ())]
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
    if "with" not in action:
        return said
    rule = str(action.get("source") or action.get("rule", "")).replace("_", " ")
    return f"{said}: {action['with']} ({rule})"


def _name_with_id(id_: str, names: Mapping[str, str]) -> str:
    return f"{names[id_]} ({id_})" if id_ in names else id_
