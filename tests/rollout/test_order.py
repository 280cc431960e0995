"""From a plan to swaps: grouping, order of waves, assignments left to people, and Azure's limits."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from rightsize.change.bundle import Bundle, Order, ScheduleRules, bundle_schema, read_bundle, write_bundle
from rightsize.change.order import RolloutTenant, make_bundle
from rightsize.model.errors import GateError, InputError
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from tests.rollout.room import BROAD, NARROW, OWNER, RG, SUB, guid

GLASS = guid(99, "d")
ROLES = {NARROW: RoleDefinition(NARROW, "Narrow", (PermissionBlock(("x/read",)),), assignable_scopes=(SUB,))}


def row(number: int, **more: Any) -> dict[str, Any]:
    found = {"role_assignment_id": guid(number), "state": "active", "principal_id": guid(number, "d")}
    found |= {"principal_type": "User", "role_definition_id": BROAD, "scope": SUB, "condition": None}
    return (
        found
        | {"condition_version": None, "description": f"by hand {number}", "end_on": None, "member_type": None}
        | more
    )


def comes(number: int, **more: Any) -> dict[str, Any]:
    made = {"role": NARROW, "scope": RG, "principal_id": guid(number, "d"), "condition": None, "state": "active"}
    return made | more


def proposal(number: int, *made: dict[str, Any], kind: str = "custom", **more: Any) -> dict[str, Any]:
    found = {
        "id": f"p{number}",
        "plane": "control",
        "kind": kind,
        "replaces": [guid(number)],
        "assignments": list(made),
    }
    evidence = {"state": "active", "rests_on": [], "removed": {"covered": 3, "arm_read": 2}}
    return found | {"break_probability_30d": number / 100, "evidence": evidence} | more


def ordered(*proposals: dict[str, Any], rows: list[dict[str, Any]] | None = None, **more: Any) -> Bundle:
    held = rows if rows is not None else [row(number) for number in range(1, 6)]
    types = {str(one["principal_id"]): "User" for one in held} | {guid(50, "d"): "Group", GLASS: "User"}
    enabled = more.pop("enabled", frozenset(types))
    tenant = RolloutTenant(held, more.pop("members", {}), types, enabled=enabled, **more.pop("tenant", {}))
    order = Order(tuple(more.get("canaries", ())), more.get("wave_size", 25), tuple(more.get("only", ())))
    return make_bundle({"proposals": list(proposals)}, "hash", ROLES, tenant, emergency=[GLASS], order=order)


def left(bundle: Bundle) -> dict[str, str]:
    return {one.role_assignment_id: one.reason for one in bundle.left_out}


def test_a_proposal_becomes_a_swap() -> None:
    (one,) = ordered(proposal(1, comes(1))).swaps
    assert (one.wave, one.proposals, one.roles, one.wait) == (1, ("p1",), (NARROW,), 600)
    assert (one.covered, one.blind, one.risk) == (3, 2, 0.01)
    (gone,), (made,) = one.removes, one.creates
    assert (gone.id, gone.description, gone.role) == (guid(1), "by hand 1", BROAD)
    assert made.scope == RG and made.description == "rightsize p1"


def test_what_is_kept_is_no_swap() -> None:
    assert ordered(proposal(1, kind="keep")).swaps == ()


def test_several_proposals_replace_one_assignment_together() -> None:
    """All that comes for it is there before it goes."""
    both = ordered(proposal(1, comes(1)), proposal(1, comes(1, scope=f"{RG}2"), id="p9"))
    (one,) = both.swaps
    assert len(one.creates) == 2 and one.proposals == ("p1", "p9")


def test_one_principal_is_one_swap() -> None:
    rows = [row(1), row(2, principal_id=guid(1, "d"))]
    (one,) = ordered(proposal(1, comes(1)), proposal(2, comes(1)), rows=rows).swaps
    assert [gone.id for gone in one.removes] == [guid(1), guid(2)] and len(one.creates) == 1


def test_what_rests_on_another_goes_with_it() -> None:
    resting = proposal(2, kind="remove_duplicate")
    resting["evidence"] = {"state": "active", "rests_on": [guid(1).upper()]}
    (one,) = ordered(proposal(1, comes(1)), resting).swaps
    assert [gone.id for gone in one.removes] == [guid(1), guid(2)]


def test_canaries_go_first_and_then_what_is_least_likely_to_break() -> None:
    many = [proposal(number, comes(number)) for number in (5, 3, 1, 4)]
    bundle = ordered(*many, canaries=[guid(4, "d")], wave_size=2)
    assert [(one.wave, one.proposals[0]) for one in sorted(bundle.swaps, key=lambda one: (one.wave, one.risk))] == [
        (1, "p4"),
        (2, "p1"),
        (2, "p3"),
        (3, "p5"),
    ]


def test_the_order_of_proposals_does_not_matter() -> None:
    many = [proposal(number, comes(number)) for number in range(1, 6)]
    assert write_bundle(ordered(*many)) == write_bundle(ordered(*reversed(many)))


@pytest.mark.parametrize(
    ("changes", "rows", "why"),
    [
        ({}, [row(1, principal_id=GLASS)], "emergency access account"),
        ({}, [row(1, principal_id=guid(50, "d"))], "emergency access account"),
        ({"evidence": {"state": "activated"}}, [row(1, state="activated")], "activation"),
        ({"evidence": {"state": "eligible"}}, [row(1, state="eligible", member_type="Inherited")], "scope above"),
        ({}, [row(1, condition="x")], "condition"),
        ({}, [row(1, role_definition_id=OWNER)], "Owner of a subscription"),
        ({"id": "other"}, [row(1)], "was not chosen"),
    ],
)
def test_what_must_not_be_touched_is_left_out(changes: dict[str, Any], rows: list[dict[str, Any]], why: str) -> None:
    bundle = ordered(
        proposal(1, comes(1), **changes),
        rows=rows,
        members={guid(50, "d"): frozenset({GLASS})},
        only=["P1"] if "id" in changes else [],
    )
    assert bundle.swaps == () and why in left(bundle)[guid(1)]


def test_what_ends_by_itself_is_replaced_until_then() -> None:
    """Neither longer nor shorter than today, and under the rules of today's role."""
    rows = [row(1, end_on=dt.datetime(2027, 1, 1, 8, 30))]
    (one,) = ordered(proposal(1, comes(1)), rows=rows).swaps
    (made,), (gone,), (rules,) = one.creates, one.removes, one.rules
    assert (made.until, gone.until) == ("2027-01-01T08:30:00Z", "2027-01-01T08:30:00Z")
    assert made.is_managed and made.url == (
        f"{RG}/providers/Microsoft.Authorization/roleAssignmentScheduleInstances"
        f"?principalId={guid(1, 'd')}&role={NARROW}"
    )
    assert rules == ScheduleRules(RG, NARROW, SUB, BROAD)


