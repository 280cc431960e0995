"""What the plan does with planted cases, beside what an expert would do, with the roles that Microsoft publishes."""

from __future__ import annotations

from pathlib import Path

import pytest

from rightsize.model.plan import PlanePart
from tests.golden_files import stored
from tests.planes.directory.planted import BARE, LICENSED, Case, comes, table, tenant

pytestmark = pytest.mark.slow


CASES = Path(__file__).parents[2] / "golden" / "directory_cases.md"


@pytest.fixture(scope="module")
def parts(shared_data: Path) -> dict[bool, PlanePart]:
    return {licensed: tenant(shared_data, licensed=licensed).plan() for licensed in (True, False)}


@pytest.mark.parametrize(
    ("licensed", "case"), [*((True, one) for one in LICENSED), *((False, one) for one in BARE)],
    ids=lambda one: one.who + " " + one.role if isinstance(one, Case) else "licensed" if one else "bare",
)  # fmt: skip
def test_the_plan_does_what_an_expert_would_or_says_why_not(
    parts: dict[bool, PlanePart], licensed: bool, case: Case
) -> None:
    new, reason = comes(parts[licensed], case.who)
    assert new == case.comes
    assert case.says in reason


def test_nothing_that_was_used_is_taken(parts: dict[bool, PlanePart], shared_data: Path) -> None:
    for part in parts.values():
        assert part.proposals and part.replay["denied"] == 0
        assert all(one.proof.holds for one in part.proposals)


def test_the_table_shows_the_cases_as_they_come(parts: dict[bool, PlanePart]) -> None:
    text = "\n".join(table(parts)) + "\n"
    assert stored(CASES, text) == text


def test_what_the_options_mean_is_the_same_as_for_azure_roles(shared_data: Path) -> None:
    world = tenant(shared_data, licensed=False)
    none, all_reads = world.plan(reads="none"), world.plan(unobservable="drop")
    assert comes(none, "ida")[0] == ()
    assert comes(all_reads, "sol")[0] == ("Security Reader",)
    assert comes(all_reads, "gus")[0] == ("Conditional Access Administrator", "Global Reader")
    costs = {one["reads"]: one["operations"] for one in none.reads["choices"]}
    assert 0 == costs["none"] < costs["sibling"] < costs["namespace"] < costs["all"]
    assert none.reads["chosen"] == "none"


def test_at_one_application_where_nothing_else_has_to_stay(shared_data: Path) -> None:
    world = tenant(shared_data, licensed=True)
    new, reason = comes(world.plan(reads="none"), "apu")
    assert new == ("Cloud Application Administrator @ app-7",) and "inside one application" in reason


def test_the_page_names_what_comes_and_where(parts: dict[bool, PlanePart]) -> None:
    said = {one.principal_ids[0]: one.comes_beyond for one in parts[True].proposals if one.kind.changes}
    assert said["uma"] == ("Directory Readers", "Password Administrator at one administrative unit")
    assert said["bo"][0] == "Directory Readers" and said["bo"][1].startswith("rightsize directory ")
    asked = {one.subject: one.text for one in parts[False].advice}
    assert "ask its holder" in asked["ida-729827-active"]
    assert "Security Reader would be enough for what was used" in asked["sol-194ae4-active"]
