"""Turn calls into Activity Log rows, and write them as diagnostic records, REST, Azure CLI, and the portal's CSV.

A call has rows for its begin, its acceptance and its end; other categories have rows beside them.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from rightsize.demo.activity_texts import ACCEPTED, BEGUN, STATUSES, ActivityTexts, FailureStatus, general_error
from rightsize.demo.calls import (
    BAD_REQUEST,
    BEGIN_ACCEPT_END,
    BEGIN_END,
    BEGIN_ONLY,
    CONFLICT,
    DONE,
    END_ONLY,
    request_numbers,
)
from rightsize.demo.people import record_form
from rightsize.demo.tenant import SampleTenant
from rightsize.demo.writing import Template, for_csv_cell, guid, guids, instant, json_text, mixed, number

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

    Columns: those of `SampleTenant.calls`, `phase`, `code` (see `STATUSES`), `category`, `row_time`, `lag` (hours until
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


# .NET counts ticks of 100 ns from the year 1.
_TICKS_OF_1970 = 621_355_968_000_000_000
_CSV_COLUMNS = (
    ("TimeGenerated [UTC]", "portal_time"),
    ("OperationName", "empty"),
    ("OperationNameValue", "operation_upper"),
    ("Level", "level"),
    ("ActivityStatus", "empty"),
    ("ActivityStatusValue", "log_analytics"),
    ("ActivitySubstatusValue", "http"),
    ("ResourceGroup", "group_raw"),
    ("SubscriptionId", "subscription"),
    ("CorrelationId", "correlation_json"),
    ("Caller", "caller_raw"),
    ("CallerIpAddress", "address"),
    ("CategoryValue", "category_name"),
    ("_ResourceId", "scope_raw"),
    ("ResourceProviderValue", "provider_upper"),
    ("Authorization_d", "authorization"),
    ("Claims_d", "claims_shown"),
    ("Properties_d", "properties"),
    ("EventDataId", "event_json"),
    ("EventSubmissionTimestamp [UTC]", "portal_submission"),
    ("Hierarchy", "hierarchy"),
    ("TenantId", "workspace"),
    ("Type", "table"),
)
# The text columns; the other columns are JSON strings that need no escaping.
_RAW = {"authorization", "claims_shown", "properties", "group_raw", "caller_raw", "scope_raw"}

_GENERAL_ERRORS = {code: json_text(general_error(code)) for code in (DONE, CONFLICT, BAD_REQUEST)}


class Shapes:
    """Renders rows with text columns as records, one string a row."""

    def __init__(self, tenant: SampleTenant) -> None:
        self._tenant = tenant
        self._workspace = json_text(guid(tenant.spec.seed, "workspace"))
        self._diagnostic = Template(record_form("activity"))
        self._rest = Template(_rest(tenant.tenant_id, "authorization", "claims_shown"))
        cli = _rest(tenant.tenant_id, "authorization_indented", "claims_cli")
        self._cli = Template(dict(sorted(cli.items())), depth=1)
        properties = record_form("activity_properties")
        self._properties = Template(properties)
        self._properties_with_body = Template(properties | {"requestbody": "@{asked}"})

    def diagnostic(self, frame: pl.DataFrame) -> pl.Series:
        """Return the records that diagnostic settings write, as compact JSON."""
        return self._diagnostic.fill(self.common(frame))

    def rest(self, frame: pl.DataFrame) -> pl.Series:
        """Return the records that the REST interface answers, as compact JSON."""
        return self._rest.fill(self.common(frame))

    def cli(self, frame: pl.DataFrame) -> pl.Series:
        """Return the records that `az monitor activity-log list` prints, indented, without evidence."""
        return self._cli.fill(self.common(frame))

    def portal_csv(self, frame: pl.DataFrame) -> pl.Series:
        """Return the lines that the portal exports from Log Analytics, without line ends."""
        common = self.common(frame)
        cells = [
            for_csv_cell(pl.col(column) if column in _RAW else _unquoted(pl.col(column))) for _, column in _CSV_COLUMNS
        ]
        return common.select(pl.concat_str(cells, separator=",")).to_series()

    @staticmethod
    def portal_header() -> str:
        """Return the portal's first line: a byte-order mark and the names of the columns."""
        return "\ufeff" + ",".join(f'"{name}"' if " " in name else name for name, _ in _CSV_COLUMNS)

    def common(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return rows with the texts that every shape is written from."""
        words = _status_words()
        code = frame["code"].cast(pl.Int64)
        submitted = pl.col("row_time") + pl.duration(seconds=95, hours="lag")
        ticks = pl.col("row_time").dt.epoch("us") * 10 + _TICKS_OF_1970
        own_error = pl.col("code").replace_strict(_GENERAL_ERRORS, default=None, return_dtype=pl.String)
        return (
            frame.with_columns(words[name].gather(code).alias(name) for name in words.columns)
            .with_columns(
                pl.coalesce(own_error, pl.when(pl.col("code") < BEGUN).then("error").otherwise(pl.lit('""')))
                .alias("error"),
                instant("row_time", "digit").alias("instant"),
                submitted.alias("submitted"),
                ticks.cast(pl.String).alias("ticks"),
                pl.lit(self._workspace).alias("workspace"),
                pl.lit('"AzureActivity"').alias("table"),
                pl.lit('""').alias("empty"),
                _quoted("correlation").alias("correlation_json"),
                _quoted("event").alias("event_json"),
                # Older diagnostic settings write the kind of operation here, and the category into the properties.
                pl.when((pl.col("category") == ADMINISTRATIVE) & (pl.col("home") % 2 == 0)).then("verb")
                .otherwise("category_name").alias("diagnostic_category"),
                pl.when("has_claims").then("claims").otherwise(pl.lit("{}")).alias("claims_shown"),
                pl.when("has_claims").then("claims_indented").otherwise(pl.lit("{}")).alias("claims_cli"),
            )
            .with_columns(
                instant("submitted", "digit").alias("submission"),
                _portal("row_time").alias("portal_time"),
                _portal("submitted").alias("portal_submission"),
            )
            .with_columns(
                # The first row of a call has the body of its request, and so has the only row of a call.
                (
                    (pl.col("asked") != '""') & (pl.col("category") == ADMINISTRATIVE)
                    & ((pl.col("code") == BEGUN) | (pl.col("pattern") == END_ONLY))
                ).alias("has_body")
            )
            .pipe(lambda common: common.with_columns(self._properties.fill(common).alias("properties"),
                self._properties_with_body.fill(common).alias("properties_with_body")))
            .with_columns(
                pl.when("has_body").then("properties_with_body").otherwise("properties").alias("properties")
            )
        )  # fmt: skip


def _status_words() -> pl.DataFrame:
    """Return one row a status code, in the order of the codes, so that a code is an index."""
    statuses = [STATUSES[code] for code in range(len(STATUSES))]
    return pl.DataFrame([_words(status) for status in statuses])


def _words(status: FailureStatus) -> dict[str, str]:
    failed = status.rest == "Failed"
    return {
        "rest": json_text(status.rest),
        "log_analytics": json_text(status.log_analytics),
        "result_type": json_text(status.result_type),
        "signature": json_text(status.signature),
        "http": json_text(status.http),
        "level": json_text("Error" if failed else "Informational"),
        "short_level": json_text("Error" if failed else "Information"),
        "event_name": json_text("BeginRequest" if status.rest == "Started" else "EndRequest"),
    }


def _quoted(column: str) -> pl.Expr:
    return pl.concat_str(pl.lit('"'), column, pl.lit('"'))


def _unquoted(text: pl.Expr) -> pl.Expr:
    return pl.when(text == "null").then(pl.lit("")).otherwise(text.str.slice(1, text.str.len_chars() - 2))


def _portal(column: str) -> pl.Expr:
    """Return a time as the portal writes it in American format: `4/28/2021, 2:31:30.021 PM`."""
    return pl.concat_str(pl.lit('"'), pl.col(column).dt.strftime("%-m/%-d/%Y, %-I:%M:%S%.3f %p"), pl.lit('"'))


def _rest(tenant_id: str, authorization: str, claims: str) -> dict[str, Any]:
    """Return the form of a record of the REST interface; the names are those of columns."""
    own = {"authorization": f"@{{{authorization}}}", "claims": f"@{{{claims}}}", "tenantId": tenant_id}
    return record_form("activity_rest") | own
