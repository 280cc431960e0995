"""The saved query `inherited-permissions` says of every agent what `rightsize agents` computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from rightsize.analyze.agents import OWN, effective_permissions
from rightsize.analyze.graph_tables import held_permissions
from rightsize.store.queries import read_question
from tests.planes.graph.small_map import EXCHANGE, Apps
from tests.planes.graph.test_agents import agents, inherits, sighted, whole
from tests.store.plain import make_store
from tests.store.sql_here import run_here

pytestmark = pytest.mark.slow


Row = tuple[str, str, str, str | None, str, str]


def asked(apps: Apps, path: Path) -> list[Row]:
    """The rows of the query: agent, access, permission, API, mode and grant."""
    make_store(path, apps.rows)
    columns = ("agent_id", "access", "permission", "api_app_id", "mode", "grant_id")
    found = run_here(path, read_question("inherited-permissions").text, {"blueprint": ""}).rows
    return sorted((tuple(row[name] for name in columns) for row in found), key=str)


def computed(apps: Apps) -> list[Row]:
    tables = apps.tables()
    rows = effective_permissions(held_permissions(tables), tables).filter(pl.col("origin") != OWN)
    rows = rows.with_columns(mode=pl.col("mode").str.replace("not_listed", "not listed", literal=True))
    return sorted(rows.select("agent_id", "access", "permission", "api_app_id", "mode", "grant_id").rows(), key=str)


def by_name() -> Apps:
    return whole(inherits(inherits(agents(), "application", "allAllowed"), "delegated", "enumerated", "mail.READ"))


def by_id() -> Apps:
    """Graph lists permissions by their ids."""
    apps = inherits(agents(), "application", "enumerated", "a-Mail.Send")
    return whole(inherits(apps, "delegated", "enumerated", "d-mail.readwrite"))


def lacking() -> Apps:
    """The blueprint lists Graph alone; its principal holds a permission of Exchange, too."""
    return whole(inherits(agents(), "application", "allAllowed")).holds("claims", "Mail.Read", resource=EXCHANGE)


def in_part() -> Apps:
    """No listing is known to be complete."""
    return inherits(agents(), "delegated", "none").holds("claims", "Mail.Read", resource=EXCHANGE)


def conflicting() -> Apps:
    return whole(inherits(inherits(agents(), "delegated", "allAllowed"), "delegated", "none"))


def unlisted() -> Apps:
    apps = sighted(sighted(whole(inherits(agents("a1"), "application", "allAllowed")), "new"), "claims")
    return sighted(sighted(apps, "a1"), "other", "").delegated("claims", "User.Read", user="ann")


@pytest.mark.parametrize("make", [by_name, by_id, lacking, in_part, conflicting, unlisted])
def test_the_query_gives_what_is_computed(make: Callable[[], Apps], tmp_path: Path) -> None:
    expected = computed(make())
    assert expected
    assert asked(make(), tmp_path / "s.duckdb") == expected
