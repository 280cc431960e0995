"""Find what is unusual in the days of a principal without a history, compared with the first days of others.

A hire, a guest or an application that wakes has no past of its own. Its first uses of operations that attackers seek
are compared with as many first days of the principals of its kind, and of those that hold a role with it: a first
evening with their first days, two weeks with their first two weeks. Whoever does as they did surprises little.
"""

from __future__ import annotations

import polars as pl

from rightsize.analyze.behaviour.signals import BURN_IN, log2, rarity

LEAST_DAYS = 10
"""Active days that a principal needs before one of its days is judged by its own history."""
FORTNIGHT = 14
"""Calendar days from the first day of a principal on that are its first days."""

_LEAST_HOLDERS = 5
_SHARE = 0.5
_MOST_OF_GUEST = 4.0
_OF_SHARE, _MOST_OF_SHARE = 0.6, 12.0
"""Weight and most bits of the share of first uses that attackers seek: the class of each counts by itself, too."""
_ELSEWHERE = {"network": (0.5, 1.5), "country": (0.7, 6.0)}
"""Weight and most bits of a network or a country from which nobody of the kind came before."""


def days_with_history(days: pl.DataFrame) -> pl.DataFrame:
    """Return the active days that had enough active days before them, with the first of these as `since`.

    Args:
        days: As `active` of `facts.BehaviourInputs`.
    """
    since = pl.max_horizontal("enough", pl.col("start") + pl.duration(days=BURN_IN))
    return days.filter(pl.col("before") >= LEAST_DAYS).with_columns(since=since).filter(pl.col("day") >= since)


def find_first_days(
    novel: pl.DataFrame, first: pl.DataFrame, places: pl.DataFrame, days: pl.DataFrame, judged: pl.DataFrame,
    holders: pl.DataFrame, guests: pl.DataFrame, weights: pl.Expr,
) -> list[pl.DataFrame]:  # fmt: skip
    """Return the facts of days without a history.

    Args:
        novel: First uses on those days: `principal_id, of, start, day, operation, name, risk, beside, known_here, done,
            sought, made`, as `facts.read_behaviour` counts them.
        first: The first use of each operation by each principal: `principal_id, of, start, day, name, risk`.
        places: `principal_id, of, is_sign_in, network, country, day`.
        days: The days without a history: `principal_id, of, day, first_seen, last_seen`.
        judged: The days with one: `of, day, early, late`, with the hours of the past.
        holders: `principal_id, role`: who holds which role.
        guests: `principal_id`: who is from another tenant.
        weights: The most bits of each class of risk, from the column `risk`.
    """
    sought = novel.filter(pl.col("risk").is_not_null())
    peers = first_fortnights(first)
    alike = _among_first_days(sought, peers)
    return [
        _crowds(sought, peers, holders),
        _shares(sought, peers),
        _hours(days, judged),
        _guests(sought, first, guests),
        alike.with_columns(
            bits=_SHARE * pl.min_horizontal("bits_name", "bits_here"),
            kind=pl.lit("operation"),
            what=pl.col("operation"),
        ),
        alike.with_columns(
            bits=pl.min_horizontal(weights, "bits_risk", "bits_here"), what="operation", kind="risk_" + pl.col("risk")
        ),
        *_elsewhere(places, days),
    ]


def first_fortnights(first: pl.DataFrame) -> pl.DataFrame:
    """Return the uses of the first fortnight of each principal: the columns of `first`, `ready` and `nth`.

    They count for others from the day `ready` on, when the fortnight is over. `nth` is the number of the day, from 0.
    """
    ready = pl.col("start") + pl.duration(days=FORTNIGHT)
    return first.with_columns(ready=ready, nth=_nth_day()).filter(pl.col("day") < ready)


def _nth_day() -> pl.Expr:
    """Return how many days a use came after the first day of its principal, at most the last of a fortnight."""
    return (pl.col("day") - pl.col("start")).dt.total_days().clip(upper_bound=FORTNIGHT - 1)


def compare_first_days(uses: pl.DataFrame, first: pl.DataFrame) -> pl.DataFrame:
    """Return first uses with their `bits`: how few others used the operation, and its class, in as many first days.

    Args:
        uses: `principal_id, of, start, day, operation, name, risk, beside, known_here`.
        first: As in `find_first_days`.
    """
    compared = _among_first_days(uses, first_fortnights(first))
    return compared.with_columns(bits=pl.min_horizontal("bits_name", "bits_risk", "bits_here"))


