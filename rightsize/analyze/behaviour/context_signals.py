"""Find first uses of networks, clients and countries, roles given by others, and unusual activations, as facts."""

from __future__ import annotations

import polars as pl

_FOLLOWS = 14
_CROWD = 31
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
    days = rows.drop_nulls("value").group_by("principal_id", "of", "value").agg(pl.col("day").min())
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
    scored = (
        first.filter(pl.col("seen") > 0)
        .join(judged.select("principal_id", "day"), on=["principal_id", "day"])
        .join(logged, on=["principal_id", "day"])
        .with_columns(bits=bits, kind=pl.lit(kind), what=pl.col("value"))
    )
    return scored.sort("bits", "what", descending=[True, False]).unique(
        ["principal_id", "day"], keep="first", maintain_order=True
    )


def find_given(given: pl.DataFrame, novel: pl.DataFrame) -> pl.DataFrame:
    """Return first uses within two weeks of a role that somebody else gave in the same place.

    A principal that gives roles every day does so for work: the bits fall with the number of roles that it gave before.

    Args:
        given: `actor_id, holder_id, group, time`: roles that were given to others.
        novel: First uses, as `facts.Behaviour.novel` with `group`.
    """
    steps = given.filter(pl.col("actor_id") != pl.col("holder_id")).sort("time", "actor_id", "holder_id", "group")
    steps = steps.with_columns(habit=pl.int_range(pl.len()).over("actor_id"))
    after = novel.join(steps, left_on="principal_id", right_on="holder_id").filter(
        (pl.col("group") == pl.col("group_right")) | pl.col("group").str.starts_with(pl.col("group_right") + "/"),
        pl.col("first_seen") > pl.col("time"),
        pl.col("first_seen") - pl.col("time") <= pl.duration(days=_FOLLOWS),
    )
    return (
        after.sort("habit", "first_seen", "actor_id")
        .unique(["principal_id", "day"], keep="first", maintain_order=True)
        .with_columns(bits=4.0 - 1.5 * log2(1 + pl.col("habit")), kind=pl.lit("after_grant"), what=pl.col("actor_id"))
    )


def find_activations(activations: pl.DataFrame, judged: pl.DataFrame) -> list[pl.DataFrame]:
    """Return activations at other hours, of other roles, or without the reason that was always given.

    Args:
        activations: `principal_id, role, time, justified`: requests to activate, one row each.
        judged: The days that are judged: `principal_id, day`.
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
    return [
        fact.sort("bits", "time", descending=[True, False]).unique(["principal_id", "day"], keep="first",
                                                                   maintain_order=True)
        for fact in facts
    ]  # fmt: skip
