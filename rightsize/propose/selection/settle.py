"""Make the first drafts one plan: choose their roles and places, consistent with each other and with Azure's limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from rightsize.propose.needs.assignments import Key
from rightsize.propose.needs.drafts import Draft
from rightsize.propose.needs.eligibility import OwnerFacts
from rightsize.propose.selection.assign import ChoiceInput, GrantedNeeds, grant_needs
from rightsize.propose.selection.reconcile import (
    fit_limits,
    keep_last_owners,
    mark_duplicates,
    rest_on_existing,
    say_duplicates,
)


@dataclass(frozen=True, slots=True)
class SettleInput:
    """What drafts are made one plan from.

    Attributes:
        containers: For each assignment that other assignments contain, those other assignments.
        untouched: The assignments that are left alone whatever they are needed for.
        used: By assignment, the number of operations that were used under it.
        owners: The facts that decide who can act as Owner.
        choice: What roles and scopes are chosen from.
    """

    containers: Mapping[Key, Sequence[Key]]
    untouched: Set[Key]
    used: Mapping[Key, int]
    owners: OwnerFacts
    choice: ChoiceInput


def settle(drafts: dict[Key, Draft], asked: SettleInput) -> GrantedNeeds:
    """Return the drafts with roles and places, consistent with duplicates, last owners and Azure's limits."""
    movable = {
        key: others
        for key, others in asked.containers.items()
        if key in drafts and key not in asked.untouched and drafts[key].kind.has_holder
    }
    drafts = keep_last_owners(mark_duplicates(drafts, movable), asked.used, asked.owners)
    granted = grant_needs(drafts, asked.choice)
    drafts = rest_on_existing(granted.drafts)
    active = [subject for subject in asked.choice.subjects.values() if subject.state == "active"]
    room = asked.choice.terms.room
    drafts = say_duplicates(fit_limits(drafts, active, room.existing, room.limits), asked.containers)
    return replace(granted, drafts=drafts)
