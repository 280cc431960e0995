"""Counts add up, the best verdict wins, and the creep score stays within its rules."""

from __future__ import annotations

import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.analyze.inputs import REACH
from rightsize.analyze.planes import bucket_of, score_assignments, score_principals
from rightsize.rules.tables import risk_weights
from tests.analyze.tiny import CATALOGUE, RG, SUB, VM, Tiny
from tests.examples import FEW, FEWEST

START = "Microsoft.Compute/virtualMachines/start/action"
DELETE = "Microsoft.Compute/virtualMachines/delete"


def scores(tiny: Tiny, principal: str = "p", plane: str = "control") -> dict[str, float]:
    table = score_principals(tiny.analyse())
    return table.filter((pl.col("principal_id") == principal) & (pl.col("plane") == plane)).row(0, named=True)


@pytest.mark.slow
def test_a_principal_is_granted_what_its_groups_are(tiny: Tiny) -> None:
    tiny.role("vm", "Microsoft.Compute/*").role("net", "Microsoft.Network/*").member("g", "p").cover()
    tiny.assign("a", "p", "vm").assign("b", "g", "net", RG).assign("c", "p", "vm", RG).use("p", START)
    row = scores(tiny)
    counts = ("granted", "used", "unused", "unobservable", "out_of_coverage")
    assert [row[name] for name in counts] == [6, 1, 3, 2, 0]


@pytest.mark.slow
def test_the_best_verdict_of_several_assignments_counts(tiny: Tiny) -> None:
    tiny.role("start", START).assign("a", "p", "start").assign("b", "p", "start", "/subscriptions/s2").cover()
    row = scores(tiny)
    assert (row["granted"], row["unused"], row["out_of_coverage"]) == (1, 0, 1)


@pytest.mark.slow
def test_use_by_others_of_a_groups_assignment_is_the_groups_use_and_not_the_principals(tiny: Tiny) -> None:
    tiny.role("start", START).assign("a", "g", "start", principal_type="Group").member("g", "p", "q").cover()
    tiny.use("q", START)
    assert (scores(tiny, "g")["used"], scores(tiny, "q")["used"], scores(tiny, "p")["used"]) == (1, 1, 0)
    assert scores(tiny, "p")["unused"] == 1


@pytest.mark.slow
def test_use_outside_of_the_catalogue_counts_as_granted_and_used(tiny: Tiny) -> None:
    tiny.role("all", "*").assign("a", "p", "all").cover().use("p", "Microsoft.New/things/write")
    row = scores(tiny)
    assert (row["used"], row["granted"]) == (1, 10)


@pytest.mark.slow
def test_everybody_whom_an_assignment_reaches_has_a_row(tiny: Tiny) -> None:
    row = scores(tiny.assign("a", "g", "missing").member("g", "p"))
    assert row | {"granted": 0, "creep": 0.0, "risk": 0.0} == row


@pytest.mark.slow
def test_creep_follows_the_written_formula(tiny: Tiny) -> None:
    tiny.role("vm", START, DELETE).assign("a", "p", "vm", RG).cover().use("p", START)
    weights = risk_weights()
    excess = weights["destruction"] * REACH["resource_group"]
    share = excess / (excess + weights["change"])
    assert scores(tiny)["creep"] == pytest.approx(100 * share * (excess / 6_000_000) ** 0.3, abs=0.05)


@pytest.mark.slow
def test_risk_grows_with_the_reach_of_the_scope(tiny: Tiny) -> None:
    tiny.role("vm", START, DELETE)
    for principal, scope in (("p", VM), ("q", RG), ("r", SUB), ("s", "/")):
        tiny.assign(principal, principal, "vm", scope)
    risks = [scores(tiny, principal)["risk"] for principal in ("p", "q", "r", "s")]
    assert risks == sorted(set(risks))


def test_unexplained_use_is_in_no_count(tiny: Tiny) -> None:
    tiny.role("start", START).assign("a", "p", "start").cover().use("p", DELETE)
    row = scores(tiny)
    assert (row["granted"], row["used"], row["unused"]) == (1, 0, 1)


@pytest.mark.parametrize(
    ("score", "bucket"),
    [(0.0, "low"), (33.4, "low"), (33.6, "medium"), (66.4, "medium"), (66.6, "high"), (100.0, "high")],
)
def test_scores_fall_into_three_buckets(score: float, bucket: str) -> None:
    assert bucket_of(score) == bucket


_ROLES = {
    "vm": ["Microsoft.Compute/*"],
    "read": ["*/read"],
    "all": ["*"],
    "grant": ["Microsoft.Authorization/*"],
    "start": [START],
}
_GRANT = st.tuples(st.sampled_from(sorted(_ROLES)), st.sampled_from(["p", "g"]), st.sampled_from([SUB, RG, VM, "/"]))
_USED = st.sampled_from(sorted(name for name, data in CATALOGUE.items() if not data))


