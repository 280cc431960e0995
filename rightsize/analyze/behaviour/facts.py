"""Compute the facts that make a principal's day unusual, each with its surprise in bits.

A fact is as surprising as the past of the principal and of its peers makes it rare. A first use after many days of the
same few operations weighs more than a first use by a principal that does something new each week. Only earlier days
count, so a fact found today is the fact that would have been found on its day.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from rightsize.analyze.behaviour.first_days import compare_first_days, days_with_history, find_first_days
from rightsize.analyze.behaviour.openings import (
    find_graph_uses,
    find_keys_used,
    find_targets,
    find_ways_used,
    weigh_credentials,
)
from rightsize.analyze.behaviour.signals import (
    BURN_IN,
    CREEP,
    LIMIT,
    find_activations,
    find_breadth,
    find_creep,
    find_first_uses,
    find_places,
    find_wakings,
    log2,
    rarity,
)
from rightsize.analyze.inputs import GROUP, folded, place_of
from rightsize.rules.attacks import sought_classes

_COLLEAGUES = 2
"""Others that began to use an operation in a resource group, from which on it is work of the place."""
_MOST_GATHERED = 1.0
"""The most bits of first uses in the weeks before: they tip a day that is almost a finding, and make none."""
_DORMANT = 30
_MONTH = 31
_FOLLOWS = 14
_HABIT = 42
"""Days in which giving privilege counts as a habit; who does so each second week has one."""
_OF_RISK = {
    "privilege": 4.0, "evasion": 4.0, "secret": 3.0, "code_execution": 3.0, "destruction": 3.0, "exfiltration": 3.0,
    "exposure": 2.0,
}  # fmt: skip
_WEIGHT = pl.col("risk").replace_strict(_OF_RISK, default=0.0, return_dtype=pl.Float64)
"""The most bits of the class of an operation that attackers seek; none for other operations."""
_IN_SETTLED_LOG = pl.col("day") >= pl.col("log_start") + pl.duration(days=BURN_IN)
_FACT = ("principal_id", "day", "kind", "bits", "what")


@dataclass(frozen=True, slots=True)
class BehaviourInputs:
    """The tables from which behaviour is read.

    Attributes:
        days: `usage_days`: for each principal at least the first use of each operation, place and plane, and every
            operation that gives privilege or runs code.
        active: `principal_id, day, first_seen, last_seen, calls, before, start, enough, gap, longest, early, late,
            most`: the active days in question, as `store.habits.active_days` has them.
        places: `principal_id, is_sign_in, network, country, network_number, app_id, day`: where each principal called
            and signed in from, at least the first day of each.
        logged: `principal_id, day, is_sign_in, networks, applications, carriers, countries`: how many days had a value
            of each, up to each day in question.
        principals: `principals`.
        operations: `operation, risk` of the catalogue.
        monitoring: `operation`: operations that weaken or disable monitoring.
        machines: `scope, principal_id`: identities attached to resources.
        code: `operation`: operations that run code on a resource.
        ways: The ways that somebody opened to somebody, as `openings.read_ways`.
        keyed: Days of requests with a key or SAS, as `openings.find_keys_used` takes them.
        graph: First requests to Microsoft Graph by whom a way was opened to, as `habits/graph_first.sql`.
        activations: `principal_id, role, time, justified`: requests to activate a role.
        grants: `principal_id, role, role_name, scope, created_on`: roles that principals hold at a folded scope, by
            name or through a group, and since when.
        role_operations: `role, name`: folded operations that each held role may grant; none for roles that are not
            known.
        woken: `principal_id, day, place, gap, operation, name, scope, risk, plane, first_seen`: calls of what attackers
            seek after a silence at the place, as `queries/habits/woken.sql` has them.
        breadth: `principal_id, risk, day, resources, made, days, total, kind_days, kind_total`: days with such calls on
            many resources, as `queries/habits/breadth.sql` has them.
        prepared: `principal_id, name, place, day`: what was destroyed by who had called there before, as
            `queries/habits/prepared.sql` has it.
        who: The principals that are asked about; None for all. Others may have rows, which count as their peers' do.
    """

    days: pl.DataFrame
    active: pl.DataFrame
    places: pl.DataFrame
    logged: pl.DataFrame
    principals: pl.DataFrame
    operations: pl.DataFrame
    monitoring: pl.DataFrame
    machines: pl.DataFrame
    code: pl.DataFrame
    ways: pl.DataFrame
    keyed: pl.DataFrame
    graph: pl.DataFrame
    activations: pl.DataFrame
    grants: pl.DataFrame
    role_operations: pl.DataFrame
    woken: pl.DataFrame
    breadth: pl.DataFrame
    prepared: pl.DataFrame
    who: list[str] | None = None

    @property
    def is_empty(self) -> bool:
        """Return whether there is no use at all."""
        return self.days.is_empty()


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The result of `read_behaviour`.

    Attributes:
        judged: `principal_id, of, day, before, first_seen, last_seen, young`: the days that had enough active days
            before them, and later than a month after the begin of the log those without a history (`young`).
        facts: `principal_id, day, kind, bits, what`: the surprising facts of those days, the most surprising of each
            kind.
        steps: The same with `at`, the time from which on each stands, and with those of a kind before it.
        novel: `principal_id, day, operation, scope, risk`: operations done for the first time on those days.
        creep: `principal_id, day, bits, count, since`: the sums of `signals.find_creep` that reach its limit.
    """

    judged: pl.DataFrame
    facts: pl.DataFrame
    steps: pl.DataFrame
    novel: pl.DataFrame
    creep: pl.DataFrame


