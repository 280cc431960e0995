"""Planted attacks and look-alikes: what is told, when, by what, and what is learnt; false alarms of quiet tenants."""

from __future__ import annotations

import datetime as dt
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rightsize.analyze.behaviour.facts import BehaviourInputs, read_behaviour
from rightsize.analyze.behaviour.judge import HIGH, judge_behaviour, weight_of
from rightsize.analyze.inputs import folded
from rightsize.demo.generator import generate, write_exports
from rightsize.demo.tenant import ATTACKS, TenantSpec
from rightsize.model.text import fold
from rightsize.store.connection import Store, open_store
from rightsize.store.habits import habit
from rightsize.workflow.analysis.behaviour import (
    behaviour_of_days,
    find_behaviour,
    held_use,
    with_holds,
)
from rightsize.workflow.analysis.behaviour_inputs import Reader, behaviour_inputs, read_news
from rightsize.workflow.data.load import load_paths
from tests.analyze.habits import counted
from tests.bench import planted_attacks as planted
from tests.bench import planted_surfaces as surfaces
from tests.bench.contained_cases import Contained, contain_case, days_before
from tests.bench.planted_attacks import START, Case, Cast, moment, staged
from tests.bench.quiet_tenant import (
    Made,
    event_rows,
    load_frames,
    make_quiet,
    principal_rows,
    sign_in_rows,
    who,
    write_quiet,
)

SLOW = True
QUIET_SEEDS, ATTACK_SEEDS = (*range(601, 609), *range(611, 619)), (263, 271)
"""Thresholds and weights were chosen on the quiet seeds 301 to 330 and on the attacks of the seeds 201 to 241."""
FOREIGN = "192.0.2.0/24"
SECONDS: list[float] = []
"""The processor time of the behaviour of each pass."""
_MONTH = 30.0

Call = Mapping[str, Any]
Row = tuple[str, str, str]


def run() -> Iterator[Row]:
    """Measure the quiet tenants, the attacks and the look-alikes, and the attacks of the demo."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        yield from quiet_rows(root, QUIET_SEEDS)
        for seed in ATTACK_SEEDS:
            yield from case_rows(root, seed, planted.ATTACKS, "attack")
            yield from case_rows(root, seed, surfaces.SURFACES, "attack")
            yield from case_rows(root, seed, planted.LOOK_ALIKES, "look-alike")
            yield from case_rows(root, seed, surfaces.SURFACES_ALIKE, "look-alike")
        ordered = sorted(SECONDS)
        yield "behaviour of a pass, CPU", f"{ordered[len(ordered) // 2]:.2f} s", f"median of {len(ordered)}"
        attacked = root / "attacked"
        truth = write_exports(generate(TenantSpec(attacks=ATTACKS)), attacked / "exports")
        load_paths(attacked / "r.duckdb", [attacked / "exports"])
        with open_store(attacked / "r.duckdb", read_only=True) as store:
            yield from found_rows(store, truth["attacks"])
            yield from learnt_rows(store, truth["attacks"])


def quiet_rows(root: Path, seeds: Sequence[int]) -> Iterator[Row]:
    """Yield false alarms and false holds of each quiet tenant, and over all with the interval of a Poisson count."""
    alarms, highs, months, holds = 0, 0, 0.0, 0
    for seed in seeds:
        made, db = make_quiet(seed), root / f"quiet{seed}.duckdb"
        write_quiet(made, db)
        with open_store(db, read_only=True) as store:
            found = find_behaviour(store)
            span = made.events.group_by("principal").agg(
                days=(pl.col("time").max() - pl.col("time").min()).dt.total_days() + 1
            )
            held = held_use(store, found)
            uses = store.table("usage_days").with_row_index("row").join(held, on="row")
        part = float(span["days"].sum()) / _MONTH
        needs = uses.select("principal_id", "operation", "scope").unique().height
        alarms, highs, months = alarms + found.height, highs + (found["score"] >= HIGH).sum(), months + part
        holds += needs
        yield (f"quiet tenant {seed}", f"{found.height} alarms in {part:,.0f} principal-months",
               f"{needs} needs of {uses['principal_id'].n_unique()} principals held at the end")  # fmt: skip
    low, high = poisson_interval(alarms)
    each = 1000 / months
    yield (f"{months:,.0f} principal-months", f"{alarms * each:.1f} a thousand",
           f"{low * each:.1f} to {high * each:.1f} (95 %), {highs} high, {holds} needs held at the end")  # fmt: skip


def poisson_interval(count: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean of a Poisson count, by bisection on its distribution."""

    def at_most(number: int, mean: float) -> float:
        return sum(math.exp(-mean + n * math.log(mean) - math.lgamma(n + 1)) for n in range(number + 1))

    def solve(share: float, number: int) -> float:
        low, high = 1e-9, 10.0 * (number + 5)
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if at_most(number, middle) > share else (low, middle)
        return low

    return (solve(0.975, count - 1) if count else 0.0), solve(0.025, count)


