"""Name the new roles of a plan, and describe each: for whom, from which evidence, and what it keeps without any."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rightsize.analyze.window import Window
from rightsize.model.nouns import RoleDefinition
from rightsize.propose.assembly.role_uses import RoleUses
from rightsize.propose.needs.needs import USED, USED_BEFORE
from rightsize.propose.selection.plain_names import fitted, plain_name
from rightsize.propose.selection.role_naming import NewRoles, named_roles, role_names
from rightsize.propose.selection.role_places import PlaceNames
from rightsize.propose.selection.role_purpose import RoleUse, days_of, name_purposes
from rightsize.rbac.text import Folded

_LONGEST = 1_000
"""The most characters of a description: an older limit of Azure is 1,024, today's is 2,048."""
_LONGEST_NAME = 48
_NAMED, _REASONS = 3, 4


@dataclass(frozen=True, slots=True)
class TextInput:
    """The input of `give_texts`, besides the roles, their use and their evidence.

    Attributes:
        places: The names of places and teams.
        people: By folded id, the names of principals.
        taken: The names of the tenant's roles.
        earlier: By id, the names of roles in an earlier plan, which they keep.
        window: The observation window.
    """

    places: PlaceNames
    people: Mapping[Folded, str]
    taken: Iterable[str]
    earlier: Mapping[Folded, str]
    window: Window


def give_texts(
    new: NewRoles,
    uses: Mapping[Folded, RoleUses],
    evidence: Mapping[Folded, Mapping[str, Any]],
    asked: TextInput,
) -> NewRoles:
    """Return the new roles with their names, file names and descriptions.

    Args:
        new: The roles.
        uses: By id, what each role is assigned for.
        evidence: By id, the evidence of each role, with the reason for each of its strings.
        asked: The names of the tenant, and the window.
    """
    purposes = name_purposes({id_: _use_of(role, uses[id_]) for id_, role in new.definitions.items()})
    wanted = {
        id_: role_names(
            purposes[id_],
            asked.places.of_role(
                (one.place for one in uses[id_].placements), (one.principal_id for one in uses[id_].placements)
            ),
        )
        for id_ in new.definitions
    }
    named = named_roles(new, wanted, asked.taken, asked.earlier)
    window = asked.window
    days = f"{window.first_day} to {window.last_day} ({window.days} days)"
    return replace(
        named,
        definitions={
            id_: replace(role, description=_describe(uses[id_], evidence[id_], asked.people, days, named.slugs[id_]))
            for id_, role in named.definitions.items()
        },
    )


def _use_of(role: RoleDefinition, uses: RoleUses) -> RoleUse:
    """Return what a role holds and how often that was used: in the window, or else before it."""
    block = role.permissions[0]
    strings = (*(("control", text) for text in block.actions), *(("data", text) for text in block.data_actions))
    seen = uses.seen.used or uses.seen.earlier
    return RoleUse(strings, {key: days_of(found["days"], found["events"]) for key, found in sorted(seen.items())})


def _describe(
    uses: RoleUses, evidence: Mapping[str, Any], people: Mapping[Folded, str], days: str, file_name: str
) -> str:
    """Return the description of a role, as plain text that fits Azure's limit."""
    found = evidence["actions"]
    used = sum(one["why"] == USED for one in found)
    text = " ".join(
        (
            f"For {_holders(uses, people)}.",
            f"Used, by the logs of {days}: {used:,} of {_counted(len(found))}.",
            *_unseen(found),
        )
    )
    end = f" By rightsize; the evidence for each is in evidence/{file_name}.json."
    return fitted(text, _LONGEST - len(end)) + end


def _holders(uses: RoleUses, people: Mapping[Folded, str]) -> str:
    ids = sorted({one.principal_id for one in uses.placements})
    names = [plain_name(people.get(id_, id_), _LONGEST_NAME, also="@.") or id_ for id_ in ids[:_NAMED]]
    more = len(ids) - len(names)
    if more > 0:
        return f"{', '.join(names)} and {more:,} more"
    return " and ".join([*([", ".join(names[:-1])] if names[1:] else []), *names[-1:]])


def _unseen(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the sentence that counts by reason what is kept without a use in the window, if anything is."""
    reasons = Counter(_reason_of(one) for one in found if one["why"] != USED)
    if not reasons:
        return
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    said = [f"{number:,} since {reason}" for reason, number in ranked[:_REASONS]]
    more = sum(number for _, number in ranked[_REASONS:])
    if more:
        said.append(f"{more:,} for other reasons")
    yield f"Kept without an observed use: {'; '.join(said)}."


def _reason_of(one: Mapping[str, Any]) -> str:
    if one["why"] == USED_BEFORE:
        return "they were used before these days"
    return str((one.get("meaning") or [one["why"]])[0])


def _counted(number: int) -> str:
    return f"{number:,} action" + ("" if number == 1 else "s")
