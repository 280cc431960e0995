"""Proof and replay fail when they should, and name the reason."""

from __future__ import annotations

import json

import polars as pl
import pytest

from rightsize.analyze.inputs import read_tree
from rightsize.analyze.tenant import read_tenant
from rightsize.analyze.verdicts.judge import analyse
from rightsize.analyze.window import choose_window
from rightsize.model.errors import InternalError
from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import REMOVE
from rightsize.model.text import fold
from rightsize.propose import pipeline as plan_module
from rightsize.propose import replay as reach
from rightsize.propose.assembly import plan_proof
from rightsize.propose.needs.assignments import EVER
from rightsize.propose.proof import Claim, ProvedGrant, prove
from rightsize.propose.replay import GRANTS_SCHEMA, Evaluator, distinct_uses, replay
from rightsize.propose.selection.assign import GrantedNeeds
from tests.propose.small_tenant import (
    APP,
    CONTRIBUTOR,
    DATA,
    DAY0,
    DAYS,
    MG,
    READER,
    SUB,
    VM,
    SmallTenant,
    guid,
    proposal_for,
    strings,
)

START, WRITE = "Microsoft.Compute/virtualMachines/start/action", "Microsoft.Compute/virtualMachines/write"
ROLES = {
    "wide": (PermissionBlock(actions=("Microsoft.Compute/*",)),),
    "start": (PermissionBlock(actions=(START,)),),
    "write": (PermissionBlock(actions=(WRITE,)),),
    "network": (PermissionBlock(actions=("Microsoft.Network/virtualNetworks/read",)),),
    "future": (PermissionBlock(actions=("Microsoft.Compute/*", "Microsoft.ComputeSoon/read")),),
}
SCOPES = pl.DataFrame({"scope": [SUB, MG], "parent_scope": [MG, "/"], "listed": [True, True]})
USES = pl.DataFrame(
    {"claim": ["c"], "principal_id": ["u"], "plane": ["control"], "operation": [fold(START)], "place": [fold(VM)]},
)


def proved(claim: Claim, uses: pl.DataFrame = USES) -> tuple[bool, bool, str]:
    tree = read_tree(SCOPES, pl.Series([fold(SUB), fold(VM), fold(APP), fold(DATA)]))
    proof = prove([claim], uses, ROLES, tree)["c"]
    return proof.used_subset, proof.granted_superset, proof.witness or ""


def _claim(
    today: str | None, place: str, proposed: tuple[tuple[str, str], ...], resting_on: tuple[tuple[str, str], ...] = ()
) -> Claim:
    held = (ProvedGrant(today, place),) if today else ()
    return Claim(
        "c", tuple(ProvedGrant(*one) for one in proposed), tuple(ProvedGrant(*one) for one in resting_on), held
    )


def test_a_right_claim_is_proved() -> None:
    assert proved(_claim("wide", fold(SUB), (("start", fold(APP)),))) == (True, True, "")


def test_a_management_group_is_above_its_subscriptions() -> None:
    assert proved(_claim("wide", fold(MG), (("start", fold(APP)),))) == (True, True, "")


def test_a_use_that_nothing_grants_is_named() -> None:
    used, granted, witness = proved(_claim("wide", fold(SUB), (("write", fold(APP)),)))
    assert (used, granted) == (False, True)
    assert fold(START) in witness
    assert fold(VM) in witness


def test_a_use_outside_the_new_scope_is_named() -> None:
    used, _, witness = proved(_claim("wide", fold(SUB), (("start", fold(DATA)),)))
    assert not used
    assert "not granted" in witness


def test_a_removal_with_use_is_no_proof() -> None:
    assert proved(_claim("wide", fold(SUB), ()))[0] is False


def test_what_rests_on_another_assignment_is_granted_by_it() -> None:
    assert proved(_claim("wide", fold(SUB), (), (("start", fold(SUB)),))) == (True, True, "")


def test_a_new_permission_is_named() -> None:
    used, granted, witness = proved(_claim("start", fold(SUB), (("wide", fold(APP)),)))
    assert (used, granted) == (True, False)
    assert "not granted today" in witness


def test_an_operation_of_no_catalogue_is_new_all_the_same() -> None:
    """Containment is decided for all strings."""
    _, granted, witness = proved(_claim("wide", fold(SUB), (("future", fold(APP)),)))
    assert not granted
    assert "Microsoft.ComputeSoon/read" in witness


def test_a_wider_scope_is_named() -> None:
    _, granted, witness = proved(_claim("wide", fold(APP), (("start", fold(SUB)),)))
    assert not granted
    assert "nothing is granted today at" in witness


def test_what_is_not_known_today_proves_nothing() -> None:
    assert proved(_claim(None, fold(SUB), (("start", fold(APP)),)))[1] is False


