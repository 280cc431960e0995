"""Behaviour read from the store: the days that a person should look at."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

import polars as pl

from rightsize.analyze.behaviour.facts import BehaviourInputs, read_behaviour
from rightsize.analyze.behaviour.judge import FINDINGS_SCHEMA, HIGH, judge_behaviour
from rightsize.analyze.inputs import schema_of
from rightsize.rules.escalation import escalation_rules
from rightsize.store.connection import Store
from rightsize.store.ddl import RESOLVED

_HISTORY_DAYS = 180
_PLACES = f"""
    SELECT coalesce(p.principal_id, alias.principal_id) AS principal_id, p.is_sign_in, p.app_id, p.network, p.country,
        p.network_number, p.day, sum(p.calls)::BIGINT AS calls
    FROM base.place_days AS p LEFT JOIN ({RESOLVED}) AS alias
        ON p.principal_id IS NULL AND alias.alias = p.principal_name
    WHERE coalesce(p.principal_id, alias.principal_id) IS NOT NULL AND p.day BETWEEN $first AND $last
    GROUP BY ALL"""
# Somebody is given a role by name or through a group; the body of the call or the listing says whom.
_GIVEN = """
    WITH writes AS (
        SELECT q.principal_id AS actor_id, coalesce(q.assigned_principal_id, a.principal_id) AS holder_id,
            regexp_replace(lower(q.scope), '/providers/microsoft[.]authorization/.*$', '') AS "group", q.time
        FROM role_assignment_requests AS q LEFT JOIN base.role_assignments AS a
            ON a.role_assignment_id = lower(string_split(q.scope, '/')[-1]) AND a.state = 'active'
        WHERE q.outcome = 'succeeded' AND lower(q.operation) LIKE '%/write' AND q.principal_id IS NOT NULL
            AND q.time::DATE BETWEEN $first AND $last
    )
    SELECT DISTINCT actor_id, coalesce(c.member_id, holder_id) AS holder_id, "group", time
    FROM writes LEFT JOIN group_closure AS c ON c.group_id = holder_id WHERE holder_id IS NOT NULL"""
# A request of PIM and the record of the audit log about it are one activation.
_ACTIVATIONS = """
    SELECT principal_id, role, min(time) AS time, bool_or(justified) AS justified FROM (
        SELECT principal_id, lower(role_definition_id) AS role, requested_on AS time, justified FROM schedule_requests
        WHERE request_type = 'selfactivate'
        UNION ALL
        SELECT principal_id, lower(role_definition_id), time, justified FROM pim_records WHERE step = 'requested'
    ) WHERE principal_id IS NOT NULL AND time::DATE BETWEEN $first AND $last
    GROUP BY principal_id, role, time_bucket(INTERVAL '10 minutes', time)"""
_ALL = {"first": dt.date.min, "last": dt.date.max}


def behaviour_inputs(store: Store, span: Mapping[str, dt.date] | None = None) -> BehaviourInputs:
    """Read what behaviour is read from.

    Args:
        store: The store.
        span: The `first` and the `last` day of it; all days for None.
    """
    principals = store.table("principals")
    rules = escalation_rules("control").filter(pl.col("rule") == "runs_code")
    days = ", ".join(f'"{column}"' for column in schema_of("usage_days"))
    return BehaviourInputs(
        days=store.frame(f"SELECT {days} FROM usage_days WHERE day BETWEEN $first AND $last", span or _ALL),
        places=store.frame(_PLACES, span or _ALL),
        given=store.frame(_GIVEN, span or _ALL),
        activations=store.frame(_ACTIVATIONS, span or _ALL),
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


def find_behaviour(store: Store) -> pl.DataFrame:
    """Return the days to look at, of all that is loaded; see `analyze.behaviour.judge`."""
    return _found(behaviour_inputs(store), _role_names(store))


def behaviour_of_days(store: Store, days: Collection[dt.date]) -> pl.DataFrame:
    """Return the days to look at among some days, by what came at most `_HISTORY_DAYS` and a month before them.

    The history begins with a month, so that a day is judged alike whichever other days are asked for with it.
    """
    by_start: dict[dt.date, list[dt.date]] = {}
    for day in sorted(days):
        by_start.setdefault((day - dt.timedelta(days=_HISTORY_DAYS)).replace(day=1), []).append(day)
    parts = [pl.DataFrame(schema=FINDINGS_SCHEMA)]
    roles = _role_names(store)
    for first, some in by_start.items():
        found = _found(behaviour_inputs(store, {"first": first, "last": some[-1]}), roles)
        parts.append(found.filter(pl.col("day").is_in(some)))
    return pl.concat(parts)


def _role_names(store: Store) -> dict[str, str]:
    rows = store.frame("SELECT lower(role_definition_id), role_name FROM role_definitions WHERE role_name IS NOT NULL "
                       "UNION ALL SELECT lower(directory_role_id), role_name FROM directory_roles "
                       "WHERE role_name IS NOT NULL")  # fmt: skip
    return dict(rows.iter_rows())


def _found(inputs: BehaviourInputs, roles: Mapping[str, str]) -> pl.DataFrame:
    if inputs.is_empty:
        return pl.DataFrame(schema=FINDINGS_SCHEMA)
    named = inputs.principals.select("principal_id", pl.coalesce("user_principal_name", "display_name", "principal_id"))
    return judge_behaviour(read_behaviour(inputs), {**roles, **dict(named.iter_rows())})


def behaviour_rows(found: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `findings`: of each principal the day with the highest score."""
    highest = found.sort("score", "day", descending=True).unique("principal_id", keep="first", maintain_order=True)
    return highest.select(
        control=pl.lit("behaviour"),
        subject="principal_id",
        principal_id="principal_id",
        severity=pl.when(pl.col("score") >= HIGH).then(pl.lit("high")).otherwise(pl.lit("medium")),
        reason="sentence",
    )
