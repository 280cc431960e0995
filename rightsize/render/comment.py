"""Write a plan, or the difference of two roles, as a comment on a pull request.

Names are written as code, since an attacker may choose a name that is a link, a mention or a table. A host takes 65,536
characters; a longer text is cut at a row, and its top says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rightsize.analyze.reasons import SENTENCES
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import PROPOSAL_KINDS, Plan, PlannedRole, Proposal, count_by_plane
from rightsize.model.plan_totals import NextSteps, total_excess
from rightsize.render import sentences
from rightsize.render.escape import for_comment, for_markdown
from rightsize.render.next_steps import left_out_line, next_lines
from rightsize.render.role_summary import SERVICE_COLUMNS, summary_text
from rightsize.rules.prices import describe_unlogged

LONGEST = 65_536
"""The most characters of a comment on GitHub; counted as bytes here, which are never fewer."""

_PLACES, _ROLES, _REASON, _SHORT = 2, 3, 160, 8
_NOTE = 400
_SUMMARIES = 12
"""The most summaries of new roles in a comment; each role has its page, too."""
_ROOTS = {"graph": "Microsoft Graph", "directory": "the directory", "trust": "outside subjects", "vault": "the vaults"}
_COLUMNS = ("proposal", "principal", "today", "becomes", "because", "proof", "may break")
_DIFF = ("", "operation", "plane", "found in")


def write_comment(
    plan: Plan, names: Mapping[str, str], states: Mapping[str, str] | None = None, steps: NextSteps | None = None
) -> str:
    """Return a plan as a comment.

    Args:
        plan: The plan.
        names: Display names of principals, roles and high scopes.
        states: The status of each proposal in a review, by id, where there is a review.
        steps: The order in which changes are best made, which opens the comment and orders its table.
    """
    ranks = steps.ranks() if steps is not None else {}
    changed = sorted(
        (one for one in plan.all_proposals if one.kind.changes),
        key=lambda one: (ranks.get(one.id, 0), one.excess_after - one.excess_before, one.id),
    )
    short = short_ids([one.id for one in plan.all_proposals])
    columns = (*_COLUMNS, "review") if states is not None else _COLUMNS
    rows = []
    for one in changed:
        cells = [f"<code>{short[one.id]}</code>", *_cells(one, names)]
        rows.append(_line([*cells, (states.get(one.id) or "open")] if states is not None else cells))
    head = list(_head(plan, changed, steps or NextSteps()))
    foot = list(_foot(plan))
    text = _fit(head, columns, rows, foot, "changes, the best ones first")
    return text + _roles(plan, names, LONGEST - len(text.encode()))


def write_difference(old: RoleDefinition, new: RoleDefinition, rows: Sequence[Mapping[str, str]]) -> str:
    """Return the operations that only one of two roles grants, as a comment.

    Args:
        old: The role before the change; `new` is the role after it.
        new: See `old`.
        rows: `only_in` (A for `old`), `operation`, `plane`, `from` (witness, catalogue), as `roles diff` gives them.
    """
    known = Counter(row["only_in"] for row in rows if row["from"] == "catalogue")
    more, less = (any(row["only_in"] == side for row in rows) for side in ("B", "A"))
    said = {
        (False, False): "Both roles grant the same, for every possible operation.",
        (False, True): "The new role grants only a part of what the old role grants, for every possible operation.",
        (True, False): "**The new role grants more** than the old role, and everything that the old role grants.",
        (True, True): "**The new role grants operations that the old role does not**, and lacks others.",
    }[more, less]
    head = [f"### Role {for_comment(old.role_name or 'A')} becomes {for_comment(new.role_name or 'B')}", "", said]
    if known:
        head[-1] += f" Of the operations of the catalogue, {known['A']:,} are removed and {known['B']:,} are added."
    ordered = sorted(rows, key=lambda row: (row["only_in"] != "B", row["from"] != "witness"))
    lines = [
        _line(
            [
                "added" if row["only_in"] == "B" else "removed",
                for_comment(row["operation"]),
                row["plane"],
                "an example" if row["from"] == "witness" else "the catalogue",
            ]
        )
        for row in ordered
    ]
    return _fit(head, _DIFF, lines, [], "operations, the added ones first")


def short_ids(ids: Sequence[str]) -> dict[str, str]:
    """Return for each id its shortest unique beginning, of at least 8 characters after the plane's name."""
    ordered = sorted(ids)
    found = {}
    for before, one, after in zip(["", *ordered], ordered, [*ordered[1:], ""], strict=False):
        length = len(one.partition("-")[0]) + 1 + _SHORT if one.startswith(("graph-", "directory-")) else _SHORT
        while length < len(one) and any(other.startswith(one[:length]) for other in (before, after)):
            length += 1
        found[one] = one[:length]
    return found


