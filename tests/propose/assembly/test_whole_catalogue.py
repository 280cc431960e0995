"""Plans on all operations and built-in roles of Azure: they change what they can, and prove every change."""

from __future__ import annotations

import datetime as dt
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rightsize.analyze.reasons import Unused
from rightsize.analyze.tenant import read_tenant
from rightsize.analyze.verdicts.judge import analyse
from rightsize.analyze.window import choose_window
from rightsize.model.options import ROLE_WORTH
from rightsize.model.plan import Plan
from rightsize.propose.assembly.next_steps import rank_steps
from rightsize.propose.core.operation_sets import index_operations
from rightsize.propose.core.role_catalog import RoleBook, open_role_book
from rightsize.propose.core.role_patterns import reading_parts
from rightsize.propose.drafts.reasons import REASONS
from rightsize.rbac.algebra import contains
from tests.conftest import MadeOnce
from tests.golden_files import WRITES
from tests.propose.small_tenant import DAY0, DAYS
from tests.propose.whole_catalogue import (
    WholeTenant,
    many_holders,
    one_holder_each,
    read_catalogue,
    summary_of,
    write_catalogue,
)

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "whole_catalogue.json"

TRUE_KEEPS = {
    "cannot narrow",
    "not worth a role",
    "narrow already",
    "only companions",
    "last owner",
    "nothing known",
    "nothing observed",
    "endpoint only",
    *(word.replace("_", " ") for word in REASONS),
}
"""Words of reasons that speak of the assignment itself; none of the others may stand where no limit is near."""

OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "reads none": {"reads": "none"},
    "reads sibling": {"reads": "sibling"},
    "reads namespace": {"reads": "namespace"},
    "unobservable keep": {"unobservable": "keep"},
    "unobservable drop": {"unobservable": "drop"},
    "lean": {"reads": "none", "unobservable": "drop"},
    "every role": {"roles": "max"},
    "usual worth": {"role_worth": ROLE_WORTH},
    "no new role": {"roles": 0},
    "one new role": {"roles": 1},
    "five new roles": {"roles": 5},
    "max break": {"max_break": 0.3},
    "groups split": {"split_groups": True},
    "standing hours": {"standing_hours": 20.0},
    "separate layers": {"separate_layers": True},
}


@pytest.fixture(scope="module")
def folder(shared_data: Path, made_once: MadeOnce) -> Path:
    """The tables of a store with the built-in roles and the catalogue."""
    return made_once("whole-catalogue", lambda folder: write_catalogue(shared_data, folder))


@pytest.fixture(scope="module")
def each(folder: Path, made_once: MadeOnce) -> Plan:
    """The plan for one holder of every built-in role."""
    return _planned_once(made_once, "one holder each", lambda: one_holder_each(folder).plan())


@pytest.fixture(scope="module")
def some(folder: Path, made_once: MadeOnce) -> Callable[[str], Plan]:
    """Gives the plan for some holders, by the name of its options."""
    return lambda name: _planned_once(made_once, name, lambda: _some(folder).plan(**OPTIONS[name]))


def _planned_once(made_once: MadeOnce, name: str, make: Callable[[], Plan]) -> Plan:
    """Return a plan that whichever worker wants it first makes."""
    place = made_once(f"plan-{name}", lambda folder: _write_plan(make(), folder)) / "plan"
    return pickle.loads(place.read_bytes())  # noqa: S301  what this run wrote


def _write_plan(plan: Plan, folder: Path) -> None:
    (folder / "plan").write_bytes(pickle.dumps(plan))


@pytest.fixture(scope="module")
def book(folder: Path) -> RoleBook:
    """All built-in roles as a plan has them."""
    inputs = one_holder_each(folder, uses=0).inputs()
    return open_role_book(inputs, index_operations(read_tenant(inputs).operations, inputs.role_operations))


