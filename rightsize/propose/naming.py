"""New roles get an id and a name from what they grant: the same content has the same id in every run.

Nothing that people name goes into either, so neither a principal nor a role can smuggle text into a name or a path.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rightsize.model.nouns import RoleDefinition
from rightsize.propose.drafts import Draft
from rightsize.propose.limits import Limits
from rightsize.propose.roles import RoleContent
from rightsize.propose.settle import RoleKey, anchor_of_place, role_key

_NAMESPACE = uuid.UUID("6f0f3a52-6a5c-5c0e-9d53-8f5c2d1f7b11")
_NAMED_PROVIDERS = 2
_VERBS = ("read", "write", "delete", "action")


@dataclass(frozen=True, slots=True)
class NewRoles:
    """The roles that a plan introduces.

    Attributes:
        definitions: By id.
        slugs: The name of each role's files, by id.
        placed: The id for (what is granted, where it is recognised, subscription or management group).
    """

    definitions: Mapping[str, RoleDefinition]
    slugs: Mapping[str, str]
    placed: Mapping[tuple[RoleKey, str], str]


def name_roles(drafts: Iterable[Draft], spelling: Mapping[str, str], limits: Limits) -> NewRoles:
    """Give every new role of the drafts its id, name and assignable scopes.

    The assignable scopes are the subscriptions, or the management group, where the plan assigns the role; they are
    part of what its id is made of, since a role that is assigned is never edited.

    Args:
        drafts: The settled drafts.
        spelling: Folded scope to how it is spelled.
        limits: A role that would list more scopes than Azure takes becomes several.
    """
    anchors: dict[RoleKey, set[str]] = defaultdict(set)
    for draft in drafts:
        for placement in draft.placements:
            key = role_key(placement)
            if key is not None:
                anchors[key].add(anchor_of_place(placement.place))
    definitions: dict[str, RoleDefinition] = {}
    slugs: dict[str, str] = {}
    placed: dict[tuple[RoleKey, str], str] = {}
    for key in sorted(anchors):
        ordered = sorted(anchors[key])
        for start in range(0, len(ordered), limits.assignable_scopes):
            chunk = ordered[start : start + limits.assignable_scopes]
            role, slug = _define(key[0], sorted(spelling.get(anchor, anchor) for anchor in chunk))
            definitions[role.role_definition_id] = role
            slugs[role.role_definition_id] = slug
            placed.update({(key, anchor): role.role_definition_id for anchor in chunk})
    return NewRoles(definitions, slugs, placed)


def _define(content: RoleContent, scopes: list[str]) -> tuple[RoleDefinition, str]:
    identity = {
        "actions": content.actions,
        "notActions": content.not_actions,
        "dataActions": content.data_actions,
        "notDataActions": content.not_data_actions,
        "assignableScopes": scopes,
    }
    role_id = str(uuid.uuid5(_NAMESPACE, json.dumps(identity, sort_keys=True, separators=(",", ":"))))
    words = _words(content)
    mark = role_id.split("-", 1)[0]
    slug = "-".join(["rightsize", *(re.sub(r"[^a-z0-9]+", "", word.lower()) for word in words), mark])
    counts = f"{len(content.actions)} actions and {len(content.data_actions)} data actions"
    role = RoleDefinition(
        role_definition_id=role_id,
        role_name=f"Rightsize {' '.join(words)} {mark}",
        permissions=(content.block,),
        role_type="CustomRole",
        description=f"Proposed by rightsize: {counts} that were used, or that no log could have shown. "
        f"The evidence for each is in {slug}.evidence.json.",
        assignable_scopes=tuple(scopes),
    )
    return role, slug


def _words(content: RoleContent) -> list[str]:
    """Return what tells a reader the role's subject: its foremost providers, how many others, and its verbs."""
    strings = [*content.actions, *content.data_actions]
    providers = Counter(_provider(text) for text in strings)
    foremost = sorted(providers, key=lambda name: (-providers[name], name))
    words = foremost[:_NAMED_PROVIDERS]
    if len(foremost) > _NAMED_PROVIDERS:
        words.append(f"+{len(foremost) - _NAMED_PROVIDERS}")
    verbs = {text.rsplit("/", 1)[-1].lower() for text in strings}
    words.extend(verb for verb in _VERBS if verb in verbs)
    if content.data_actions:
        words.append("data")
    return words


def _provider(text: str) -> str:
    namespace = text.split("/", 1)[0]
    if "*" in namespace:
        return "All"
    return re.sub(r"[^A-Za-z0-9]+", "", namespace.rsplit(".", 1)[-1])[:30] or "Other"
