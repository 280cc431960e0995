"""Find uses of a way in that somebody opened shortly before: a role, a credential, a delegation, a policy, keys.

The rules say which operation opens which way, and who can then act: the holder of a role, the identity or application
that got a credential, the agents of a blueprint that got a permission, the same principal, a stranger of another
tenant, or nobody that a log could name. Whoever opens such ways every day does so for work: the bits fall with each
time before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import polars as pl

from rightsize.analyze.behaviour.signals import log2
from rightsize.model.text import fold
from rightsize.rules.operations import first_match
from rightsize.rules.tables import rows_of

ROLE, KEYS = "role", "keys"
"""The ways that facts of their own tell: `after_grant`, and `keys_used`."""

_OF_ROLE, _OF_WAY = 4.0, 6.0
_NEW = 14
"""Days in which a principal is new."""
_HABIT = 1.5
_FROM_ANYWHERE = 7.0
"""Bits of a network from which nobody of the tenant ever came."""


@dataclass(frozen=True, slots=True)
class Acting:
    """Who can act through an opened way, beside the holders that the call itself names.

    Attributes:
        identities: `scope, principal_id`: managed identities at the resources that have them, or that they are.
        applications: `object_id, principal_id`: principals of applications.
        agents: `holder_id, principal_id`: agent identities of the principals of blueprints.
    """

    identities: pl.DataFrame
    applications: pl.DataFrame
    agents: pl.DataFrame


@cache
def _rules() -> pl.DataFrame:
    rows = [(fold(row["operation"]), row["way"], row["who"], int(row["days"])) for row in rows_of("opened_ways")]
    return pl.DataFrame(rows, schema=["pattern", "way", "who", "days"], orient="row").with_row_index("rule")


def opening_among(names: pl.Series) -> pl.Series:
    """Return the folded operations of a list that open a way."""
    return names.filter(first_match(names, _rules()["pattern"].to_list()).is_not_null()).sort()


def who_acts(names: pl.Series) -> set[str]:
    """Return who can act through the ways that folded operations open, in the words of the rules."""
    found = first_match(names, _rules()["pattern"].to_list()).drop_nulls().cast(pl.UInt32)
    return set(_rules().filter(pl.col("rule").is_in(found.implode()))["who"])


def read_ways(calls: pl.DataFrame, acting: Acting) -> pl.DataFrame:
    """Return the opened ways: `actor_id, name, holder_id, group, time, way, who, days, habit`.

    `group` is the folded scope that was opened; `holder_id` is null for a stranger and where nobody is named; `habit`
    counts how often the actor had opened such a way before.

    Args:
        calls: `actor_id, name, group, time, holder_id, object_id`: calls that opened a way, `name` folded.
        acting: Who can act.
    """
    rules = _rules()
    names = calls["name"].unique()
    matched = pl.DataFrame({"name": names, "rule": first_match(names, rules["pattern"].to_list()).cast(pl.UInt32)})
    ways = calls.join(matched, on="name").join(rules.drop("pattern"), on="rule")
    ways = ways.sort("time", "actor_id", "group").with_columns(
        habit=pl.col("time").rank("dense").over("actor_id", "way") - 1
    )
    said = ways.filter(pl.col("who").is_in(["holder", "agents", "application"]))
    direct = said.with_columns(holder_id=pl.coalesce("holder_id", "object_id")).drop_nulls("holder_id")
    parts = [
        direct,
        direct.filter(pl.col("who") == "agents").join(acting.agents, on="holder_id").pipe(_held_by),
        said.filter(pl.col("who") == "application").join(acting.applications, on="object_id").pipe(_held_by),
        *(
            ways.filter(pl.col("who") == "identity").join(acting.identities, left_on=place, right_on="scope")
            .pipe(_held_by)
            for place in ("group", "object_id")
        ),
        ways.filter(pl.col("who") == "same").with_columns(holder_id="actor_id"),
        ways.filter(pl.col("who").is_in(["stranger", "nobody"])).with_columns(holder_id=pl.lit(None, pl.String)),
    ]  # fmt: skip
    columns = ("actor_id", "name", "holder_id", "group", "time", "way", "who", "days", "habit")
    return pl.concat([part.select(columns) for part in parts]).unique().sort("time", "actor_id", "holder_id", "group")


def _held_by(ways: pl.DataFrame) -> pl.DataFrame:
    return ways.with_columns(holder_id="principal_id")


def find_ways_used(ways: pl.DataFrame, novel: pl.DataFrame, listed: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the first uses within days of a way that somebody opened, and where it opened it if that says where.

    Args:
        ways: As `read_ways`.
        novel: First uses, as `facts.Behaviour.novel` with `group` and `place`.
        listed: `principal_id`: the principals that a listing has.
    """
    in_time = (pl.col("first_seen") > pl.col("time")) & (
        pl.col("first_seen") - pl.col("time") <= pl.duration(days="days")
    )
    there = (pl.col("place") == pl.col("group_right")) | pl.col("place").str.starts_with(pl.col("group_right") + "/")
    anywhere = ~pl.col("who").is_in(["holder", "same", "stranger"])
    others = ways.filter((pl.col("actor_id") != pl.col("holder_id")) | (pl.col("who") == "same"))
    named = novel.join(others, left_on="principal_id", right_on="holder_id")
    strangers = novel.join(listed, on="principal_id", how="anti").join(
        ways.filter(pl.col("who") == "stranger").drop("holder_id"), how="cross"
    )
    used = pl.concat([named, strangers.select(named.columns)]).filter(in_time & (there | anywhere))
    of_role, most = pl.col("way") == ROLE, pl.when(pl.col("who") == "same").then(_OF_ROLE).otherwise(_OF_WAY)
    # A first use of what nobody seeks is what a release, or a move to another pipeline, looks like.
    weight = pl.when(pl.col("risk").is_null() & (pl.col("plane") != "graph") & ~of_role).then(0.5).otherwise(1.0)
    bits = weight * pl.when(of_role).then(_OF_ROLE).otherwise(most) - _HABIT * log2(1 + pl.col("habit"))
    said = pl.concat_str(pl.col("actor_id"), pl.col("way"), separator="\x1f")
    return [
        used.filter(of_role).with_columns(bits=bits, kind=pl.lit("after_grant"), what="actor_id"),
        used.filter(~of_role).with_columns(bits=bits, kind=pl.lit("after_way"), what=said),
    ]


