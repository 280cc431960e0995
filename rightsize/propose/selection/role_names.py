"""Identify the new roles by their content, and name each by its purpose and its place.

The same content has the same id in every run. A name is a function of the purpose, the place and the tenant's names. It
is harmless although anybody may have chosen the display names in it: an allow list decides what stays of these, which
is letters, digits and a few separators. `render.escape` still escapes each name in every output; a name in a role
definition reaches portals and scripts that this program does not write.
"""

from __future__ import annotations

import json
import re
import unicodedata
import uuid
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count

import polars as pl

from rightsize.analyze.inputs import Inputs, folded, place_of
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import strings_of
from rightsize.model.text import Folded
from rightsize.propose.core.role_catalog import RoleContent
from rightsize.propose.core.role_patterns import AzureLimits
from rightsize.propose.core.scopes import MANAGEMENT_GROUP, anchor_of_place
from rightsize.propose.drafts.drafts import Draft
from rightsize.propose.selection.reconcile import RoleKey, role_key

LONGEST = 64
"""The most characters of a role's name: Azure accepts 512, its portal shows about as many as this in a column."""
DASH = "\u2013"
"""The dash between the purpose of a role and its place."""
_BETWEEN = f" {DASH} "
_LONGEST_PLACE = 36
_SHORTEST = 4
"""The fewest characters to which a longer place may be cut."""
_SUBSCRIPTION = "/subscriptions/"
_GROUP_AT = 3
"""The position of `resourceGroups` among the parts of a scope, split at slashes."""
_NAMESPACE = uuid.UUID("6f0f3a52-6a5c-5c0e-9d53-8f5c2d1f7b11")
_INNER = frozenset("-_")
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_MOST_MARKS = 2
_SELECTORS = (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))


@dataclass(frozen=True, slots=True)
class NewRoles:
    """The new roles of a plan.

    Attributes:
        placed: The role id for (key of the new role, subscription or management group).
        slugs: The base name of each role's files, by id; empty until the roles have names.
    """

    definitions: Mapping[Folded, RoleDefinition]
    placed: Mapping[tuple[RoleKey, Folded], Folded]
    slugs: Mapping[Folded, str] = field(default_factory=dict)


def identify_roles(
    drafts: Iterable[Draft], existing: Container[Folded], spelling: Mapping[Folded, str], limits: AzureLimits
) -> NewRoles:
    """Return the new roles of the drafts, with ids and assignable scopes, but without names.

    The id is computed from the content of the role, so it stays the same if more or fewer subscriptions need the role.
    The assignable scopes are these subscriptions, and a management group if one needs the role: Azure accepts one
    beside subscriptions, and each further one gets a role of its own. An existing role is never edited: if the
    tenant already has a role with that id, and it was not chosen unchanged, the new role gets a different id.

    Args:
        drafts: The settled drafts.
        existing: The ids of the tenant's roles.
        spelling: Folded scope to the scope as it is spelled.
        limits: Azure's limits; a role that would list more scopes than Azure accepts becomes several roles.
    """
    anchors: dict[RoleKey, set[Folded]] = defaultdict(set)
    for placement in (one for draft in drafts for one in draft.placements):
        if (key := role_key(placement)) is not None:
            anchors[key].add(anchor_of_place(placement.place))
    groups: dict[RoleContent, str] = {content: group for content, group in sorted(anchors, reverse=True) if group}
    keys_of: dict[RoleKey, list[RoleKey]] = defaultdict(list)
    for content, group in sorted(anchors):
        keys_of[content, group or groups.get(content, "")].append((content, group))
    definitions: dict[Folded, RoleDefinition] = {}
    placed: dict[tuple[RoleKey, Folded], Folded] = {}
    for key, members in sorted(keys_of.items()):
        ordered = sorted(anchor for member in members for anchor in anchors[member])
        for start in range(0, len(ordered), limits.assignable_scopes):
            chunk = ordered[start : start + limits.assignable_scopes]
            variant = [key[1], *(chunk if start else ())]
            if _role_id(key[0], variant) in existing:
                variant = [key[1], "beside", *chunk]
            id_ = _role_id(key[0], variant)
            scopes = tuple(sorted(spelling.get(anchor, anchor) for anchor in chunk))
            definitions[id_] = RoleDefinition(id_, "", (key[0].block,), "CustomRole", assignable_scopes=scopes)
            placed.update({(one, anchor): id_ for one in members for anchor in chunk if anchor in anchors[one]})
    return NewRoles(definitions, placed)


