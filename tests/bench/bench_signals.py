"""Planted attacks: what is found and how early, false alarms of a quiet tenant, what a naive baseline learns."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.behaviour.facts import BehaviourInputs, read_behaviour
from rightsize.analyze.behaviour.judge import judge_behaviour
from rightsize.analyze.text import folded
from rightsize.demo.exports import write_exports
from rightsize.demo.generator import generate
from rightsize.demo.spec import ATTACKS, TenantSpec
from rightsize.rbac.text import fold
from rightsize.store.connection import Store, open_store
from rightsize.store.habits import PLACES
from rightsize.workflow.behaviour import behaviour_inputs, find_behaviour
from rightsize.workflow.load import load_paths
from tests.analyze.habits import counted

SLOW = True
QUIET_PRINCIPALS = 250
QUIET_SEEDS = (7, 101, 202)
"""The first was looked at once when the thresholds were chosen, the others never before they were measured."""
FOREIGN = "192.0.2.0/24"
_MONTH = 30.0

Call = Mapping[str, Any]
Row = tuple[str, str, str]


def run() -> Iterator[Row]:
    """Make an attacked and a quiet tenant, load both, and measure."""
    with tempfile.TemporaryDirectory() as folder:
        attacked, quiet = Path(folder, "attacked"), Path(folder, "quiet")
        truth = write_exports(generate(TenantSpec(attacks=ATTACKS)), attacked / "exports")
        load_paths(attacked / "r.duckdb", [attacked / "exports"])
        with open_store(attacked / "r.duckdb", read_only=True) as store:
            yield from found_rows(store, truth["attacks"])
            yield from learnt_rows(store, truth["attacks"])
        for seed in QUIET_SEEDS:
            spec = TenantSpec(seed=seed, principals=QUIET_PRINCIPALS, attacks=())
            write_exports(generate(spec), quiet / f"{seed}")
            load_paths(quiet / f"{seed}.duckdb", [quiet / f"{seed}"])
            with open_store(quiet / f"{seed}.duckdb", read_only=True) as store:
                yield false_alarms(store, seed)


def found_rows(store: Store, calls: Sequence[Call]) -> Iterator[Row]:
    """Yield for each attack after how many of its calls and minutes its behaviour is told, without any signal."""
    inputs = all_rows(store)
    for attack in ATTACKS:
        made = [call for call in calls if call["attack"] == attack]
        at = first_told(inputs, calls, made)
        if at is None:
            yield f"{attack}: by behaviour", "not found", f"in {len(made)} calls"
        else:
            begun, told = (dt.datetime.fromisoformat(made[number]["time"]) for number in (0, at - 1))
            minutes = (told - begun) / dt.timedelta(minutes=1)
            yield f"{attack}: by behaviour", f"call {at}", f"of {len(made)}, {minutes:,.0f} minutes after the first"


def all_rows(store: Store) -> BehaviourInputs:
    """Return what behaviour is read from with all rows, so that some can be taken out."""
    span = {"first": dt.date.min, "last": dt.date.max}
    return replace(behaviour_inputs(store), days=store.table("usage_days"), places=store.frame(PLACES, span))


def first_told(inputs: BehaviourInputs, all_calls: Sequence[Call], made: Sequence[Call]) -> int | None:
    """Return after how many calls of an attack it is told, None where it never is; the other attacks did not happen."""
    subjects = {(call["principal_id"], dt.date.fromisoformat(call["time"][:10])) for call in made}
    for number in range(1, len(made) + 1):
        left = [call for call in all_calls if call not in made[:number]]
        found = judge_behaviour(read_behaviour(without(inputs, left, made[:number])), {})
        if subjects & set(found.select("principal_id", "day").rows()):
            return number
    return None


def without(inputs: BehaviourInputs, calls: Sequence[Call], kept: Sequence[Call]) -> BehaviourInputs:
    """Return the tables as if these calls had not been made, and of all attacks only those that are kept."""
    days = inputs.days.with_columns(name=folded(inputs.days["operation"]), place=folded(inputs.days["scope"]))
    gone = pl.DataFrame(
        [(call["principal_id"], fold(call["operation"]), fold(call["scope"]), call["time"][:10]) for call in calls],
        schema={"principal_id": pl.String, "name": pl.String, "place": pl.String, "day": pl.String},
        orient="row",
    ).with_columns(pl.col("day").str.to_date())
    left = days.join(gone, on=["principal_id", "name", "place", "day"], how="anti").drop("name", "place")
    foreign = [(call["principal_id"], call["time"][:10]) for call in kept if call["is_foreign"]]
    seen = pl.DataFrame(foreign, schema={"principal_id": pl.String, "day": pl.String}, orient="row")
    seen = seen.with_columns(pl.col("day").str.to_date()).unique()
    is_foreign = (pl.col("network") == FOREIGN).fill_null(False)
    abroad = inputs.places.filter(is_foreign).join(seen, on=["principal_id", "day"], how="semi")
    places = pl.concat([inputs.places.filter(~is_foreign), abroad])
    return replace(inputs, days=left, places=places, **counted(left, places))


def learnt_rows(store: Store, calls: Sequence[Call]) -> Iterator[Row]:
    """Yield what a baseline of all calls would learn of the attackers, and what waits in quarantine instead."""
    use = store.frame(
        "SELECT principal_id, operation, scope, sum(succeeded + failed + started - suspect)::BIGINT AS clean, "
        "sum(suspect)::BIGINT AS suspect FROM usage_days GROUP BY ALL"
    )
    use = use.with_columns(name=folded(use["operation"]), place=folded(use["scope"]))
    for attack in ATTACKS:
        made = pl.DataFrame(
            sorted(
                {(c["principal_id"], fold(c["operation"]), fold(c["scope"])) for c in calls if c["attack"] == attack}
            ),
            schema={"principal_id": pl.String, "name": pl.String, "place": pl.String},
            orient="row",
        )
        held = use.join(made, on=["principal_id", "name", "place"])
        waits = held.filter((pl.col("clean") <= 0) & (pl.col("suspect") > 0)).height
        yield f"{attack}: uses", f"{made.height}", f"{waits} wait in quarantine, {made.height - waits} are learnt"


def false_alarms(store: Store, seed: int) -> Row:
    """Return how often a tenant in which nothing happens is told of."""
    judged = read_behaviour(behaviour_inputs(store)).judged
    found = find_behaviour(store)
    people, days = judged["principal_id"].n_unique(), judged["day"].n_unique()
    months = people * days / _MONTH
    return (
        f"quiet tenant {seed}: alarms a principal-month",
        f"{found.height / months:.4f}",
        f"{found.height} alarms, {people} principals, {judged.height:,} active days of {days} days",
    )
