"""Behaviour from logs alone: days that are rare for a principal and its peers are reported, normal work is not."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from rightsize.analyze.behaviour.facts import BehaviourInputs, read_behaviour
from rightsize.analyze.behaviour.judge import NEWS_OF, judge_behaviour, score_days, weight_of
from rightsize.analyze.behaviour.openings import Acting, read_ways
from rightsize.model.tables import table
from rightsize.store.habits import habit
from tests.analyze.habits import counted

ANN, BOB, MACHINE = "ann", "bob", "machine"
GUEST, APP = "guest", "app"
PEOPLE = [ANN, BOB, GUEST, *(f"peer{number}" for number in range(5))]
GROUP = "/subscriptions/s/resourceGroups/rg"
VM = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vm"
RESTART, KEYS = "Microsoft.Compute/virtualMachines/restart/action", "Microsoft.Storage/storageAccounts/listKeys/action"
ASSIGN, RUN = "Microsoft.Authorization/roleAssignments/write", "Microsoft.Compute/virtualMachines/runCommand/action"
LOGS = "Microsoft.Insights/diagnosticSettings/delete"
RISKS = {KEYS: "secret", ASSIGN: "privilege", RUN: "code_execution", RESTART: "change"}
DAY = dt.date(2026, 3, 31)
PLACES = {
    "principal_id": pl.String, "is_sign_in": pl.Boolean, "network": pl.String, "country": pl.String,
    "network_number": pl.String, "app_id": pl.String, "day": pl.Date, "calls": pl.Int64,
}  # fmt: skip
GIVEN = {
    "actor_id": pl.String, "name": pl.String, "holder_id": pl.String, "object_id": pl.String, "group": pl.String,
    "time": pl.Datetime("us"),
}  # fmt: skip
KEYED = {
    "resource": pl.String, "day": pl.Date, "first_seen": pl.Datetime("us"), "last_seen": pl.Datetime("us"),
    "silent": pl.Int64, "is_known": pl.Boolean,
}  # fmt: skip
GRAPH = {
    "principal_id": pl.String, "day": pl.Date, "first_seen": pl.Datetime("us"), "operation": pl.String,
    "name": pl.String, "before": pl.Int64,
}  # fmt: skip
PREPARED = {"principal_id": pl.String, "name": pl.String, "place": pl.String, "day": pl.Date}
PAIRS = {
    "identities": ("scope", "principal_id"), "applications": ("object_id", "principal_id"),
    "agents": ("holder_id", "principal_id"),
}  # fmt: skip
NO_ONE = Acting(**{name: pl.DataFrame(schema=dict.fromkeys(pair, pl.String)) for name, pair in PAIRS.items()})
GRANTS = {
    "principal_id": pl.String, "role": pl.String, "role_name": pl.String, "scope": pl.String,
    "created_on": pl.Datetime("us"),
}  # fmt: skip
WOKEN = {
    "principal_id": pl.String, "day": pl.Date, "place": pl.String, "gap": pl.Int64, "operation": pl.String,
    "name": pl.String, "scope": pl.String, "risk": pl.String, "plane": pl.String, "first_seen": pl.Datetime("us"),
}  # fmt: skip
BREADTH = {
    "principal_id": pl.String, "risk": pl.String, "day": pl.Date, "resources": pl.Int64, "made": pl.Int64,
    "days": pl.Int64, "total": pl.Int64, "kind_days": pl.Int64, "kind_total": pl.Int64,
}  # fmt: skip
ACTIVATIONS = {"principal_id": pl.String, "role": pl.String, "time": pl.Datetime("us"), "justified": pl.Boolean}


class Life:
    """What people and machines did, a row an operation and day."""

    def __init__(self) -> None:
        self.days: list[dict[str, Any]] = []
        self.places: list[dict[str, Any]] = []
        self.given: list[dict[str, Any]] = []
        self.activations: list[dict[str, Any]] = []
        self.grants: list[dict[str, Any]] = []
        self.woken: list[dict[str, Any]] = []
        self.breadth: list[dict[str, Any]] = []
        self.guests: set[str] = set()

    def did(self, who: str, *operations: str, day: dt.date = DAY, hour: float = 10, **more: Any) -> Life:
        network, calls, scope = more.get("network", "198.51.100.0/24"), more.get("calls", 1), more.get("scope", VM)
        at = dt.datetime.combine(day, dt.time()) + dt.timedelta(hours=hour)
        for operation in operations:
            row = {"principal_id": who, "operation": operation, "scope": scope, "day": day}
            row["plane"] = more.get("plane", "control")
            counts = {"succeeded": calls, "failed": 0, "started": 0, "denied": 0}
            self.days.append(row | {"first_seen": at, "last_seen": at} | counts)
        self.came(who, day=day, network=network, is_sign_in=False)
        return self

    def came(self, who: str, *, day: dt.date = DAY, is_sign_in: bool = True, **where: str) -> Life:
        """It signed in from somewhere."""
        place = {"principal_id": who, "is_sign_in": is_sign_in, "network": None, "country": None}
        self.places.append(place | {"network_number": None, "app_id": "cli", "day": day, "calls": 1} | where)
        return self

    def gave(self, who: str, to: str, *, day: dt.date = DAY) -> Life:
        """It gave somebody a role in the group."""
        at = dt.datetime.combine(day, dt.time(9))
        call = {"actor_id": who, "name": ASSIGN.lower(), "holder_id": to, "object_id": None}
        self.given.append(call | {"group": GROUP.lower(), "time": at})
        return self

    def activated(self, who: str, role: str = "reader", *, hour: int = 9, justified: bool = True, ago: int = 0) -> Life:
        at = dt.datetime.combine(DAY - dt.timedelta(days=ago), dt.time(hour))
        self.activations.append({"principal_id": who, "role": role, "time": at, "justified": justified})
        return self

    def holds(self, who: str, *, days: int, scope: str = GROUP) -> Life:
        """It has held a role for so many days."""
        at = dt.datetime.combine(DAY - dt.timedelta(days=days), dt.time(9))
        row = {"principal_id": who, "role": "contributor", "role_name": "Contributor", "scope": scope.lower()}
        self.grants.append(row | {"created_on": at})
        return self

    def woke(self, who: str, *operations: str, gap: int | None = None) -> Life:
        """It called in the group after so many days without a call there."""
        row = {"principal_id": who, "day": DAY, "place": GROUP.lower(), "gap": gap, "scope": VM.lower()}
        for operation in operations:
            called = {"operation": operation, "name": operation.lower(), "risk": RISKS.get(operation, "evasion")}
            at = dt.datetime.combine(DAY, dt.time(3))
            self.woken.append(row | called | {"plane": "control", "first_seen": at})
        return self

    def spread(self, who: str, resources: int, *, made: int = 0, days: int = 40, total: int = 44) -> Life:
        """It read secrets of so many resources, after `total` on the days before."""
        row = {"principal_id": who, "risk": "secret", "day": DAY, "resources": resources, "made": made}
        self.breadth.append(row | {"days": days, "total": total, "kind_days": 20, "kind_total": 50})
        return self

    def works(self, who: str, *operations: str, days: int = 60, skip: int = 0) -> Life:
        """The same on each of the days before the last one, but for the latest `skip`."""
        for ago in range(1 + skip, days + 1):
            self.did(who, *(operations or (RESTART,)), day=DAY - dt.timedelta(days=ago))
        return self

    def inputs(self, *, backwards: bool = False) -> BehaviourInputs:
        step = -1 if backwards else 1
        days = pl.DataFrame(self.days[::step])
        places = pl.DataFrame(self.places[::step], schema=PLACES)
        return BehaviourInputs(
            days=days,
            places=places,
            **counted(days, places),
            principals=pl.DataFrame(
                {
                    "principal_id": PEOPLE,
                    "principal_type": ["User"] * len(PEOPLE),
                    "user_type": ["Guest" if one in self.guests else "Member" for one in PEOPLE],
                    "created_on": [None] * len(PEOPLE),
                    "listed": [True] * len(PEOPLE),
                },
                schema_overrides={"created_on": pl.Datetime("us")},
            ),
            operations=pl.DataFrame({"operation": list(RISKS), "risk": list(RISKS.values())}),
            monitoring=pl.DataFrame({"operation": [LOGS]}),
            machines=pl.DataFrame({"scope": [VM], "principal_id": [MACHINE]}),
            code=pl.DataFrame({"operation": [RUN]}),
            ways=read_ways(pl.DataFrame(self.given[::step], schema=GIVEN), NO_ONE),
            keyed=pl.DataFrame(schema=KEYED),
            graph=pl.DataFrame(schema=GRAPH),
            prepared=pl.DataFrame(schema=PREPARED),
            activations=pl.DataFrame(self.activations[::step], schema=ACTIVATIONS),
            grants=pl.DataFrame(self.grants[::step], schema=GRANTS),
            role_operations=pl.DataFrame(schema={"role": pl.String, "name": pl.String}),
            woken=pl.DataFrame(self.woken[::step], schema=WOKEN),
            breadth=pl.DataFrame(self.breadth[::step], schema=BREADTH),
        )

    def facts(self, who: str = ANN) -> dict[str, tuple[float, str]]:
        """The facts of the last day: bits and what, by kind."""
        rows = read_behaviour(self.inputs()).facts.filter((pl.col("principal_id") == who) & (pl.col("day") == DAY))
        return {row["kind"]: (row["bits"], row["what"]) for row in rows.to_dicts()}

    def found(self, *, backwards: bool = False) -> pl.DataFrame:
        return judge_behaviour(read_behaviour(self.inputs(backwards=backwards)), {ANN: "Ann"})

    def kinds(self, who: str = ANN) -> list[str]:
        rows = self.found().filter(pl.col("principal_id") == who)
        return sorted({kind for kinds in rows["kinds"] for kind in kinds})


@pytest.fixture
def life() -> Life:
    """Ann and five peers, who restart a machine every day."""
    made = Life().works(ANN)
    for number in range(5):
        made.works(f"peer{number}")
    return made


def test_nothing_new_is_nothing_told(life: Life) -> None:
    assert life.did(ANN, RESTART).found().is_empty()


def test_a_session_from_elsewhere_that_reads_secrets_is_told_in_a_sentence(life: Life) -> None:
    found = life.did(ANN, KEYS, network="203.0.113.0/24", hour=22.5).found()
    ((sentence, before, alike),) = found.select("sentence", "days_before", "days_alike").rows()
    for part in ("Ann did", KEYS, "reads secrets", "203.0.113.0/24", "22:30", "outside its hours of 10 to 10"):
        assert part in sentence
    assert (before > 100, alike) == (True, 0)


@pytest.mark.parametrize("surprise", [{"network": "203.0.113.0/24"}, {"hour": 22}, {"calls": 50}])
def test_one_surprise_alone_is_what_work_looks_like(surprise: dict[str, Any], life: Life) -> None:
    assert life.did(ANN, RESTART, **surprise).found().is_empty()


def test_who_travels_surprises_less_by_a_new_network(life: Life) -> None:
    for ago in range(1, 31):
        life.did(ANN, RESTART, day=DAY - dt.timedelta(days=ago), network=f"192.0.{ago}.0/24")
    assert "network" not in life.did(ANN, KEYS, network="203.0.113.0/24").kinds()


@pytest.mark.slow
def test_what_peers_do_every_day_surprises_less(life: Life) -> None:
    def score(made: Life) -> float:
        facts = read_behaviour(made.did(ANN, KEYS).inputs()).facts
        return float(facts.filter(pl.col("kind") == "operation")["bits"].sum())

    alone = score(life)
    common = Life().works(ANN)
    for number in range(5):
        common.works(f"peer{number}", RESTART, KEYS)
    assert score(common) < alone


def test_days_without_a_past_are_not_judged() -> None:
    assert Life().works(ANN, days=8).did(ANN, KEYS, LOGS, ASSIGN, network="203.0.113.0/24").found().is_empty()


def test_switching_off_the_logs_is_told(life: Life) -> None:
    assert {"risk_evasion", "spree"} <= set(
        life.did(ANN, LOGS, "Microsoft.Insights/alertRules/delete", hour=20).kinds()
    )


@pytest.mark.slow
def test_a_first_use_after_giving_privilege_there_is_told(life: Life) -> None:
    life.did(ANN, ASSIGN, day=DAY - dt.timedelta(days=5), scope=GROUP).did(ANN, KEYS)
    assert "after_privilege" in read_behaviour(life.inputs()).facts["kind"].to_list()
    later = Life().works(ANN).did(ANN, ASSIGN, day=DAY - dt.timedelta(days=30), scope=GROUP).did(ANN, KEYS)
    assert "after_privilege" not in read_behaviour(later.inputs()).facts["kind"].to_list()


@pytest.mark.parametrize(("hour", "told"), [(11, True), (15, False), (9, False)])
def test_a_first_use_of_a_machines_identity_soon_after_code_was_run_on_it_is_told(
    hour: float, told: bool, life: Life
) -> None:
    life.works(MACHINE).did(BOB, RUN, hour=10).did(MACHINE, KEYS, hour=hour)
    facts = read_behaviour(life.inputs()).facts
    assert ("after_code" in facts.filter(pl.col("principal_id") == MACHINE)["kind"].to_list()) == told


def signs_in_daily(life: Life, who: str = ANN, country: str = "GB") -> Life:
    for ago in range(1, 31):
        life.came(who, day=DAY - dt.timedelta(days=ago), country=country, network="198.51.100.0/24", network_number="1")
    return life


@pytest.mark.slow
def test_a_country_that_nobody_signs_in_from_is_told_beside_what_was_done(life: Life) -> None:
    """A country and the network there are one surprise, and not two."""
    signs_in_daily(life).did(ANN, KEYS, RUN).came(ANN, country="KP", network="192.0.2.0/24", network_number="64500")
    ((sentence, kinds, score),) = life.found().select("sentence", "kinds", "score").rows()
    assert "from the country KP, which it never used before" in sentence
    assert "signed in from the network AS64500" in sentence
    assert {"country", "sign_in_network"} <= set(kinds)
    bits = life.facts()
    assert score == pytest.approx(sum(one for one, _ in bits.values()) - bits["sign_in_network"][0], abs=0.1)


@pytest.mark.slow
def test_a_country_that_peers_come_from_surprises_less(life: Life) -> None:
    signs_in_daily(life).did(ANN, KEYS).came(ANN, country="FR")
    alone = life.facts()["country"][0]
    signs_in_daily(life, "peer0", "FR")
    assert life.facts()["country"][0] < alone


def test_where_the_log_of_sign_ins_begins_no_country_is_new(life: Life) -> None:
    assert "country" not in life.did(ANN, KEYS).came(ANN, country="KP").facts()


@pytest.mark.slow
def test_a_role_that_somebody_else_gave_and_that_is_used_soon_is_told_with_the_giver(life: Life) -> None:
    life.gave(BOB, ANN, day=DAY - dt.timedelta(days=3)).did(ANN, KEYS)
    assert life.facts()["after_grant"] == (4.0, BOB)
    assert "after bob gave it a role there" in life.did(ANN, LOGS).found()["sentence"][0]


@pytest.mark.parametrize(("giver", "ago"), [(ANN, 3), (BOB, 20)])
def test_what_was_given_long_ago_or_by_oneself_is_no_such_step(giver: str, ago: int, life: Life) -> None:
    assert "after_grant" not in life.gave(giver, ANN, day=DAY - dt.timedelta(days=ago)).did(ANN, KEYS).facts()


@pytest.mark.slow
def test_who_gives_roles_every_day_does_so_for_work(life: Life) -> None:
    for ago in range(2, 30):
        life.gave(BOB, f"new{ago}", day=DAY - dt.timedelta(days=ago))
    assert "after_grant" not in life.gave(BOB, ANN, day=DAY - dt.timedelta(days=1)).did(ANN, KEYS).facts()


@pytest.mark.slow
def test_an_activation_at_night_of_a_new_role_without_a_reason_is_told(life: Life) -> None:
    for ago in range(1, 9):
        life.activated(ANN, ago=ago)
    life.did(ANN, RESTART).activated(ANN, "owner", hour=23, justified=False)
    facts = life.facts()
    assert {kind: what for kind, (_, what) in facts.items() if kind.startswith("activation")} == {
        "activation_hour": "23:00", "activation_role": "owner", "activation_unjustified": "owner",
    }  # fmt: skip
    life.did(ANN, KEYS)
    assert "activated a role at 23:00, outside its hours of activating" in life.found()["sentence"][0]


@pytest.mark.slow
def test_activations_as_always_and_the_first_few_are_no_facts(life: Life) -> None:
    for ago in range(1, 9):
        life.activated(ANN, ago=ago, justified=False)
    life.did(ANN, RESTART).activated(ANN, justified=False).did(BOB, RESTART).activated(BOB, "owner", hour=23)
    assert not [kind for who in (ANN, BOB) for kind in life.facts(who) if kind.startswith("activation")]


def test_a_sleeper_who_wakes_is_told(life: Life) -> None:
    life.works(BOB, days=80, skip=40).did(BOB, KEYS)
    assert "dormant" in life.kinds(BOB)


def test_a_burst_is_a_fact(life: Life) -> None:
    facts = read_behaviour(life.did(ANN, RESTART, calls=400).inputs()).facts
    assert "burst" in facts["kind"].to_list()


@pytest.mark.slow
def test_a_guest_who_seeks_at_once_what_nobody_did_at_first_is_told_above_a_hire(life: Life) -> None:
    """A hire reads the keys that others read in their first days, too; the guest also runs code and blinds logs."""
    for number in range(5):
        life.works(f"peer{number}", KEYS)
    life.holds(ANN, days=200).holds(GUEST, days=1).gave(BOB, GUEST, day=DAY - dt.timedelta(days=1))
    assert Life.kinds(life.did(GUEST, KEYS, RESTART), GUEST) == []
    life.did(GUEST, RUN, LOGS, ASSIGN, hour=20)
    assert {"first_days", "risk_code_execution", "risk_evasion"} <= set(life.kinds(GUEST))
    assert "more of what attackers seek than 6 of 6 others did in as many first days" in life.found()["sentence"][0]


@pytest.mark.slow
@pytest.mark.parametrize(("held", "told"), [(610, True), (40, False)])
def test_a_grant_that_wakes_is_told_with_role_scope_age_and_silence(held: int, told: bool, life: Life) -> None:
    """The application has no history; only an old grant can have slept."""
    life.works(MACHINE, days=50).holds(APP, days=held).did(APP, KEYS, RUN, LOGS, network="45.9.148.0/24", hour=3)
    life.woke(APP, KEYS, RUN, LOGS)
    found = life.found().filter(pl.col("principal_id") == APP)
    assert ("wakes" in life.facts(APP)) == told
    said = f"used a sleeping grant, Contributor at {GROUP.lower()}, 610 days old and silent for 60"
    assert [said in sentence for sentence in found["sentence"]] == [told]
    assert found["first_time"][0] == dt.datetime.combine(DAY, dt.time(3))


@pytest.mark.slow
def test_a_sleeping_grant_is_told_also_where_a_control_character_is_in_the_name_of_its_role(life: Life) -> None:
    """Whoever defines a role chooses its name."""
    life.works(MACHINE, days=50).holds(APP, days=610).did(APP, KEYS, RUN, LOGS, network="45.9.148.0/24", hour=3)
    life.woke(APP, KEYS, RUN, LOGS).grants[-1]["role_name"] = "Con\x1ftributor"
    sentences = life.found().filter(pl.col("principal_id") == APP)["sentence"]
    assert f"used a sleeping grant, Con\x1ftributor at {GROUP.lower()}, 610 days old" in sentences[0]


def creeping(*ago: int) -> Life:
    made = Life().works(ANN, days=150)
    for number in range(5):
        made.works(f"peer{number}", days=150)
    made.did(ANN, RESTART)
    for operation, days in zip((KEYS, RUN, LOGS, ASSIGN), ago, strict=False):
        made.did(ANN, operation, day=DAY - dt.timedelta(days=days))
    return made


def test_first_uses_that_add_up_over_weeks_are_told_with_their_first_day() -> None:
    """None of the days says enough by itself, and one kind of fact is enough where it keeps coming."""
    found = creeping(24, 16, 8, 1).found().sort("day")
    first = found.row(0, named=True)
    assert (first["day"], first["since"]) == (DAY - dt.timedelta(days=1), DAY - dt.timedelta(days=24))
    assert {KEYS, RUN, LOGS, ASSIGN} <= set(first["operations"])
    assert "creep" in first["kinds"]


def test_first_uses_a_month_apart_add_up_to_nothing() -> None:
    assert "creep" not in creeping(120, 90, 60, 30).kinds()


@pytest.mark.slow
def test_order_of_rows_changes_nothing(life: Life) -> None:
    signs_in_daily(life).came(ANN, country="KP").gave(BOB, ANN, day=DAY - dt.timedelta(days=1))
    life.did(ANN, KEYS, LOGS, network="203.0.113.0/24", hour=22)
    for ago in range(9):
        life.activated(ANN, ago=ago, hour=9 + ago)
    assert life.found().equals(life.found(backwards=True))


@pytest.mark.slow
def test_what_comes_later_changes_no_finding(life: Life) -> None:
    """Found today is what was to be found on its day."""
    life.did(ANN, KEYS, LOGS, network="203.0.113.0/24", hour=22)
    before = life.found()
    for name in ("peer0", "peer1", "somebody new"):
        life.did(name, KEYS, day=DAY + dt.timedelta(days=1))
    after = life.found().filter(pl.col("day") == DAY)
    assert after.equals(before)


def columns() -> Iterator[str]:
    yield from (column.name for column in table("behaviour_findings").columns)


def test_findings_are_the_declared_table(life: Life) -> None:
    assert set(life.found().columns) == set(columns())


@pytest.mark.slow
def test_a_grant_that_slept_while_its_holder_worked_elsewhere_is_told(life: Life) -> None:
    """The operations are known of its holder; where they are used, and from where, is not."""
    signs_in_daily(life).works(ANN, KEYS, RUN, ASSIGN, days=60).holds(ANN, days=300).woke(ANN, KEYS, RUN, ASSIGN)
    life.did(ANN, KEYS, RUN, ASSIGN).came(ANN, country="KP", network="192.0.2.0/24")
    assert (
        f"used a sleeping grant, Contributor at {GROUP.lower()}, 300 days old and silent for 60"
        in (life.found().filter(pl.col("day") == DAY)["sentence"][0])
    )
    assert "wakes" not in Life.kinds(life.holds(BOB, days=40).woke(BOB, KEYS).did(BOB, KEYS), BOB)


@pytest.mark.parametrize(("resources", "made", "told"), [(40, 0, True), (40, 38, False), (4, 0, False)])
def test_keys_of_many_resources_by_somebody_who_reads_one_a_day_are_told(
    resources: int, made: int, told: bool, life: Life
) -> None:
    """Nothing is new; those of a new environment are its creator's to read."""
    life.works(ANN, KEYS).did(ANN, KEYS).spread(ANN, resources, made=made)
    found = life.found().filter(pl.col("day") == DAY)
    assert [weight_of(score) for score in found["score"]] == (["high"] if told else [])
    assert all("read the secrets of 40 resources, many more than" in text for text in found["sentence"])