def _role_id(content: RoleContent, variant: Iterable[str]) -> Folded:
    identity = {**strings_of(content.block), "variant": [text for text in variant if text]}
    return Folded(str(uuid.uuid5(_NAMESPACE, json.dumps(identity, sort_keys=True, separators=(",", ":")))))


def named_roles(
    new: NewRoles,
    wanted: Mapping[Folded, Sequence[str]],
    taken: Iterable[str],
    earlier: Mapping[Folded, str] | None = None,
) -> NewRoles:
    """Return the roles with their names, and file names like them.

    Args:
        new: The roles.
        wanted: By id, the names that a role may have, the best first, as `role_names` returns them.
        taken: The names of the tenant's roles.
        earlier: By id, the names of roles in an earlier plan.
    """
    names = unique_names(wanted, taken, earlier)
    definitions = {id_: replace(role, role_name=names[id_]) for id_, role in new.definitions.items()}
    return replace(new, definitions=definitions, slugs=file_names(names))


def role_names(purposes: Sequence[str], places: Sequence[str]) -> tuple[str, ...]:
    """Return the names that a role may have, the best first: its purpose with its place where that tells more.

    Args:
        purposes: As `role_purpose.name_purposes` returns them.
        places: As `PlaceNames.of_role` returns them.
    """
    first, *others = purposes
    found = [_at(first, place) for place in places] or [fitted(first, LONGEST)]
    found += [_at(other, place) for place in places[:1] or ("",) for other in others]
    return tuple(dict.fromkeys(found))


def _at(purpose: str, place: str) -> str:
    """Return a purpose with its place; without it where its words say nothing new, or where it has no room."""
    own = fitted(purpose, LONGEST)
    rest = fitted(place, LONGEST - len(own) - len(_BETWEEN))
    known = set(comparable(own).split())
    if len(rest) < min(len(place), _SHORTEST) or known.issuperset(comparable(rest).split()):
        return own
    return f"{own}{_BETWEEN}{rest}"


@dataclass(frozen=True, slots=True)
class PlaceNames:
    """The display names of places and teams, harmless.

    Attributes:
        places: Folded subscription or management group to its name; those without a name are left out.
        teams: Folded group of principals to its name.
        spelling: Folded scope to the scope as it is spelled.
        subscriptions: The number of subscriptions of the tenant.
    """

    places: Mapping[Folded, str]
    teams: Mapping[Folded, str]
    spelling: Mapping[Folded, str]
    subscriptions: int

    @classmethod
    def of(cls, inputs: Inputs, spelling: Mapping[Folded, str]) -> PlaceNames:
        """Read the names from the tables of scopes and principals."""
        high = inputs.scopes.filter(pl.col("kind").is_in(["subscription", "management_group"]))
        named = high.drop_nulls("display_name").sort("scope", "display_name")
        groups = inputs.principals.filter(pl.col("principal_type") == "Group").drop_nulls("display_name")
        places, teams = (
            {id_: plain for id_, name in rows.iter_rows() if (plain := plain_name(name, _LONGEST_PLACE))}
            for rows in (
                named.select(place_of(pl.col("scope")), text="display_name"),
                groups.select(folded(pl.col("principal_id")), "display_name"),
            )
        )
        known = {one for one in spelling if one.startswith(_SUBSCRIPTION)}
        return cls(places, teams, spelling, len({"/".join(one.split("/")[:_GROUP_AT]) for one in known}))

    def of_role(self, scopes: Iterable[Folded], holders: Iterable[Folded]) -> tuple[str, ...]:
        """Return the names of the place or team of a role, the most telling first; none where nothing is common.

        The only subscription of a tenant tells nothing. A team is named where no place is common.

        Args:
            scopes: The folded scopes at which the role is assigned.
            holders: The folded principals that hold it.
        """
        found, teams = [*self._places(set(scopes))], set(holders)
        if len(teams) == 1:
            found.append(self.teams.get(teams.pop(), ""))
        return tuple(dict.fromkeys(name for name in found if name))

    def _places(self, scopes: set[Folded]) -> Iterable[str]:
        if len(scopes) == 1 and (only := next(iter(scopes))).startswith(MANAGEMENT_GROUP):
            yield self.places.get(only, "")
            return
        parts = [scope.split("/") for scope in scopes]
        anchors = {Folded("/".join(part[:_GROUP_AT])) for part in parts}
        if len(anchors) != 1 or not (anchor := anchors.pop()).startswith(_SUBSCRIPTION):
            return
        if self.subscriptions > 1:
            yield self.places.get(anchor, "")
        groups = {part[_GROUP_AT + 1] if len(part) > _GROUP_AT + 1 else "" for part in parts}
        if len(groups) == 1 and (group := groups.pop()):
            scope = Folded("/".join([anchor, "resourcegroups", group]))
            yield plain_name(self.spelling.get(scope, scope).rsplit("/", 1)[-1], _LONGEST_PLACE)


