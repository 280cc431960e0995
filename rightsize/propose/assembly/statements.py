"""Say what proposals rest on beside their evidence: the proofs of absence, and what would be enough by design."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from rightsize.analyze.reasons import BY_EXISTENCE, Unused, Verdict, sentence
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.propose.core.bitsets import OperationIndex, union
from rightsize.propose.core.role_catalog import KnownRole
from rightsize.propose.needs.assignments import Key, Use
from rightsize.propose.needs.drafts import Draft
from rightsize.propose.needs.profiles import Profile
from rightsize.propose.needs.reasons import BY_DESIGN, word_of
from rightsize.rbac.text import Folded
from rightsize.rules.resource_types import inventory_types


class AbsenceProofs:
    """The proofs of absence behind the operations that proposals remove, read once by scope."""

    def __init__(self, analysis: Analysis) -> None:
        self._days = analysis.existence.window.days
        listings = analysis.existence.subscriptions.select("node", "kind", "reader_id", "read_on", "days")
        providers = analysis.existence.unregistered.select("node", "namespace", "reader_id", "read_on")
        self._listings = listings.rows_by_key("node", named=True, include_key=True)
        self._providers = providers.rows_by_key("node", named=True, include_key=True)
        areas = analysis.absences.areas.drop_nulls("node").group_by("place").agg(pl.col("node").unique().sort())
        self._nodes: dict[str, list[str]] = dict(areas.iter_rows())

    def of(self, place: Folded, profile: Profile, gone: int, index: OperationIndex) -> list[dict[str, Any]]:
        """Return one entry a reason: the types with the number of their operations, and what proves it.

        Args:
            place: The scope of the assignment.
            profile: The verdicts on its unused operations.
            gone: The operations that go.
            index: The operations.
        """
        found = []
        spelling = inventory_types()
        for reason in BY_EXISTENCE:
            mask = profile.reasons.get((Verdict.UNUSED, reason), 0) & gone
            if not mask:
                continue
            kinds = Counter("/".join(name.split("/")[:2]) for _, name in index.folded_members(mask))
            entry = {
                "reason": reason.value,
                "meaning": sentence(reason),
                "operations": mask.bit_count(),
                "resource_types": dict(sorted((spelling[kind], number) for kind, number in kinds.items())),
            }
            providers = {kind.split("/", 1)[0] for kind in kinds}
            found.append(entry | self._proof(place, reason, providers))
        return found

    def _proof(self, place: str, reason: Unused, providers: set[str]) -> dict[str, Any]:
        nodes = self._nodes.get(place, [])
        if not nodes:
            return {"proof": "the assignment is at a resource of another type"}
        listings = [row for node in nodes for row in self._listings.get(node, ())]
        if reason is Unused.PROVIDER_NOT_REGISTERED:
            rows = [row for node in nodes for row in self._providers.get(node, ()) if row["namespace"] in providers]
            read = _read_by([row | {"kind": "providers"} for row in rows])
        else:
            read = _read_by(listings)
        return {
            "subscriptions": len(nodes),
            "listings": read,
            "log_days": min(row["days"] for row in listings),
            "window_days": self._days,
        }


def _read_by(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry a kind of listing and reader: in how many subscriptions it was read, and when."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["kind"], row["reader_id"] or ""), []).append(row)
    return [
        {
            "kind": kind,
            "reader_id": reader,
            "subscriptions": len({row["node"] for row in those}),
            "read_from": min(row["read_on"] for row in those),
            "read_to": max(row["read_on"] for row in those),
        }
        for (kind, reader), those in sorted(found.items())
    ]


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
        used = union(use.operations for use in uses)
        if not used or any(use.unknown for use in uses):
            return None
        key = (subject.role_definition_id, used)
        if key not in self._found:
            today = self._known.get(subject.role_definition_id)
            granted = today.granted if today is not None else 0
            fits = (role for role in self._roles if not (used & ~role.certain or role.granted & ~granted))
            self._found[key] = next((role for role in fits if role.granted != granted), None)
        return self._found[key]


def describe_enough(evidence: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the clause of a reason that says what would be enough, if the assignment stays by design."""
    return (f"enough would be {evidence['enough']}",) if "enough" in evidence else ()