@pytest.mark.slow
def test_who_reads_keys_of_many_resources_now_and_then_surprises_less(life: Life) -> None:
    life.works(ANN, KEYS).did(ANN, KEYS)
    bits = []
    for total in (44, 160):
        life.breadth.clear()
        bits.append(life.spread(ANN, 12, total=total).facts()["breadth"][0])
    assert bits[1] < bits[0] / 2


@pytest.mark.slow
def test_a_guest_surprises_more_than_a_member_who_does_the_same_at_the_same_hour(life: Life) -> None:
    """And at an hour at which nobody works more than by day."""

    def of(hour: float, who: str) -> float:
        made = Life().works(ANN, days=60).did(ANN, KEYS, day=DAY - dt.timedelta(days=9)).did(ANN, RESTART)
        for number in range(5):
            made.works(f"peer{number}").did(f"peer{number}", RESTART)
        made.guests.add(GUEST)
        return sum(bits for bits, _ in made.did(who, RUN, LOGS, hour=hour).facts(who).values())

    assert of(10, BOB) < of(10, GUEST) < of(20, GUEST)


@pytest.mark.slow
def test_what_colleagues_do_in_a_place_is_no_surprise_of_a_hire(life: Life) -> None:
    alone = life.did(BOB, KEYS).facts(BOB)["risk_secret"][0]
    for number in range(3):
        life.did(f"peer{number}", KEYS, day=DAY - dt.timedelta(days=2))
    assert life.facts(BOB)["risk_secret"][0] < alone


