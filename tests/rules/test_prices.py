"""Prices of log tables: which one fits, what a month costs, and which files are refused."""

from __future__ import annotations

import datetime as dt

import pytest

from rightsize.analyze.verdicts.resource_logs import logged_kinds
from rightsize.model.errors import InputError
from rightsize.rules.prices import COLUMNS, known_prices, log_tables, read_prices
from rightsize.rules.tables import rows_of

HEAD = ",".join(COLUMNS)
ROW = "*,analytics,us,USD,2.5,0.1,31,,2026-11-01,the contract"


def test_a_row_of_the_table_comes_before_one_of_any_table() -> None:
    prices = known_prices()
    free = prices.of("azureactivity", "analytics", "us")
    assert free is not None
    assert free.monthly(1000, 90) == 0
    paid = prices.of("SigninLogs", "analytics", "us")
    assert paid is not None
    assert paid.table == "*"
    assert paid.source
    assert prices.of("SigninLogs", "nowhere", "us") is None


def test_a_month_costs_what_comes_in_and_what_is_kept_beyond_the_free_days() -> None:
    price = read_prices(f"{HEAD}\n{ROW}\n", "p.csv").of("X", "analytics", "us")
    assert price is not None
    assert price.monthly(10, 31) == 25
    assert price.monthly(10, 91) == 27
    assert price.as_of == dt.date(2026, 11, 1)


def test_every_log_that_may_be_missing_has_its_table() -> None:
    """The logs of resources stand in the table of logs, each with its source."""
    known = {row["item"] for row in rows_of("log_tables")}
    assert {f"log:{kind}" for kind in logged_kinds()} <= known
    assert all(table.source and table.table for item in known for table in log_tables(item))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lacks the column `table`"),
        (f"{HEAD}\n", "has no price"),
        (f"{HEAD},more\n{ROW},x\n", "unknown column `more`"),
        (f"{HEAD}\n{ROW},x\n", "another number of cells"),
        (f"{HEAD}\n*,analytics\n", "another number of cells"),
        (f"{HEAD}\n{ROW}\n{ROW}\n", "line 3 of `p.csv` has a second price"),
        (f"{HEAD}\n{ROW}\nX,analytics,us,EUR,1,1,1,,2026-01-01,s\n", "in EUR, and line 2 in USD"),
        (f"{HEAD}\n{ROW.replace('2.5', '-1')}\n", "`-1` in `price_per_gb` is not a number from 0 up"),
        (f"{HEAD}\n{ROW.replace('2.5', 'nan')}\n", "`nan` in `price_per_gb`"),
        (f"{HEAD}\n{ROW.replace('2.5', '2,5')}\n", "another number of cells"),
        (f"{HEAD}\n{ROW.replace('31', '1.5')}\n", "not a whole number of days"),
        (f"{HEAD}\n{ROW.replace('2026-11-01', '01.11.2026')}\n", "`01.11.2026` is not a day"),
        (f"{HEAD}\n{ROW.replace('USD', '$')}\n", "not a currency"),
        (f"{HEAD}\n{ROW.replace('the contract', '')}\n", "has no `source`"),
        (f'{HEAD}\n"*\n', "is not CSV"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        read_prices(text, "p.csv")
    assert said in error.value.message
