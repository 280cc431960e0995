"""Identify the new roles by their content, and name each by its purpose and its place.

The same content has the same id in every run. A name is a function of the purpose, the place and the tenant's names.
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rightsize.model.nouns import RoleDefinition
from rightsize.propose.core.azure_limits import AzureLimits
from rightsize.propose.core.role_catalog import RoleContent
from rightsize.propose.core.scopes import anchor_of_place
from rightsize.propose.needs.drafts import Draft
from rightsize.propose.selection.plain_names import DASH, LONGEST, comparable, file_names, fitted, unique_names
from rightsize.propose.selection.reconcile import RoleKey, role_key
from rightsize.rbac.text import Folded

_NAMESPACE = uuid.UUID("6f0f3a52-6a5c-5c0e-9d53-8f5c2d1f7b11")
_BETWEEN = f" {DASH} "
_SHORTEST = 4
"""The fewest characters to which a longer place may be cut."""


@dataclass(frozen=True, slots=True)
class NewRoles:
    """The new roles of a plan.

    Attributes:
        definitions: The role definitions by id.
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
    for draft in drafts:
        for placement in draft.placements:
            key = role_key(placement)
            if key is not None:
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
    identity = {
        "actions": content.actions,
        "notActions": content.not_actions,
        "dataActions": content.data_actions,
        "notDataActions": content.not_data_actions,
        "variant": [text for text in variant if text],
    }
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
        places: As `role_places.PlaceNames.of_role` returns them.
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
