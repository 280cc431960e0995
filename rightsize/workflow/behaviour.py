"""Behaviour read from the store: the days that a person should look at."""

from __future__ import annotations

import datetime as dt

import polars as pl

from rightsize.analyze.behaviour.facts import BehaviourInputs, read_behaviour
from rightsize.analyze.behaviour.judge import FINDINGS_SCHEMA, judge_behaviour
from rightsize.rules.escalation import escalation_rules
from rightsize.store.connection import Store

_HIGH = 18.0
# An office or a cloud's region changes addresses within a network of this size.
_PLACES = """
    SELECT principal_id, app_id, time::DATE AS day, count(*) AS calls, CASE
            WHEN ip LIKE '%.%' THEN regexp_extract(ip, '^([0-9]+[.][0-9]+[.][0-9]+)[.]', 1) || '.0/24'
            WHEN ip LIKE '%:%' THEN regexp_extract(ip, '^([0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F]*)', 1) || '::/48'
        END AS network
    FROM events WHERE principal_id IS NOT NULL GROUP BY ALL"""


def behaviour_inputs(store: Store) -> BehaviourInputs:
    """Read what behaviour is read from."""
    principals = store.table("principals")
    rules = escalation_rules("control").filter(pl.col("rule") == "runs_code")
    return BehaviourInputs(
        days=store.table("usage_days"),
        places=store.frame(_PLACES),
        principals=principals,
        operations=store.table("operations").select("operation", "risk"),
        monitoring=store.table("operation_layers").filter(
            (pl.col("layer") == "monitoring") & (pl.col("effect") != "bypass")
        ),
        machines=_machines(store.table("resource_identities"), principals),
        code=rules.select(operation="permission"),
    )


def _machines(attached: pl.DataFrame, principals: pl.DataFrame) -> pl.DataFrame:
    """Return `scope, principal_id`: what a listing attaches, and what the names of managed identities say."""
    listed = attached.filter(pl.col("kind") != "self").select("scope", "principal_id").drop_nulls("principal_id")
    named = principals.select(scope="alternative_names", principal_id="principal_id").explode("scope")
    return pl.concat([listed, named.filter(pl.col("scope").str.starts_with("/subscriptions/"))])


def find_behaviour(store: Store, since: dt.date | None = None) -> pl.DataFrame:
    """Return the days to look at, of all that is loaded or since a day; see `analyze.behaviour.judge`."""
    inputs = behaviour_inputs(store)
    if inputs.is_empty:
        return pl.DataFrame(schema=FINDINGS_SCHEMA)
    named = inputs.principals.select("principal_id", pl.coalesce("user_principal_name", "display_name", "principal_id"))
    found = judge_behaviour(read_behaviour(inputs), dict(named.iter_rows()))
    return found if since is None else found.filter(pl.col("day") >= since)


def behaviour_rows(found: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `findings`: of each principal the day with the highest score."""
    highest = found.sort("score", "day", descending=True).unique("principal_id", keep="first", maintain_order=True)
    return highest.select(
        control=pl.lit("behaviour"),
        subject="principal_id",
        principal_id="principal_id",
        severity=pl.when(pl.col("score") >= _HIGH).then(pl.lit("high")).otherwise(pl.lit("medium")),
        reason="sentence",
    )
