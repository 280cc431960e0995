"""What an unusual day used first is read as suspect by an analysis, until a person trusts the day."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rightsize.store.connection import Store, open_store
from rightsize.store.quarantine import replace_decisions
from rightsize.workflow.behaviour import with_holds
from tests.store.staged import at, calls, guid, load, record

OPERATIONS = ("Microsoft.Storage/storageAccounts/listKeys/action", "Microsoft.Web/sites/config/list/action",
              "Microsoft.Sql/servers/firewallRules/write", "Microsoft.KeyVault/vaults/delete")  # fmt: skip


def suspect(store: Store) -> list[str]:
    """The operations of which an analysis learns nothing."""
    use = with_holds(store)("usage_days").filter(pl.col("suspect") > 0)
    return sorted(use["operation"].unique())


@pytest.mark.slow
def test_an_unusual_day_is_held_with_what_follows_until_it_is_trusted(tmp_path: Path) -> None:
    first = dt.date(2026, 1, 2)
    days = [first + dt.timedelta(days=n) for n in range(41)]
    work = [record(time=f"{day}T10:00:00", correlation_id=f"work{day}", ip="198.51.100.7") for day in days]
    odd = [record(time=f"2026-02-11T22:{n}5:00", operation=name, correlation_id=f"odd{n}", ip="192.0.2.66")
           for n, name in enumerate(OPERATIONS)]  # fmt: skip
    again = [record(time="2026-02-13T09:00:00", operation=OPERATIONS[0], correlation_id="again")]
    with open_store(tmp_path / "r.duckdb", read_only=False) as store:
        load(store, calls(*work), calls(*odd), calls(*again))
        assert suspect(store) == sorted(OPERATIONS)
        assert store.table("usage_days")["suspect"].sum() == 0
        trust: dict[str, Any] = {"signal_id": None, "principal": guid(100), "decision": "trust", "reason": "planned"}
        trust |= {"from_time": at("2026-02-11T00:00"), "to_time": at("2026-02-12T00:00"), "owner": "soc"}
        with store.transaction() as con:
            replace_decisions(con, [trust | {"expires": dt.date(2026, 12, 31)}])
        assert suspect(store) == []