def build(grants: list[tuple[str, str, str]], used: list[str], *, covered: bool = True) -> Tiny:
    tiny = Tiny().member("g", "p")
    for role, actions in _ROLES.items():
        tiny.role(role, *actions)
    for index, (role, principal, scope) in enumerate(grants):
        tiny.assign(f"a{index:02}", principal, role, scope)
    for operation in used:
        tiny.use("p", operation)
    return tiny.cover() if covered else tiny


@pytest.mark.nightly
@given(st.lists(_GRANT, min_size=1, max_size=4), _GRANT, st.lists(_USED, max_size=4, unique=True), _USED)
@FEWEST
def test_granting_more_never_lowers_creep_and_using_more_never_raises_it(
    grants: list[tuple[str, str, str]], more: tuple[str, str, str], used: list[str], also: str
) -> None:
    before, after = scores(build(grants, used)), scores(build([*grants, more], used))
    assert after["creep"] >= before["creep"]
    assert after["risk"] >= before["risk"]
    assert scores(build(grants, sorted({*used, also})))["creep"] <= before["creep"]


@pytest.mark.slow
@given(st.lists(_GRANT, min_size=1, max_size=4))
@FEWEST
def test_creep_is_zero_when_everything_granted_is_used(grants: list[tuple[str, str, str]]) -> None:
    everything = [name for name, data in CATALOGUE.items() if not data]
    assert scores(build(grants, everything))["creep"] == 0


@pytest.mark.slow
@given(st.lists(_GRANT, min_size=1, max_size=5), st.lists(_USED, max_size=4, unique=True), st.booleans())
@FEW
def test_granted_is_the_sum_of_the_verdicts(grants: list[tuple[str, str, str]], used: list[str], covered: bool) -> None:
    analysis = build(grants, used, covered=covered).analyse()
    for table in (score_principals(analysis), score_assignments(analysis)):
        parts = table.select(pl.sum_horizontal("used", "unused", "unobservable", "out_of_coverage")).to_series()
        assert parts.equals(table["granted"], check_names=False)
        assert table.select((pl.col("creep").is_between(0, 100) & pl.col("risk").is_between(0, 100)).all()).item()


@pytest.mark.slow
@given(st.lists(_GRANT, min_size=1, max_size=5), st.lists(_USED, max_size=4, unique=True))
@FEW
def test_scores_do_not_depend_on_which_profiles_count_as_wide(
    grants: list[tuple[str, str, str]], used: list[str]
) -> None:
    analysis = build(grants, used).analyse()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rightsize.analyze.counting.WIDE_PROFILE", 2)
        wide = score_principals(analysis)
    assert wide.equals(score_principals(analysis))


@pytest.mark.nightly
@pytest.mark.parametrize("wide", [0, 3, 500])
def test_counts_over_sets_are_those_of_plain_counting(monkeypatch: pytest.MonkeyPatch, wide: int) -> None:
    monkeypatch.setattr("rightsize.analyze.counting.WIDE_PROFILE", wide)
    monkeypatch.setattr("rightsize.analyze.counting.BATCH_ROWS", 3)
    rng = random.Random(7)  # noqa: S311  test data
    for _ in range(5):
        grants = [
            (rng.choice(sorted(_ROLES)), rng.choice(["p", "g"]), rng.choice([SUB, RG, VM, "/", "/subscriptions/s2"]))
            for _ in range(rng.randint(1, 5))
        ]
        tiny = build(grants, rng.sample(sorted(name for name, data in CATALOGUE.items() if not data), k=3))
        found = scores(tiny)
        assert _plain_counts(tiny, [f"a{index:02}" for index in range(len(grants))]) == {
            name: found[name] for name in ("granted", "used", "unused", "unobservable", "out_of_coverage")
        }


def _plain_counts(tiny: Tiny, assignments: list[str]) -> dict[str, int]:
    order = ["unused", "unobservable", "out_of_coverage", "used"]
    best: dict[str, str] = {}
    analysis = tiny.analyse()
    data = {name for name, is_data in CATALOGUE.items() if is_data}
    for assignment in assignments:
        profile = analysis.profiles.filter(pl.col("role_assignment_id") == assignment)["profile_id"].item()
        rows = analysis.profile_operations.filter((pl.col("profile_id") == profile) & (pl.col("plane") == "control"))
        for operation, verdict in rows.select("operation", "verdict").iter_rows():
            best[operation] = max(best.get(operation, verdict), verdict, key=order.index)
    for operation in analysis.verdicts.filter(pl.col("verdict") == "used")["operation"]:
        best[operation] = "used"
    counted = [verdict for operation, verdict in best.items() if operation not in data]
    return {"granted": len(counted)} | {name: counted.count(name) for name in order}
