"""Behaviour from the logs alone: what is rare for somebody and their peers is told, what work looks like is not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from rightsize.analyze.behaviour.facts import BehaviourInputs, read_behaviour
from rightsize.analyze.behaviour.judge import judge_behaviour
from rightsize.model.tables import table

ANN, BOB, MACHINE = "ann", "bob", "machine"
PEOPLE = [ANN, BOB, *(f"peer{number}" for number in range(5))]
GROUP = "/subscriptions/s/resourceGroups/rg"
VM = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vm"
RESTART, KEYS = "Microsoft.Compute/virtualMachines/restart/action", "Microsoft.Storage/storageAccounts/listKeys/action"
ASSIGN, RUN = "Microsoft.Authorization/roleAssignments/write", "Microsoft.Compute/virtualMachines/runCommand/action"
LOGS = "Microsoft.Insights/diagnosticSettings/delete"
RISKS = {KEYS: "secret", ASSIGN: "privilege", RUN: "code_execution", RESTART: "change"}
DAY = dt.date(2026, 3, 31)


class Life:
    """What people and machines did, a row an operation and day."""

    def __init__(self) -> None:
        self.days: list[dict[str, Any]] = []
        self.places: list[dict[str, Any]] = []

    def did(self, who: str, *operations: str, day: dt.date = DAY, hour: float = 10, **more: Any) -> Life:
        network, calls, scope = more.get("network", "198.51.100.0/24"), more.get("calls", 1), more.get("scope", VM)
        at = dt.datetime.combine(day, dt.time()) + dt.timedelta(hours=hour)
        for operation in operations:
            row = {"principal_id": who, "operation": operation, "scope": scope, "plane": "control", "day": day}
            counts = {"succeeded": calls, "failed": 0, "started": 0, "denied": 0}
            self.days.append(row | {"first_seen": at, "last_seen": at} | counts)
        self.places.append({"principal_id": who, "network": network, "app_id": "cli", "day": day, "calls": calls})
        return self

    def works(self, who: str, *operations: str, days: int = 60, skip: int = 0) -> Life:
        """The same on each of the days before the last one, but for the latest `skip`."""
        for ago in range(1 + skip, days + 1):
            self.did(who, *(operations or (RESTART,)), day=DAY - dt.timedelta(days=ago))
        return self

    def inputs(self, *, backwards: bool = False) -> BehaviourInputs:
        step = -1 if backwards else 1
        return BehaviourInputs(
            days=pl.DataFrame(self.days[::step]),
            places=pl.DataFrame(self.places[::step]),
            principals=pl.DataFrame({"principal_id": PEOPLE, "principal_type": ["User"] * len(PEOPLE)}),
            operations=pl.DataFrame({"operation": list(RISKS), "risk": list(RISKS.values())}),
            monitoring=pl.DataFrame({"operation": [LOGS]}),
            machines=pl.DataFrame({"scope": [VM], "principal_id": [MACHINE]}),
            code=pl.DataFrame({"operation": [RUN]}),
        )

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


def test_a_sleeper_who_wakes_is_told(life: Life) -> None:
    life.works(BOB, days=80, skip=40).did(BOB, KEYS)
    assert "dormant" in life.kinds(BOB)


def test_a_burst_is_a_fact(life: Life) -> None:
    facts = read_behaviour(life.did(ANN, RESTART, calls=400).inputs()).facts
    assert "burst" in facts["kind"].to_list()


def test_order_of_rows_changes_nothing(life: Life) -> None:
    life.did(ANN, KEYS, LOGS, network="203.0.113.0/24", hour=22)
    assert life.found().equals(life.found(backwards=True))


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