def read_behaviour(inputs: BehaviourInputs) -> Behaviour:
    """Return the days that can be judged, and the surprising facts of each."""
    kinds = _kinds(inputs.principals)
    acts, days, places = _acts(inputs, kinds), inputs.active, _with_kind(inputs.places, kinds)
    starts = acts.group_by("plane").agg(log_start=pl.col("day").min())
    first = _first_uses(acts, starts)
    judged = _with_kind(days_with_history(days), kinds)
    asked_of = days if inputs.who is None else days.filter(pl.col("principal_id").is_in(inputs.who))
    young = _young(asked_of, judged, first)
    novel = _novel(first, judged)
    fresh = first.join(young.select("principal_id", "day", "before"), on=["principal_id", "day"])
    fresh = fresh.with_columns(earlier=pl.lit(0, novel.schema["earlier"]))
    graph, graph_uses = find_graph_uses(inputs.graph, inputs.ways)
    of_graph = graph.with_columns(plane=pl.lit("graph"), scope=pl.lit("/"), place=pl.lit("/"), group=pl.lit("/"))
    every = pl.concat([novel, fresh.select(novel.columns), of_graph], how="diagonal_relaxed")
    acted = days.select("principal_id", "day", logged="before")
    holders = inputs.grants.select("principal_id", "role").unique()
    keyed_days, keys_used = find_keys_used(inputs.ways, inputs.keyed)
    every_day = pl.concat([judged.with_columns(young=pl.lit(False)), young.select(*judged.columns, "young")])
    # Days without a call to Azure, on which a way that was opened is used all the same.
    beyond = pl.concat([keyed_days, graph.with_columns(last_seen="first_seen")], how="diagonal_relaxed")
    beyond = beyond.group_by("principal_id", "day").agg(
        pl.col("first_seen").min(), pl.col("last_seen").max(), pl.col("before").max()
    )
    beyond = beyond.join(every_day, on=["principal_id", "day"], how="anti").with_columns(
        pl.col("before").cast(every_day.schema["before"])
    )
    every_day = pl.concat([every_day, beyond], how="diagonal").with_columns(pl.col("young").fill_null(False))
    guests = inputs.principals.filter(pl.col("user_type") == "Guest").select("principal_id")
    parts = [
        _operations(novel),
        _sprees(novel),
        _sensitive(novel),
        find_first_uses(acts.with_columns(value="group"), judged, acted, "scope", 0.5),
        find_first_uses(acts.with_columns(value="plane"), judged, acted, "plane", 1.0),
        _hours(judged),
        _bursts(judged),
        _wakings(days),
        _follow_ups(acts, novel),
        _machine_steps(inputs, acts, every),
        *find_ways_used(inputs.ways, every, inputs.principals.filter(pl.col("listed")).select("principal_id")),
        find_targets(inputs.ways, inputs.principals),
        *keys_used,
        *graph_uses,
    ]
    # A pass of a watch judges a few principals, most without any of these.
    if places.height:
        parts += find_places(places, inputs.logged, judged)
    if inputs.activations.height:
        parts += find_activations(inputs.activations, judged, every)
    if young.height:
        parts += find_first_days(fresh, first, places, young, judged, holders, guests, _WEIGHT)
    if inputs.woken.height:
        parts += find_wakings(inputs.woken, every_day, inputs.grants, inputs.role_operations, starts, _WEIGHT)
    if inputs.breadth.height:
        parts.append(find_breadth(inputs.breadth, every_day))
    asked = days.select("principal_id", "day")
    risky = first.drop_nulls("risk").join(asked, on=asked.columns, how="semi").height
    creep = find_creep(first, compare_first_days(_young_uses(first), first)) if risky else pl.DataFrame(schema=CREEP)
    creep = creep.join(asked, on=asked.columns, how="semi")
    tipping = pl.min_horizontal(0.5 * pl.col("gathered"), _MOST_GATHERED)
    parts.append(creep.with_columns(bits=tipping, kind=pl.lit("gathered"), what=pl.col("since").cast(pl.String)))
    steps = pl.concat([part.select(*_FACT, at=_time_of(part)) for part in parts]).filter(pl.col("bits") > 0)
    # A place has no time, so it stands at the last call that is known.
    ended = every_day.select("principal_id", "day", ended="last_seen")
    steps = steps.join(ended, on=["principal_id", "day"], how="left").with_columns(pl.coalesce("at", "ended"))
    steps = weigh_credentials(steps.drop("ended")).sort("bits", "what", "at", descending=[True, False, False])
    facts = steps.unique(["principal_id", "day", "kind"], keep="first", maintain_order=True).select(_FACT)
    return Behaviour(every_day, facts.sort(_FACT), steps, every, creep.filter(pl.col("bits") >= LIMIT))


