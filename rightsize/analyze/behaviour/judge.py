"""Score days by their facts, choose those that a person should look at, and hold their uses until somebody decides.

Held uses are counted as suspect, so that nothing is learnt from them.

A day is returned where its facts sum up to `THRESHOLD` bits and belong to two or more families: what was done, its
risk, where it came from, when, how much, how roles were activated, and what happened before. One surprise alone is
normal in daily work. A day is also returned where first uses of what attackers seek have added up over weeks
(`creep`): there one kind of fact is enough, since it keeps coming.

Two kinds of uses are held, until somebody decides or the days of `rules/behaviour_holds.csv` are over:

- by `behaviour`: what was used for the first time in a finding about unusual behaviour, and all later uses of it;
- by `signal`: later uses of what was used for the first time while a signal or a decision had it in quarantine.

An operation is looked at by itself and together with its scope. So a known operation at a scope that was new on the
unusual day is held there, and an operation that was new is held at every scope.

The hours of unusual days are judged one by one, so that a pass over a day tells what a pass after each hour tells.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import polars as pl

from rightsize.analyze.behaviour.facts import Behaviour
from rightsize.analyze.behaviour.signals import ALONE, GIVES
from rightsize.analyze.inputs import folded, place_of, schema_of
from rightsize.rules.attacks import hold_days

THRESHOLD = 13.0
HIGH = 18.0
"""The least bits of a finding of high severity."""
_OF_SUSPECT = 5.0
FINDINGS_SCHEMA = schema_of("behaviour_findings")
_KINDS: dict[str, tuple[str, str]] = {
    "operation": ("what", "operation graph"),
    "spree": ("what", "operation graph"),
    "scope": ("what", "what"),
    "plane": ("what", "what"),
    "network": ("where", "where"),
    "sign_in_network": ("where", "where"),
    "country": ("where", "where"),
    "application": ("where", "where"),
    "hour": ("when", "when"),
    "activation_hour": ("when", "activation"),
    "activation_role": ("activation", "activation"),
    "activation_unjustified": ("activation", "activation"),
    "burst": ("much", "much"),
    "breadth": ("much", "breadth"),
    "first_days": ("much", "operation"),
    "first_share": ("much", "operation"),
    "first_hour": ("when", "when"),
    "guest": ("who", "operation"),
    "wakes": ("when", "wakes"),
    GIVES: ("when", "wakes"),
    "dormant": ("when", "when"),
    "after_privilege": ("before", "operation"),
    "after_code": ("before", "operation"),
    "after_grant": ("before", "operation graph"),
    "after_way": ("before", "operation graph"),
    "after_activation": ("before", "activation"),
    "after_suspect": ("before", "operation graph"),
    "keys_used": ("before", "keys"),
    "keys_elsewhere": ("where", "keys"),
    "target": ("whom", "whom"),
    "gathered": ("before", "operation"),
}
"""For each kind of fact its family, and the news of `queries/habits/news.sql` without which no day has it.

