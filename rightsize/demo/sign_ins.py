"""Derive the sign-ins of the four logs from the calls: who got a token for which service on which day."""

from __future__ import annotations

import datetime as dt

import polars as pl

from rightsize.demo.hashing import mixed, number
from rightsize.demo.tenant import UNRULED_CHECK, Habit, Principal, SampleTenant

# Microsoft's application ids of the services that tokens are for; the same in every tenant.
ARM = ("797f4846-ba00-4fd7-ba43-dac1f8f63013", "Windows Azure Service Management API")
EXCHANGE = ("00000002-0000-0ff1-ce00-000000000000", "Office 365 Exchange Online")
DATA_SERVICES = {
    "Microsoft.Storage": ("e406a681-f3d4-42a8-90b6-c2b029497af1", "Azure Storage"),
    "Microsoft.KeyVault": ("cfa8b339-82a2-471a-a3c9-0fc0be7a4093", "Azure Key Vault"),
    "Microsoft.ServiceBus": ("80a10ef9-8168-493d-abf9-3297c4ef6e3c", "Microsoft.ServiceBus"),
    "Microsoft.OperationalInsights": ("ca7f3f0b-7d91-482c-8e09-c5d840d0eac5", "Log Analytics API"),
    "Microsoft.Compute": ("372140e0-b3b7-4226-8ef9-d57986796201", "Azure Windows VM Sign-In"),
}
"""The services that take tokens on endpoints of their own, by provider."""
SERVICES = (ARM, EXCHANGE, *DATA_SERVICES.values())
KINDS = ("interactive", "non_interactive", "service_principal", "managed_identity")
INTERACTIVE, NON_INTERACTIVE, SERVICE_PRINCIPAL, MANAGED_IDENTITY = range(4)
_WRONG_PASSWORD = 50126
_SCHEMA: dict[str, pl.DataType] = {
    "principal": pl.Int64(),
    "service": pl.Int64(),
    "day": pl.Int64(),
    "time": pl.Datetime("us"),
}


def service_of(habit: Habit) -> tuple[str, str]:
    """Return the service for which a habit needs a token."""
    if habit.kind in ("logged", "read", "linked", UNRULED_CHECK):
        return ARM
    return DATA_SERVICES.get(habit.operation.split("/")[0], ARM)