def _head(plan: Plan, changed: Sequence[Proposal], steps: NextSteps) -> Iterator[str]:
    window, replay = plan.generated_from["window"], plan.replay
    every = plan.all_proposals
    gone, come = (sum(len(getattr(one, name)) for one in changed) for name in ("replaces", "assignments"))
    yield f"### {len(changed):,} of {len(every):,} assignments change"
    yield ""
    if "short" in window:
        first, *others = map(for_markdown, sentences.short_lines(window))
        yield " ".join([f"**{first}**", *others])
        yield ""
    if "preview" in window:
        yield f"**This plan is a preview**: {for_markdown(window['preview'])}."
        yield ""
    first, *waves = [*next_lines(steps)] or [""]
    if first:
        yield first
        yield ""
        yield from (f"- {line.strip()}" for line in waves)
        yield from (f"- Not {line.removeprefix('not ')}" for line in (left_out_line(steps),) if line)
        yield ""
    parts = count_by_plane((one.plane, one.kind) for one in every)
    for plane, kinds in parts.items() if len(parts) > 1 else ():
        changes = sum(number for kind, number in kinds.items() if PROPOSAL_KINDS[kind].changes)
        yield f"- {sentences.plane_title(plane)}: {changes:,} of {sum(kinds.values()):,} assignments change"
    if len(parts) > 1:
        yield ""
    for line in sentences.excess_lines(total_excess(every)):
        yield line
        yield ""
    yield (
        f"The plan removes {gone:,} assignments and makes {come:,}, with {len(plan.roles):,} new roles. "
        f"Replay of {window['first_day']} to {window['last_day']}, Azure roles: {replay.get('allowed', 0):,} distinct "
        f"calls stay allowed, {replay.get('needs_activation', 0):,} need an activation, "
        f"**{replay.get('denied', 0):,} are denied**."
    )
    if plan.separation:
        yield ""
        yield "Effect of the split by layers of defence:"
        yield ""
        yield from (f"- {for_comment(line)}" for line in sentences.separation_lines(plan.separation))
    unproved = sum(not one.proof.holds for one in changed)
    if unproved:
        yield ""
        yield f"**{unproved:,} changes are not proved.**"


def _cells(one: Proposal, names: Mapping[str, str]) -> list[str]:
    more = len(one.principal_ids) - 1
    comes = list(_comes(one, names))
    state = "" if one.evidence.get("state", "active") == "active" else f" ({one.evidence['state']})"
    grows = ", may grant more later" if one.proof.tomorrow else ""
    return [
        _named(one.principal_ids[0], names) + (f" and {more} more" if more > 0 else ""),
        f"{_named(one.evidence['role'], names)} at {_place(one.evidence['scope'], one, names)}{state}",
        "; ".join(comes[:_ROLES]) + (f"; and {len(comes) - _ROLES} more" if len(comes) > _ROLES else "") or "nothing",
        for_comment(_cut(SENTENCES.get(one.reason, one.reason))),
        f"proved{grows}" if one.proof.holds else f"**fails**: {for_comment(one.proof.witness or '')}",
        sentences.describe_chance(one.break_probability_30d, one.evidence),
    ]


def _comes(one: Proposal, names: Mapping[str, str]) -> Iterator[str]:
    if one.comes_beyond:
        yield ", ".join(map(for_comment, one.comes_beyond))
        return
    places: dict[tuple[str, str], list[str]] = {}
    for made in one.assignments:
        state = " (eligible)" if made.state == "eligible" else ""
        state += f" until {made.end_on[:10]}" if made.end_on else ""
        places.setdefault((made.role, state), []).append(_place(made.scope, one, names))
    for (role, state), found in places.items():
        rest = f" and {len(found) - _PLACES} more" if len(found) > _PLACES else ""
        yield f"{_named(role, names)} at {', '.join(found[:_PLACES])}{rest}{state}"