def test_what_the_roles_of_today_grant_together_is_not_new() -> None:
    held = (ProvedGrant("start", fold(SUB)), ProvedGrant("write", fold(SUB)))
    roles = ROLES | {"both": (PermissionBlock(actions=(START, WRITE)),)}
    claim = Claim("c", (ProvedGrant("both", fold(APP)),), (), held)
    tree = read_tree(SCOPES, pl.Series([fold(SUB), fold(VM), fold(APP)]))
    assert prove([claim], USES, roles, tree)["c"].granted_superset
    assert not prove([Claim("c", claim.proposed, (), held[:1])], USES, roles, tree)["c"].granted_superset


@pytest.mark.parametrize(
    ("held", "given", "is_proved"),
    [
        (ProvedGrant("wide", fold(SUB)), ProvedGrant("start", fold(APP), state="eligible"), True),
        (ProvedGrant("wide", fold(SUB), state="eligible"), ProvedGrant("start", fold(APP)), False),
        (ProvedGrant("wide", fold(SUB)), ProvedGrant("start", fold(APP), condition="c"), True),
        (ProvedGrant("wide", fold(SUB), condition="c"), ProvedGrant("start", fold(APP), condition="c"), True),
        (ProvedGrant("wide", fold(SUB), condition="c"), ProvedGrant("start", fold(APP), condition="d"), False),
        (ProvedGrant("wide", fold(SUB), condition="c"), ProvedGrant("start", fold(APP)), False),
        (ProvedGrant("wide", fold(SUB), member="u"), ProvedGrant("start", fold(APP), member="u"), True),
        (ProvedGrant("wide", fold(SUB), member="v"), ProvedGrant("start", fold(APP), member="u"), False),
    ],
)
def test_only_what_is_no_more_conditional_stands_behind_a_grant(
    held: ProvedGrant, given: ProvedGrant, is_proved: bool
) -> None:
    assert proved(Claim("c", (given,), (), (held,)))[1] is is_proved


def test_what_one_member_is_given_covers_no_other() -> None:
    given = ProvedGrant("start", fold(APP), member="u")
    held = (ProvedGrant("wide", fold(SUB)),)
    assert proved(Claim("c", (given,), (), held))[0] is True
    assert proved(Claim("c", (ProvedGrant("start", fold(APP), member="v"),), (), held))[0] is False


def _replayed(
    tenant: SmallTenant, today: list[tuple[str, str, str, str]], after: list[tuple[str, str, str, str]]
) -> tuple[int, int, int, str]:
    import datetime as dt  # noqa: PLC0415

    inputs = tenant.inputs()
    window = choose_window(inputs, DAY0 + dt.timedelta(days=DAYS), DAYS)
    prepared = read_tenant(inputs)
    frames = [
        pl.DataFrame([(*row, None, EVER) for row in rows], schema=GRANTS_SCHEMA, orient="row")
        for rows in (today, after)
    ]
    roles = {id_: tuple(blocks) for id_, (_, blocks) in tenant.roles.items()}
    outcome = replay(distinct_uses(inputs, window), *frames, Evaluator(roles, prepared.tree), prepared, inputs)
    number = outcome.as_json()
    first = outcome.first_denied if number["denied"] else ""
    return number["allowed"], number["needs_activation"], number["denied"], first


def _started() -> tuple[SmallTenant, str]:
    tenant = SmallTenant()
    user = tenant.principal(1)
    tenant.use(user, START, VM)
    return tenant, user


@pytest.mark.slow
def test_replay_names_the_first_call_that_would_be_denied() -> None:
    tenant, user = _started()
    held = (user, fold(SUB), CONTRIBUTOR, "active")
    assert _replayed(tenant, [held], [held]) == (1, 0, 0, "")
    allowed, _, denied, first = _replayed(tenant, [held], [(user, fold(SUB), READER, "active")])
    assert (allowed, denied) == (0, 1)
    assert first == f"{user} {fold(START)} at {fold(VM)}"


@pytest.mark.slow
def test_eligible_access_needs_an_activation() -> None:
    tenant, user = _started()
    held, eligible = (user, fold(SUB), CONTRIBUTOR, "active"), (user, fold(SUB), CONTRIBUTOR, "eligible")
    assert _replayed(tenant, [held], [eligible])[:3] == (0, 1, 0)


@pytest.mark.slow
def test_what_today_does_not_allow_is_not_replayed() -> None:
    tenant, user = _started()
    assert _replayed(tenant, [(user, fold(SUB), READER, "active")], []) == (0, 0, 0, "")