def check(plan: Plan, *, allowed: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """Assert what holds of every plan: proofs, replay, no more excess than today, and true reasons."""
    assert plan.replay["denied"] == 0
    for one in plan.proposals:
        assert one.proof.holds, one
        assert one.excess_after <= one.excess_before, one
        if one.kind == "keep":
            assert one.assignments == ()
            assert one.reason.partition(":")[0] in TRUE_KEEPS | allowed, one.reason
    assert len({role.definition.role_name for role in plan.roles}) == len(plan.roles)


@pytest.mark.nightly
def test_what_the_store_says_a_role_grants_is_what_its_patterns_mean(book: RoleBook) -> None:
    """On each plane, for every built-in role: the table, the set of the plan, and the mask of its own strings."""
    assert len(book.roles) == 928
    for role in book.roles.values():
        assert role.granted == book.index.granted_by(role.blocks), role.role_name
        for part in reading_parts(role.blocks):
            assert not book.part_mask(part) & ~role.granted, role.role_name
            assert contains(role.blocks, [part.block]) is None, role.role_name


def test_each_operation_that_a_role_grants_has_one_verdict_on_each_plane(folder: Path) -> None:
    """For every built-in role the verdicts speak of what the table lists, and of nothing else."""
    inputs = one_holder_each(folder, uses=0).inputs()
    analysis = analyse(inputs, choose_window(inputs, DAY0 + dt.timedelta(days=DAYS), DAYS))
    key = ["role_definition_id", "plane", "operation"]
    judged = (
        analysis.profiles.join(analysis.profile_operations, on="profile_id")
        .join(inputs.role_assignments.select("role_assignment_id", "role_definition_id"), on="role_assignment_id")
        .select(key)
    )
    assert judged.unique().height == judged.height
    listed = read_catalogue(folder)["role_operations"].select(key)
    assert judged.join(listed, on=key, how="anti").is_empty()
    assert listed.join(judged, on=key, how="anti").is_empty()


@pytest.mark.nightly
def test_one_holder_of_every_built_in_role(each: Plan) -> None:
    check(each)
    assert {one.kind for one in each.proposals} >= {"custom", "builtin", "narrow_scope", "remove", "keep"}


@pytest.mark.nightly
@pytest.mark.parametrize("role", ["Contributor", "Network Contributor"])
def test_many_holders_of_one_role(folder: Path, role: str) -> None:
    """Whatever each used, all of them lose most of what they have; no idle one gets a new role for its reads."""
    plan = many_holders(folder, role, 70).plan()
    check(plan)
    assert all(one.reason.startswith("nothing observed") for one in plan.proposals if one.kind == "keep")
    before, after = (sum(getattr(one, name) for one in plan.proposals) for name in ("excess_before", "excess_after"))
    assert after < before / 2


@pytest.mark.nightly
@pytest.mark.many(4)
@pytest.mark.parametrize("name", OPTIONS)
def test_every_option(some: Callable[[str], Plan], name: str) -> None:
    """No crash, no false reason, and no more new roles than the option allows."""
    options = OPTIONS[name]
    most = options.get("roles")
    said = {"max custom roles"} if most is not None else set[str]()
    said |= {"break risk"} if "max_break" in options else set()
    plan = some(name)
    check(plan, allowed=said)
    assert not isinstance(most, int) or len(plan.roles) <= most
    _compare(name, plan)


def test_the_sizes_of_the_plan_for_all_are_as_a_person_saw_them(each: Plan) -> None:
    _compare("one holder each", each)


def _some(folder: Path) -> WholeTenant:
    """One holder of every fortieth role, and of the broad ones."""
    tenant = one_holder_each(folder, every=40)
    ids = {name: id_ for id_, name in tenant.role_names.items()}
    for number, name in enumerate(("Contributor", "Owner", "Reader", "User Access Administrator"), start=500):
        tenant.holder(number, ids[name], uses=5)
    tenant.holder(600, ids["Owner"], uses=3)
    return tenant


def _compare(name: str, plan: Plan) -> None:
    """Hold a plan against what is stored; `RIGHTSIZE_WRITE_GOLDEN=1` stores it anew, for a person to look at."""
    stored = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    found = summary_of(plan)
    if WRITES:
        stored[name] = found
        GOLDEN.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert found == stored[name]


@pytest.mark.nightly
def test_each_choice_of_what_no_log_shows_leaves_less(some: Callable[[str], Plan]) -> None:
    """Holder by holder `touched` is between `keep` and `drop`, but where nothing observed makes no new role."""
    plans = (some(name) for name in ("unobservable keep", "default", "unobservable drop"))
    keep, touched, drop = ({one.id: one for one in plan.proposals} for plan in plans)
    dark = {id_ for id_, one in touched.items() if one.reason.startswith("nothing observed")}
    for id_, one in touched.items():
        if "by_design" not in one.evidence and id_ not in dark:
            assert drop[id_].excess_after <= one.excess_after <= keep[id_].excess_after, one
    assert dark
    assert not any(touched[id_].evidence["used"] or touched[id_].assignments for id_ in dark)
    assert sum(one.excess_after for one in touched.values()) < sum(one.excess_after for one in keep.values())


def test_the_changes_of_every_role_are_ranked_in_true_waves(each: Plan) -> None:
    """Each change has one place, shares add up, and what is not worth a role is listed with the reason."""
    steps = rank_steps(each)
    changes = {one.id: one for one in each.proposals if one.kind != "keep"}
    assert steps.ranks().keys() == changes.keys()
    assert sum(step.share for step in steps.steps) == pytest.approx(1.0)
    assert max(step.total for step in steps.steps) == pytest.approx(1.0)
    made = [role for step in steps.steps for role in step.makes_roles]
    assert sorted(made) == sorted({role for step in steps.steps for role in step.new_roles})
    totals = [step.total for step in steps.steps]
    assert totals == sorted(totals)
    for step in steps.of_wave(2):
        assert changes[step.proposal].kind == "remove" and not changes[step.proposal].assignments
        assert set(changes[step.proposal].evidence["removed"]) <= {word.value for word in Unused}
    assert len(steps.of_wave(3)) >= 5
    left = [one for one in each.proposals if one.reason.startswith("not worth a role")]
    assert left and len(steps.left_out) == len(left)