def _time_of(part: pl.DataFrame) -> pl.Expr:
    return pl.col("first_seen") if "first_seen" in part.columns else pl.lit(None, pl.Datetime("us"))


def _first_uses(acts: pl.DataFrame, log_starts: pl.DataFrame) -> pl.DataFrame:
    """Return the first use of each operation by each principal, with the counts that make it rare.

    `peers` and `known` count the principals of the kind that were seen by then, and those that had used the operation;
    so later principals change no earlier fact. `beside` and `known_here` count those that were seen in the same
    resource group before that day, and those that began to use the operation there. `start` and `log_start` are the
    first days of the principal and of the logs of the plane in which it was seen first. `risk` is null unless attackers
    seek the operation. `made` counts the first uses of the principal until then, after the first month of the log,
    `sought` those of them that attackers seek, and `done` those of these that are not work of the place.
    """
    sought = pl.when(pl.col("risk").is_in(list(_OF_RISK))).then("risk")
    peers = acts.group_by("of", "principal_id").agg(pl.col("first_seen").min()).sort("first_seen", "principal_id")
    peers = peers.select("of", "first_seen", peers=pl.int_range(1, pl.len() + 1).over("of"))
    starts = acts.join(log_starts, on="plane").group_by("principal_id").agg(
        start=pl.col("day").min(), log_start=pl.col("log_start").sort_by("first_seen", "log_start").first()
    )  # fmt: skip
    first = acts.unique(["principal_id", "name"], keep="first", maintain_order=True)
    entered = acts.group_by("of", "group", "principal_id").agg(pl.col("day").min())
    first = _count_before(first, entered, ["of", "group"], "beside")
    first = _count_before(first, first, ["of", "group", "name"], "known_here")
    first = first.join(
        entered.select("group", "principal_id", entered="day"), on=["group", "principal_id"]
    ).with_columns(pl.col("beside") - (pl.col("entered") < pl.col("day")))
    unusual = pl.col("risk").is_not_null() & (pl.col("known_here") < _COLLEAGUES)
    return (
        first.sort("first_seen", "principal_id", "name")
        .with_columns(known=pl.int_range(pl.len()).over("of", "name"), risk=sought)
        .join_asof(peers, on="first_seen", by="of", check_sortedness=False)
        .join(starts, on="principal_id")
        .sort("principal_id", "first_seen", "name")
        .with_columns(
            done=(unusual & _IN_SETTLED_LOG).cum_sum().over("principal_id"),
            sought=(pl.col("risk").is_not_null() & _IN_SETTLED_LOG).cum_sum().over("principal_id"),
            made=_IN_SETTLED_LOG.cum_sum().over("principal_id"),
        )
    )


