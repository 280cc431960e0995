"""Expand habits into calls, with a day, a minute and an outcome each, and derive the sign-ins and claims behind them.

Calls are columns without a Python loop. The sign-ins of the four logs say who got a token for which service on which
day; the Activity Log keeps claims of the token with each call, by kind of principal.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import polars as pl

from rightsize.demo.tenant import UNRULED_CHECK, Habit, Principal, SampleTenant, TenantSpec
from rightsize.demo.writing import below, guid, mixed, number

# The outcome of a call, in its column `failed`: done, or failed after it was authorised.
DONE, CONFLICT, BAD_REQUEST = 0, 1, 2
# The log rows of a call, in its column `pattern`.
BEGIN_END, BEGIN_ACCEPT_END, END_ONLY, BEGIN_ONLY = 0, 1, 2, 3

CALLS_SCHEMA: dict[str, pl.DataType] = {
    "habit": pl.Int32(),
    "call": pl.Int32(),
    "day": pl.Int32(),
    "time": pl.Datetime("us"),
    "failed": pl.Int8(),
    "pattern": pl.Int8(),
    "has_evidence": pl.Boolean(),
    "has_claims": pl.Boolean(),
}
_MICROSECONDS = 1_000_000
_HOUR = 3600 * _MICROSECONDS
_LOTS = 1_000_000
_NIGHT = (30 * 60 * _MICROSECONDS, 4 * _HOUR)
_OFFICE = (6 * _HOUR, 11 * _HOUR)


def expand_habits(spec: TenantSpec, habits: Sequence[Habit]) -> pl.DataFrame:
    """Return one row a call, as `CALLS_SCHEMA` says, in the order of habits and calls."""
    calendar = _Calendar(spec)
    plans = [calendar.days_of(habit) for habit in habits]
    counts = _counts(spec, habits, plans)
    days = pl.Series([day for plan in plans for day in plan], dtype=pl.Int64)
    per_habit = pl.DataFrame(
        {
            "habit": range(len(habits)),
            "count": counts,
            "length": [len(plan) for plan in plans],
            "night": [habit.cadence == "nightly" for habit in habits],
            "single_row": [habit.outcome in ("denied", "linked") for habit in habits],
            "may_fail": [not habit.outcome and habit.kind == "logged" for habit in habits],
            "bundle": request_numbers(spec, habits),
        },
        schema_overrides={"habit": pl.Int64(), "count": pl.Int64(), "length": pl.Int64(), "bundle": pl.UInt64},
    ).with_columns((pl.col("length").cum_sum() - pl.col("length")).alias("offset"))
    calls = (
        per_habit.filter(pl.col("count") > 0)
        .with_columns(pl.int_ranges(0, "count").alias("call"))
        .explode("call")
        .with_columns(_day_index().alias("index"))
    )
    calls = calls.with_columns(days.gather(calls["offset"] + calls["index"]).alias("day"))
    return _with_chance(spec, calls).select(pl.col(name).cast(type_) for name, type_ in CALLS_SCHEMA.items())


def request_numbers(spec: TenantSpec, habits: Sequence[Habit]) -> pl.Series:
    """Return a request number for each habit; habits of one bundle share a request and have the same number."""
    names = (
        f"bundle:{habit.principal_id}:{habit.bundle}" if habit.bundle else f"habit:{index}"
        for index, habit in enumerate(habits)
    )
    return pl.Series([number(spec.seed, name) for name in names], dtype=pl.UInt64)


def _day_index() -> pl.Expr:
    """Return the day of each call: few calls are spread evenly, the first on the last day; many go round all days."""
    spread = pl.col("length") - 1 - (pl.col("call") * pl.col("length")) // pl.col("count")
    return pl.when(pl.col("count") >= pl.col("length")).then(pl.col("call") % pl.col("length")).otherwise(spread)


def _counts(spec: TenantSpec, habits: Sequence[Habit], plans: Sequence[Sequence[int]]) -> list[int]:
    natural = [
        len(plan)
        if habit.by_lot or not plan
        else max(1, round(habit.rate * (1 if habit.cadence == "once" else len(plan))))
        for habit, plan in zip(habits, plans, strict=True)
    ]
    if spec.events is None:
        return natural
    shown = [count * (habit.kind in ("logged", "storage")) for count, habit in zip(natural, habits, strict=True)]
    free = sum(count for count, habit in zip(shown, habits, strict=True) if _is_free(habit))
    factor = max(0.0, spec.events - sum(shown) + free) / max(free, 1)
    return [
        max(1, round(count * factor)) if count and _is_free(habit) else count
        for count, habit in zip(natural, habits, strict=True)
    ]


def _is_free(habit: Habit) -> bool:
    """Return whether the number of calls of a habit may be scaled to the number of events that a spec asks for.

    Nightly work keeps its number so that days without events are rare, and unique calls stay unique. Silent calls do
    not count. Work once a month or in a cycle keeps its number, or it would not follow the calendar.
    """
    return habit.cadence in ("weekday", "weekly") and not habit.by_lot and habit.kind in ("logged", "storage")


def _with_chance(spec: TenantSpec, calls: pl.DataFrame) -> pl.DataFrame:
    shared = mixed(number(spec.seed, "request"), calls["bundle"], calls["call"])
    own = mixed(number(spec.seed, "call"), calls["habit"], calls["call"])
    start = pl.when(pl.col("night")).then(_NIGHT[0]).otherwise(_OFFICE[0])
    length = pl.when(pl.col("night")).then(_NIGHT[1]).otherwise(_OFFICE[1])
    midnight = pl.lit(dt.datetime.combine(spec.first_day, dt.time())).dt.replace_time_zone(None)
    within = (start + (pl.col("shared") % length.cast(pl.UInt64)).cast(pl.Int64)) + (
        pl.col("own") % (20 * _MICROSECONDS)
    ).cast(pl.Int64)
    chance = (pl.col("own") // 2**20 % 1000).cast(pl.Int64)
    may_fail = pl.when(~pl.col("may_fail")).then(DONE).when(chance < 20).then(CONFLICT)
    failed = may_fail.when(chance < 30).then(BAD_REQUEST).otherwise(DONE)
    rows = (pl.col("own") // 2**32 % 1000).cast(pl.Int64)
    mostly = pl.when(pl.col("single_row")).then(END_ONLY).when(rows < 600).then(BEGIN_END)
    pattern = mostly.when(rows < 900).then(BEGIN_ACCEPT_END).when(rows < 980).then(END_ONLY).otherwise(BEGIN_ONLY)
    return (
        calls.with_columns(shared.alias("shared"), own.alias("own"))
        .with_columns(
            (midnight + pl.duration(days="day") + pl.duration(microseconds=within)).alias("time"),
            failed.alias("failed"),
            pattern.alias("pattern"),
            ((pl.col("own") // 2**44 % 100) >= 8).alias("has_evidence"),
            ((pl.col("own") // 2**52 % 100) >= 4).alias("has_claims"),
        )
        .with_columns(
            pl.when((pl.col("failed") != DONE) & (pl.col("pattern") != END_ONLY))
            .then(BEGIN_END)
            .otherwise("pattern")
            .alias("pattern")
        )
    )


class _Calendar:
    """The days of habits, as offsets from the first day."""

    def __init__(self, spec: TenantSpec) -> None:
        self._spec = spec
        self._dates = [spec.first_day + dt.timedelta(days=offset) for offset in range(spec.days)]

    def days_of(self, habit: Habit) -> list[int]:
        """Return the days on which a habit may happen, oldest first; for a habit by lot, the days drawn for it."""
        days = self._cadence_of(habit)
        if habit.by_lot:
            lot = (self._spec.seed, "lot", habit.principal_id, habit.operation)
            return [day for day in days if below(_LOTS, *lot, day) < habit.rate * _LOTS]
        return days

    def _cadence_of(self, habit: Habit) -> list[int]:
        last = self._spec.days - 1
        span = range(max(0, last - habit.first_ago), last - habit.last_ago + 1)
        chance = number(self._spec.seed, habit.principal_id, habit.bundle or habit.operation, habit.cadence)
        if habit.cadence == "weekday":
            return [day for day in span if self._dates[day].weekday() < 5]
        if habit.cadence == "weekly":
            return [day for day in span if self._dates[day].weekday() == chance % 5]
        if habit.cadence == "four_weekly":
            return [day for day in span if day % 28 == chance % 28]
        if habit.cadence == "month_end":
            return [day for day in span if (self._dates[day] + dt.timedelta(days=2)).day <= 3]
        if habit.cadence == "monthly":
            return [day for day in span if self._dates[day].day == 1 + below(25, chance)]
        return list(span)


_MICROSOFT = "http://schemas.microsoft.com/identity/claims"
_SOAP = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
AZURE_PORTAL = "c44b4083-3bb0-49c1-b47d-974e53cbdf3c"
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"


def client_of(tenant: SampleTenant, principal: Principal) -> str:
    """Return the application id of the client that a principal uses."""
    if principal.app_id:
        return principal.app_id
    return (AZURE_PORTAL, AZURE_CLI)[below(2, tenant.spec.seed, "client", principal.principal_id)]


def address_of(tenant: SampleTenant, principal: Principal) -> str:
    """Return the address that a principal calls from (RFC 5737, for documentation)."""
    network = "203.0.113" if principal.user_principal_name else "198.51.100"
    return f"{network}.{1 + below(250, tenant.spec.seed, 'address', principal.principal_id)}"


def claims_of(tenant: SampleTenant, principal: Principal) -> dict[str, str]:
    """Return the claims of a token for Azure Resource Manager."""
    issued = 1_760_000_000 + below(1_000_000, tenant.spec.seed, "issued", principal.principal_id)
    claims = {
        "aud": "https://management.core.windows.net/",
        "iss": f"https://sts.windows.net/{tenant.tenant_id}/",
        "iat": str(issued),
        "nbf": str(issued),
        "exp": str(issued + 5_100),
        "appid": client_of(tenant, principal),
        "appidacr": "2" if principal.app_id else "0",
        f"{_MICROSOFT}/objectidentifier": principal.principal_id,
        f"{_MICROSOFT}/tenantid": tenant.tenant_id,
        "uti": guid(tenant.spec.seed, "uti", principal.principal_id).replace("-", "")[:22],
        "ver": "1.0",
    }
    if principal.user_principal_name:
        claims |= {
            "http://schemas.microsoft.com/claims/authnmethodsreferences": "pwd,mfa",
            f"{_MICROSOFT}/scope": "user_impersonation",
            "ipaddr": address_of(tenant, principal),
            "name": principal.name,
            f"{_SOAP}/name": principal.user_principal_name,
            f"{_SOAP}/upn": principal.user_principal_name,
            f"{_SOAP}/nameidentifier": guid(tenant.spec.seed, "subject", principal.principal_id).replace("-", ""),
        }
    else:
        claims |= {"idtyp": "app", f"{_SOAP}/nameidentifier": principal.principal_id}
    if principal.kind == "identity":
        claims["xms_mirid"] = principal.resource_id
    return claims


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

    Columns: `principal` (index), `service` (index into `SERVICES`), `day`, `time`, `kind` (0 to 3, below `SERVICES`),
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