@pytest.mark.parametrize(
    ("today", "planned", "until"),
    [
        (dt.datetime(2027, 1, 1), "2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        (dt.datetime(2027, 1, 1), "2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        (dt.datetime(2027, 1, 1), "2027-06-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        (None, "2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z"),
    ],
)
def test_nothing_lasts_longer_than_the_plan_says_or_than_today(
    today: dt.datetime | None, planned: str, until: str
) -> None:
    (one,) = ordered(proposal(1, comes(1) | {"end_on": planned}), rows=[row(1, end_on=today)]).swaps
    assert [made.until for made in one.creates] == [until]


def test_what_becomes_eligible_lasts_as_long_as_the_rules_of_its_role_let_it() -> None:
    evidence = {"state": "active", "activation": {"maximum_eligibility": "P90D"}}
    both = [
        proposal(1, comes(1)),
        proposal(1, comes(1, state="eligible"), kind="make_eligible", id="p9", evidence=evidence),
    ]
    (one,) = ordered(*both).swaps
    assert sorted((made.state, made.lasts) for made in one.creates) == [("active", None), ("eligible", "P90D")]
    assert [rules.of_role for rules in one.rules] == [BROAD]


def test_an_eligible_assignment_is_replaced_by_an_eligible_one() -> None:
    rows = [row(1, state="eligible", member_type="Direct")]
    narrower = proposal(1, comes(1, state="eligible"), evidence={"state": "eligible"})
    (one,) = ordered(narrower, rows=rows).swaps
    assert {held.state for held in (*one.creates, *one.removes)} == {"eligible"}
    (gone,) = ordered(proposal(1, kind="remove", evidence={"state": "eligible"}), rows=rows).swaps
    assert gone.creates == () and gone.rules == ()


def test_of_the_same_assignment_the_later_end_holds() -> None:
    rows = [row(1, end_on=dt.datetime(2027, 1, 1)), row(2, principal_id=guid(1, "d"), end_on=dt.datetime(2027, 6, 1))]
    (one,) = ordered(proposal(1, comes(1)), proposal(2, comes(1)), rows=rows).swaps
    assert [made.until for made in one.creates] == ["2027-06-01T00:00:00Z"]
    rows[1]["end_on"] = None
    (one,) = ordered(proposal(1, comes(1)), proposal(2, comes(1)), rows=rows).swaps
    assert [made.until for made in one.creates] == [None]


def test_an_owner_may_go_while_another_stays() -> None:
    rows = [row(1, role_definition_id=OWNER), row(2, role_definition_id=OWNER)]
    assert len(ordered(proposal(1, comes(1)), rows=rows).swaps) == 1
    both = ordered(proposal(1, comes(1)), proposal(2, comes(2)), rows=rows)
    assert len(both.swaps) == 1 and "Owner" in left(both)[guid(1)]


@pytest.mark.parametrize(
    "other",
    [
        {"end_on": dt.datetime(2027, 1, 1)},
        {"condition": "x", "condition_version": "2.0"},
        {"state": "eligible", "member_type": "Direct"},
        {"principal_id": guid(60, "d")},
        {"principal_id": guid(50, "d")},
        {"scope": RG},
    ],
)
def test_an_owner_who_cannot_always_act_is_none_who_stays(other: dict[str, Any]) -> None:
    """With an end or a condition, eligible only, disabled, a group of disabled members, or elsewhere."""
    rows = [row(1, role_definition_id=OWNER), row(2, role_definition_id=OWNER, **other)]
    found = ordered(
        proposal(1, comes(1)),
        rows=rows,
        enabled=frozenset({guid(1, "d"), guid(2, "d")}),
        members={guid(50, "d"): frozenset({guid(60, "d")})},
    )
    assert found.swaps == () and "Owner" in left(found)[guid(1)]


def test_a_group_with_an_enabled_member_is_an_owner_who_stays() -> None:
    rows = [row(1, role_definition_id=OWNER), row(2, role_definition_id=OWNER, principal_id=guid(50, "d"))]
    members = {guid(50, "d"): frozenset({guid(60, "d"), guid(61, "d")})}
    able = frozenset({guid(61, "d")})
    assert len(ordered(proposal(1, comes(1)), rows=rows, enabled=able, members=members).swaps) == 1
    assert ordered(proposal(1, comes(1)), rows=rows, enabled=able, members={}).swaps == ()


def test_an_owner_above_may_go_only_where_each_subscription_keeps_one() -> None:
    """One of the management group, over a subscription with no Owner of its own."""
    group = "/providers/Microsoft.Management/managementGroups/g"
    rows = [row(1, role_definition_id=OWNER, scope=group), row(2, role_definition_id=OWNER)]
    other = "/subscriptions/20000000-0000-0000-0000-000000000000"
    tree = {SUB: group, other: group}
    assert ordered(proposal(1, comes(1)), rows=rows, tenant={"tree": tree}).swaps == ()
    assert len(ordered(proposal(1, comes(1)), rows=rows, tenant={"tree": {SUB: group}}).swaps) == 1


def test_roles_past_azures_limit_are_refused() -> None:
    there = {guid(number): RoleDefinition(guid(number), str(number), ()) for number in range(5_000)}
    with pytest.raises(GateError, match="5001 custom roles"):
        ordered(proposal(1, comes(1)), tenant={"roles": there})


def test_the_custom_roles_that_lose_an_assignment_are_kept_in_the_bundle() -> None:
    there = {BROAD: RoleDefinition(BROAD, "Broad", (PermissionBlock(("*",)),), assignable_scopes=(SUB,))}
    bundle = ordered(proposal(1, comes(1)), tenant={"roles": there})
    assert bundle.old_roles[BROAD]["properties"]["permissions"][0]["actions"] == ["*"]


def test_a_condition_that_is_carried_over_is_none_in_the_way() -> None:
    (one,) = ordered(proposal(1, comes(1, condition="x")), rows=[row(1, condition="x", condition_version="2.0")]).swaps
    assert (one.creates[0].condition, one.creates[0].condition_version) == ("x", "2.0")


def test_what_rests_on_what_is_left_out_is_left_out() -> None:
    resting = proposal(2, kind="remove_duplicate")
    resting["evidence"] = {"state": "active", "rests_on": [guid(1)]}
    bundle = ordered(proposal(1, comes(1)), resting, rows=[row(1, principal_id=GLASS), row(2)])
    assert bundle.swaps == () and "depends on" in left(bundle)[guid(2)]


def test_what_does_not_fit_into_azures_limit_is_refused() -> None:
    """New assignments come before old ones go, so a wave needs room; smaller waves need less."""
    rows = [row(number) for number in range(1, 4000)]
    many = [proposal(number, comes(number)) for number in (1, 2)]
    with pytest.raises(GateError, match=f"`{SUB}` would have 4001 assignments"):
        ordered(*many, rows=rows)
    assert len(ordered(*many, rows=rows, wave_size=1).swaps) == 2
    eligible = [proposal(number, comes(number, state="eligible")) for number in (1, 2)]
    assert len(ordered(*eligible, rows=rows).swaps) == 2


def test_the_graph_and_the_directory_are_not_azure_rbac() -> None:
    assert ordered(proposal(1, comes(1), plane="directory")).swaps == ()


@pytest.mark.parametrize("kind", ["User", "Group", "ServicePrincipal", "ManagedIdentity", "ForeignGroup", "Device"])
def test_every_kind_of_principal_is_waited_for(kind: str) -> None:
    """Ten minutes, as Azure's page says for all of them; a kind that nobody knows is no reason to wait less."""
    rows = [row(1, principal_type=kind)]
    tenant = RolloutTenant(rows, {}, {guid(1, "d"): kind, GLASS: "User"})
    bundle = make_bundle({"proposals": [proposal(1, comes(1))]}, "hash", ROLES, tenant, emergency=[GLASS])
    assert [one.wait for one in bundle.swaps] == [600]


def test_data_actions_at_a_management_group_take_hours() -> None:
    place = "/providers/Microsoft.Management/managementGroups/g"
    (one,) = ordered(proposal(1, comes(1, scope=place, role=BROAD))).swaps
    assert one.wait == 14_400


def test_a_bundle_reads_back_as_it_was_written() -> None:
    rows = [row(1, end_on=dt.datetime(2027, 1, 1)), row(2)]
    bundle = ordered(proposal(1, comes(1)), proposal(2, kind="remove"), rows=rows)
    assert read_bundle(write_bundle(bundle).encode()) == bundle


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format_version",), 1), (("plan",), 7), (("swaps",), "x"), (("swaps", 0, "wave"), "1"),
        (("swaps", 0, "strange"), 1), (("swaps", 0, "creates", 0, "condition"), 5), (("names",), ["x"]),
    ],
)  # fmt: skip
def test_the_schema_and_the_reader_refuse_the_same(path: tuple[str | int, ...], value: object) -> None:
    document = json.loads(write_bundle(ordered(proposal(1, comes(1)))))
    schema = Draft202012Validator(json.loads(bundle_schema()))
    assert not list(schema.iter_errors(document))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert list(schema.iter_errors(document))
    with pytest.raises(InputError):
        read_bundle(json.dumps(document).encode())


@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"format_version": 1}', '{"format_version": 1, "plan": 1, "swaps": [{}]}']
)
def test_what_is_no_bundle_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        read_bundle(text.encode())


ASSIGNS = "((!(ActionMatches{'x/write'})) OR (@Request[a] ForAnyOfAnyValues:GuidEquals {b}))"


@pytest.mark.parametrize(
    ("role", "permissions", "goes"),
    [
        (NARROW, {}, True),
        (BROAD, {BROAD: (PermissionBlock(("x/*",)),)}, False),
        (BROAD, {BROAD: (PermissionBlock(("y/*",)),)}, True),
        (BROAD, {}, False),
    ],
)
def test_a_role_without_the_condition_grants_nothing_that_it_restricts(
    role: str, permissions: dict[str, Any], goes: bool
) -> None:
    """Else, and where the role is not known, the assignment is left out."""
    held = [row(1, role_definition_id=guid(7), condition=ASSIGNS, condition_version="2.0")]
    bundle = ordered(proposal(1, comes(1, role=role)), rows=held, tenant={"permissions": permissions})
    assert bool(bundle.swaps) is goes
    assert goes or "condition" in left(bundle)[guid(1)]