def weigh_credentials(steps: pl.DataFrame) -> pl.DataFrame:
    """Return facts in which a new credential that is used from where its principal always came from counts half.

    Args:
        steps: `principal_id, day, kind, bits, what`.
    """
    came = steps.filter(pl.col("kind").is_in(["network", "sign_in_network", "country"]))
    elsewhere = came.select("principal_id", "day", elsewhere=True).unique()
    at_home = (
        (pl.col("kind") == "after_way") & pl.col("what").str.ends_with("\x1fcredential") & pl.col("elsewhere").is_null()
    )
    known = steps.join(elsewhere, on=["principal_id", "day"], how="left")
    return known.with_columns(bits=pl.when(at_home).then(pl.col("bits") / 2).otherwise("bits")).drop("elsewhere")


def find_targets(ways: pl.DataFrame, principals: pl.DataFrame) -> pl.DataFrame:
    """Return the days on which somebody gave a role to itself, to a guest, or to a principal of the last two weeks.

    Args:
        ways: As `read_ways`.
        principals: The table `principals`.
    """
    holders = principals.select(holder_id="principal_id", guest=pl.col("user_type") == "Guest", made="created_on")
    given = ways.filter(pl.col("way") == ROLE).join(holders, on="holder_id", how="left")
    new = (pl.col("time") - pl.col("made")).is_between(pl.duration(days=-1), pl.duration(days=_NEW))
    what = (
        pl.when(pl.col("holder_id") == pl.col("actor_id")).then(pl.lit("itself"))
        .when("guest").then(pl.lit("a guest")).when(new).then(pl.lit("a new principal"))
    )  # fmt: skip
    return given.with_columns(
        what=what, kind=pl.lit("target"), principal_id="actor_id", day=pl.col("time").dt.date(), first_seen="time",
        bits=2.0 - log2(1 + pl.col("habit")),
    ).drop_nulls("what")  # fmt: skip