def _among_first_days(sought: pl.DataFrame, peers: pl.DataFrame) -> pl.DataFrame:
    """Return the first uses with the bits that the operation, and the class of it, has among first fortnights.

    `bits_here` are those of the operation among all who worked at the same place before.
    """
    found = sought.select(
        "principal_id", "of", "day", "first_seen", "operation", "name", "risk", nth=_nth_day(),
        bits_here=rarity(pl.col("beside"), pl.col("known_here")),
    )  # fmt: skip
    found = found.join(_crowd_sizes(found, peers), on=["principal_id", "day"], how="left")
    for value in ("name", "risk"):
        members = peers.group_by("of", value, "ready", who="principal_id").agg(began=pl.col("nth").min()).drop_nulls()
        known = (
            found.select("principal_id", "of", "day", "nth", value).unique()
            .join(members, on=["of", value])
            .filter(
                (pl.col("ready") <= pl.col("day")) & (pl.col("began") <= pl.col("nth"))
                & (pl.col("who") != pl.col("principal_id"))
            )
            .group_by("principal_id", "day", value).agg(known=pl.col("who").n_unique())
        )  # fmt: skip
        rare = rarity(pl.col("crowd"), pl.col("known").fill_null(0))
        found = (
            found.join(known, on=["principal_id", "day", value], how="left")
            .with_columns(rare.alias(f"bits_{value}"))
            .drop("known")
        )
    return found.drop("crowd")


def _crowd_sizes(days: pl.DataFrame, peers: pl.DataFrame) -> pl.DataFrame:
    """Return `principal_id, day, crowd`: how many principals of the kind had ended their first fortnight by then."""
    ready = peers.select("of", "principal_id", "ready").unique().sort("ready", "principal_id")
    ready = ready.select("of", "ready", crowd=pl.int_range(1, pl.len() + 1).over("of"))
    asked = days.select("principal_id", "of", "day").unique().sort("day", "principal_id")
    return asked.join_asof(ready, left_on="day", right_on="ready", by="of", check_sortedness=False).select(
        "principal_id", "day", pl.col("crowd").fill_null(0)
    )


def _crowds(sought: pl.DataFrame, peers: pl.DataFrame, holders: pl.DataFrame) -> pl.DataFrame:
    """Return days up to which a principal did more of what attackers seek than others in as many first days.

    Others are those of its kind and, where five or more of them hold a role with it, those; the smaller surprise
    counts.
    """
    counted = (
        sought.group_by("principal_id", "of", "day", "done")
        .agg(pl.col("first_seen").min(), nth=_nth_day().max())
        .filter(pl.col("done") > 1)
        .sort("principal_id", "day", "done")
    )  # fmt: skip
    some = counted.select("of", "nth").unique()
    others = (
        peers.join(some, on="of", suffix="_asked")
        .group_by("of", "ready", who="principal_id", nth="nth_asked")
        .agg(did=(pl.col("risk").is_not_null() & (pl.col("nth") <= pl.col("nth_asked"))).sum())
    )
    is_before = (pl.col("ready") <= pl.col("day")) & (pl.col("who") != pl.col("principal_id"))
    near = counted.join(others, on=["of", "nth"]).filter(is_before)
    same = counted.select("principal_id").unique().join(holders, on="principal_id").join(
        holders.rename({"principal_id": "who"}), on="role"
    ).select("principal_id", "who").unique()  # fmt: skip
    sums = [pl.len().alias("crowd"), (pl.col("did") >= pl.col("done")).sum().alias("alike")]
    key = ["principal_id", "day", "done", "first_seen"]
    by_kind = near.group_by(key).agg(sums)
    by_role = near.join(same, on=["principal_id", "who"], how="semi").group_by(key).agg(sums)
    rows = pl.concat([by_kind, by_role.filter(pl.col("crowd") >= _LEAST_HOLDERS)]).with_columns(
        bits=log2(1 + pl.col("crowd")) - log2(1 + pl.col("alike")),
        what=pl.concat_str((pl.col("crowd") - pl.col("alike")).cast(pl.String), pl.lit(" of "),
                           pl.col("crowd").cast(pl.String)),
    )  # fmt: skip
    return (
        rows.sort("bits", "crowd").unique(key, keep="first", maintain_order=True)
        .with_columns(kind=pl.lit("first_days"))
    )  # fmt: skip


def _shares(sought: pl.DataFrame, peers: pl.DataFrame) -> pl.DataFrame:
    """Return first uses up to which more of a principal's were what attackers seek than of others' first ones.

    Each is counted at its time, so that what a day shows only grows. The bits are Chernoff's bound on the binomial
    tail, so they never are more than those of the test.
    """
    counted = sought.select("principal_id", "of", "day", "first_seen", "sought", "made")
    base = (
        peers.group_by("of", "ready").agg(risky=pl.col("risk").is_not_null().sum(), every=pl.len())
        .sort("ready", "of")
        .with_columns(pl.col("risky", "every").cum_sum().over("of"))
    )  # fmt: skip
    among = counted.sort("day", "principal_id").join_asof(
        base, left_on="day", right_on="ready", by="of", check_sortedness=False
    )
    usual = (1 + pl.col("risky").fill_null(0)) / (4 + pl.col("every").fill_null(0))
    share = pl.col("sought") / pl.col("made")
    rest = pl.when(share < 1).then((1 - share) * log2((1 - share) / (1 - usual))).otherwise(0.0)
    return among.filter((pl.col("sought") > 1) & (share > usual)).with_columns(
        bits=_OF_SHARE * pl.min_horizontal(pl.col("made") * (share * log2(share / usual) + rest), _MOST_OF_SHARE),
        kind=pl.lit("first_share"),
        what=pl.concat_str(pl.col("sought").cast(pl.String), pl.lit(" of "), pl.col("made").cast(pl.String)),
    )