@dataclass(frozen=True, slots=True)
class Told:
    """What passes told of a case: the severity after each step, from the first step that told.

    `by_hour` is the number of calls after which the judged hours of the day say that it could be told.
    """

    calls: int
    minutes: float
    severities: tuple[str, ...]
    by_hour: int

    def __str__(self) -> str:
        hour = f" (by its hours call {self.by_hour})" if self.by_hour != self.calls else ""
        return f"call {self.calls}{hour} {self.minutes:,.0f} min {' then '.join(self.severities)}"


def case_rows(root: Path, seed: int, makers: Sequence[Callable[[Cast], Case]], what: str) -> Iterator[Row]:
    """Yield a row for each case: told by hourly passes and by daily ones, by what, and what is learnt of it."""
    made, base = make_quiet(seed), root / f"base{seed}.duckdb"
    early = pl.col("time") < moment(START, 0)
    if not base.exists():
        write_quiet(replace(made, events=made.events.filter(early), sign_ins=made.sign_ins.filter(early)), base)
    cast = Cast(made, seed)
    for number, maker in enumerate(makers):
        cast.rng = np.random.default_rng([seed, len(maker.__name__), *maker.__name__.encode()])
        case = maker(cast)
        db = root / f"case{seed}.duckdb"
        hourly, daily, kinds, learnt = play(base, db, made, case)
        if hourly and hourly.calls > 10:
            learnt += f"; enough at call {enough(base, root / 'some.duckdb', made, case, hourly.calls)}"
        cut = f"; contained: {contained_of(db, root, made, case)}" if what == "attack" else ""
        yield (
            f"{what} {seed}.{number + 1} {maker.__name__}",
            f"{case.calls.height} calls: hourly {hourly or 'not told'}, daily {daily or 'not told'}",
            f"{learnt}{cut}; by {', '.join(sorted(kinds)) or '-'}",
        )


def contained_of(db: Path, root: Path, made: Made, case: Case) -> Contained:
    """Contain the culprits, and say what it cuts, what it keeps of the months before, and what it lists as left."""
    named = pl.col("principal").map_elements(who, return_dtype=pl.String).alias("principal_id")
    parts = [made.events.select(case.calls.columns), *([] if case.history is None else [case.history])]
    calls = case.calls.with_columns(named)
    with tempfile.TemporaryDirectory(dir=root) as out:
        before = days_before(pl.concat(parts), calls["time"].min()).with_columns(named)
        return contain_case(db, Path(out), calls, before)


def play(base: Path, db: Path, made: Made, case: Case) -> tuple[Told | None, Told | None, set[str], str]:
    """Load a case hour by hour, judge as a pass of `watch` does, and say what a plan would learn two days later.

    Hours in which nothing of the case happens are left out. A daily pass comes after midnight, and judges the hours of
    the day one by one.

    Returns:
        What hourly passes told, what daily passes told, the kinds of facts, and what is learnt.
    """
    _begin(base, db, case)
    begun = case.calls["time"].min()
    ends = {dt.datetime.combine(day, dt.time()) + dt.timedelta(days=1) for day in case.calls["time"].dt.date()}
    hours = {at.replace(minute=0, second=0) + dt.timedelta(hours=1) for at in case.calls["time"]}
    since, later, kinds = moment(START, 0), case.later, set[str]()
    told: dict[bool, list[tuple[dt.datetime, str, dt.datetime]]] = {True: [], False: []}
    others = set[str]()
    for step in sorted(ends | hours):
        frames = _between(made, case, since, step, later if step > begun else {})
        later = {} if step > begun else later
        with open_store(db, read_only=False) as store:
            load_frames(store, frames, f"step {step}")
            day, began = {(step - dt.timedelta(seconds=1)).date()}, time.process_time()
            found = behaviour_of_days(Reader(store), day, read_news(Reader(store), day))
            SECONDS.append(time.process_time() - began)
        since = step
        # Who listed keys last before they were used may be a bystander; the sentence then names the others.
        names = made.principals.filter(pl.col("number").is_in(case.calls["principal"].unique().implode()))
        named = pl.col("sentence").str.contains_any(principal_rows(names)["user_principal_name"].drop_nulls().implode())
        mine = found.filter(pl.col("principal_id").is_in(sorted(case.culprits)) | named)
        if mine.height:
            kinds |= {kind for row in mine["kinds"] for kind in row}
            first, risen = mine["told_on"].min() or step, mine["high_on"].min()
            for is_hourly in (True, False) if step in ends else (True,):
                if not is_hourly and risen is not None and risen > first:
                    told[is_hourly].append((step, "medium", first))
                told[is_hourly].append((step, weight_of(mine["score"].max()), first))
        if step >= begun:
            others |= {*found["principal_id"], *others} - case.culprits
    learnt = learnt_of(db, made, case, since) + (f"; {len(others)} others told" if others else "")
    return _told(told[True], case), _told(told[False], case), kinds, learnt


