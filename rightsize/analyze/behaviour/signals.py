"""Find the facts about days: first uses, unusual contexts, creep, sleeping grants that wake, and breadth.

Test the first uses of each principal one after the other: does it gather what attackers seek, a little at a time?

A cumulative sum (CUSUM) of log-likelihood ratios. Under the one hypothesis first uses come at the base rate of the kind
of principal and the class of risk, counted on earlier days. Under the other they come once a week. The sum falls with
each day without one, and never below zero. It is taken in thousandths of a bit, as integers, so that it is exact.

A grant is judged by itself. Its holder may be new, may have slept with it, or may be active elsewhere every day.

Whoever lists the keys of one account every day is no surprise, and a list of forty is. The number of resources beyond
the first is compared with a geometric distribution, whose tail is heavier than Poisson's. Its mean is that of the
principal's own days with such calls. While there are few of them, it is drawn to that of the days on which its kind had
more than one resource, since principals differ. A day below twice the busiest one of its past does not count. Neither
does a resource that the principal created itself in the two weeks before: whoever sets up an environment reads its
keys. Such a resource does count if the call that created it is of the class itself, as that of a snapshot is.
"""

from __future__ import annotations

import polars as pl

from rightsize.analyze.inputs import GROUP
from rightsize.rules.attacks import role_assigning_rules

_CROWD = 31
_SOON = 4
"""Hours in which a use follows an activation."""
_HABIT = 5
"""Activations that somebody needs before one of them is judged."""


def log2(value: pl.Expr) -> pl.Expr:
    """Return the binary logarithm of a count: its bits."""
    return value.cast(pl.Float64).log(2.0)


def rarity(crowd: pl.Expr, known: pl.Expr) -> pl.Expr:
    """Return the bits of what `known` of a `crowd` do; a small crowd counts as one of 31 with the same share."""
    large = pl.max_horizontal(crowd.cast(pl.Float64), float(_CROWD))
    return log2(1 + large) - log2(1 + known * large / pl.max_horizontal(crowd, 1))


