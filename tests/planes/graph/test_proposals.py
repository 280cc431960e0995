"""Proposals for Graph: keep every needed permission, add none beyond today's, and cost the least."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.planes.graph.cases import GraphMap
from rightsize.planes.graph.choose import lies_within
from rightsize.planes.graph.judge import cheapest_cover
from rightsize.planes.graph.permissions import parse_request
from rightsize.planes.planes import verify_graph
from rightsize.propose.verify.plan_reader import read_plan
from tests.examples import SOME
from tests.planes.graph.small_map import PERMISSIONS, Apps
from tests.propose.small_tenant import SmallTenant
from tests.propose.written_plans import Written


@pytest.mark.slow
def test_what_was_not_used_goes() -> None:
    apps = Apps().app("hr").holds("hr", "User.Read.All", "Mail.Send").asks("hr", "GET /users")
    gone, kept = apps.proposal("hr/Mail.Send"), apps.proposal("hr/User.Read.All")
    assert (gone.kind, gone.assignments, gone.excess_after) == ("remove", (), 0.0)
    assert (kept.kind, kept.excess_before) == ("keep", 0.0)
    assert gone.proof.used_subset
    assert gone.evidence["break_probability"]["basis"] == "unused"


def test_a_permission_that_gives_the_tenant_away_says_so_with_the_owners_of_its_application() -> None:
    """Whoever owns the application can add a credential to it; delegated permissions go only as far as their user."""
    apps = Apps().app("hr").holds("hr", "Application.ReadWrite.All", "Mail.Send")
    apps.delegated("hr", "Application.ReadWrite.All").asks("hr", "GET /users")
    apps.add("object_owners", object_id="registration", owner_id="Ada", app_id="HR-app")
    found = apps.proposal("hr/Application.ReadWrite.All").evidence["gives_away"]
    assert found == {"power": 2, "what": "adds a credential to any application", "owners": ["ada"]}
    assert not any("gives_away" in apps.proposal(name).evidence for name in ("hr/Mail.Send", "hr/all"))


@pytest.mark.slow
def test_a_broad_permission_is_swapped_for_a_narrower_one_within_it() -> None:
    apps = Apps().app("hr").holds("hr", "Group.ReadWrite.All").asks("hr", "GET /groups")
    proposal = apps.proposal("hr/Group.ReadWrite.All")
    assert proposal.kind == "builtin"
    (assigned,) = proposal.assignments
    assert (assigned.role, assigned.scope, assigned.principal_id) == ("a-group.read.all", "/", "hr")
    assert apps.after("hr") == {"Group.Read.All"}


@pytest.mark.slow
def test_what_a_request_may_have_needed_stays_though_another_request_used_it() -> None:
    """What is used for one request is not swapped where another one leaves open what it needed."""
    held = ("Group.ReadWrite.All",)
    unknown = Apps().app("hr").holds("hr", *held).asks("hr", "GET /groups", "GET /groups/{id}/frobnicate")
    assert unknown.after("hr") == set(held)
    assert unknown.proposal("hr/Group.ReadWrite.All").reason == "unexplained_request"
    body = Apps().app("hr").holds("hr", "User.ReadWrite.All", "User-PasswordProfile.ReadWrite.All")
    body.asks("hr", "GET /users", "PATCH /users/{id}")
    assert body.after("hr") == {"User.ReadWrite.All", "User-PasswordProfile.ReadWrite.All"}


def test_what_a_request_in_quarantine_may_have_needed_is_not_swapped() -> None:
    """The reason is of its use: that it was used in quarantine alone would not be true."""
    apps = Apps().app("hr").holds("hr", "User.ReadWrite.All").asks("hr", "GET /users")
    proposal = apps.asks("hr", "DELETE /users/{id}", suspect=3).proposal("hr/User.ReadWrite.All")
    assert (proposal.kind, proposal.reason) == ("keep", "elimination")


@pytest.mark.slow
def test_what_explains_by_its_name_alone_is_never_granted_and_never_swapped() -> None:
    apps = Apps().app("hr").holds("hr", "Directory.ReadWrite.All").asks("hr", "GET /devices")
    assert apps.after("hr") == {"Directory.ReadWrite.All"}
    beside = Apps().app("hr").holds("hr", "Directory.ReadWrite.All", "Device.Read.All").asks("hr", "GET /devices")
    assert beside.after("hr") == {"Device.Read.All"}


def test_basic_properties_are_never_swapped_in() -> None:
    apps = Apps().app("hr").holds("hr", "User.Read.All").asks("hr", "GET /users")
    assert apps.after("hr") == {"User.Read.All"}


def test_one_broad_permission_becomes_two_narrow_ones_where_they_allow_less() -> None:
    apps = Apps().app("hr").holds("hr", "Directory.Read.All").asks("hr", "GET /users/{id}", "GET /devices")
    assert apps.after("hr") == {"Device.Read.All", "User.Read.All"}


@pytest.mark.slow
def test_what_fills_in_answers_stays_in_the_cheapest_form() -> None:
    held = ("Group.Read.All", "User.ReadWrite.All")
    apps = Apps().app("hr").holds("hr", *held).asks("hr", "GET /groups/{id}/members")
    assert apps.after("hr") == {"Group.Read.All", "User.Read.All"}
    assert apps.after("hr", unobservable="drop") == {"Group.Read.All"}


@pytest.mark.slow
def test_delegated_grants_keep_the_rest_of_their_permissions() -> None:
    apps = Apps().app("web").delegated("web", "User.Read", "Mail.ReadWrite", "Sites.Read.All")
    proposal = apps.asks("web", "GET /me/messages", user="ann").proposal("web/all")
    assert proposal.kind == "builtin"
    assert {one.role for one in proposal.assignments} == {"d-mail.read", "d-user.read"}
    smaller = Apps().app("web").delegated("web", "User.Read", "Mail.Send").proposal("web/all")
    assert (smaller.kind, [one.role for one in smaller.assignments]) == ("narrow_scope", ["d-user.read"])


@pytest.mark.slow
def test_a_users_own_grant_that_the_tenant_wide_one_contains_is_a_duplicate() -> None:
    apps = Apps().app("web").delegated("web", "Mail.Read").delegated("web", "Mail.Read", user="ann")
    apps.asks("web", "GET /me/messages", user="ann")
    assert apps.proposal("web/ann").kind == "remove_duplicate"
    assert apps.proposal("web/all").kind == "keep"


@pytest.mark.parametrize(
    ("more", "options", "reason"),
    [
        ({"owner_tenant_id": "f8cdef31-a31e-4b4a-93e4-5f571e91255a"}, {}, "first_party"),
        ({"deleted_on": dt.datetime(2026, 1, 5)}, {}, "unresolved_principal"),
        ({"created_on": dt.datetime(2026, 1, 5)}, {}, "young"),
        ({}, {"exclude": ("hr-app",)}, "excluded"),
        ({}, {"max_break": 0.0}, "risky"),
    ],
)
def test_some_applications_are_left_alone(more: dict[str, object], options: dict[str, object], reason: str) -> None:
    apps = Apps().app("hr", **more).holds("hr", "User.Read.All")
    proposal = apps.proposal("hr/User.Read.All", **options)
    assert (proposal.kind, proposal.reason) == ("keep", reason)


@pytest.mark.slow
def test_a_young_assignment_is_left_alone() -> None:
    apps = Apps().app("hr").holds("hr", "User.Read.All", created_on=dt.datetime(2026, 1, 5)).holds("hr", "Mail.Send")
    assert apps.proposal("hr/User.Read.All").reason == "young"
    assert apps.proposal("hr/Mail.Send").kind == "remove"


@pytest.mark.slow
def test_narrower_permissions_on_chosen_resources_are_advice() -> None:
    apps = Apps().app("hr").holds("hr", "Sites.Read.All").asks("hr", "GET /sites/{id}")
    (advice,) = apps.part().advice
    assert "Sites.Selected" in advice.text
    assert apps.after("hr") == {"Sites.Read.All"}


names = st.sampled_from(sorted(set(PERMISSIONS) - {"User.Read"}))
pairs = sorted({pair for _, allowed in PERMISSIONS.values() for pair in allowed if not pair[1].startswith("/me")})


@pytest.mark.nightly
@SOME
@given(st.sets(names, min_size=1, max_size=5), st.sets(st.sampled_from(pairs), max_size=4), st.randoms())
def test_used_lies_within_proposed_lies_within_granted(
    held: set[str], asked: set[tuple[str, str]], chance: object
) -> None:
    """Asked again of the map alone: whatever today's permissions explain stays allowed, and nothing is new."""
    operations = [f"{method} {path}" for method, path in sorted(asked)]
    apps = Apps().app("x").holds("x", *sorted(held)).asks("x", *operations)
    after = apps.after("x")
    graph = GraphMap.read(apps.tables())
    for operation in operations:
        for clause in graph.by_access["application"].requirement(parse_request(operation)).clauses:
            if clause.holders(held):
                assert clause.holders(after), (operation, clause.why)
    for one in after - held:
        assert lies_within(one, held, "application", graph)
    assert sum(graph.privilege(one, "application") for one in after) <= sum(
        graph.privilege(one, "application") for one in held
    )