First uses of what attackers seek have a kind for each class (`risk_secret`), the family `risk`, and are operations or
uses of a grant that wakes.
"""
NEWS_OF = {**{kind: frozenset(news.split()) for kind, (_, news) in _KINDS.items()},
           "risk": frozenset(("operation", "wakes"))}  # fmt: skip
"""For each kind of fact the news of which a day has at least one."""
_ONE_THING = {
    "sign_in_network": "network",
    "country": "network",
    "activation_hour": "hour",
    "after_grant": "after_privilege",
    "wakes": "dormant",
    GIVES: "dormant",
    "after_way": "after_privilege",
    "first_share": "first_days",
}
"""Kinds of facts that count as one, the strongest: two logs show the same, or two ways lead to it."""
_WAYS = {
    "credential": "a credential",
    "identity": "an identity attached to a resource",
    "permission": "a permission",
    "delegation": "a delegation to another tenant",
    "vault_policy": "an access policy of the vault",
    "unlogged": "a diagnostic setting deleted",
}
_BESIDE = ("network", "sign_in_network", "country", "application", "hour", "first_hour", "activation_hour",
           "activation_role", "activation_unjustified", "guest", "burst", "breadth", "after_grant", "after_way",
           "after_code", "target", "keys_used")  # fmt: skip
"""Facts that make the rare use of a grant that gives roles more than what its holder is there for."""
_RISKS = {
    "risk_privilege": "gives privilege",
    "risk_evasion": "blinds the monitoring",
    "risk_secret": "reads secrets",
    "risk_code_execution": "runs code",
    "risk_destruction": "destroys",
    "risk_exposure": "opens the network",
    "risk_exfiltration": "carries data away",
}
_WIDE = {"secret": "read the secrets of", "destruction": "destroyed", "exfiltration": "carried away data of"}

_SAID = {
    "network": "from the network {what}, which it never used before",
    "sign_in_network": "signed in from the network {what}, which it never used before",
    "country": "from the country {what}, which it never used before",
    "application": "with another application ({what})",
    "hour": "at {what}, outside its hours of {early:02d} to {late:02d}",
    "activation_hour": "activated a role at {what}, outside its hours of activating",
    "activation_role": "activated {name} for the first time",
    "activation_unjustified": "activated a role without a reason, which it always gave before",
    "burst": "with {what} calls, at least four times its busiest day",
    "after_privilege": "within two weeks of giving privilege there",
    "after_grant": "within two weeks after {name} gave it a role there",
    "after_way": "within days after {name} opened a way in: {what}",
    "after_activation": "soon after that activation at {what}",
    "keys_used": "whose listed keys opened {what}, which was read with a key or SAS for the first time in a month, by "
    "nobody that the log names",
    "keys_elsewhere": "from a network that nobody of the tenant uses",
    "target": "gave a role to {what}",
    "gathered": "after other first uses of what attackers seek since {what}",
    "after_code": "within two hours after {name} ran code on its machine",
    "first_hour": "at {what}, when hardly anybody of its kind works",
    "guest": "as a guest, after {what} guests before",
    "first_share": "{what} first uses are what attackers seek",
    "first_days": "more of what attackers seek than {what} others did in as many first days",
}
"""The part of the sentence for each kind of fact."""


def judge_behaviour(behaviour: Behaviour, names: dict[str, str]) -> pl.DataFrame:
    """Return the days that a person should look at as `FINDINGS_SCHEMA`, the highest score first.

    `days_before` counts the judged days of all principals before that day, `days_alike` those that scored as high.

    Args:
        behaviour: The result of `read_behaviour`.
        names: Names of principals by id.
    """
    scores = score_days(behaviour)
    reported = would_report(scores)
    rows = [_finding(row, behaviour, scores, names) for row in reported.iter_rows(named=True)]
    frame = pl.DataFrame(rows, schema=FINDINGS_SCHEMA, orient="row")
    return frame.sort("score", "day", "principal_id", descending=[True, True, False])


def reported_days(behaviour: Behaviour) -> pl.DataFrame:
    """Return `principal_id, day, value`: the rows of `judge_behaviour` with their severity.

    How often such a score occurs is not counted.
    """
    return would_report(score_days(behaviour)).select("principal_id", "day", value=severities())


def would_report(scores: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `score_days` that a person should look at."""
    of_day = (pl.col("score") >= THRESHOLD) & ((pl.col("families") >= 2) | pl.col("wide").fill_null(False))
    return scores.filter((of_day & ~pl.col("rare")) | pl.col("since").is_not_null())


def _is_rare(risky: pl.Expr) -> pl.Expr:
    """Return whether a day shows one use of a sleeping grant that gives roles, to give one, and nothing beside it.

    Rare is what owners and administrators do with such a grant. A watch reports the role that was given as a grant.

    Args:
        risky: The number of operations that attackers seek among the first uses of the day.
    """
    kinds = pl.col("kinds")
    other_risks = [kind for kind in _RISKS if kind != "risk_privilege"]
    beside = kinds.list.set_intersection([*_BESIDE, *other_risks]).list.len() > 0
    return (kinds.list.contains(GIVES) & ~beside & (risky.fill_null(0) <= 1)).fill_null(False)


def weight_of(score: float) -> str:
    """Return the severity of a finding with such a score."""
    return "high" if score >= HIGH else "medium"


def severities() -> pl.Expr:
    """Return the severity of each finding, from the column `score`, as `weight_of` has it for one."""
    return pl.when(pl.col("score") >= HIGH).then(pl.lit("high")).otherwise(pl.lit("medium"))


def score_days(behaviour: Behaviour) -> pl.DataFrame:
    """Return the judged days, each with its `score`, the number of `families` of its facts, and their `kinds`.

    What a principal does with access that it got on the same day from somebody whose day is a finding surprises more.
    """
    scores = _scores(behaviour)
    given = behaviour.facts.filter(pl.col("kind").is_in(["after_grant", "after_way"]))
    suspects = would_report(scores).select("day", actor="principal_id")
    after = given.with_columns(actor=pl.col("what").str.split("\x1f").list.first()).join(suspects, on=["actor", "day"])
    after = after.filter(pl.col("actor") != pl.col("principal_id"))
    if after.is_empty():
        return scores
    more = after.unique(["principal_id", "day"]).with_columns(kind=pl.lit("after_suspect"), bits=pl.lit(_OF_SUSPECT))
    return _scores(replace(behaviour, facts=pl.concat([behaviour.facts, more.select(behaviour.facts.columns)])))