def _roles(plan: Plan, names: Mapping[str, str], room: int) -> str:
    """Return the summaries of some new roles, folded: those for the most assignments first, as room allows."""
    known = [role for role in plan.roles if "summary" in role.evidence]
    known.sort(key=lambda role: (-role.evidence["summary"]["assignments"], role.definition.role_name))
    texts = ["\n".join(_role(role, names)) + "\n" for role in known]
    shown = min(_SUMMARIES, _fitting(texts, room - _NOTE))
    if not shown:
        return ""
    some = f"the first {shown:,} of {len(known):,}" if shown < len(known) else f"{shown:,}"
    return f"\n**New roles: {some}**\n\n" + "".join(texts[:shown])


def _role(role: PlannedRole, names: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of a folded summary, as the page of the role has it."""
    text = summary_text(role.evidence["summary"], names)
    yield f"<details><summary>{for_comment(role.definition.role_name)}</summary>"
    yield ""
    yield _table(("", ""))
    yield from (_line([label, for_comment(line)]) for label, line in text.lines)
    yield ""
    yield _table(SERVICE_COLUMNS)
    for row in text.services:
        service, *counts = (row[name] for name in SERVICE_COLUMNS)
        yield _line([for_comment(service), *(f"{number:,}" for number in counts)])
    yield ""
    yield "</details>"


def _place(scope: str, one: Proposal, names: Mapping[str, str]) -> str:
    if scope == "/" and one.plane in _ROOTS:
        return _ROOTS[one.plane]
    return for_comment(sentences.short_scope(scope, names))


def _named(id_: str, names: Mapping[str, str]) -> str:
    return for_comment(_cut(names.get(id_, id_)))


def _cut(text: str) -> str:
    return text if len(text) <= _REASON else text[: _REASON - 1] + "…"


def _foot(plan: Plan) -> Iterator[str]:
    kept = Counter(
        _cut(SENTENCES.get(one.reason, one.reason.partition(":")[0])) for one in plan.all_proposals if one.kind.keeps
    )
    if kept:
        yield ""
        yield f"<details><summary>{sum(kept.values()):,} assignments stay as they are</summary>"
        yield ""
        yield _table(("because", "assignments"))
        for reason, number in sorted(kept.items(), key=lambda item: (-item[1], item[0]))[:20]:
            yield _line([for_comment(reason), f"{number:,}"])
        yield ""
        yield "</details>"
    yield ""
    yield (
        "*may break*: the chance that a removed operation is needed within 30 days, and its upper bound. "
        f"It covers logged operations only. {describe_unlogged()} "
        "`evidence/` has the evidence for each action: a page and a JSON file for each role. "
        f"Plan of {for_comment(str(plan.generated_from['content_hash'])[:12])}."
    )


def _fit(head: list[str], columns: Sequence[str], rows: Sequence[str], foot: Sequence[str], what: str) -> str:
    """Return the text with the rows that fit; where some do not, the top gives both numbers."""
    whole = _joined(head, columns, rows, foot) if rows else "\n".join([*head, *foot]) + "\n"
    if len(whole.encode()) <= LONGEST:
        return whole
    shown = _fitting(rows, LONGEST - _NOTE - len(_joined(head, columns, [], foot).encode()))
    note = f"**A comment has no room for all. The table has {shown:,} of {len(rows):,} {what}; `plan.json` has all.**"
    return _joined([*head, "", note], columns, rows[:shown], foot)


def _fitting(texts: Sequence[str], room: int) -> int:
    """Return how many of the texts, each with a line end, have room for that many bytes."""
    for number, text in enumerate(texts):
        room -= len(text.encode()) + 1
        if room < 0:
            return number
    return len(texts)


def _joined(head: Sequence[str], columns: Sequence[str], rows: Sequence[str], foot: Sequence[str]) -> str:
    return "\n".join([*head, "", _table(columns), *rows, *foot]) + "\n"


def _table(columns: Sequence[str]) -> str:
    return _line(columns) + "\n|" + " --- |" * len(columns)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