def test_many_calls_are_answered_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the answer is the same in any number of parts."""
    uses = pl.DataFrame(
        [
            (n, "ann", APP.lower(), "control", f"contoso.boxes/{word}")
            for n, word in enumerate(("read", "write", "open"))
        ],
        schema={"use": pl.UInt32, "holder": pl.String, "place": pl.String, "plane": pl.String, "operation": pl.String},
        orient="row",
    )
    held = [
        ("ann", SUB.lower(), "reader", "active", None, EVER),
        ("ann", APP.lower(), "opener", "eligible", None, EVER),
    ]
    roles = {"reader": (PermissionBlock(actions=("*/read",)),), "opener": (PermissionBlock(actions=("*/open",)),)}
    evaluator = Evaluator(roles, read_tree(SCOPES, pl.Series([fold(SUB), fold(APP)])))
    whole = evaluator.allowed(uses, pl.DataFrame(held, schema=GRANTS_SCHEMA, orient="row"))
    monkeypatch.setattr(reach, "AT_ONCE", 1)
    single = evaluator.allowed(uses, pl.DataFrame(held, schema=GRANTS_SCHEMA, orient="row"))
    assert sorted(whole.rows()) == sorted(single.rows()) == [(0, "active", EVER), (2, "eligible", EVER)]
    assert evaluator.allowed(uses.clear(), pl.DataFrame(held, schema=GRANTS_SCHEMA, orient="row")).is_empty()


@pytest.mark.slow
def test_groups_count_in_replay() -> None:
    tenant, user = _started()
    group = tenant.group(2, [user])
    assert _replayed(tenant, [(group, fold(SUB), CONTRIBUTOR, "active")], [])[2] == 1


@pytest.mark.parametrize(
    ("principals", "spared", "own_scope_only", "refused"),
    [
        ([guid(1)], [], False, True),
        (["00000000-0000-0000-0000-000000000000"], [], False, True),
        (["00000000-0000-0000-0000-000000000000"], [guid(1)], False, False),
        ([guid(7)], [], False, False),
        ([guid(1)], [], True, False),
    ],
)
def test_what_a_deny_refuses_today_is_not_replayed(
    principals: list[str], spared: list[str], own_scope_only: bool, refused: bool
) -> None:
    """A plan changes no deny, so a call that one refuses says nothing about the plan."""
    tenant, user = _started()
    tenant.add(
        "deny_assignments",
        deny_assignment_id=guid(900),
        scope=SUB,
        principal_ids=principals,
        exclude_principal_ids=spared,
        does_not_apply_to_child_scopes=own_scope_only,
        permissions=json.dumps([{"actions": ["*/action"], "notActions": [], "dataActions": [], "notDataActions": []}]),
    )
    denied = _replayed(tenant, [(user, fold(SUB), CONTRIBUTOR, "active")], [])[2]
    assert denied == (0 if refused else 1)


@pytest.mark.slow
def test_a_plan_that_cannot_be_proved_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in placing use ends in an error that names it, never in a plan."""
    tenant, user = _started()
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    real = plan_module.NeedReader.read

    def forget(self: object, role: object, scope: str, profile: object, use: object, *others: object) -> object:
        return real(self, role, scope, profile, {}, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(plan_module.NeedReader, "read", forget)
    with pytest.raises(InternalError, match=r"cannot be proved.*start/action"):
        tenant.plan(unobservable="drop")


@pytest.mark.slow
def test_a_plan_that_the_replay_refuses_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where every single proof went through."""
    from rightsize.model.plan import Proof  # noqa: PLC0415

    tenant, user = _started()
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.silent()
    monkeypatch.setattr(plan_proof, "prove", lambda claims, *_: {claim.name: Proof(True, True) for claim in claims})
    monkeypatch.setattr(
        plan_module,
        "grant_needs",
        lambda drafts, _: GrantedNeeds({key: _removed(one) for key, one in drafts.items()}, ()),
    )
    with pytest.raises(InternalError, match=r"would deny 1 calls.*start/action"):
        tenant.plan()


def _removed(draft: object) -> object:
    from dataclasses import replace  # noqa: PLC0415

    return replace(draft, kind=REMOVE, placements=())  # type: ignore[type-var]


@pytest.mark.slow
def test_an_analysis_of_another_window_sees_no_use() -> None:
    """Only the window is replayed."""
    import datetime as dt  # noqa: PLC0415

    tenant, user = _started()
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    inputs = tenant.inputs()
    late = choose_window(inputs, DAY0 + dt.timedelta(days=DAYS), 30)
    assert distinct_uses(inputs, late).is_empty()
    assert analyse(inputs, late).verdicts.filter(pl.col("verdict") == "used").is_empty()


@pytest.mark.nightly
@pytest.mark.parametrize("complete", [True, False])
def test_a_call_that_the_log_gives_to_a_group_without_its_caller_stays_allowed(complete: bool) -> None:
    """No listing has the caller in the group, so that only its own assignment is sure to allow the call."""
    tenant = SmallTenant()
    person = tenant.principal(2)
    team = tenant.group(1, [], complete=complete)
    tenant.assign(101, team, CONTRIBUTOR, SUB, principal_type="Group")
    tenant.assign(102, person, CONTRIBUTOR, APP)
    tenant.use(person, "Microsoft.Compute/virtualMachines/restart/action", VM)
    tenant.use(person, START, VM, role_assignment_id=guid(101))
    plan = tenant.plan()
    proposal = proposal_for(plan, guid(102))
    assert proposal.kind != "keep"
    granted = [text for one in proposal.assignments if one.role not in {READER} for text in strings(plan, one.role)]
    assert START in granted
