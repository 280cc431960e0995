"""Read the prices of log tables, from the rules or from a file of the user, and the facts on each log table.

Look up how often plans broke something on generated tenants, where the truth is known.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rightsize.model.errors import InputError
from rightsize.model.text import fold
from rightsize.rules.tables import rows_of

COLUMNS = (
    "table",
    "plan",
    "region",
    "currency",
    "price_per_gb",
    "price_per_gb_month",
    "free_days",
    "bytes_per_record",
    "as_of",
    "source",
)
ANY = "*"
_CURRENCY = re.compile(r"[A-Z]{3}")
_DAYS_OF_MONTH = 30


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one log table in one plan and region.

    Attributes:
        table: The table of Log Analytics, `*` for every table without a row of its own.
        plan: The plan or destination, for example `analytics` or `storage`; `*` for any.
        region: The region; `*` for any.
        currency: The currency, three letters.
        per_gb: The price of a gigabyte that comes in.
        per_gb_month: The price of keeping a gigabyte for a month beyond the free days.
        free_days: The days of retention that cost nothing more.
        bytes_per_record: The billed size of a record; None where it is not known.
        as_of: The day on which the price was read.
        source: Where it was read.
    """

    table: str
    plan: str
    region: str
    currency: str
    per_gb: float
    per_gb_month: float
    free_days: int
    bytes_per_record: float | None
    as_of: dt.date
    source: str

    def monthly(self, gigabytes: float, days: int) -> float:
        """Return the price of a month in which so many gigabytes come in, each kept for `days` days."""
        kept = max(0, days - self.free_days) / _DAYS_OF_MONTH
        return gigabytes * (self.per_gb + kept * self.per_gb_month)


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of all log tables, in one currency."""

    rows: tuple[Price, ...]

    @property
    def currency(self) -> str:
        """Return the currency."""
        return self.rows[0].currency

    @property
    def plans(self) -> tuple[str, ...]:
        """Return the plans that have prices, sorted."""
        return tuple(sorted({row.plan for row in self.rows} - {ANY}))

    @property
    def regions(self) -> tuple[str, ...]:
        """Return the regions that have prices, sorted."""
        return tuple(sorted({row.region for row in self.rows} - {ANY}))

    def of(self, table: str, plan: str, region: str) -> Price | None:
        """Return the price that fits best: of this table before any, then of this plan, then of this region."""
        fitting = [
            row
            for row in self.rows
            if fold(row.table) in (fold(table), ANY) and row.plan in (plan, ANY) and row.region in (region, ANY)
        ]
        return min(fitting, key=lambda row: (row.table == ANY, row.plan == ANY, row.region == ANY), default=None)


def known_prices() -> Prices:
    """Return the prices of the rules."""
    return _checked(rows_of("prices"), "the rule file `prices`")


def read_prices(text: str, name: str) -> Prices:
    """Return the prices of a user's file.

    Raises:
        InputError: The text is not CSV with these columns, or a value makes no sense.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        found = list(reader)
    except csv.Error as problem:
        raise InputError(f"`{name}` is not CSV: {problem}") from problem
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    unknown = [column for column in reader.fieldnames or () if column not in COLUMNS]
    if missing or unknown:
        said = f"lacks the column `{missing[0]}`" if missing else f"has the unknown column `{unknown[0]}`"
        raise InputError(f"`{name}` {said}", hint=f"the columns are {', '.join(COLUMNS)}")
    return _checked(found, f"`{name}`")


def _checked(rows: Sequence[Mapping[str, str]], name: str) -> Prices:
    found = [read_price(row, f"line {number} of {name}") for number, row in enumerate(rows, start=2)]
    if not found:
        raise InputError(f"{name} has no price")
    keys: set[tuple[str, str, str]] = set()
    for number, row in enumerate(found, start=2):
        key = (fold(row.table), row.plan, row.region)
        if key in keys:
            raise InputError(
                f"line {number} of {name} has a second price of `{row.table}`, `{row.plan}`, `{row.region}`"
            )
        keys.add(key)
        if row.currency != found[0].currency:
            raise InputError(f"line {number} of {name} is in {row.currency}, and line 2 in {found[0].currency}")
    return Prices(tuple(found))


