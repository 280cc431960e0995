"""The replacement of a time-bound assignment has exactly its end, in plan, proof and replay."""

from __future__ import annotations

import datetime as dt

import pytest

from rightsize.model.errors import InputError
from rightsize.model.nouns import PermissionBlock
from rightsize.model.text import fold
from rightsize.propose.needs.assignments import lasts_as_long
from rightsize.propose.proof import Claim, ProvedGrant
from rightsize.propose.verify.review import content_of
from tests.propose.needs.test_privileged import policy
from tests.propose.proof.test_proof_and_replay import proved
from tests.propose.small_tenant import APP, CONTRIBUTOR, DATA, READER, SUB, VM, SmallTenant, guid, proposal_for
from tests.propose.written_plans import Document, Written, named, proposal_of

LEAN = {"reads": "none", "unobservable": "drop"}
START = "Microsoft.Compute/virtualMachines/start/action"
ACCOUNTS = "Microsoft.Storage/storageAccounts/write"
ACCOUNT = f"{DATA}/providers/Microsoft.Storage/storageAccounts/s"
SOON, LATE = dt.datetime(2026, 9, 1, 8, 30, 15, 900_000), dt.datetime(2027, 1, 1)
SOON_TEXT, LATE_TEXT = "2026-09-01T08:30:15Z", "2027-01-01T00:00:00Z"


def _tenant(state: str = "active", end_on: dt.datetime | None = SOON) -> tuple[SmallTenant, str, str]:
    """A person who starts a machine through an assignment that ends."""
    tenant = SmallTenant()
    tenant.operations = {name: flag for name, flag in tenant.operations.items() if "/join/" not in name}
    person = tenant.principal(1)
    assignment = tenant.assign(101, person, CONTRIBUTOR, SUB, state=state, end_on=end_on)
    policy(tenant, CONTRIBUTOR, SUB)
    tenant.use(person, START, VM, role_assignment_id=assignment)
    return tenant, person, assignment


@pytest.mark.slow
@pytest.mark.parametrize(("state", "where"), [("active", VM), ("eligible", APP)])
def test_what_comes_ends_when_that_ends_which_goes(state: str, where: str) -> None:
    """To the second below; and the reason says it."""
    tenant, _, assignment = _tenant(state)
    plan = tenant.plan(**LEAN)
    proposal = proposal_for(plan, assignment, state)
    assert [(one.scope, one.state, one.end_on) for one in proposal.assignments] == [(where, state, SOON_TEXT)]
    assert proposal.proof.holds
    assert proposal.reason.endswith(f"it ends like today's assignment, on {SOON_TEXT}")
    assert plan.replay["denied"] == 0


@pytest.mark.nightly
@pytest.mark.parametrize("state", ["active", "eligible"])
def test_such_a_plan_verifies_and_is_stale_once_the_end_is_another(state: str) -> None:
    tenant, _, assignment = _tenant(state)
    written = Written.of(tenant, **LEAN)
    found = written.verify(tenant)
    assert (found.changes, found.failed) == ((), ())
    tenant.rows["role_assignments"][0]["end_on"] = LATE
    kind = "eligible_assignment" if state == "eligible" else "role_assignment"
    assert (kind, assignment, "changed") in named(written.verify(tenant))


@pytest.mark.slow
def test_a_plan_that_somebody_made_last_longer_is_not_believed() -> None:
    tenant, _, assignment = _tenant()

    def _lengthen(document: Document) -> None:
        proposal_of(document, assignment)["assignments"][0]["end_on"] = LATE_TEXT

    (proof,) = Written.of(tenant, **LEAN).edit(_lengthen).verify(tenant).failed
    assert proof.witness == "it would last longer than today's assignment"
    forever = Written.of(tenant, **LEAN).edit(lambda one: proposal_of(one, assignment)["assignments"][0].pop("end_on"))
    assert forever.verify(tenant).failed


@pytest.mark.nightly
def test_a_plan_that_somebody_made_end_sooner_covers_no_use() -> None:
    """Nor does a permanent assignment find its place in one that ends."""
    for end_on in (SOON, None):
        tenant, _, assignment = _tenant(end_on=end_on)

        def _shorten(document: Document, id_: str = assignment) -> None:
            proposal_of(document, id_)["assignments"][0]["end_on"] = "2026-08-01T00:00:00Z"

        found = Written.of(tenant, **LEAN).edit(_shorten).verify(tenant)
        assert [change.what for change in found.changes] == ["use"]


