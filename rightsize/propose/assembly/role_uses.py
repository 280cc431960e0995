"""Collect for each new role the drafts that assign it, and the use of its operations under the old assignments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from rightsize.model.nouns import RoleDefinition
from rightsize.propose.core.bitsets import FoldedKey
from rightsize.propose.core.read_patterns import strings_of
from rightsize.propose.core.role_catalog import RoleBook, RoleSaving
from rightsize.propose.core.scopes import anchor_of_place
from rightsize.propose.needs.assignments import KEY, Key
from rightsize.propose.needs.drafts import Draft, Placement
from rightsize.propose.needs.needs import USED, USED_BEFORE
from rightsize.propose.needs.use_rows import Used, UseRows
from rightsize.propose.selection.reconcile import role_key
from rightsize.propose.selection.role_names import NewRoles
from rightsize.rbac.text import Folded


@dataclass(frozen=True, slots=True)
class Seen:
    """The use of operations under the assignments that a role replaces in part.

    Attributes:
        used: The use in the window.
        earlier: The use before the window that still counts.
    """

    used: Used = field(default_factory=dict)
    earlier: Used = field(default_factory=dict)

    def of(self, key: FoldedKey) -> dict[str, Any] | None:
        """Return the evidence for the use of a (plane, folded action); None for an action without use."""
        if key in self.used:
            return {"why": USED, **self.used[key]}
        if key in self.earlier:
            found = self.earlier[key]
            return {"why": USED_BEFORE, "meaning": [last_used(found["days_ago"])], **found}
        return None


def last_used(days_ago: int) -> str:
    """Return the sentence that says how many days ago a use before the window took place."""
    return f"last used {days_ago} days ago, before the window"


@dataclass(frozen=True, slots=True)
class RoleUses:
    """The drafts that assign a new role, their placements of it, and the use of its operations."""

    drafts: tuple[Draft, ...]
    placements: tuple[Placement, ...]
    seen: Seen

    @property
    def job(self) -> str:
        """The key of the job whose role it is, or empty for an add-on and for the work of one holder."""
        choices = (one.choice for one in self.placements)
        return next((one.job for one in choices if one.job and not one.is_add_on), "")

    @property
    def is_add_on(self) -> bool:
        """Whether it keeps risky changes apart from the jobs of its holders."""
        return any(one.choice.is_add_on for one in self.placements)

    @property
    def saves(self) -> RoleSaving | None:
        """What it saves against the best roles without it; None where it only keeps risk apart."""
        return next((one.choice.saves for one in self.placements if one.choice.saves is not None), None)


def role_id_of(placement: Placement, new: NewRoles) -> Folded:
    """Return the id of the role that a placement assigns: a new role or an existing one."""
    key = role_key(placement)
    if key is None:
        return placement.choice.role_definition_id
    return new.placed[key, anchor_of_place(placement.place)]


def read_role_uses(
    drafts: Mapping[Key, Draft], new: NewRoles, window: UseRows, earlier: UseRows, book: RoleBook
) -> dict[Folded, RoleUses]:
    """Return what each new role is assigned for, by its id, sorted.

    Args:
        drafts: The drafts with their placements.
        new: The new roles.
        window: The use in the window.
        earlier: The use before it that still counts.
        book: The roles of today.
    """
    users: dict[Folded, list[Draft]] = defaultdict(list)
    placed: dict[Folded, list[Placement]] = defaultdict(list)
    for key in sorted(drafts):
        own: dict[Folded, list[Placement]] = defaultdict(list)
        for one in drafts[key].placements:
            if one.choice.content is not None:
                own[role_id_of(one, new)].append(one)
        for id_, placements in sorted(own.items()):
            users[id_].append(drafts[key])
            placed[id_].extend(placements)
    replaced = _frame(((id_, *draft.subject.key) for id_, those in users.items() for draft in those), ("role", *KEY))
    named = _frame(
        ((id_, *key) for id_, role in new.definitions.items() for key in _named(role, book)),
        ("role", "plane", "name"),
    )
    used, before = (rows.of_roles(replaced, named) for rows in (window, earlier))
    return {
        id_: RoleUses(tuple(users[id_]), tuple(placed[id_]), Seen(used.get(id_, {}), before.get(id_, {})))
        for id_ in sorted(new.definitions)
    }


def _frame(rows: Iterable[tuple[str, ...]], names: Iterable[str]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=dict.fromkeys(names, pl.String), orient="row").unique()


def _named(role: RoleDefinition, book: RoleBook) -> Iterator[FoldedKey]:
    """Yield `(plane, folded string)` for each string of a role, and for each operation that its patterns match."""
    for block in role.permissions:
        for one in strings_of(block):
            yield one.key
            if "*" in one.text:
                yield from book.index.folded_members(book.part_mask(one))