def read_price(row: Mapping[str, str], where: str) -> Price:
    """Return the price of a row, or raise InputError."""
    if None in row or None in row.values():
        raise InputError(f"{where} has another number of cells than the first line")
    said = {name: row[name].strip() for name in COLUMNS}
    for name in ("table", "plan", "region", "source"):
        if not said[name]:
            raise InputError(f"{where} has no `{name}`")
    if not _CURRENCY.fullmatch(said["currency"]):
        raise InputError(f"{where}: `{said['currency']}` is not a currency of three capital letters")
    try:
        as_of = dt.date.fromisoformat(said["as_of"])
    except ValueError as problem:
        raise InputError(f"{where}: `{said['as_of']}` is not a day", hint="write it as 2026-11-28") from problem
    days = _number(said["free_days"], "free_days", where)
    if days != int(days):
        raise InputError(f"{where}: `{said['free_days']}` is not a whole number of days")
    size = said["bytes_per_record"]
    return Price(
        said["table"],
        said["plan"],
        said["region"],
        said["currency"],
        _number(said["price_per_gb"], "price_per_gb", where),
        _number(said["price_per_gb_month"], "price_per_gb_month", where),
        int(days),
        _number(size, "bytes_per_record", where) if size else None,
        as_of,
        said["source"],
    )


def _number(text: str, name: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise InputError(f"{where}: `{text}` in `{name}` is not a number from 0 up")
    return number


@dataclass(frozen=True, slots=True)
class LogTable:
    """One table of a log that may be missing.

    Attributes:
        log: The log, as the table `coverage` has it.
        category: Its category there; of logs of resources all categories, with spaces.
        table: The table of Log Analytics.
        gb_per_1000_users: The stated volume of a month for 1,000 users; None where none is stated.
        bytes_per_record: The stated size of a record; None where none is stated.
        records_per_day: The records a day of a resource, of sign-ins those of a principal, as far as these have to be
            assumed; None where nothing has to be.
        retained_days: The days for which Azure keeps the log without an export.
        licence: The licence that it takes; empty where it takes none.
        policies: The built-in policies that send it to a workspace, also from new resources: GUIDs of definitions.
        source: Where this was read.
    """

    log: str
    category: str
    table: str
    gb_per_1000_users: float | None
    bytes_per_record: float | None
    records_per_day: int | None
    retained_days: int
    licence: str
    policies: tuple[str, ...]
    source: str


def log_tables(item: str) -> tuple[LogTable, ...]:
    """Return the tables of a missing log; none for listings."""
    return tuple(_log_table(row) for row in rows_of("log_tables") if row["item"] == item)


def _log_table(row: Mapping[str, str]) -> LogTable:
    volume, size = row["gb_per_1000_users"], row["bytes_per_record"]
    return LogTable(
        row["log"],
        row["category"],
        row["table"],
        float(volume) if volume else None,
        float(size) if size else None,
        int(row["records_per_day"]) if row["records_per_day"] else None,
        int(row["retained_days"]),
        row["licence"],
        tuple(row["policies"].split()),
        row["source"],
    )


_UNLOGGED = "unlogged"


@dataclass(frozen=True, slots=True)
class MeasuredRate:
    """The number of proposals that broke something, or of needs that were lost, as `docs/figures.md` has it.

    Attributes:
        what: The basis of the estimate of the proposals, or `unlogged`: needs that no log shows.
        new_weeks: The weeks with a novelty that no other week has; the largest number means that and more. None for
            any number.
        broke: The number that broke.
        of: The number of all.
        measured: The day of the measurement.
    """

    what: str
    new_weeks: int | None
    broke: int
    of: int
    measured: str


def measured_proposals() -> tuple[MeasuredRate, ...]:
    """Return the measured rates of proposals, by the basis of their estimate and the weeks that brought something."""
    return tuple(one for one in _rates() if one.what != _UNLOGGED)


def measured_unlogged() -> MeasuredRate:
    """Return the measured rate of lost needs that no log shows."""
    (rate,) = (one for one in _rates() if one.what == _UNLOGGED)
    return rate


def describe_unlogged() -> str:
    """Return the sentence that says what a chance of breaking does not cover, with the rate that was measured."""
    rate = measured_unlogged()
    return (
        "The chance of breaking leaves out needs that no log shows. On generated tenants, plans with default options "
        f"lost {rate.broke} of {rate.of} of them ({100 * rate.broke / rate.of:.1f} %, measured {rate.measured})."
    )


def _rates() -> tuple[MeasuredRate, ...]:
    return tuple(
        MeasuredRate(
            row["what"],
            int(row["new_weeks"]) if row["new_weeks"] else None,
            int(row["broke"]),
            int(row["of"]),
            row["measured"],
        )
        for row in rows_of("measured_breaks")
    )