@pytest.mark.slow
@pytest.mark.parametrize("end", ["tomorrow", "2026-13-01T00:00:00Z", "2026-08-01", 5, ""])
def test_an_end_that_is_none_is_refused(end: object) -> None:
    tenant, _, assignment = _tenant()

    def _spoil(document: Document) -> None:
        proposal_of(document, assignment)["assignments"][0]["end_on"] = end

    with pytest.raises(InputError):
        Written.of(tenant, **LEAN).edit(_spoil).verify(tenant)


@pytest.mark.slow
def test_the_same_need_with_two_ends_is_made_once_for_the_longer_time() -> None:
    """Azure takes a role once for a principal at a scope."""
    tenant, person, first = _tenant()
    second = tenant.assign(102, person, CONTRIBUTOR, SUB, end_on=LATE)
    tenant.use(person, START, VM, role_assignment_id=second, days=2)
    plan = tenant.plan(**LEAN)
    longer, shorter = proposal_for(plan, second), proposal_for(plan, first)
    assert [(one.scope, one.end_on) for one in longer.assignments] == [(VM, LATE_TEXT)]
    assert (shorter.kind, shorter.assignments) == ("remove", ())
    assert second in shorter.evidence["together_with"]
    assert plan.replay["denied"] == 0


@pytest.mark.nightly
def test_what_only_the_shorter_one_grants_ends_with_it() -> None:
    """A permanent narrow role, and a wide one until September: the wide one's use is not granted for ever."""
    tenant, person, wide = _tenant()
    tenant.use(person, ACCOUNTS, ACCOUNT, role_assignment_id=wide)
    narrow = tenant.assign(102, person, READER, SUB)
    plan = tenant.plan(**LEAN)
    ends = {(one.scope, one.end_on) for one in proposal_for(plan, wide).assignments}
    assert ends == {(VM, SOON_TEXT), (DATA, SOON_TEXT)}
    assert proposal_for(plan, narrow).kind in {"keep", "remove"}


@pytest.mark.nightly
def test_nothing_rests_on_what_ends_sooner() -> None:
    """A kept assignment grants the need of a longer one only as long as it is there."""
    found = {}
    for at, kept_until in ((APP, None), (APP, SOON), (VM, SOON)):
        tenant, person, assignment = _tenant(end_on=LATE)
        tenant.roles[guid(700)] = ("Starter", [PermissionBlock(actions=(START,))])
        kept = tenant.assign(102, person, guid(700), at, end_on=kept_until)
        plan = tenant.plan(**LEAN, exclude=(guid(700),))
        assert proposal_for(plan, kept).kind == "keep"
        assert plan.replay["denied"] == 0
        found[at, kept_until] = proposal_for(plan, assignment)
    assert (found[APP, None].kind, found[APP, None].evidence["rests_on"]) == ("remove", [kept])
    made = found[APP, SOON].assignments
    assert [(one.role, one.scope, one.end_on) for one in made] == [(guid(700), VM, LATE_TEXT)]
    # Azure would refuse the same role at the same place until later.
    assert found[VM, SOON].reason.startswith("other end")


@pytest.mark.parametrize(
    ("held", "given", "replaced", "proof"),
    [
        ("2", "2", "2", (True, True)),
        (None, "2", "2", (True, True)),
        ("1", "2", "1", (True, False)),
        ("1", None, "1", (True, False)),
        (None, "2", None, (False, True)),
        ("2", "1", "2", (False, True)),
    ],
)
def test_a_proof_measures_ends_both_ways(
    held: str | None, given: str | None, replaced: str | None, proof: tuple[bool, bool]
) -> None:
    today = ProvedGrant("wide", fold(SUB), end_on=held)
    claim = Claim("c", (ProvedGrant("start", fold(APP), end_on=given),), (), (today,), end_on=replaced)
    assert proved(claim)[:2] == proof


def test_what_has_no_end_lasts_longest() -> None:
    assert lasts_as_long(None, LATE_TEXT)
    assert lasts_as_long(LATE_TEXT, LATE_TEXT)
    assert not lasts_as_long(SOON_TEXT, LATE_TEXT)
    assert not lasts_as_long(LATE_TEXT, None)


@pytest.mark.nightly
def test_a_decision_on_another_end_is_a_decision_on_something_else() -> None:
    contents = set()
    for end_on in (SOON, LATE, None):
        tenant, _, assignment = _tenant(end_on=end_on)
        contents.add(content_of(proposal_for(tenant.plan(**LEAN), assignment)))
    assert len(contents) == 3