def find_places(places: pl.DataFrame, logged: pl.DataFrame, judged: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the first uses of networks and clients by calls, and of networks and countries by sign-ins.

    Args:
        places: `principal_id, of, is_sign_in, network, country, network_number, app_id, day`; peers are the principals
            of one kind (`of`).
        logged: `principal_id, day, is_sign_in, networks, applications, carriers, countries`: counts of days with a
            value.
        judged: The days that are judged: `principal_id, day`.
    """
    rows = places.drop_nulls("principal_id")
    carrier = pl.coalesce("AS" + pl.col("network_number"), "network")
    parts = []
    for kind, said, is_sign_in, value, own, among in (
        ("network", "networks", False, pl.col("network"), 1.0, 0.0),
        ("application", "applications", False, pl.col("app_id"), 0.7, 0.0),
        ("sign_in_network", "carriers", True, carrier, 0.7, 0.25),
        ("country", "countries", True, pl.col("country"), 0.8, 0.25),
    ):
        some = rows.filter(pl.col("is_sign_in") == is_sign_in).with_columns(value=value)
        days = logged.filter(pl.col("is_sign_in") == is_sign_in)
        days = days.select("principal_id", "day", logged=pl.col(said) - 1)
        parts.append(find_first_uses(some, judged, days, kind, own, among))
    return parts


def find_first_uses(
    rows: pl.DataFrame, judged: pl.DataFrame, logged: pl.DataFrame, kind: str, own: float, among: float = 0.0
) -> pl.DataFrame:
    """Return first uses of `value`; the bits fall with the number of earlier values, and of peers that had the value.

    The first value of all of a principal is no fact: the log may begin there.

    Args:
        rows: `principal_id, of, day, value`, with the class of the principal; at least the first day of each value.
        judged: The days that are judged: `principal_id, day`.
        logged: `principal_id, day, logged`: how many days with a value came before.
        kind: The kind of the fact.
        own: Weight of the principal's own past.
        among: Weight of the peers.
    """
    days = rows.drop_nulls("value").group_by("principal_id", "of", "value").agg(
        pl.col("day").min(), *([pl.col("first_seen").min()] if "first_seen" in rows.columns else [])
    )  # fmt: skip
    first = days.sort("day", "principal_id", "value").with_columns(
        seen=pl.col("day").rank("min").over("principal_id") - 1,
        known=pl.col("day").rank("min").over("of", "value") - 1,
        peers=pl.col("principal_id").is_first_distinct().cum_sum().over("of"),
    )
    bits = own * (log2(1 + pl.col("logged")) - 1.5 * log2(pl.col("seen").clip(lower_bound=1)))
    bits += among * (log2(1 + pl.col("peers")) - log2(1 + pl.col("known")))
    if among:
        visited = pl.min_horizontal(bits, rarity(pl.col("peers"), pl.col("known")))
        bits = pl.when(pl.col("known") > 0).then(visited).otherwise(bits)
    return (
        first.filter(pl.col("seen") > 0)
        .join(judged.select("principal_id", "day"), on=["principal_id", "day"])
        .join(logged, on=["principal_id", "day"])
        .with_columns(bits=bits, kind=pl.lit(kind), what=pl.col("value"))
    )


def find_activations(activations: pl.DataFrame, judged: pl.DataFrame, novel: pl.DataFrame) -> list[pl.DataFrame]:
    """Return activations at other hours, of other roles, or without the reason that was always given.

    First uses of what attackers seek, within hours of an activation at another hour or without a reason, are a fact of
    their own.

    Args:
        activations: `principal_id, role, time, justified`: requests to activate, one row each.
        judged: The days that are judged: `principal_id, day`.
        novel: First uses, as `facts.Behaviour.novel`.
    """
    hour = pl.col("time").dt.hour().cast(pl.Int32)
    rows = (
        activations.unique()
        .sort("principal_id", "time", "role")
        .with_columns(
            day=pl.col("time").dt.date(),
            n=pl.int_range(pl.len()).over("principal_id"),
            early=hour.cum_min().shift(1).over("principal_id"),
            late=hour.cum_max().shift(1).over("principal_id"),
            role_before=pl.int_range(pl.len()).over("principal_id", "role"),
            roles=pl.col("role").is_first_distinct().cum_sum().shift(1).over("principal_id"),
            always=pl.col("justified").fill_null(False).cum_min().shift(1).over("principal_id"),
        )
        .filter(pl.col("n") >= _HABIT)
        .join(judged.select("principal_id", "day"), on=["principal_id", "day"])
    )
    away = pl.max_horizontal(pl.col("early") - hour, hour - pl.col("late")) >= 2
    facts = [
        rows.filter(away).with_columns(
            kind=pl.lit("activation_hour"), bits=0.5 * log2(1 + pl.col("n")), what=pl.col("time").dt.strftime("%H:%M")
        ),
        rows.filter(pl.col("role_before") == 0).with_columns(
            kind=pl.lit("activation_role"), what=pl.col("role"),
            bits=0.6 * (log2(1 + pl.col("n")) - 1.5 * log2(pl.col("roles").clip(lower_bound=1))),
        ),
        rows.filter(pl.col("always") & ~pl.col("justified").fill_null(False)).with_columns(
            kind=pl.lit("activation_unjustified"), bits=0.7 * log2(1 + pl.col("n")), what=pl.col("role")
        ),
    ]  # fmt: skip
    odd = pl.concat([facts[0].select("principal_id", "time"), facts[2].select("principal_id", "time")]).unique()
    soon = (pl.col("first_seen") - pl.col("time")).is_between(pl.duration(), pl.duration(hours=_SOON))
    used = novel.drop_nulls("risk").join(odd, on="principal_id").filter(soon)
    return [
        *(fact.with_columns(first_seen="time") for fact in facts),
        used.with_columns(kind=pl.lit("after_activation"), bits=pl.lit(4.0), what=pl.col("time").dt.strftime("%H:%M")),
    ]


LIMIT = 12.0
"""Bits of the sum from which on a day is a finding."""
CREEP = {"principal_id": pl.String(), "day": pl.Date(), "bits": pl.Float64(), "gathered": pl.Float64(),
         "count": pl.Int64(), "since": pl.Date()}  # fmt: skip
"""The columns of `find_creep`."""
BURN_IN = 31
"""Days of a principal, and of a log, before a first use says anything."""

_WEEKLY = 1 / 7
_DRIFT = 206
"""Thousandths of a bit that the sum falls a day: a week's rate over the natural logarithm of two."""
_MOST, _MOST_OF_DAY = 6.0, 9.0
"""The most bits of one class of risk and of one day, so that one day alone never is a creep."""
_PRIOR = 365.0
"""Days of one principal without a first use that count beside those of the log."""
_DAY = ["principal_id", "day"]


def find_creep(first: pl.DataFrame, young: pl.DataFrame) -> pl.DataFrame:
    """Return the days with a first use of what attackers seek, with the sum up to each.

    In the first month of the log everything is a first use, so nothing counts.

    Args:
        first: The first use of each operation by each principal, with the class that attackers seek it for or null:
            `principal_id, of, day, start, log_start, risk, peers, known`: the first day of the principal and of its
            log, the principals of the kind by then, and how many of them had used the operation.
        young: For first uses in the first month of a principal, the bits compared with the first days of
            others: `principal_id, day, risk, bits`.

    Returns:
        `principal_id, day, bits` (the sum), `gathered` (what was left of it from the days before), `count` (days with a
        first use since the sum rose from zero), and `since`, the first of them.
    """
    sought = first.filter(pl.col("risk").is_not_null())
    settled = sought.filter(pl.col("day") >= pl.col("start") + pl.duration(days=BURN_IN))
    rare = rarity(pl.col("peers"), pl.col("known"))
    bits = pl.min_horizontal((_WEEKLY / pl.col("rate")).log(2.0), rare, _MOST)
    steps = pl.concat(
        [
            settled.join(_base_rates(first, settled), on=["of", "risk", "day"]).select(*_DAY, "risk", bits=bits),
            young.select(*_DAY, "risk", bits=pl.min_horizontal("bits", _MOST)),
        ]
    )
    return _summed(
        steps.filter(pl.col("bits") > 0).group_by(*_DAY, "risk").agg(pl.col("bits").max())
        .with_columns(step=(1000 * pl.col("bits")).round().cast(pl.Int64))
        .group_by(_DAY).agg(pl.col("step").sum().clip(upper_bound=round(1000 * _MOST_OF_DAY)))
    )  # fmt: skip


def _base_rates(first: pl.DataFrame, settled: pl.DataFrame) -> pl.DataFrame:
    """Return `of, risk, day, rate`: first uses a day and principal of the kind after its first weeks, until a day."""
    starts = first.select("of", "principal_id", "start").unique().sort("start", "principal_id")
    ready = starts.select(
        "of",
        ready=pl.col("start") + pl.duration(days=BURN_IN),
        people=pl.int_range(1, pl.len() + 1).over("of"),
        spent=pl.col("start").cast(pl.Int64).cum_sum().over("of"),
    )
    made = settled.group_by("of", "risk", "day").agg(made=pl.len()).sort("day", "of", "risk")
    made = made.with_columns(before=pl.col("made").cum_sum().over("of", "risk") - pl.col("made"))
    at = made.join_asof(ready, left_on="day", right_on="ready", by="of", check_sortedness=False)
    exposed = pl.col("people") * (pl.col("day").cast(pl.Int64) - BURN_IN) - pl.col("spent")
    return at.select("of", "risk", "day", rate=(1 + pl.col("before")) / (_PRIOR + exposed.fill_null(0)))


def _summed(steps: pl.DataFrame) -> pl.DataFrame:
    """Return the sum up to each step: the total since the last time that it was zero."""
    who = "principal_id"
    rows = steps.sort(_DAY).with_columns(
        fell=_DRIFT * pl.col("day").diff().over(who).dt.total_days().fill_null(0),
    )
    rows = rows.with_columns(total=(pl.col("step") - pl.col("fell")).cum_sum().over(who))
    before = pl.col("total") - pl.col("step")
    rows = rows.with_columns(least=before.cum_min().over(who), before=before)
    # Where the sum before a step is a new low, it was zero, and a run begins.
    rows = rows.with_columns(run=(pl.col("before") == pl.col("least")).cum_sum().over(who))
    return rows.select(
        *_DAY,
        bits=(pl.col("total") - pl.col("least")).cast(pl.Float64) / 1000,
        gathered=(pl.col("before") - pl.col("least")).cast(pl.Float64) / 1000,
        count=pl.int_range(1, pl.len() + 1).over(who, "run"),
        since=pl.col("day").first().over(who, "run"),
    )


SILENT = 30
"""The least days without a call at the scope of a grant."""
OLD = 90
"""The least days of a grant's age."""
_ELSEWHERE = 0.7
"""Weight of the silence of one grant while its holder is active elsewhere, as people are who take up other work."""
GIVES = "wakes_to_give"
"""The kind of the fact that a sleeping grant which may give roles is used for that: rare is what its holders do."""
_KNOWN = 0.5
"""Weight of the class of a call that need not be a first use."""


def find_wakings(
    woken: pl.DataFrame, days: pl.DataFrame, grants: pl.DataFrame, role_operations: pl.DataFrame, starts: pl.DataFrame,
    weights: pl.Expr,
) -> list[pl.DataFrame]:  # fmt: skip
    """Return days on which an old grant is used for what attackers seek after a month of silence at its scope.

    The bits are those of the days of silence, and of the classes of the calls, which need not be first uses. `what` has
    the name of the role, the scope, the age and the silence in days.

    Args:
        woken: As in `facts.BehaviourInputs`.
        days: `principal_id, day, young`: the days that are judged.
        grants: As in `facts.BehaviourInputs`.
        role_operations: As in `facts.BehaviourInputs`.
        starts: `plane, log_start`: the first day of the logs of each plane.
        weights: The most bits of each class of risk, from the column `risk`.
    """
    above = (pl.col("scope") == "/") | pl.col("scope").str.contains("/managementgroups/", literal=True)
    place = pl.when(above).then(pl.lit("")).otherwise(pl.coalesce(pl.col("scope").str.extract(GROUP, 1), "scope"))
    held = grants.with_columns(place=place, above=above)
    called = pl.col("called")
    under = called.str.starts_with(pl.col("scope") + "/") | (called == pl.col("scope"))
    silent = pl.coalesce("gap", (pl.col("day") - pl.col("log_start")).dt.total_days())
    used = (
        woken.rename({"scope": "called"})
        .join(days.select("principal_id", "day", "young"), on=["principal_id", "day"])
        .join(starts, on="plane")
        .join(held, on=["principal_id", "place"])
        .with_columns(age=(pl.col("day") - pl.col("created_on").dt.date()).dt.total_days(), silent=silent)
        .filter((pl.col("above") | under) & (pl.col("age") >= OLD) & (pl.col("silent") >= SILENT))
    )
    allowed = used.join(role_operations, on=["role", "name"], how="semi")
    unknown = used.join(role_operations, on="role", how="anti")
    silence = pl.min_horizontal("silent", "age")
    said = pl.concat_str(pl.col("role_name").fill_null(pl.col("role")), pl.col("scope"),
                         pl.col("age").cast(pl.String), silence.cast(pl.String), separator="\x1f")  # fmt: skip
    weight = pl.when("young").then(1.0).otherwise(_ELSEWHERE)
    # Of several grants that allow a call, the one with the narrowest scope is named.
    rows = pl.concat([allowed, unknown]).with_columns(bits=weight * log2(silence), what=said).sort(
        "first_seen", pl.col("scope").str.len_bytes(), "role", descending=[False, True, False]
    ).unique(["principal_id", "day", "name", "called"], keep="first", maintain_order=True)  # fmt: skip
    giving = list(role_assigning_rules())
    givers = role_operations.filter(pl.col("name").is_in(giving))["role"].unique()
    gives = pl.col("name").is_in(giving) & pl.col("role").is_in(givers.implode())
    return [
        rows.with_columns(kind=pl.when(gives).then(pl.lit(GIVES)).otherwise(pl.lit("wakes"))),
        rows.with_columns(bits=_KNOWN * weights, kind="risk_" + pl.col("risk"), what="operation"),
    ]


CLASSES = ("secret", "exfiltration", "destruction")
"""The classes of which many resources a day are tested; whoever deploys writes to many every day."""
LEAST = 5
"""The fewest resources of a day that is tested."""
FRESH = 14
"""The days after its creation in which the use of a resource by its creator does not count."""
ALONE = 18.0
"""Bits from which on the number of resources is a finding without any other fact."""

_BREADTH_PRIOR = 10.0
"""Days of the kind that count beside those of the principal."""
_BREADTH_MOST = 20.0


def find_breadth(breadth: pl.DataFrame, judged: pl.DataFrame) -> pl.DataFrame:
    """Return the days with calls on far more resources than before, of the class that surprises most.

    Args:
        breadth: `principal_id, risk, day, resources, made, days, total, kind_days, kind_total`, as
            `queries/habits/breadth.sql` has them.
        judged: The days that are judged: `principal_id, day, last_seen`; the number stands at the end of the day.
    """
    among = (pl.col("kind_total") - pl.col("kind_days") + 2 * _BREADTH_PRIOR) / (pl.col("kind_days") + _BREADTH_PRIOR)
    mean = (pl.col("total") - pl.col("days") + _BREADTH_PRIOR * among) / (pl.col("days") + _BREADTH_PRIOR)
    left = pl.col("resources") - pl.col("made")
    return (
        breadth.join(judged.select("principal_id", "day", first_seen="last_seen"), on=["principal_id", "day"])
        .filter(left >= LEAST)
        .with_columns(
            bits=pl.min_horizontal((left - 1) * (log2(1 + mean) - log2(mean)), _BREADTH_MOST), kind=pl.lit("breadth"),
            what=pl.concat_str(left.cast(pl.String), pl.col("risk"), separator="\x1f"),
        )
        .sort("bits", "risk", descending=[True, False])
        .unique(["principal_id", "day"], keep="first", maintain_order=True)
    )  # fmt: skip
