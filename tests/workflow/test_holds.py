"""What an unusual day used first is read as suspect by an analysis, until a person trusts the day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rightsize.analyze.inputs import Inputs
from rightsize.model.options import USUAL
from rightsize.store.connection import Store, open_store
from rightsize.store.quarantine import replace_decisions
from rightsize.store.stored_analysis import mark_answers
from rightsize.workflow.analysis import behaviour
from rightsize.workflow.analysis.behaviour import find_behaviour, tables_beside, with_holds
from tests.store.staged import at, calls, guid, load, record

OPERATIONS = ("Microsoft.Storage/storageAccounts/listKeys/action", "Microsoft.Web/sites/config/list/action",
              "Microsoft.Sql/servers/firewallRules/write", "Microsoft.KeyVault/vaults/delete")  # fmt: skip
OF_DIRECTORY, OF_GRAPH = "microsoft.directory/applications/credentials/update", "GET /users/{id}/messages"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Six weeks of the same work, and an evening of first uses on three planes; one comes again later."""
    days = [dt.date(2026, 1, 2) + dt.timedelta(days=n) for n in range(43)]
    work = [record(time=f"{day}T10:00:00", correlation_id=f"work{day}", ip="198.51.100.7") for day in days]
    odd = [record(time=f"2026-02-13T22:{n}5:00", operation=name, correlation_id=f"odd{n}", ip="192.0.2.66")
           for n, name in enumerate(OPERATIONS)]  # fmt: skip
    odd.append(record(time="2026-02-13T22:50:00", operation=OF_DIRECTORY, correlation_id="odd5", scope="/",
                      plane="directory", source="entra_audit_log"))  # fmt: skip
    odd.append(record(time="2026-02-13T22:55:00", operation=OF_GRAPH, correlation_id="odd6", scope="/", plane="graph",
                      source="graph_activity_log", app_id=guid(9), access="application"))  # fmt: skip
    again = [record(time="2026-02-15T09:00:00", operation=OPERATIONS[0], correlation_id="again")]
    with open_store(tmp_path_factory.mktemp("holds") / "r.duckdb", read_only=False) as opened:
        load(opened, calls(*work), calls(*odd), calls(*again))
        yield opened


def held(table_of: Callable[[str], pl.DataFrame], name: str = "usage_days") -> list[str]:
    """The operations of which an analysis learns nothing."""
    return sorted(table_of(name).filter(pl.col("suspect") > 0)["operation"].unique())


@pytest.mark.nightly
def test_an_unusual_day_is_held_with_what_follows_until_it_is_trusted(store: Store) -> None:
    assert held(with_holds(store)) == sorted([*OPERATIONS, OF_DIRECTORY, OF_GRAPH])
    assert store.table("usage_days")["suspect"].sum() == 0
    trust: dict[str, Any] = {"signal_id": None, "principal": guid(100), "decision": "trust", "reason": "planned"}
    trust |= {"from_time": at("2026-02-13T00:00"), "to_time": at("2026-02-14T00:00"), "owner": "soc"}
    with store.transaction() as con:
        replace_decisions(con, [trust | {"expires": dt.date(2026, 12, 31)}])
    assert held(with_holds(store)) == []
    with store.transaction() as con:
        replace_decisions(con, [])


@pytest.mark.nightly
def test_directory_roles_and_permissions_of_graph_learn_nothing_from_it(store: Store) -> None:
    beside = tables_beside(store, Inputs.read(with_holds(store)))
    assert {OF_DIRECTORY, OF_GRAPH} <= set(held(beside))
    assert held(beside, "graph_usage_days") == [OF_GRAPH]


@pytest.mark.slow
def test_days_are_found_once_for_a_content(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An open store keeps them, and another reads the answers of `analyze` while they are of the present content."""
    found = find_behaviour(store)
    assert not found.is_empty()
    store.write_answer("behaviour_findings", found)
    mark_answers(store, USUAL)

    def never(*_: object) -> None:
        raise AssertionError("found anew")

    monkeypatch.setattr(behaviour, "read_behaviour", never)
    assert find_behaviour(store) is found
    # As another process does, which has no rows of this one.
    assert_frame_equal(find_behaviour(Store(store.connection, store.path, read_only=True)), found)
