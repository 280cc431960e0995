"""Name the new roles of a plan, and describe each: what it is for, and where its evidence is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from rightsize.model.nouns import RoleDefinition
from rightsize.propose.assembly.role_uses import RoleUses
from rightsize.propose.core.read_patterns import PatternPart, is_read
from rightsize.propose.core.role_catalog import RoleBook
from rightsize.propose.needs.risky_changes import RiskyChanges
from rightsize.propose.selection.role_names import NewRoles, PlaceNames, fitted, named_roles, role_names
from rightsize.propose.selection.role_purpose import OperationKey, RoleUse, name_purposes
from rightsize.rbac.text import Folded, fold
from rightsize.rules.role_words import READER, RoleWords, words_of

_LONGEST = 1_000
"""The most characters of a description: an older limit of Azure is 1,024, today's is 2,048."""
_MORE = ", and what its other actions say"


@dataclass(frozen=True, slots=True)
class TextInput:
    """The input of `give_texts`, besides the roles and their use.

    Attributes:
        places: The names of places and teams.
        taken: The names of the tenant's roles.
        earlier: By id, the names of roles in an earlier plan, which they keep.
        risky: The risky changes, which a name says.
        book: The roles of today.
    """

    places: PlaceNames
    taken: Iterable[str]
    earlier: Mapping[Folded, str]
    risky: RiskyChanges
    book: RoleBook


def give_texts(new: NewRoles, uses: Mapping[Folded, RoleUses], asked: TextInput) -> NewRoles:
    """Return the new roles with their names, file names and descriptions.

    Args:
        new: The roles.
        uses: By id, what each role is assigned for.
        asked: The names of the tenant, and what a name says.
    """
    read = {id_: _use_of(role, uses[id_], asked) for id_, role in new.definitions.items()}
    purposes = name_purposes(read)
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
    words = words_of(sorted({key for one in read.values() for key in one.strings}))
    return replace(
        named,
        definitions={
            id_: replace(role, description=_describe(read[id_], uses[id_], named.slugs[id_], words))
            for id_, role in named.definitions.items()
        },
    )


def _use_of(role: RoleDefinition, uses: RoleUses, asked: TextInput) -> RoleUse:
    """Return what a role holds, what of it was used (in the window, or else before it), and what is risky."""
    block, index = role.permissions[0], asked.book.index
    strings = (*(("control", text) for text in block.actions), *(("data", text) for text in block.data_actions))
    taken_out = {"control": block.not_actions, "data": block.not_data_actions}
    granted = index.mask((plane, fold(text)) for plane, text in strings if "*" not in text)
    for plane, text in strings:
        if "*" in text:
            granted |= asked.book.part_mask(PatternPart((text,), taken_out[plane], plane))
    risky = {key: kind for kind, mask in asked.risky.items() for key in index.members(mask & granted)}
    return RoleUse(strings, frozenset(uses.seen.used or uses.seen.earlier), risky)


def _describe(read: RoleUse, uses: RoleUses, file_name: str, words: Mapping[OperationKey, RoleWords]) -> str:
    """Return the description of a role, as plain text that fits Azure's limit; nothing in it changes by itself."""
    end = f" By rightsize; the reason for each action is in evidence/{file_name}.json."
    text = f"{_kind_of(uses)} {_work_of(read.strings, words)}"
    room = _LONGEST - len(end) - 1
    if len(text) > room:
        text = text[: room - len(_MORE)].rpartition("),")[0] + ")" + _MORE
    return fitted(text, room) + "." + end


def _kind_of(uses: RoleUses) -> str:
    if uses.is_add_on:
        return "An add-on that keeps risky work apart:"
    return "For those who do the same job:" if uses.job else "For work beside the jobs of others:"


def _work_of(strings: Iterable[OperationKey], words: Mapping[OperationKey, RoleWords]) -> str:
    """Return what a role changes, by resource: `VM (restart, write), Disk (delete)`; or what it reads."""
    ordered = sorted(set(strings))
    changes = [key for key in ordered if words[key].agent != READER and not is_read(key[1])]
    found: dict[str, set[str]] = defaultdict(set)
    for key in changes or ordered:
        last = key[1].rsplit("/", 1)[-1]
        verb = words[key].verb.lower() if last.lower() == "action" else last.lower()
        found[words[key].thing].add({"*": "everything"}.get(verb, verb) or "act")
    return ", ".join(f"{thing} ({', '.join(sorted(verbs))})" for thing, verbs in sorted(found.items()))
