"""Turn calls into Activity Log rows: begin, accept and end of each call, and rows of other categories."""

from __future__ import annotations

import polars as pl

from rightsize.demo.activity_texts import ActivityTexts
from rightsize.demo.calls import BEGIN_ACCEPT_END, BEGIN_END, BEGIN_ONLY, DONE, END_ONLY, request_numbers
from rightsize.demo.failures import ACCEPTED, BEGUN
from rightsize.demo.hashing import guid, guids, mixed, number
from rightsize.demo.tenant import SampleTenant

ADMINISTRATIVE, POLICY, SERVICE_HEALTH = 0, 1, 2
_BEGIN, _ACCEPT, _END = 0, 1, 2
_PHASES = pl.DataFrame(
    {
        "pattern": [BEGIN_END] * 2 + [BEGIN_ACCEPT_END] * 3 + [END_ONLY, BEGIN_ONLY],
        "phase": [_BEGIN, _END, _BEGIN, _ACCEPT, _END, _END, _BEGIN],
    },
    schema={"pattern": pl.Int8, "phase": pl.Int8},
)


def activity_rows(tenant: SampleTenant, texts: ActivityTexts) -> pl.DataFrame:
    """Return one row a log record, ordered by time, with its values as small numbers, not yet as text.

    Columns: those of `SampleTenant.calls`, `phase`, `code` (see `failures`), `category`, `row_time`, `lag` (hours until
    the record was received), `digit` (the last of seven digits of a second), `home` (index into `homes`).
    """
    logged = pl.Series([habit.kind == "logged" for habit in tenant.habits])
    calls = tenant.calls.filter(logged.gather(tenant.calls["habit"]))
    calls = calls.with_columns(
        texts.habits["code"].gather(calls["habit"]).alias("outcome"),
        pl.Series(_homes(texts), dtype=pl.Int32).gather(calls["habit"]).alias("home"),
    )
    rows = calls.join(_PHASES, on="pattern", maintain_order="left_right")
    chance = mixed(number(tenant.spec.seed, "row"), rows["habit"], rows["call"], rows["phase"])
    rows = rows.with_columns(chance.alias("chance"))
    at_end = pl.col("phase") == _END
    seconds = pl.when(at_end).then(2 + pl.col("chance") % 40).otherwise(pl.col("phase").cast(pl.UInt64))
    end = pl.when(pl.col("outcome") != DONE).then("outcome").otherwise("failed")
    rows = rows.with_columns(
        pl.when(pl.col("phase") == _BEGIN).then(BEGUN).when(pl.col("phase") == _ACCEPT).then(ACCEPTED).otherwise(end)
        .cast(pl.Int8).alias("code"),
        (pl.col("time") + pl.duration(seconds=seconds.cast(pl.Int64))).alias("row_time"),
        pl.when(pl.col("chance") // 2**30 % 50 == 0).then(2).otherwise(0).cast(pl.Int8).alias("lag"),
        (pl.col("chance") // 2**40 % 10).cast(pl.String).alias("digit"),
        pl.lit(ADMINISTRATIVE, dtype=pl.Int8).alias("category"),
    )  # fmt: skip
    rows = pl.concat([rows, *_other_categories(rows)])
    return rows.sort("row_time", "habit", "call", "phase", "category").drop("chance")


def homes(texts: ActivityTexts) -> list[str]:
    """Return the scopes that have a log of their own, sorted; `home` is an index into them."""
    return sorted(set(texts.habits["home"].to_list()))


def _homes(texts: ActivityTexts) -> list[int]:
    index = {scope: number for number, scope in enumerate(homes(texts))}
    return [index[scope] for scope in texts.habits["home"].to_list()]


def _other_categories(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that show no use: policy evaluations of a call, and incidents of the platform."""
    begun = rows.filter(pl.col("code") == BEGUN)
    policy = begun.filter(pl.col("chance") // 2**10 % 25 == 0).with_columns(
        pl.lit(POLICY, dtype=pl.Int8).alias("category"), pl.lit(DONE, dtype=pl.Int8).alias("code")
    )
    health = begun.filter(pl.col("chance") // 2**20 % 120 == 0).with_columns(
        pl.lit(SERVICE_HEALTH, dtype=pl.Int8).alias("category"), pl.lit(DONE, dtype=pl.Int8).alias("code")
    )
    return policy, health


class RowTexts:
    """Adds the text columns of a slice of rows."""

    def __init__(self, tenant: SampleTenant, texts: ActivityTexts) -> None:
        self._tenant, self._texts = tenant, texts
        self._requests = request_numbers(tenant.spec, tenant.habits)
        self._policy_insights = guid(tenant.spec.seed, "policy-insights")

    def of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows with the text columns that templates need."""
        seed = self._tenant.spec.seed
        habit = rows["habit"]
        described = self._texts.habits[habit].drop("code", "home")
        acting = self._texts.principals[described["principal"]]
        keys = (habit, rows["call"], rows["phase"], rows["category"])
        frame = rows.hstack(described.drop("principal")).hstack(acting).with_columns(
            guids(number(seed, "correlation"), self._requests.gather(habit), rows["call"]).alias("correlation"),
            guids(number(seed, "operation"), habit, rows["call"]).alias("operation_id"),
            guids(number(seed, "event"), *keys).alias("event"),
        )  # fmt: skip
        return self._named_by_others(frame)

    def _named_by_others(self, frame: pl.DataFrame) -> pl.DataFrame:
        policy, health = pl.col("category") == POLICY, pl.col("category") == SERVICE_HEALTH
        # A policy row repeats the authorization of the request for a new resource; for an existing one it has a read.
        existing = policy & (pl.col("call") % 2 == 1)
        compliance = pl.concat_str(
            pl.lit('{"action":"Microsoft.Resources/checkPolicyCompliance/read","scope":'), "scope", pl.lit("}")
        )
        evaluated = pl.lit('"Microsoft.Authorization/policies/audit/action"')
        incident = pl.lit('"Microsoft.ServiceHealth/incident/action"')
        bare = pl.when(~pl.col("has_evidence")).then("authorization_plain").otherwise("authorization")
        insights = pl.lit(f'"{self._policy_insights}"')
        none = pl.lit("null")
        changed = {
            "operation": pl.when(policy).then(evaluated).when(health).then(incident).otherwise("operation"),
            "operation_upper": pl.when(policy).then(evaluated).when(health).then(incident).otherwise("operation_upper"),
            "authorization": pl.when(existing).then(compliance).when(health).then(none).otherwise(bare),
            "authorization_indented": pl.when(health).then(none).otherwise("authorization_indented"),
            "caller": pl.when(policy).then(insights).when(health).then(none).otherwise("caller"),
            "caller_raw": pl.when(policy).then(pl.lit(self._policy_insights)).when(health).then(pl.lit(""))
            .otherwise("caller_raw"),
            "claims": pl.when(policy | health).then(pl.lit("{}")).otherwise("claims"),
            "claims_indented": pl.when(policy | health).then(pl.lit("{}")).otherwise("claims_indented"),
            "category_name": pl.when(policy).then(pl.lit('"Policy"')).when(health).then(pl.lit('"ServiceHealth"'))
            .otherwise(pl.lit('"Administrative"')),
            "correlation": pl.when(health).then("event").otherwise("correlation"),
        }  # fmt: skip
        return frame.with_columns(expression.alias(name) for name, expression in changed.items())