def _guests(sought: pl.DataFrame, first: pl.DataFrame, guests: pl.DataFrame) -> pl.DataFrame:
    """Return days on which a guest does what attackers seek, the rarer the fewer of those who did so were guests."""
    did = first.filter(pl.col("risk").is_not_null()).group_by("of", "principal_id").agg(pl.col("day").min())
    did = did.with_columns(known=pl.col("principal_id").is_in(guests["principal_id"].implode()).cast(pl.Int64))
    did = did.group_by("of", "day").agg(pl.len().alias("crowd").cast(pl.Int64), pl.col("known").sum()).sort("day", "of")
    did = did.with_columns(pl.col("crowd", "known").cum_sum().over("of"))
    mine = sought.join(guests, on="principal_id", how="semi").select("principal_id", "of", "day").unique()
    return (
        mine.sort("day", "principal_id")
        .join_asof(did, on="day", by="of", allow_exact_matches=False, check_sortedness=False)
        .with_columns(
            bits=pl.min_horizontal(rarity(pl.col("crowd").fill_null(0), pl.col("known").fill_null(0)), _MOST_OF_GUEST),
            kind=pl.lit("guest"), what=pl.col("known").fill_null(0).cast(pl.String),
        )
    )  # fmt: skip


def _hours(days: pl.DataFrame, judged: pl.DataFrame) -> pl.DataFrame:
    """Return days with a call two or more hours outside the past hours of almost all who had a history that day."""
    crowd = judged.group_by("of", "day").agg(crowd=pl.len())
    parts = []
    for column, time, near in (
        ("late", "last_seen", pl.col("late") + 1 >= pl.col("at")),
        ("early", "first_seen", pl.col("early") - 1 <= pl.col("at")),
    ):
        hours = judged.group_by("of", "day", pl.col(column).cast(pl.Int32)).agg(count=pl.len())
        at = pl.col(time).dt.hour().cast(pl.Int32)
        asked = days.select("principal_id", "of", "day", time=time, first_seen=time, at=at)
        known = (
            asked.join(hours, on=["of", "day"]).filter(near)
            .group_by("principal_id", "day").agg(known=pl.col("count").sum())
        )  # fmt: skip
        parts.append(asked.join(known, on=["principal_id", "day"], how="left").join(crowd, on=["of", "day"]))
    return (
        pl.concat(parts)
        .with_columns(
            bits=_SHARE * rarity(pl.col("crowd"), pl.col("known").fill_null(0)),
            kind=pl.lit("first_hour"), what=pl.col("time").dt.strftime("%H:%M"),
        )
        .filter(pl.col("bits") >= 1)
    )  # fmt: skip


def _elsewhere(places: pl.DataFrame, days: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the networks and countries of those days from which nobody of the kind had come before."""
    parts = []
    for value, (weight, most) in _ELSEWHERE.items():
        seen = places.filter(pl.col("is_sign_in") | pl.lit(value == "network")).drop_nulls(value)
        began = seen.group_by("of", "principal_id", value).agg(pl.col("day").min())
        counted = began.group_by("of", "principal_id").agg(pl.col("day").min()).sort("day", "principal_id")
        counted = counted.select("of", "day", crowd=pl.int_range(1, pl.len() + 1).over("of"))
        others = began.rename({"principal_id": "who", "day": "since"})
        new = (
            began.join(days.select("principal_id", "day"), on=["principal_id", "day"])
            .join(others.filter(pl.len().over("of", value) > 1), on=["of", value], how="left")
            .with_columns(early=(pl.col("since") < pl.col("day")) & (pl.col("who") != pl.col("principal_id")))
            .group_by("of", "principal_id", "day", value).agg(known=pl.col("early").fill_null(False).any())
            .filter(~pl.col("known"))
            .sort("day", "principal_id", value)
            .join_asof(counted, on="day", by="of", check_sortedness=False)
            .with_columns(
                bits=pl.min_horizontal(weight * log2(pl.col("crowd").fill_null(1)), most),
                kind=pl.lit(value), what=pl.col(value),
            )
            .unique(["principal_id", "day"], keep="first", maintain_order=True)
        )  # fmt: skip
        parts.append(new)
    return parts
