"""Ways that somebody opened shortly before: who comes through them is told, and the rare use of an owner is not."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from rightsize.analyze.behaviour.facts import BehaviourInputs, read_behaviour
from rightsize.analyze.behaviour.judge import judge_behaviour, judge_hours
from rightsize.analyze.behaviour.openings import Acting, held_openings, read_ways
from tests.analyze.test_behaviour import (
    ANN,
    ASSIGN,
    BOB,
    DAY,
    GIVEN,
    GROUP,
    GUEST,
    KEYED,
    KEYS,
    NO_ONE,
    RESTART,
    RUN,
    Life,
)

OUTSIDE = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write"
LISTED = "microsoft.storage/storageaccounts/listkeys/action"
ACCOUNT = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/a".lower()
OWNER = pl.DataFrame({"role": ["contributor"], "name": [ASSIGN.lower()]})


def opened(who: str, name: str, place: str, *, hour: int = 9, to: str | None = None) -> pl.DataFrame:
    at = dt.datetime.combine(DAY, dt.time(hour))
    row: dict[str, Any] = {"actor_id": who, "name": name.lower(), "holder_id": to, "object_id": None}
    return pl.DataFrame([row | {"group": place.lower(), "time": at}], schema=GIVEN)


def told(inputs: BehaviourInputs) -> set[str]:
    return set(judge_behaviour(read_behaviour(inputs), {})["principal_id"])


@pytest.mark.parametrize(("network", "is_told"), [("203.0.113.0/24", True), ("198.51.100.0/24", False)])
def test_a_new_credential_is_told_where_it_is_used_from_elsewhere(network: str, is_told: bool) -> None:
    life = Life().works(BOB).works(ANN).did(BOB, KEYS, hour=11, network=network)
    acting = replace(NO_ONE, identities=pl.DataFrame({"scope": ["/id"], "principal_id": [BOB]}))
    inputs = replace(life.inputs(), ways=read_ways(opened(ANN, OUTSIDE, "/id"), acting))
    assert (BOB in told(inputs)) == is_told


def test_nothing_is_learnt_of_the_call_that_opened_the_way() -> None:
    life = Life().works(BOB).works(ANN).did(BOB, KEYS, RUN, hour=11, network="203.0.113.0/24")
    acting = replace(NO_ONE, identities=pl.DataFrame({"scope": ["/id"], "principal_id": [BOB]}))
    inputs = replace(life.inputs(), ways=read_ways(opened(ANN, OUTSIDE, "/id"), acting))
    found = judge_behaviour(read_behaviour(inputs), {})
    held = held_openings(inputs.ways, found, inputs.principals.select("principal_id"))
    assert held.select("principal_id", pl.col("operations").list.first()).rows() == [(ANN, OUTSIDE.lower())]


@pytest.mark.parametrize(
    ("to", "hour", "is_told"), [(BOB, 10, False), (GUEST, 10, True), (ANN, 10, True), (BOB, 3, True)]
)
def test_a_rare_role_from_a_sleeping_grant_is_told_with_something_beside_it(to: str, hour: int, is_told: bool) -> None:
    life = Life().works(ANN, days=70).holds(ANN, days=400).woke(ANN, ASSIGN, gap=90).did(ANN, ASSIGN, hour=hour)
    life.guests.add(GUEST)
    ways = read_ways(opened(ANN, ASSIGN, GROUP, hour=hour, to=to), NO_ONE)
    assert (ANN in told(replace(life.inputs(), ways=ways, role_operations=OWNER))) == is_told


@pytest.mark.parametrize(("habit", "is_known", "is_told"), [(0, False, True), (40, False, True), (40, True, False)])
def test_storage_that_is_read_by_sas_is_told_of_whoever_listed_its_keys(
    habit: int, is_known: bool, is_told: bool
) -> None:
    """Of who did last; a habit of listing explains nobody from a network that no one comes from."""
    life = Life().works(ANN).works(BOB)
    at = dt.datetime.combine(DAY, dt.time(16))
    row = {"resource": ACCOUNT, "day": DAY, "first_seen": at, "last_seen": at, "silent": 60, "is_known": is_known}
    calls = [opened(ANN, LISTED, ACCOUNT)]
    for who, days in ((ANN, habit), (BOB, 2 * habit)):
        before = [pl.col("time") - pl.duration(days=ago) for ago in range(1, days + 1)]
        calls += [opened(who, LISTED, ACCOUNT).with_columns(time=time) for time in before]
    inputs = replace(life.inputs(), ways=read_ways(pl.concat(calls), NO_ONE), keyed=pl.DataFrame([row], schema=KEYED))
    found = judge_behaviour(read_behaviour(inputs), {})
    assert found["principal_id"].to_list() == [ANN] * is_told
    assert all("by nobody that the log names" in sentence for sentence in found["sentence"])
    assert all(f"({BOB} listed them, too)" in sentence for sentence in found["sentence"]) or not habit


@pytest.mark.slow
def test_the_hours_of_a_day_say_when_it_could_be_told() -> None:
    """What came at eleven does not tell the day at nine, and what the pass of that hour sees is what the day says."""
    abroad, at = "203.0.113.0/24", dt.datetime.combine(DAY, dt.time(11))
    life = Life().works(ANN).did(ANN, KEYS, hour=9).did(ANN, RUN, hour=11, network=abroad).did(ANN, RESTART, hour=14)
    behaviour = read_behaviour(life.inputs())
    row = {"principal_id": ANN, "day": DAY, "kind": "network", "what": abroad, "arrived": at}
    arrived = pl.DataFrame([row], schema_overrides={"arrived": pl.Datetime("us")})
    for known, risen in ((arrived, 12), (arrived.clear(), 15)):
        found = judge_hours(behaviour, judge_behaviour(behaviour, {}), known).select("told_on", "high_on")
        assert found.row(0) == (at.replace(hour=12), at.replace(hour=risen))
    early = read_behaviour(Life().works(ANN).did(ANN, KEYS, hour=9).inputs())
    assert judge_behaviour(early, {}).is_empty()


def test_agents_of_a_blueprint_act_through_what_it_was_given() -> None:
    agents = replace(NO_ONE, agents=pl.DataFrame({"holder_id": ["blueprint"], "principal_id": [BOB]}))
    granted = opened(ANN, "microsoft.directory/servicePrincipals/appRoleAssignedTo/update", "/", to="blueprint")
    assert set(read_ways(granted, agents)["holder_id"]) == {"blueprint", BOB}
    assert isinstance(agents, Acting)
