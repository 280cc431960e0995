"""The planted session of the default demo: quarantined, reported, not learnt from, and not a reason to remove."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rightsize.demo.attacks import write_attacks
from rightsize.demo.generator import generate
from rightsize.demo.tenant import ATTACKS, TenantSpec
from rightsize.demo.writing import Folder
from rightsize.model.errors import UsageError
from rightsize.model.text import fold
from rightsize.propose.verify.plan_reader import load_plan
from rightsize.store.connection import Store, open_store
from rightsize.workflow.analysis.behaviour_inputs import Reader, behaviour_inputs
from rightsize.workflow.data.load import load_paths
from tests.bench.bench_signals import all_rows, first_told

Call = dict[str, Any]


@pytest.fixture
def calls(demo_truth: dict[str, Any]) -> list[Call]:
    found: list[Call] = demo_truth["attacks"]
    return found


@pytest.fixture
def store(demo_folder: Path) -> Iterator[Store]:
    with open_store(demo_folder / "demo.duckdb", read_only=True) as opened:
        yield opened


def keys(calls: list[Call]) -> set[tuple[str, str, str]]:
    return {(call["principal_id"], fold(call["operation"]), fold(call["scope"])) for call in calls}


@pytest.mark.slow
def test_exactly_the_calls_of_the_session_are_in_quarantine(store: Store, calls: list[Call]) -> None:
    held = store.frame("SELECT DISTINCT principal_id, operation, scope, time FROM quarantine").rows()
    assert {(who, fold(name), fold(scope)) for who, name, scope, _ in held} == keys(calls)
    assert len(held) == len(calls)
    bases = store.frame("SELECT DISTINCT basis FROM quarantine")["basis"].to_list()
    assert sorted(bases) == ["address", "token"]


@pytest.mark.slow
def test_nothing_seen_only_in_the_session_is_learnt(store: Store, calls: list[Call]) -> None:
    """A naive baseline would have learnt them all; one is part of the user's own work, and is learnt from that."""
    used = store.frame("SELECT principal_id, operation, scope FROM verdicts WHERE verdict = 'used'").rows()
    learnt = {(who, fold(name), fold(scope)) for who, name, scope in used} & keys(calls)
    assert [name.rsplit("/", 2)[-2] for _, name, _ in learnt] == ["restart"]


@pytest.mark.slow
def test_what_waits_for_a_person_is_kept_by_the_plan_and_listed_in_it(demo_folder: Path, calls: list[Call]) -> None:
    plan = load_plan((demo_folder / "plan.json").read_bytes())
    (advice,) = (item["text"] for item in plan["advice"] if item["subject"] == calls[0]["principal_id"]
                 and "quarantine" in item["text"])  # fmt: skip
    waiting = {call["operation"] for call in calls if "restart" not in call["operation"]}
    assert all(operation.lower() in advice.lower() for operation in waiting)


@pytest.mark.slow
def test_the_session_is_told_by_its_behaviour_alone(store: Store, calls: list[Call]) -> None:
    assert first_told(all_rows(store), calls, calls) == 1
    found = store.table("behaviour_findings").filter(pl.col("principal_id") == calls[0]["principal_id"])
    assert "192.0.2.0/24" in found["sentence"][0]


@pytest.mark.slow
def test_a_week_gives_a_handful_to_look_at(store: Store) -> None:
    weeks = store.table("behaviour_findings")["day"].dt.truncate("1w").value_counts()
    assert weeks["count"].max() <= 3


def test_attacks_have_names() -> None:
    assert len(ATTACKS) == 7
    with pytest.raises(UsageError, match="is not an attack"):
        TenantSpec(attacks=("flood",))


@pytest.mark.nightly
def test_a_role_that_is_handed_on_and_a_night_of_activating_are_read_with_their_past(tmp_path: Path) -> None:
    """Who was given the role, and eight mornings with a reason before the night without one."""
    spec = TenantSpec(attacks=("role_handed_on", "night_activation"))
    calls = write_attacks(generate(spec), Folder(tmp_path / "exports"))
    load_paths(tmp_path / "r.duckdb", [tmp_path / "exports"])
    with open_store(tmp_path / "r.duckdb", read_only=True) as store:
        inputs = behaviour_inputs(Reader(store))
    opened = inputs.ways.filter(pl.col("way") == "role").select("actor_id", "holder_id").rows()
    assert opened == [(calls[0]["principal_id"], calls[1]["principal_id"])]
    nights = inputs.activations.filter(pl.col("principal_id") == calls[-1]["principal_id"]).sort("time")
    assert nights["justified"].to_list() == [True] * 8 + [False]
    assert nights["role"].n_unique() == 2