def _scores(behaviour: Behaviour) -> pl.DataFrame:
    families = {kind: family for kind, (family, _) in _KINDS.items()} | dict.fromkeys(_RISKS, "risk")
    # Strict: a kind that says neither its family nor its news is an error, not one more risk.
    family = pl.col("kind").replace_strict(families, return_dtype=pl.String)
    things = (
        behaviour.facts.with_columns(family=family, thing=pl.col("kind").replace(_ONE_THING))
        .group_by("principal_id", "day", "thing")
        .agg(pl.col("bits").max(), pl.col("kind"), family=pl.col("family").first())
    )
    summed = things.group_by("principal_id", "day").agg(
        score=pl.col("bits").sort().sum().round(1),
        families=pl.col("family").n_unique(),
        wide=(pl.col("bits").filter(pl.col("thing") == "breadth") >= ALONE).any(),
        kinds=pl.col("kind").explode().unique().sort(),
    )
    span = behaviour.judged.select("principal_id", "day", "before", "first_seen", "last_seen", "early", "late", "young")
    crept = behaviour.creep.select("principal_id", "day", "count", "since", crept=pl.col("bits").round(1))
    risky = behaviour.novel.drop_nulls("risk").group_by("principal_id", "day").agg(risky=pl.col("name").n_unique())
    return (
        span.join(summed, on=["principal_id", "day"], how="left")
        .join(risky, on=["principal_id", "day"], how="left")
        .with_columns(rare=_is_rare(pl.col("risky")))
        .join(crept, on=["principal_id", "day"], how="left")
        .with_columns(
            score=pl.max_horizontal(pl.col("score").fill_null(0.0), "crept"),
            kinds=pl.when(pl.col("since").is_null()).then("kinds").otherwise(
                pl.concat_list(pl.col("kinds").fill_null([]), pl.lit(["creep"])).list.sort()
            ),
        )
        .sort("day", "principal_id")
    )  # fmt: skip


def _finding(row: dict[str, Any], behaviour: Behaviour, scores: pl.DataFrame, names: dict[str, str]) -> dict[str, Any]:
    earlier = scores.filter(pl.col("day") < row["day"])
    mine = (pl.col("principal_id") == row["principal_id"]) & (pl.col("day") == row["day"])
    facts = {fact["kind"]: fact["what"] for fact in behaviour.facts.filter(mine).iter_rows(named=True)}
    novel = behaviour.novel.filter(mine)
    risky = (pl.col("principal_id") == row["principal_id"]) & pl.col("risk").is_not_null()
    gathered = behaviour.novel.filter(risky & pl.col("day").is_between(row["since"] or row["day"], row["day"]))
    alike = earlier.filter(pl.col("score") >= row["score"]).height
    who = names.get(row["principal_id"], row["principal_id"])
    before = row["before"] or 0
    sentence = f"{who} {', '.join(_parts(facts, novel, before, row, names))}"
    sentence += f"; of {earlier.height:,} days judged before, {alike:,} scored at least as high"
    return {
        "principal_id": row["principal_id"],
        "day": row["day"],
        "score": row["score"],
        "kinds": row["kinds"],
        "operations": pl.concat([novel["operation"], gathered["operation"]]).unique().sort().to_list(),
        "since": row["since"],
        "first_time": novel["first_seen"].min() if novel.height else row["first_seen"],
        "last_time": row["last_seen"],
        "sentence": sentence,
        "days_before": earlier.height,
        "days_alike": alike,
    }


def _shown(facts: dict[str, str], novel: pl.DataFrame) -> str:
    """Return the most surprising operation of a day, or the first one by name."""
    return facts.get("operation") or str(novel["operation"].min())