def _count_before(rows: pl.DataFrame, members: pl.DataFrame, by: list[str], name: str) -> pl.DataFrame:
    """Return the rows with how many `members` of the same `by` had come before the day of each."""
    counts = members.group_by(*by, "day").agg(pl.len().cast(pl.Int64)).sort("day")
    counts = counts.with_columns(pl.col("len").cum_sum().over(by).alias(name)).drop("len")
    return rows.sort("day", "principal_id", "name").join_asof(
        counts, on="day", by=by, allow_exact_matches=False, check_sortedness=False
    ).with_columns(pl.col(name).fill_null(0))  # fmt: skip


def _young(days: pl.DataFrame, judged: pl.DataFrame, first: pl.DataFrame) -> pl.DataFrame:
    """Return the days of principals without a history, from a month after the begin of their log on."""
    starts = first.select("principal_id", "of", "log_start").unique("principal_id")
    others = days.join(judged.select("principal_id", "day"), on=["principal_id", "day"], how="anti")
    return (
        others.join(starts, on="principal_id")
        .filter(_IN_SETTLED_LOG)
        .with_columns(
            since=pl.col("log_start"), young=pl.lit(True),
            logged=(pl.col("day") - pl.col("log_start")).dt.total_days(),
        )
    )  # fmt: skip


def _young_uses(first: pl.DataFrame) -> pl.DataFrame:
    """Return the first uses of what attackers seek in the first month of a principal that the log saw begin."""
    is_young = pl.col("day") < pl.col("start") + pl.duration(days=BURN_IN)
    return first.filter(pl.col("risk").is_not_null() & is_young & _IN_SETTLED_LOG)


def _kinds(principals: pl.DataFrame) -> pl.DataFrame:
    is_person = pl.col("principal_type") == "User"
    return principals.select("principal_id", of=pl.when(is_person).then(pl.lit("person")).otherwise(pl.lit("workload")))