def plain_name(text: str, longest: int = LONGEST, also: str = "") -> str:
    """Return the letters, digits, spaces, hyphens and underscores of a display name, cut at a word.

    Everything else becomes a space: control and invisible characters, directions, quotes, slashes, `$`, `=`.

    Args:
        text: The display name.
        longest: The most characters of the result.
        also: Further characters that stay between letters and digits.
    """
    kept, marks = [], 0
    # No name is read beyond what a long one has: normalising a megabyte takes its time.
    for character in unicodedata.normalize("NFC", text[: 8 * longest]):
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Mc") else 0
        hidden = character in _INVISIBLE or any(ord(character) in block for block in _SELECTORS)
        if hidden or marks > _MOST_MARKS:
            continue
        known = category[0] == "L" or category in ("Nd", "Mn", "Mc")
        kept.append(character if known or character in _INNER or character in also else " ")
    words = (word.strip("".join(_INNER) + also) for word in "".join(kept).split())
    return fitted(" ".join(word for word in words if word), longest)


def fitted(text: str, longest: int) -> str:
    """Return a text cut to a length, at the end of a word where that leaves more than half of it."""
    if len(text) <= longest:
        return text
    cut = text[: max(0, longest)]
    at_word = cut.rpartition(" ")[0] if text[longest : longest + 1] != " " else cut
    return (at_word if len(at_word) > longest // 2 else cut).rstrip(f" -_{DASH}")


def comparable(name: str) -> str:
    """Return the form in which two names of roles are the same name to Azure, or to a reader."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def unique_names(
    wanted: Mapping[Folded, Sequence[str]], taken: Iterable[str], earlier: Mapping[Folded, str] | None = None
) -> dict[Folded, str]:
    """Return a name for each role that no other role has; roles are told apart by their next wishes, then by a number.

    Args:
        wanted: By id of a role, the names that it may have, the best first.
        taken: The names of the roles that the tenant has.
        earlier: By id, the name that a role had in an earlier plan; it keeps the name, made harmless, where that is
            free.
    """
    used = {comparable(name) for name in taken}
    found: dict[Folded, str] = {}
    earlier = earlier or {}
    for id_ in sorted(wanted.keys() & earlier.keys()):
        name = _plain_role_name(earlier[id_])
        if name and comparable(name) not in used:
            found[id_] = name
            used.add(comparable(name))
    for wish in range(max(map(len, wanted.values()), default=0)):
        claims: dict[str, list[Folded]] = defaultdict(list)
        for id_ in sorted(wanted.keys() - found.keys()):
            if wish < len(wanted[id_]):
                claims[comparable(wanted[id_][wish])].append(id_)
        for name, ids in claims.items():
            if len(ids) == 1 and name not in used:
                found[ids[0]] = wanted[ids[0]][wish]
                used.add(name)
    # The last number of each name: who looks for a free one goes on from there.
    numbers: dict[str, int] = {}
    for id_ in sorted(wanted.keys() - found.keys()):
        first = chosen = wanted[id_][0]
        number = numbers.get(first, 1)
        while comparable(chosen) in used:
            number += 1
            chosen = f"{fitted(first, LONGEST - len(str(number)) - 1)} {number}"
        numbers[first] = number
        found[id_] = chosen
        used.add(comparable(chosen))
    return found


def _plain_role_name(name: str) -> str:
    """Return the name of a role, as a file gives it, with what `plain_name` lets through on both sides of its dash."""
    parts = (plain_name(part) for part in name[: 8 * LONGEST].split(f" {DASH} "))
    return fitted(f" {DASH} ".join(part for part in parts if part), LONGEST)


def file_names(names: Mapping[Folded, str]) -> dict[Folded, str]:
    """Return a file name for each role by its name: lower-case ASCII letters, digits and hyphens, each only once."""
    found: dict[Folded, str] = {}
    used: set[str] = set()
    for id_, name in sorted(names.items()):
        ascii_ = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        wish = re.sub(r"[^a-z0-9]+", "-", ascii_.lower()).strip("-") or "role"
        numbered = (f"{wish}-{number}" for number in count(2))
        found[id_] = next(one for one in chain((wish,), numbered) if one not in used)
        used.add(found[id_])
    return found