def _parts(
    facts: dict[str, str], novel: pl.DataFrame, before: int, row: dict[str, Any], names: dict[str, str]
) -> list[str]:
    parts = []
    if "wakes" in facts or GIVES in facts:
        woken = facts.get("wakes") or facts[GIVES]
        role, scope, age, silent = woken.rsplit("\x1f", 3)  # a name may have the separator, too
        parts.append(f"used a sleeping grant, {role} at {scope}, {age} days old and silent for {silent}")
    elif "dormant" in facts:
        parts.append(f"was active again after {facts['dormant']} days")
    if row["young"] and novel.height:
        shown = _shown(facts, novel)
        parts.append(f"did {novel.height} things for the first time after {before} active days ({shown} among them)")
    elif novel.height == 1:
        parts.append(f"did {novel['operation'][0]} for the first time in {before} active days")
    elif novel.height:
        parts.append(
            f"did {novel.height} things for the first time in {before} active days ({_shown(facts, novel)} among them)"
        )
    if "breadth" in facts:
        number, of = facts["breadth"].split("\x1f")
        parts.append(f"{_WIDE[of]} {number} resources, many more than on any day before")
    risks = [text for kind, text in _RISKS.items() if kind in facts]
    if risks:
        parts.append(f"which {' and '.join(risks)}")
    actor, _, way = facts.get("after_way", "").rpartition("\x1f")
    account, *listers = facts.get("keys_used", "").split("\x1f")
    also = f" ({' and '.join(names.get(one, one) for one in listers)} listed them, too)" if listers else ""
    said = {**facts, "after_way": _WAYS.get(way, way), "keys_used": account + also}
    whom = {**facts, "after_way": actor}
    hours = {"early": row["early"], "late": row["late"]}
    parts += [
        text.format(what=said[kind], name=names.get(whom[kind], whom[kind]), **hours)
        for kind, text in _SAID.items()
        if kind in facts
    ]
    if row["since"] is not None:
        parts.append(f"the last of {row['count']} days since {row['since']} with a first use of what attackers seek")
    return parts or ["did something for the first time"]


HELD = pl.Schema({"row": pl.UInt32(), "basis": pl.String(), "day": pl.Date()})
_WHO = "principal_id"
_COUNTS = ("succeeded", "failed", "started")


def find_held(usage: pl.DataFrame, findings: pl.DataFrame, trusted: pl.DataFrame, newest: dt.date) -> pl.DataFrame:
    """Return the rows of use that are held: `row` (its number), `basis`, and the `day` of the finding or signal.

    Args:
        usage: `usage_days`, or a table of requests with these columns; `failed` and `started` may be missing.
        findings: `behaviour_findings`.
        trusted: `principal_id, from_time, to_time`: times that a person decided to trust.
        newest: The newest day of the logs, by which the days of a hold are counted.
    """
    standing = _untrusted(findings, trusted, "first_time", "first_time").filter(
        pl.col("day") >= newest - dt.timedelta(days=hold_days("behaviour"))
    )
    rows = usage.lazy().select(
        _WHO, "operation", "scope", "day", "first_seen", "last_seen", row=pl.int_range(pl.len(), dtype=pl.UInt32),
        use=_use_of(usage), suspect=pl.col("suspect").fill_null(0),
    ).filter(pl.col("use") > 0)  # fmt: skip
    named = pl.concat([standing[_WHO], usage.filter(pl.col("suspect") > 0)[_WHO].drop_nulls()]).unique()
    some = rows.filter(pl.col(_WHO).is_in(named.implode())).collect()
    if some.is_empty():
        return pl.DataFrame(schema=HELD)
    some = some.with_columns(name=folded(some["operation"]), place=place_of(some["scope"]))
    held = pl.concat([*_by_behaviour(some, standing), *_by_signals(some, newest)])
    held = held.sort("row", "day", "basis", descending=[False, True, False]).unique("row", keep="first")
    left = _untrusted(some.join(held, on="row"), trusted, "first_seen", "last_seen")
    return left.filter(pl.col("suspect") < pl.col("use")).select(
        "row", "basis", day="day_right"
    ).sort("row").cast(HELD)  # fmt: skip