def _with_kind(rows: pl.DataFrame, kinds: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with the kind `of` their principal; one that no listing has is a workload."""
    return rows.join(kinds, on="principal_id", how="left").with_columns(pl.col("of").fill_null("workload"))


def _acts(inputs: BehaviourInputs, kinds: pl.DataFrame) -> pl.DataFrame:
    """Return calls, refused ones too, one row per (principal, operation, scope, day), with the principal's kind.

    What is destroyed as planned has no risk, unless something blinded the monitoring on that day.
    """
    risks = classes_of(folded(inputs.days["operation"]).unique(), inputs.operations, inputs.monitoring)
    calls = pl.sum_horizontal("succeeded", "failed", "started", "denied")
    days = (
        inputs.days.filter(pl.col("principal_id").is_not_null()).with_columns(calls=calls).filter(pl.col("calls") > 0)
    )
    named = days.select(
        "principal_id", "plane", "day", "calls", "first_seen", "last_seen", "operation", "scope",
        name=folded(days["operation"]), place=place_of(days["scope"]),
    ).with_columns(group=pl.coalesce(pl.col("place").str.extract(GROUP, 1), "place"))  # fmt: skip
    acts = _with_kind(named, kinds).join(risks, on="name", how="left")
    blinded = acts.filter(pl.col("risk") == "evasion").select("principal_id", "day").unique()
    planned = inputs.prepared.join(blinded, on=["principal_id", "day"], how="anti").with_columns(planned=True)
    acts = acts.join(planned.unique(), on=["principal_id", "name", "place", "day"], how="left")
    return (
        acts.with_columns(risk=pl.when(pl.col("planned").is_null()).then("risk"))
        .drop("planned")
        .sort("principal_id", "first_seen", "name", "place")
    )


def classes_of(names: pl.Series, operations: pl.DataFrame, monitoring: pl.DataFrame) -> pl.DataFrame:
    """Return `name, risk` of distinct folded operations: what attackers seek each for, else the catalogue's class.

    Args:
        names: The operations.
        operations: As in `BehaviourInputs`.
        monitoring: As in `BehaviourInputs`.
    """
    listed = operations.select(name=folded(operations["operation"]), listed="risk")
    listed = listed.unique("name", keep="first", maintain_order=True)
    blinding = folded(monitoring["operation"]).unique()
    risk = pl.when(pl.col("name").is_in(blinding.implode())).then(pl.lit("evasion"))
    found = pl.DataFrame({"name": names, "beyond": sought_classes(names)}).join(listed, on="name", how="left")
    return found.select("name", risk=risk.otherwise(pl.coalesce("beyond", "listed")))


def sought_among(classes: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `classes_of` that attackers seek."""
    return classes.filter(pl.col("risk").is_in(list(_OF_RISK))).sort("name")


def _novel(first: pl.DataFrame, judged: pl.DataFrame) -> pl.DataFrame:
    """Return operations that a principal did first on a judged day."""
    return (
        first.join(judged.select("principal_id", "since").unique(), on="principal_id")
        .filter(pl.col("day") >= pl.col("since"))
        .with_columns(earlier=(pl.col("day").rank("min").over("principal_id") - 1))
        .join(judged.select("principal_id", "day", "before"), on=["principal_id", "day"])
        .sort("principal_id", "first_seen", "name")
        .select("principal_id", "of", "day", "first_seen", "operation", "name", "scope", "plane", "place", "group",
                "risk", "before", "known", "peers", "earlier", "beside", "known_here", "done", "sought", "made")
    )  # fmt: skip


def _operations(novel: pl.DataFrame) -> pl.DataFrame:
    own = (log2(1 + pl.col("before")) - 1.5 * log2(1 + pl.col("earlier"))).clip(lower_bound=0)
    among = 0.5 * (log2(1 + pl.col("peers")) - log2(1 + pl.col("known")))
    return novel.with_columns(bits=0.6 * own + among, kind=pl.lit("operation"), what=pl.col("operation"))


def _sprees(novel: pl.DataFrame) -> pl.DataFrame:
    nth = pl.int_range(1, pl.len() + 1).over("principal_id", "day")
    counted = novel.sort("first_seen", "name").with_columns(count=nth)
    return counted.filter(pl.col("count") > 1).with_columns(
        bits=3.0 * log2(pl.col("count")), kind=pl.lit("spree"), what=pl.col("count").cast(pl.String)
    )


def _sensitive(novel: pl.DataFrame) -> pl.DataFrame:
    """Return first uses of operations that attackers seek; each class counts once a day, less if peers use it, too."""
    return novel.with_columns(
        bits=pl.min_horizontal(_WEIGHT, rarity(pl.col("peers"), pl.col("known"))), what="operation",
        kind="risk_" + pl.col("risk"),
    ).filter(pl.col("bits") > 0)  # fmt: skip


def _hours(judged: pl.DataFrame) -> pl.DataFrame:
    """Return days with a call two or more hours outside the hours of the past."""
    early, late = pl.col("first_seen").dt.hour().cast(pl.Int32), pl.col("last_seen").dt.hour().cast(pl.Int32)
    away = pl.max_horizontal(pl.col("early") - early, late - pl.col("late"))
    time = pl.when(late - pl.col("late") >= 2).then(pl.col("last_seen")).otherwise(pl.col("first_seen"))
    return judged.filter(away >= 2).with_columns(
        bits=0.5 * log2(1 + pl.col("before")), kind=pl.lit("hour"), what=time.dt.strftime("%H:%M"), first_seen=time
    )


def _bursts(judged: pl.DataFrame) -> pl.DataFrame:
    """Return days with many more calls than the busiest day of a history that has seen the end of a month."""
    ratio = pl.col("calls") / pl.col("most")
    seen = pl.col("day") > pl.col("start") + pl.duration(days=_MONTH)
    return judged.filter(seen & (pl.col("calls") >= 30) & (ratio >= 4)).with_columns(
        bits=2.0 * log2(ratio), kind=pl.lit("burst"), what=pl.col("calls").cast(pl.String), first_seen="last_seen"
    )


def _wakings(days: pl.DataFrame) -> pl.DataFrame:
    """Return days after a pause of a month or more that is at least twice as long as any before."""
    rested = (
        (pl.col("gap") >= _DORMANT) & (pl.col("gap") >= 2 * pl.col("longest").fill_null(1)) & (pl.col("before") >= 5)
    )
    return days.filter(rested).with_columns(
        bits=log2(pl.col("gap")), kind=pl.lit("dormant"), what=pl.col("gap").cast(pl.String)
    )


def _follow_ups(acts: pl.DataFrame, novel: pl.DataFrame) -> pl.DataFrame:
    """Return first uses where the same principal gave privilege within the two weeks before.

    Who gives privilege now and then does so for work: the bits fall with the other days in the six weeks before on the
    same plane. Passwords that a help desk resets are no habit of assigning roles.
    """
    steps = acts.filter(pl.col("risk") == "privilege").select("principal_id", "plane", "group", given="first_seen")
    after = pl.col("first_seen") - pl.col("given")
    recent = after.is_between(pl.duration(days=0), pl.duration(days=_FOLLOWS), closed="right")
    lately = after.is_between(pl.duration(days=0), pl.duration(days=_HABIT), closed="right")
    days = novel.select("principal_id", "plane", "first_seen", "name").join(
        steps.drop("group"), on=["principal_id", "plane"]
    )
    habit = days.filter(lately).group_by("principal_id", "first_seen", "name").agg(
        habit=pl.col("given").dt.date().n_unique() - 1
    )  # fmt: skip
    used = novel.join(steps, on=["principal_id", "plane", "group"]).filter(recent)
    return (
        used.join(habit, on=["principal_id", "first_seen", "name"])
        .sort("first_seen", "name", "given")
        .unique(["principal_id", "day"], keep="first", maintain_order=True)
        .with_columns(bits=4.0 - 1.5 * log2(1 + pl.col("habit")), kind=pl.lit("after_privilege"),
                      what=pl.col("operation"))
    )  # fmt: skip


def _machine_steps(inputs: BehaviourInputs, acts: pl.DataFrame, novel: pl.DataFrame) -> pl.DataFrame:
    """Return first uses by a machine's identity within two hours after another principal ran code on the machine."""
    runs = acts.filter(pl.col("name").is_in(folded(inputs.code["operation"]).unique().implode()))
    runs = runs.select("day", "place", who="principal_id", ran="last_seen", begun="first_seen")
    runs = pl.concat([runs, runs.with_columns(pl.col("day") + pl.duration(days=1))])
    machines = inputs.machines.select("principal_id", machine=folded(inputs.machines["scope"])).unique()
    after = (
        novel.join(machines, on="principal_id")
        .join(runs, on="day")
        .filter(
            pl.col("place_right").str.starts_with(pl.col("machine"))
            & (pl.col("who") != pl.col("principal_id"))
            & (pl.col("first_seen") >= pl.col("begun"))
            & (pl.col("first_seen") - pl.col("ran") <= pl.duration(hours=2))
        )
    )
    return after.sort("first_seen", "who").with_columns(
        # A release runs its scripts, too, and its identity then does new things; few are what attackers seek.
        bits=pl.when(pl.col("risk").is_null()).then(3.0).otherwise(6.0),
        kind=pl.lit("after_code"),
        what=pl.col("who"),
    )