def sign_in_rows(tenant: SampleTenant) -> pl.DataFrame:
    """Return one row a sign-in, ordered by time.

    Columns: `principal` (index), `service` (index into `SERVICES`), `day`, `time`, `kind` (index into `KINDS`),
    `error` (0 where it gave a token), `chance`.
    """
    rows = pl.concat([_for_work(tenant), _for_mail(tenant)])
    chance = mixed(number(tenant.spec.seed, "sign-in"), rows["principal"], rows["service"], rows["day"])
    kinds = pl.Series([_kind(principal) for principal in tenant.principals], dtype=pl.Int64)
    rows = rows.with_columns(kinds.gather(rows["principal"]).alias("kind"), chance.alias("chance"))
    people = pl.col("kind") == INTERACTIVE
    silently = pl.when(people & (pl.col("chance") % 3 != 0)).then(NON_INTERACTIVE).otherwise("kind").alias("kind")
    failed = pl.when(people & (pl.col("chance") // 2**16 % 60 == 0)).then(_WRONG_PASSWORD).otherwise(0).alias("error")
    rows = pl.concat([rows.with_columns(silently, failed), _on_call(tenant, rows)])
    # A failed attempt is tried again a minute later.
    again = rows.filter(pl.col("error") != 0).with_columns(
        pl.lit(0).alias("error"), (pl.col("time") + pl.duration(minutes=1)).alias("time"), (pl.col("chance") + 1)
    )
    return pl.concat([rows, again.select(rows.columns)], how="vertical_relaxed").sort(
        "time", "principal", "service", "kind", "error"
    )


def _kind(principal: Principal) -> int:
    return {"app": SERVICE_PRINCIPAL, "identity": MANAGED_IDENTITY}.get(principal.kind, INTERACTIVE)


def _shown(principal: Principal) -> bool:
    """Return whether the logs show sign-ins of a principal: not of Microsoft's applications and policy identities."""
    return not principal.options & {"first_party", "policy", "gone"}


def _for_work(tenant: SampleTenant) -> pl.DataFrame:
    """Return one token a day for each principal and used service, some minutes before the first call."""
    index = {principal.principal_id: number for number, principal in enumerate(tenant.principals)}
    services = {service: number for number, service in enumerate(SERVICES)}
    principal = pl.Series([index[habit.principal_id] for habit in tenant.habits], dtype=pl.Int64)
    service = pl.Series([services[service_of(habit)] for habit in tenant.habits], dtype=pl.Int64)
    shown = pl.Series([_shown(tenant.principals[number]) for number in principal.to_list()])
    habit = tenant.calls["habit"]
    return (
        tenant.calls.select(
            principal.gather(habit).alias("principal"), service.gather(habit).alias("service"), "day", "time"
        )
        .filter(shown.gather(habit))
        .group_by("principal", "service", "day", maintain_order=True)
        .agg((pl.col("time").min() - pl.duration(minutes=7)).alias("time"))
        .select(pl.col(name).cast(type_) for name, type_ in _SCHEMA.items())
    )


def _for_mail(tenant: SampleTenant) -> pl.DataFrame:
    """Return the sign-ins of staff to mail on most days, whether or not they use Azure."""
    staff = [
        number
        for number, principal in enumerate(tenant.principals)
        if principal.kind == "user" and not principal.options & {"emergency", "gone"}
    ]
    days = pl.DataFrame({"day": range(tenant.spec.days)}, schema={"day": pl.Int64()}).with_columns(
        (pl.lit(tenant.spec.first_day) + pl.duration(days="day")).dt.weekday().is_in([6, 7]).alias("weekend")
    )
    rows = pl.DataFrame({"principal": staff}, schema={"principal": pl.Int64()}).join(days, how="cross")
    rows = rows.with_columns(mixed(number(tenant.spec.seed, "mail"), rows["principal"], rows["day"]).alias("chance"))
    present = pl.col("chance") % 100 < pl.when("weekend").then(20).otherwise(85)
    midnight = pl.lit(dt.datetime.combine(tenant.spec.first_day, dt.time()))
    seconds = 5 * 3600 + (pl.col("chance") // 2**20 % (3 * 3600)).cast(pl.Int64)
    return rows.filter(present).select(
        "principal",
        pl.lit(SERVICES.index(EXCHANGE), dtype=pl.Int64).alias("service"),
        "day",
        (midnight + pl.duration(days="day", seconds=seconds)).cast(pl.Datetime("us")).alias("time"),
    )


def _on_call(tenant: SampleTenant, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the sign-ins of people on call, so that every day has a sign-in of a person."""
    people = [number for number, principal in enumerate(tenant.principals) if "on_call" in principal.options]
    every = pl.DataFrame({"principal": people}, schema={"principal": pl.Int64()}).join(
        pl.DataFrame({"day": range(tenant.spec.days)}, schema={"day": pl.Int64()}), how="cross"
    )
    every = every.join(pl.DataFrame({"kind": [INTERACTIVE, NON_INTERACTIVE]}, schema={"kind": pl.Int64()}), how="cross")
    midnight = pl.lit(dt.datetime.combine(tenant.spec.first_day, dt.time()))
    every = every.with_columns(
        pl.lit(SERVICES.index(EXCHANGE), dtype=pl.Int64).alias("service"),
        (midnight + pl.duration(days="day", hours=4, minutes=pl.col("kind") * 9)).cast(pl.Datetime("us")).alias("time"),
        mixed(number(tenant.spec.seed, "on-call"), every["principal"], every["day"], every["kind"]).alias("chance"),
        pl.lit(0).alias("error"),
    )
    columns: dict[str, pl.DataType] = {**rows.schema, "error": pl.Int32()}
    return every.select(pl.col(name).cast(type_) for name, type_ in columns.items())


def principals_without_arm_token(tenant: SampleTenant, rows: pl.DataFrame) -> list[str]:
    """Return the listed principals that can sign in and got no token for Azure Resource Manager, sorted."""
    with_token = set(rows.filter(pl.col("service") == SERVICES.index(ARM))["principal"].to_list())
    return sorted(
        principal.principal_id
        for number, principal in enumerate(tenant.principals)
        if principal.kind != "group" and number not in with_token and _shown(principal)
    )