def with_held(usage: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Return `usage_days` with every call of the held rows counted as suspect."""
    if held.is_empty():
        return usage
    is_held = pl.int_range(pl.len(), dtype=pl.UInt32).is_in(held["row"].implode())
    return usage.with_columns(suspect=pl.when(is_held).then(_use_of(usage)).otherwise("suspect").cast(pl.Int64))


def _use_of(usage: pl.DataFrame) -> pl.Expr:
    """Return how many calls of a row are use; a log without answers counts all as succeeded."""
    return pl.sum_horizontal(pl.col(name).fill_null(0) for name in _COUNTS if name in usage.columns)


def _untrusted(rows: pl.DataFrame, trusted: pl.DataFrame, first: str, last: str) -> pl.DataFrame:
    numbered = rows.with_row_index("number")
    good = numbered.join(trusted, on=_WHO).filter(
        (pl.col(first) >= pl.col("from_time")) & (pl.col(last) <= pl.col("to_time"))
    )
    return numbered.join(good.select("number").unique(), on="number", how="anti").drop("number")


def _by_behaviour(some: pl.DataFrame, standing: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the rows of operations that findings name, and of places first used on the day of a finding."""
    named = standing.select(_WHO, "day", name="operations").explode("name", empty_as_null=True).drop_nulls("name")
    named = named.with_columns(name=folded(named["name"])).group_by(_WHO, "name").agg(pl.col("day").max())
    begun = some.group_by(_WHO, "name", "place").agg(day=pl.col("day").min())
    there = begun.join(standing.select(_WHO, "day").unique(), on=[_WHO, "day"])
    said = pl.lit("behaviour")
    return [
        some.join(named, on=[_WHO, "name"]).select("row", basis=said, day="day_right"),
        some.join(there, on=[_WHO, "name", "place"]).select("row", basis=said, day="day_right"),
    ]


def _by_signals(some: pl.DataFrame, newest: dt.date) -> list[pl.DataFrame]:
    """Return the rows of what was used first in quarantine alone, while the last such use is recent enough."""
    term = dt.timedelta(days=hold_days("signal"))
    parts = []
    for key in ([_WHO, "name"], [_WHO, "name", "place"]):
        days = some.group_by(*key, "day").agg(
            clean=(pl.col("use") - pl.col("suspect")).sum(), suspect=pl.col("suspect").sum()
        )
        begun = days.sort("day").group_by(key).agg(
            is_held=pl.col("clean").first() <= 0, last=pl.col("day").filter(pl.col("suspect") > 0).max()
        )  # fmt: skip
        standing = begun.filter(pl.col("is_held") & (pl.col("last") >= newest - term))
        parts.append(some.join(standing, on=key).select("row", basis=pl.lit("signal"), day="last"))
    return parts


_DAY = ["principal_id", "day"]
_TOLD = {"told_on": pl.Datetime("us"), "high_on": pl.Datetime("us")}


def judge_hours(behaviour: Behaviour, found: pl.DataFrame, arrived: pl.DataFrame) -> pl.DataFrame:
    """Return findings with `told_on` and `high_on`: the ends of the hours whose calls made them findings, and high.

    A fact counts from the hour of the call on that shows it, so what a day shows only grows. Where nothing says the
    time, it counts from the last call of the day on: the hours are never too early. `high_on` is null for a finding
    that is not high.

    Args:
        behaviour: The result of `read_behaviour`.
        found: Rows of `judge_behaviour`.
        arrived: `principal_id, day, kind, what, arrived`: the times of places, as `queries/habits/arrived.sql`.
    """
    if found.is_empty():
        return found.with_columns(pl.lit(None, kind).alias(name) for name, kind in _TOLD.items())
    asked = found.select(_DAY)
    steps = behaviour.steps.join(asked, on=_DAY, how="semi", maintain_order="left")
    steps = steps.join(arrived, on=[*_DAY, "kind", "what"], how="left", maintain_order="left")
    steps = steps.with_columns(at=pl.coalesce("arrived", "at")).drop("arrived")
    sought = behaviour.novel.drop_nulls("risk").group_by(_DAY).agg(at=pl.col("first_seen").max())
    creep = behaviour.creep.join(asked, on=_DAY, how="semi").join(sought, on=_DAY, how="left")
    hours = pl.concat([steps.select(*_DAY, "at"), creep.select(*_DAY, "at")]).drop_nulls()
    hours = hours.select(*_DAY, hour=pl.col("at").dt.truncate("1h") + pl.duration(hours=1)).unique()

    def until(rows: pl.DataFrame, time: str) -> pl.DataFrame:
        """Return the rows of each hour and those before it on the day, each hour as a principal of its own."""
        known = rows.join(hours, on=_DAY).filter((pl.col(time) < pl.col("hour")).fill_null(True))
        return known.with_columns(principal_id=_hour_of()).drop("hour")

    shown = until(steps, "at").unique([*_DAY, "kind"], keep="first", maintain_order=True)
    by_hour = replace(
        behaviour, judged=until(behaviour.judged.with_columns(at=None), "at"), facts=shown,
        novel=until(behaviour.novel, "first_seen"), creep=until(creep, "at"),
    )  # fmt: skip
    told = would_report(score_days(by_hour))
    spans = hours.with_columns(key=_hour_of()).join(
        told.select(key="principal_id", day="day", score="score"), on=["key", "day"]
    )
    times = spans.group_by(_DAY).agg(
        told_on=pl.col("hour").min(), high_on=pl.col("hour").filter(pl.col("score") >= HIGH).min()
    )
    return found.join(times, on=_DAY, how="left", maintain_order="left")


def _hour_of() -> pl.Expr:
    return pl.concat_str("principal_id", pl.col("hour").dt.strftime("%H"), separator="\x1f")
