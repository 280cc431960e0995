"""Say of an assignment that stays by design what would be enough, as advice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from operator import or_
from typing import Any

from rightsize.propose.core.role_catalog import KnownRole
from rightsize.propose.needs.assignments import Key, Use
from rightsize.propose.needs.drafts import Draft
from rightsize.propose.needs.reasons import BY_DESIGN, word_of
from rightsize.rbac.text import Folded


class Adviser:
    """Computes what would be enough in the place of assignments that stay by design, with cached answers.

    Args:
        roles: The roles, by folded id.
        weigh: The weight of a set of operations.
        uses: By assignment, its use by the folded scope at which it has to be granted.
    """

    def __init__(
        self, roles: Mapping[Folded, KnownRole], weigh: Callable[[int], int], uses: Mapping[Key, Mapping[Folded, Use]]
    ) -> None:
        self._known, self._uses = roles, uses
        smaller = [
            role
            for role in roles.values()
            if role.is_builtin and role.role_name and role.granted and not (role.is_conditional or role.is_for_service)
        ]
        # The first that fits is the one with the least weight.
        self._roles = sorted(smaller, key=lambda role: (weigh(role.granted), role.role_definition_id))
        self._found: dict[tuple[Folded, int], KnownRole | None] = {}

    def evidence(self, draft: Draft) -> Mapping[str, Any]:
        """Return `by_design`, the word of the reason, and `enough`, the advice; nothing for other drafts."""
        word = word_of(draft.reason)
        if draft.kind.changes or word not in BY_DESIGN:
            return {}
        smaller = self._smaller_role(draft) if BY_DESIGN[word].by_use else None
        named = f"; `{smaller.role_name}` grants all that a log shows it used" if smaller is not None else ""
        return {"by_design": word, "enough": BY_DESIGN[word].enough + named}

    def _smaller_role(self, draft: Draft) -> KnownRole | None:
        """Return the least built-in role within today's role that grants all that was used.

        None where nothing was used, where the catalogue lacks a used operation, or where today's role is the least.
        """
        subject = draft.subject
        uses = self._uses.get(subject.key, {}).values()
        used = reduce(or_, (use.operations for use in uses), 0)
        if not used or any(use.unknown for use in uses):
            return None
        key = (subject.role_definition_id, used)
        if key not in self._found:
            today = self._known.get(subject.role_definition_id)
            granted = today.granted if today is not None else 0
            self._found[key] = next(
                (
                    role
                    for role in self._roles
                    if not used & ~role.certain and not role.granted & ~granted and role.granted != granted
                ),
                None,
            )
        return self._found[key]


def describe_enough(evidence: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the clause of a reason that says what would be enough, if the assignment stays by design."""
    return (f"enough would be {evidence['enough']}",) if "enough" in evidence else ()
