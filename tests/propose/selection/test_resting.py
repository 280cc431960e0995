"""What a proposal rests on if its new assignment exists already."""

from __future__ import annotations

from rightsize.model.plan import CUSTOM, NARROW_SCOPE, REMOVE
from rightsize.model.text import Folded
from rightsize.propose.core.role_catalog import RoleChoice
from rightsize.propose.drafts.drafts import Draft, Placement
from rightsize.propose.needs.assignments import Subject
from rightsize.propose.selection.reconcile import rest_on_existing

WHO, ROLE = Folded("who"), Folded("role")
SUB, GROUP = Folded("/subscriptions/s"), Folded("/subscriptions/s/resourcegroups/g")


def _subject(name: str, role: Folded, place: Folded = SUB) -> Subject:
    return Subject(Folded(name), "active", WHO, role, place, place, SUB)


def test_who_leans_on_a_draft_rests_on_the_existing_assignment_that_serves_it() -> None:
    """The narrow need leans on the broad assignment, whose new one exists already as an assignment of today."""
    given = Placement(SUB, RoleChoice("own", ROLE, None, (), 1), WHO)
    drafts = [
        Draft(_subject("broad", Folded("contributor")), NARROW_SCOPE, "", (given,)),
        Draft(_subject("data", ROLE), CUSTOM, "", (given,)),
        Draft(_subject("narrow", Folded("contributor"), GROUP), REMOVE, "", together_with=(Folded("broad"),)),
    ]
    settled = rest_on_existing({one.subject.key: one for one in drafts})
    assert settled[Folded("data"), "active"].kind.keeps
    assert settled[Folded("broad"), "active"].rests_on == ("data",)
    assert settled[Folded("narrow"), "active"].rests_on == ("data",)