def test_resetting_passwords_is_no_habit_of_assigning_roles(life: Life) -> None:
    """Those are days of giving privilege on another plane."""
    life.did(ANN, ASSIGN, day=DAY - dt.timedelta(days=2), scope=GROUP).did(ANN, KEYS)
    for ago in range(1, 10):
        reset = "microsoft.directory/users/password/update"
        life.did(ANN, reset, day=DAY - dt.timedelta(days=ago), scope="/", plane="directory")
    assert life.facts()["after_privilege"][0] == 4.0


@pytest.mark.slow
def test_who_gives_privilege_each_second_week_surprises_less_by_what_follows(life: Life) -> None:
    bits, _ = [], life.did(ANN, KEYS)
    for ago in (5, 19, 33):
        life.did(ANN, ASSIGN, day=DAY - dt.timedelta(days=ago), scope=GROUP)
        bits.append(life.facts()["after_privilege"][0])
    assert bits[0] == 4.0 > bits[1] > bits[2] > 1.0


def test_the_first_end_of_a_month_is_no_burst(life: Life) -> None:
    short = Life().works(ANN, days=30).did(ANN, RESTART, calls=400)
    assert "burst" not in short.facts()


def test_a_pass_looks_for_the_news_of_every_kind_of_fact() -> None:
    """A pass judges who has news, so a fact whose news no query finds would never be told."""
    looked_for = set(re.findall(r"SELECT (?:principal_id|''), '(\w+)'", habit("news")))
    assert set().union(*NEWS_OF.values()) == looked_for


def test_a_kind_of_fact_that_does_not_declare_its_news_is_an_error() -> None:
    behaviour = read_behaviour(Life().works(ANN).did(ANN, KEYS).inputs())
    strange = behaviour.facts.with_columns(kind=pl.lit("moon"))
    with pytest.raises(pl.exceptions.InvalidOperationError, match="replace"):
        score_days(replace(behaviour, facts=strange))
