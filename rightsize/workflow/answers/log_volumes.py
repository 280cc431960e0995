"""Say what a missing log weighs and costs: its gigabytes a month, by rows at hand, stated or assumed, and its price."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from rightsize.analyze.columns import place_of
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.observability.ways import DECLARED, RESOURCE_LOG
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.window import Window
from rightsize.rules.prices import LogTable, Price, Prices
from rightsize.rules.tables import rows_of

_MONTH = 30
_GB = 1e9


@dataclass(frozen=True, slots=True)
class Volume:
    """The volume of a log in a month.

    Attributes:
        gigabytes: None where nothing says it.
        records: By rows of like sources in this store, else assumed; None without any.
        source: Where the gigabytes come from; empty where they are not known.
        is_assumed: Whether nothing at hand says the number of records.
    """

    gigabytes: float | None
    records: int | None
    source: str
    is_assumed: bool = False


@dataclass(frozen=True, slots=True)
class Cost:
    """The price of a month of a log: None where the volume or a price is not known."""

    monthly: float | None
    as_of: dt.date | None
    source: str


SENT = Cost(0.0, None, "diagnostic settings send it already")


@dataclass(frozen=True, slots=True)
class Tariff:
    """The prices of logs, and what they are asked for.

    Attributes:
        plan: The plan that prices are of.
        region: The region that prices are of.
        records_per_day: The records that a resource writes a day, as a person says; None to assume it.
    """

    prices: Prices
    plan: str = "analytics"
    region: str = "us"
    records_per_day: int | None = None

    def of(self, table: str) -> Price | None:
        """Return the price of a table."""
        return self.prices.of(table, self.plan, self.region)


@dataclass(frozen=True, slots=True)
class Sources:
    """The tables and prices that describe each missing thing.

    Attributes:
        inputs: The tables.
        coverage: The whole table `coverage`, logs of the tenant among them.
        cells: The undecided cells, with their ways.
        tariff: The prices.
        spelt: By folded scope: how it was loaded.
    """

    inputs: Inputs
    analysis: Analysis
    coverage: pl.DataFrame
    cells: pl.DataFrame
    tariff: Tariff
    spelt: Mapping[str, str] = field(default_factory=dict)

    @property
    def window(self) -> Window:
        """Return the window of the analysis."""
        return self.analysis.window


def volume_of(item: str, tables: Sequence[LogTable], sources: Sources, scopes: int) -> Volume:
    """Return the volume of a missing thing at a number of scopes, of a log of resources at a number of these."""
    if item == DECLARED or not tables:
        return Volume(0.0, 0, "nothing is sent")
    users = sources.inputs.principals.filter(
        (pl.col("principal_type") == "User") & pl.col("listed").fill_null(False)
    ).height
    total, records, said = 0.0, 0, []
    unknown = assumed = False
    for table in tables:
        number = _records(item, table, sources.coverage, scopes)
        price = sources.tariff.of(table.table)
        size = (price.bytes_per_record if price else None) or table.bytes_per_record
        if number is not None and size is not None:
            said.append(f"{table.table}: rows of this store, at {size:,.0f} bytes each")
        elif table.records_per_day is not None and size is not None and number is None:
            assumed = True
            number, why = _assumed(
                table, sources, scopes if item.startswith(RESOURCE_LOG) else _signers(table, sources)
            )
            unknown = unknown or not number
            said.append(f"{table.table}, assumed: {why}, at {size:,.0f} bytes each")
        elif table.gb_per_1000_users is not None and users:
            total += table.gb_per_1000_users * users / 1000
            said.append(f"{table.table}: {table.gb_per_1000_users:g} GB for 1,000 users ({table.source})")
            size = 0.0
        else:
            unknown = True
        records += number or 0
        total += (number or 0) * (size or 0) / _GB
    return Volume(None if unknown else total, records or None, "" if unknown else "; ".join(said), assumed)


_SIGNING = {"non_interactive": "User", "service_principal": "ServicePrincipal", "managed_identity": "ManagedIdentity"}
"""By category of a sign-in log: the type of its principals."""


def _signers(table: LogTable, sources: Sources) -> int:
    """Return the number of listed principals whose sign-ins a log has."""
    listed = sources.inputs.principals.filter(pl.col("listed").fill_null(False))
    return listed.filter(pl.col("principal_type") == _SIGNING[table.category]).height


def _assumed(table: LogTable, sources: Sources, writers: int) -> tuple[int, str]:
    """Return the records of a month that resources or principals are assumed to write, and why."""
    unit = "principal" if table.category in _SIGNING else "resource"
    said = None if table.category in _SIGNING else sources.tariff.records_per_day
    like = None if table.category in _SIGNING else _like_records(table, sources.coverage)
    daily: float = table.records_per_day or 0
    why = ""
    if said is not None:
        daily, why = said, ", as you say"
    elif like is not None:
        daily, why = like, ", as other logs of resources here have"
    return round(daily * writers * _MONTH), f"{daily:,.0f} records a day and {unit}{why}"


def _like_records(table: LogTable, coverage: pl.DataFrame) -> float | None:
    """Return the records a day of resources of like types of which this store has a log; None without any."""
    like = {row["log"] for row in rows_of("log_tables") if row["records_per_day"] == str(table.records_per_day)}
    rows = _observed(coverage).filter(pl.col("source").is_in(sorted(like)))
    return None if rows.is_empty() else int(rows["events"].sum()) / rows.select("scope", "day").n_unique()


def _observed(coverage: pl.DataFrame) -> pl.DataFrame:
    return coverage.filter((pl.col("state") == "observed") & (pl.col("events") > 0))


def _records(item: str, table: LogTable, coverage: pl.DataFrame, scopes: int) -> int | None:
    """Return the records of a month by the days of like sources that this store has; None without any."""
    rows = _observed(coverage).filter(pl.col("source") == table.log)
    if item.startswith(RESOURCE_LOG):
        kinds = rows.select(place=place_of(rows["scope"])) if len(rows) else rows.select(place="scope")
        kind = item.removeprefix(RESOURCE_LOG)
        rows = rows.filter(kinds["place"].str.contains(f"/providers/{kind}/", literal=True))
    else:
        rows = rows.filter(pl.col("category").str.to_lowercase() == table.category.lower())
    if rows.is_empty():
        return None
    days = rows.select("scope", "day").n_unique()
    return round(int(rows["events"].sum()) / days * scopes * _MONTH)


def cost_of(item: str, tables: Sequence[LogTable], volume: Volume, sources: Sources) -> Cost:
    """Return the price of a month of a missing thing with a volume."""
    if item == DECLARED or not tables:
        return Cost(0.0, None, "a listing or a declaration costs nothing")
    prices = [sources.tariff.of(table.table) for table in tables]
    known = [price for price in prices if price is not None]
    said = "; ".join(dict.fromkeys(price.source for price in known))
    as_of = min((price.as_of for price in known), default=None)
    if len(known) < len(prices):
        return Cost(None, as_of, said)
    if all(_is_free(price) for price in known):
        return Cost(0.0, as_of, said)
    if volume.gigabytes is None:
        return Cost(None, as_of, said)
    # All tables of one log have the price of the dearest one.
    dearest = max(known, key=lambda price: price.monthly(1.0, sources.window.days))
    return Cost(round(dearest.monthly(volume.gigabytes, sources.window.days), 4), as_of, said)


def _is_free(price: Price) -> bool:
    return price.per_gb == 0 and price.per_gb_month == 0