def enough(base: Path, db: Path, made: Made, case: Case, most: int) -> int:
    """Return the least number of calls that would have been told by a pass right after them, at most `most`."""
    low = 1
    while low < most:
        number = (low + most) // 2
        some = replace(case, calls=case.calls.head(number))
        end = some.calls["time"].max() + dt.timedelta(seconds=1)
        _begin(base, db, case)
        with open_store(db, read_only=False) as store:
            load_frames(store, _between(made, some, moment(START, 0), end, case.later), "some")
            found = behaviour_of_days(Reader(store), {end.date()})
        is_told = not found.filter(pl.col("principal_id").is_in(sorted(case.culprits))).is_empty()
        low, most = (low, number) if is_told else (number + 1, most)
    return low


def _begin(base: Path, db: Path, case: Case) -> None:
    """Copy the store, and load what a case has before it."""
    shutil.copy(base, db)
    with open_store(db, read_only=False) as store:
        before = {"event_rows": event_rows(case.history)} if case.history is not None else {}
        if before or case.listings:
            load_frames(store, {**case.listings, **before}, "before")


def _between(
    made: Made, case: Case, since: dt.datetime, until: dt.datetime, later: Mapping[str, pl.DataFrame]
) -> dict[str, pl.DataFrame]:
    """Return what comes from a time until another: of the tenant, of a case, and the rows of its first call."""
    frames = background(made, since, until)
    for name, frame in [*staged(case, until, since).items(), *later.items()]:
        frames[name] = pl.concat([frames[name], frame.select(frames[name].columns)]) if name in frames else frame
    return frames


def _told(steps: Sequence[tuple[dt.datetime, str, dt.datetime]], case: Case) -> Told | None:
    if not steps:
        return None
    first, _, hour = steps[0]
    severities = [severity for _, severity, _ in steps]
    risen = [severities[0], *(["high"] if "high" in severities and severities[0] != "high" else [])]
    minutes = (first - case.calls["time"].min()) / dt.timedelta(minutes=1)
    calls, by_hour = (case.calls.filter(pl.col("time") < at).height for at in (first, min(hour, first)))
    return Told(calls, minutes, tuple(risen), by_hour)


def background(made: Made, since: dt.datetime, until: dt.datetime) -> dict[str, pl.DataFrame]:
    """Return what else happened in the tenant from a time until another."""
    span = (pl.col("time") >= since) & (pl.col("time") < until)
    calls, sign_ins = made.events.filter(span), made.sign_ins.filter(span)
    frames = {"event_rows": event_rows(calls)} if calls.height else {}
    return frames | ({"sign_in_rows": sign_in_rows(sign_ins)} if sign_ins.height else {})


def learnt_of(db: Path, made: Made, case: Case, since: dt.datetime) -> str:
    """Return how many uses of a case a plan learns two days later, and how many wait; a use is (who, what, where)."""
    frames = background(made, since, since + dt.timedelta(days=2)) | case.signals
    with open_store(db, read_only=False) as store:
        load_frames(store, frames, "after")
        use = learnt_use(store)
    key = ["principal_id", "operation", "scope"]
    named = pl.col("principal").map_elements(who, return_dtype=pl.String)
    before = made.events.select(named.alias("principal_id"), "operation", "scope").unique()
    uses = (
        case.calls.select(named.alias("principal_id"), "operation", "scope").unique().join(before, on=key, how="anti")
    )
    learnt = uses.join(use.filter(pl.col("clean") > 0), on=key, how="semi").height
    return f"learnt {learnt} of {uses.height}{' with a signal' if case.signals else ''}"


def learnt_use(store: Store) -> pl.DataFrame:
    """Return `principal_id, operation, scope` of use, with the learnt calls (`clean`) and the others (`suspect`)."""
    calls = pl.sum_horizontal("succeeded", "failed", "started")
    return (
        with_holds(store)("usage_days")
        .group_by("principal_id", "operation", "scope")
        .agg(clean=(calls - pl.col("suspect")).sum(), suspect=pl.col("suspect").sum())
    )


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
    return replace(
        behaviour_inputs(Reader(store)), days=store.table("usage_days"), places=store.frame(habit("places"), span)
    )


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
    """Yield what a plan learns of the attackers' uses, and what is held by signals or by behaviour instead."""
    use = learnt_use(store)
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
        yield f"{attack}: uses", f"{made.height}", f"{waits} are held, {made.height - waits} are learnt"
