"""Write what a missing log would take and cost a month, for the terminal and the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CENT, _TENTH = 0.01, 0.1


def price_text(row: Mapping[str, Any]) -> str:
    """Return the price of a row of `observability_options`: `unknown`, `paid`, `free`, or an amount with its currency.

    `~` stands before an amount that rests on an assumed number of records.
    """
    price = row["price_per_month"]
    if price is None:
        return "unknown"
    if row["is_sent"]:
        return "paid"
    if price == 0:
        return "free"
    mark = "~" if row["is_assumed"] else ""
    return mark + (f"{price:,.2f} {row['currency']}" if price >= _CENT else f"<{_CENT} {row['currency']}")


def gigabytes_text(gigabytes: float | None) -> str:
    """Return a number of gigabytes with one decimal, `0`, or `unknown`."""
    if gigabytes is None:
        return "unknown"
    if gigabytes == 0:
        return "0"
    return f"{gigabytes:,.1f}" if gigabytes >= _TENTH else f"<{_TENTH}"


def volume_text(row: Mapping[str, Any]) -> str:
    """Return the gigabytes of a row, with `~` where they rest on an assumed number of records."""
    text = gigabytes_text(row["gb_per_month"])
    return f"~{text}" if row["is_assumed"] and row["gb_per_month"] else text