@SOME
@given(
    st.lists(st.frozensets(st.sampled_from("abcdef"), min_size=1, max_size=4), max_size=6),
    st.fixed_dictionaries({name: st.integers(1, 9) for name in "abcdef"}),
    st.frozensets(st.sampled_from("abcdef"), max_size=2),
)
def test_the_cover_is_as_cheap_as_the_cheapest(
    needs: list[frozenset[str]], costs: dict[str, int], given_: frozenset[str]
) -> None:
    found = cheapest_cover(needs, costs, given_)
    assert all(need & (found | given_) for need in needs)
    every = (frozenset(some) for size in range(7) for some in itertools.combinations("abcdef", size))
    cheapest = min(sum(costs[one] for one in some) for some in every if all(need & (some | given_) for need in needs))
    assert sum(costs[one] for one in found) == cheapest


@pytest.mark.nightly
def test_a_part_is_stale_when_a_grant_changes_or_a_use_is_not_covered() -> None:
    apps = Apps().app("hr").holds("hr", "User.ReadWrite.All", "Mail.Send").asks("hr", "GET /users")
    tenant = SmallTenant()
    tenant.assign(1, tenant.principal(1), "reader", "/subscriptions/s")
    plan = tenant.plan()
    object.__setattr__(plan, "parts", (apps.part(),))
    from rightsize.render.plan import plan_files  # noqa: PLC0415  beside its only use

    (part,) = read_plan(Written(plan_files(plan)).contents["plan.json"]).parts
    assert verify_graph(part, apps.analysis()) == []
    more = (
        Apps().app("hr").holds("hr", "User.ReadWrite.All", "Mail.Send").asks("hr", "GET /users", "DELETE /users/{id}")
    )
    (use,) = verify_graph(part, more.analysis())
    assert (use.what, use.change, use.operation, use.plane) == ("use", "not_covered", "DELETE /users/{id}", "graph")
    covered = (
        Apps().app("hr").holds("hr", "User.ReadWrite.All", "Mail.Send").asks("hr", "GET /users", "GET /users/{id}")
    )
    assert verify_graph(part, covered.analysis()) == []
    fewer = Apps().app("hr").holds("hr", "User.ReadWrite.All").asks("hr", "GET /users")
    (gone,) = verify_graph(part, fewer.analysis())
    assert (gone.what, gone.change) == ("grant", "gone")