def find_keys_used(ways: pl.DataFrame, keyed: pl.DataFrame) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Return days on which an account was read by key or SAS after a month without, soon after its keys were listed.

    The log of such a request names no principal. So the fact is told of who listed the keys last before the reading
    began, which is not said to have read, and names whoever else listed them in these days. A habit of listing explains
    no reader from a network of nobody: it counts only where the network is known.

    Args:
        ways: As `read_ways`.
        keyed: `resource, day, first_seen, last_seen, silent, is_known`: days of requests with a key or SAS to an
            account that had none for `silent` days, and whether somebody of the tenant ever came from their network.

    Returns:
        `principal_id, day, first_seen, last_seen` of these days, and the facts.
    """
    listed = ways.filter(pl.col("way") == KEYS).select("actor_id", "group", "time", "days")
    listed = listed.with_columns(times=pl.col("time").dt.date().n_unique().over("actor_id", "group"))
    used = (
        keyed.join(listed, left_on="resource", right_on="group")
        .filter(
            (pl.col("last_seen") > pl.col("time")) & (pl.col("first_seen") - pl.col("time") <= pl.duration(days="days"))
        )
        .sort(pl.col("time") > pl.col("first_seen"), "time", "actor_id", descending=[False, True, False])
    )
    listers = used.group_by("resource", "day").agg(others=pl.col("actor_id").unique().sort())
    last = used.unique(["resource", "day"], keep="first", maintain_order=True).join(
        listers, on=["resource", "day"], maintain_order="left"
    )
    others = pl.col("others").list.set_difference(pl.concat_list("actor_id")).list.sort()
    opened = pl.concat_list(pl.col("resource").str.split("/").list.last(), others).list.join("\x1f")
    used = last.with_columns(principal_id="actor_id", what=opened)
    habit = pl.when("is_known").then(_HABIT * log2(pl.col("times"))).otherwise(0.0)
    bits = log2(1 + pl.col("silent")) + 1.0 - habit
    return used.select("principal_id", "day", "first_seen", "last_seen").unique(
        ["principal_id", "day"], keep="first"
    ), [
        used.with_columns(kind=pl.lit("keys_used"), bits=bits),
        used.filter(~pl.col("is_known")).with_columns(kind=pl.lit("keys_elsewhere"), bits=pl.lit(_FROM_ANYWHERE)),
    ]


def find_graph_uses(graph: pl.DataFrame, ways: pl.DataFrame) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Return the first requests to Microsoft Graph within days of a way that was opened, and the facts about them.

    Args:
        graph: `principal_id, day, first_seen, operation, name, before`: the first request of each kind, and the days
            with requests before it.
        ways: As `read_ways`.
    """
    opened = ways.select("time", "days", principal_id="holder_id").drop_nulls()
    soon = pl.col("first_seen").is_between("time", pl.col("time") + pl.duration(days="days"))
    columns = ["principal_id", "day", "first_seen", "operation", "name", "before"]
    used = graph.join(opened, on="principal_id").filter(soon).select(columns).unique()
    used = used.sort("first_seen", "name").with_columns(pl.col("before").cast(pl.Int64))
    nth = pl.int_range(1, pl.len() + 1).over("principal_id", "day")
    return used, [
        used.with_columns(kind=pl.lit("operation"), bits=log2(1 + pl.col("before")), what="operation"),
        used.with_columns(kind=pl.lit("spree"), bits=3.0 * log2(nth), what=nth.cast(pl.String)),
    ]


def held_openings(ways: pl.DataFrame, found: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """Return `principal_id, day, first_time, operations`: first openings of a way that a finding is about.

    Whoever opened it may be as false as whoever came through it, so nothing is learnt from that call either. It is not
    told as unusual by itself; the sentence of the finding names who it was.

    Args:
        ways: As `read_ways`.
        found: Rows of `judge.judge_behaviour`.
        listed: `principal_id`: the principals that a listing has.
    """
    after = found.filter(pl.col("kinds").list.set_intersection(["after_way", "after_grant"]).list.len() > 0)
    first = ways.filter((pl.col("habit") == 0) & (pl.col("way") != KEYS))
    named = first.join(after, left_on="holder_id", right_on="principal_id")
    strangers = first.filter(pl.col("who") == "stranger").join(
        after.join(listed, on="principal_id", how="anti").drop("principal_id"), how="cross"
    )
    used = pl.concat([named, strangers.select(named.columns)]).filter(
        pl.col("last_time").is_between("time", pl.col("time") + pl.duration(days=pl.col("days") + 1))
    )
    return used.select("day", principal_id="actor_id", first_time="time", operations=pl.concat_list("name")).unique()
