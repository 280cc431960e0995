"""Derive the id, name, file name and assignable scopes of each new role from its content and scopes.

The same content has the same id in every run. Names that people chose are not used, so neither a principal nor a role
can smuggle text into a name or a path.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from rightsize.model.nouns import RoleDefinition
from rightsize.propose.core.azure_limits import AzureLimits
from rightsize.propose.core.role_catalog import RoleContent
from rightsize.propose.core.scopes import anchor_of_place
from rightsize.propose.needs.drafts import Draft
from rightsize.propose.selection.reconcile import RoleKey, role_key
from rightsize.rbac.text import fold

_NAMESPACE = uuid.UUID("6f0f3a52-6a5c-5c0e-9d53-8f5c2d1f7b11")
_NAMED_PROVIDERS = 2
_VERBS = ("read", "write", "delete", "action")


@dataclass(frozen=True, slots=True)
class NewRoles:
    """The new roles of a plan.

    Attributes:
        definitions: The role definitions by id.
        slugs: The base name of each role's files, by id.
        placed: The role id for (key of the new role, subscription or management group).
    """

    definitions: Mapping[str, RoleDefinition]
    slugs: Mapping[str, str]
    placed: Mapping[tuple[RoleKey, str], str]


def name_roles(
    drafts: Iterable[Draft], existing: Mapping[str, str], spelling: Mapping[str, str], limits: AzureLimits
) -> NewRoles:
    """Return the new roles of the drafts, with ids, names and assignable scopes.

    The id is computed from the content of the role, so it stays the same if more or fewer subscriptions need the role.
    The assignable scopes are these subscriptions, or the management group. An existing role is never edited: if the
    tenant already has a role with that id, and it was not chosen unchanged, the new role gets a different id.

    Args:
        drafts: The settled drafts.
        existing: The ids and names of the tenant's roles.
        spelling: Folded scope to the scope as it is spelled.
        limits: Azure's limits; a role that would list more scopes than Azure accepts becomes several roles.
    """
    anchors: dict[RoleKey, set[str]] = defaultdict(set)
    for draft in drafts:
        for placement in draft.placements:
            key = role_key(placement)
            if key is not None:
                anchors[key].add(anchor_of_place(placement.place))
    names = {fold(name) for name in existing.values()}
    definitions: dict[str, RoleDefinition] = {}
    slugs: dict[str, str] = {}
    placed: dict[tuple[RoleKey, str], str] = {}
    for key in sorted(anchors):
        ordered = sorted(anchors[key])
        for start in range(0, len(ordered), limits.assignable_scopes):
            chunk = ordered[start : start + limits.assignable_scopes]
            variant = [key[1], *(chunk if start else ())]
            if _role_id(key[0], variant) in existing:
                variant = [key[1], "beside", *chunk]
            role, slug = _define(key[0], variant, [spelling.get(anchor, anchor) for anchor in chunk], names)
            definitions[role.role_definition_id] = role
            slugs[role.role_definition_id] = slug
            placed.update({(key, anchor): role.role_definition_id for anchor in chunk})
    return NewRoles(definitions, slugs, placed)


def _role_id(content: RoleContent, variant: Iterable[str]) -> str:
    identity = {
        "actions": content.actions,
        "notActions": content.not_actions,
        "dataActions": content.data_actions,
        "notDataActions": content.not_data_actions,
        "variant": [text for text in variant if text],
    }
    return str(uuid.uuid5(_NAMESPACE, json.dumps(identity, sort_keys=True, separators=(",", ":"))))


def _define(
    content: RoleContent, variant: Iterable[str], scopes: Iterable[str], taken: Container[str]
) -> tuple[RoleDefinition, str]:
    role_id = _role_id(content, variant)
    words = _words(content)
    mark = role_id.split("-", 1)[0]
    name = f"Rightsize {' '.join(words)} {mark}"
    if fold(name) in taken:
        # Role names are unique in a tenant, and another role may have this name.
        mark = role_id
        name = f"Rightsize {' '.join(words)} {mark}"
    slug = "-".join(["rightsize", *(re.sub(r"[^a-z0-9]+", "", word.lower()) for word in words), mark])
    counts = f"{len(content.actions)} actions and {len(content.data_actions)} data actions"
    role = RoleDefinition(
        role_definition_id=role_id,
        role_name=name,
        permissions=(content.block,),
        role_type="CustomRole",
        description=f"Proposed by rightsize: {counts} that were used, or that no log could have shown. "
        f"The evidence for each is in evidence/{slug}.json.",
        assignable_scopes=tuple(sorted(scopes)),
    )
    return role, slug


def _words(content: RoleContent) -> list[str]:
    """Return the words of a role's name: its most frequent providers, the number of others, and its verbs."""
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
