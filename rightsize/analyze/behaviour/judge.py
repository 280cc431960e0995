"""Score days by their facts and return the few that a person should look at, each with a sentence and its frequency.

A day is returned where its facts sum up to `THRESHOLD` bits and belong to two or more families: what was done, its
risk, where it came from, when, how much, how roles were activated, and what happened before. One surprise alone is
normal in daily work. A day is also returned where first uses of what attackers seek have added up over weeks
(`creep`): there one kind of fact is enough, since it keeps coming.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from rightsize.analyze.behaviour.breadth import ALONE
from rightsize.analyze.behaviour.facts import Behaviour

THRESHOLD = 13.0
HIGH = 18.0
"""The least bits of a finding of high severity."""
FINDINGS_SCHEMA: dict[str, pl.DataType] = {
    "principal_id": pl.String(),
    "day": pl.Date(),
    "score": pl.Float64(),
    "kinds": pl.List(pl.String()),
    "operations": pl.List(pl.String()),
    "since": pl.Date(),
    "first_time": pl.Datetime("us"),
    "last_time": pl.Datetime("us"),
    "sentence": pl.String(),
    "days_before": pl.Int64(),
    "days_alike": pl.Int64(),
}
_FAMILIES = {
    "operation": "what",
    "spree": "what",
    "scope": "what",
    "plane": "what",
    "network": "where",
    "sign_in_network": "where",
    "country": "where",
    "application": "where",
    "hour": "when",
    "activation_hour": "when",
    "activation_role": "activation",
    "activation_unjustified": "activation",
    "burst": "much",
    "breadth": "much",
    "first_days": "much",
    "first_share": "much",
    "first_hour": "when",
    "guest": "who",
    "wakes": "when",
    "dormant": "when",
    "after_privilege": "before",
    "after_code": "before",
    "after_grant": "before",
    "gathered": "before",
}
_ONE_THING = {
    "sign_in_network": "network",
    "country": "network",
    "activation_hour": "hour",
    "after_grant": "after_privilege",
    "wakes": "dormant",
    "first_share": "first_days",
}
"""Kinds of facts that count as one, the strongest: two logs show the same, or two ways lead to it."""
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
    scores = _scores(behaviour)
    reported = _reported(scores)
    rows = [_finding(row, behaviour, scores, names) for row in reported.iter_rows(named=True)]
    frame = pl.DataFrame(rows, schema=FINDINGS_SCHEMA, orient="row")
    return frame.sort("score", "day", "principal_id", descending=[True, True, False])


def reported_days(behaviour: Behaviour) -> pl.DataFrame:
    """Return `principal_id, day` of the rows of `judge_behaviour`, without counting how often such a score occurs."""
    return _reported(_scores(behaviour)).select("principal_id", "day")


def _reported(scores: pl.DataFrame) -> pl.DataFrame:
    of_day = (pl.col("score") >= THRESHOLD) & ((pl.col("families") >= 2) | pl.col("wide").fill_null(False))
    return scores.filter(of_day | pl.col("since").is_not_null())


def weight_of(score: float) -> str:
    """Return the severity of a finding with such a score."""
    return "high" if score >= HIGH else "medium"


def severities() -> pl.Expr:
    """Return the severity of each finding, from the column `score`, as `weight_of` has it for one."""
    return pl.when(pl.col("score") >= HIGH).then(pl.lit("high")).otherwise(pl.lit("medium"))


def _scores(behaviour: Behaviour) -> pl.DataFrame:
    family = pl.col("kind").replace_strict(_FAMILIES, default="risk", return_dtype=pl.String)
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
    return (
        span.join(summed, on=["principal_id", "day"], how="left")
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
    if "wakes" in facts:
        role, scope, age, silent = facts["wakes"].rsplit("\x1f", 3)  # a name may have the separator, too
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
    parts += [
        text.format(what=facts[kind], name=names.get(facts[kind], facts[kind]), early=row["early"], late=row["late"])
        for kind, text in _SAID.items()
        if kind in facts
    ]
    if row["since"] is not None:
        parts.append(f"the last of {row['count']} days since {row['since']} with a first use of what attackers seek")
    return parts or ["did something for the first time"]
