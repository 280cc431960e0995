"""Judge the effective permissions of each agent: used, unused or undecided, and whether its tokens held them.

A token is the only evidence of what an agent inherits, so computed permissions are compared with those in the tokens
of its calls. Rows show both kinds of disagreement: a permission that a token held and that is not computed, and a
computed permission that no token held.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.agents import OWN, UNCERTAIN
from rightsize.analyze.graph_tables import GRAPH_APP_ID, remembered_requests, service_principals
from rightsize.analyze.inputs import folded
from rightsize.analyze.reasons import SHOWN, UnobservableReason, Verdict
from rightsize.model.text import fold
from rightsize.planes.graph.cases import SeenRequests
from rightsize.planes.graph.judge import GraphAnalysis
from rightsize.rules.graph import sign_in_scopes

SEEN_ONLY = "only_in_token"
"""The origin of a permission that a token held and that is not computed."""

JUDGED_COLUMNS = (
    "agent_id", "access", "user_id", "api_app_id", "resource_name", "permission", "origin", "mode", "grant_id",
    "holder_id", "verdict", "reason", "events", "days", "last_seen", "on_behalf_of", "in_token", "last_in_token",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Tokens:
    """The permissions in the tokens of one agent for one kind of access, by folded name, with the last day of each."""

    names: Mapping[str, str]
    last: Mapping[str, dt.date]
    newest: dt.date


def agent_permissions(analysis: GraphAnalysis, tokens: pl.DataFrame) -> list[dict[str, Any]]:
    """Return JUDGED_COLUMNS, one row per effective permission of each agent and per permission that only tokens show.

    Args:
        analysis: The verdicts on Graph.
        tokens: The table `token_permissions`.

    `verdict` is that of the agent: an inherited permission that only other agents used is unused by this one.
    `on_behalf_of` are the users for whom it was used, sorted. `in_token` is true or false for permissions of Graph;
    null where no token of that kind was seen in the window since the permission was granted, or its name is not known.
    `mode` of a row `uncertain` says why; a row of origin `only_in_token` has no grant.
    """
    seen = _tokens_of(analysis, tokens)
    asked = _asked(analysis)
    rows = []
    computed: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in analysis.effective.iter_rows(named=True):
        of_graph = row["api_app_id"] == GRAPH_APP_ID
        key = (row["agent_id"], row["access"])
        if of_graph:
            computed[key].add(fold(row["permission"]))
        shown = {name: row[name] for name in JUDGED_COLUMNS if name in row}
        rows.append(shown | _judged(row, analysis, asked) | _in_token(row, seen.get(key) if of_graph else None))
    for (agent, access), one in sorted(seen.items()):
        for name in sorted(set(one.names) - computed[agent, access]):
            if access == "delegated" and name in sign_in_scopes():
                continue
            rows.append(
                dict.fromkeys(JUDGED_COLUMNS)
                | {"agent_id": agent, "access": access, "api_app_id": GRAPH_APP_ID, "resource_name": "Microsoft Graph"}
                | {"permission": one.names[name], "origin": SEEN_ONLY, "on_behalf_of": []}
                | {"in_token": True, "last_in_token": one.last[name]}
            )
    return sorted(rows, key=lambda row: (row["agent_id"], row["access"], row["api_app_id"] or "", row["permission"],
                                         row["origin"], row["grant_id"] or ""))  # fmt: skip


def is_disagreement(row: Mapping[str, Any]) -> bool:
    """Return whether tokens and computed permissions disagree about a row of `agent_permissions`."""
    return row["origin"] == SEEN_ONLY or (row["in_token"] is False and row["origin"] != UNCERTAIN)


_Asked = Mapping[tuple[str, str, str], list[tuple[str, SeenRequests]]]
"""By agent, access and operation the users for whom it asked, empty for itself, with the requests."""


def _asked(analysis: GraphAnalysis) -> _Asked:
    found: dict[tuple[str, str, str], list[tuple[str, SeenRequests]]] = defaultdict(list)
    requests = remembered_requests(analysis.tables, analysis.window).filter(
        pl.col("client_id").is_in(analysis.agents["agent_id"].implode()) & (pl.col("events") > 0)
    )
    columns = ("client_id", "access", "operation", "user_id", "events", "days", "first_seen", "last_seen", "earlier")
    for agent, access, operation, user, *what in requests.select(columns).iter_rows():
        found[agent, access, operation].append((user or "", SeenRequests(operation, *what)))
    return found


def _judged(row: Mapping[str, Any], analysis: GraphAnalysis, asked: _Asked) -> dict[str, Any]:
    """Return the verdict on a permission of an agent, with its evidence."""
    nothing: dict[str, Any] = {"events": None, "days": None, "last_seen": None, "on_behalf_of": []}
    if row["api_app_id"] != GRAPH_APP_ID:
        return nothing | {"verdict": Verdict.UNOBSERVABLE.value, "reason": UnobservableReason.NO_API_LOG.value}
    key = (row["holder_id"], row["access"], row["user_id"] or "")
    found, case = analysis.judgements[key][row["permission"]], analysis.cases[key]
    agent = row["agent_id"]
    operations = [one for one in found.operations if row["origin"] == OWN or agent in case.agents.get(one, ())]
    if found.verdict is Verdict.USED and not operations:
        decided = Verdict.UNUSED if analysis.state in SHOWN else Verdict.OUT_OF_COVERAGE
        return nothing | {"verdict": decided.value, "reason": analysis.state}
    verdict = {"verdict": found.verdict.value, "reason": found.reason}
    if found.seen is None:
        return nothing | verdict
    uses = [use for one in operations for use in asked.get((agent, row["access"], one), ())]
    in_window = [use for use in uses if not use[1].earlier] or uses
    if not in_window:
        return nothing | verdict
    return verdict | {
        "events": sum(use.events for _, use in in_window),
        "days": max(use.days for _, use in in_window),
        "last_seen": max((use.last_seen for _, use in in_window if use.last_seen), default=None),
        "on_behalf_of": sorted({user for user, _ in in_window if user}),
    }


def _in_token(row: Mapping[str, Any], tokens: _Tokens | None) -> dict[str, Any]:
    name = fold(row["permission"])
    unknown = {"in_token": None, "last_in_token": None}
    if tokens is None or row["permission"] == row["permission_id"]:
        return unknown
    if name in tokens.last:
        return {"in_token": True, "last_in_token": tokens.last[name]}
    made = row["created_on"]
    # Scopes of a sign-in are in no access token, and a token of another user lacks what one user granted.
    if row["user_id"] or name in sign_in_scopes() or (made is not None and made.date() >= tokens.newest):
        return unknown
    return {"in_token": False, "last_in_token": None}


def _tokens_of(analysis: GraphAnalysis, tokens: pl.DataFrame) -> dict[tuple[str, str], _Tokens]:
    """Return the permissions in the tokens of each agent and kind of access in the window."""
    names = pl.concat(
        [
            analysis.agents.select("agent_id", app_id="agent_id"),
            service_principals(analysis.tables)
            .join(analysis.agents.select(client_id="agent_id"), on="client_id")
            .select("app_id", agent_id="client_id")
            .drop_nulls()
            .select("agent_id", "app_id"),
        ]
    ).unique()
    rows = (
        tokens.filter(analysis.window.holds("day"))
        .with_columns(app_id=folded(pl.col("app_id")), permission=pl.col("permissions").str.split(" "))
        .join(names, on="app_id")
        .explode("permission")
        .group_by("agent_id", "access", "permission")
        .agg(pl.col("day").max())
        .sort("agent_id", "access", "permission")
    )
    found: dict[tuple[str, str], list[tuple[str, dt.date]]] = defaultdict(list)
    for agent, access, permission, day in rows.iter_rows():
        found[agent, access].append((permission, day))
    return {
        key: _Tokens(
            {fold(name): name for name, _ in several},
            {fold(name): day for name, day in several},
            max(day for _, day in several),
        )
        for key, several in found.items()
    }


def last_calls(analysis: GraphAnalysis) -> Iterator[tuple[str, str | None, dt.datetime]]:
    """Yield `(client, user, time)` of the last call to Graph of each client for each user; no user for itself."""
    rows = (
        remembered_requests(analysis.tables, analysis.window)
        .filter(pl.col("last_seen").is_not_null())
        .group_by("client_id", "user_id")
        .agg(pl.col("last_seen").max())
        .sort("client_id", "user_id", nulls_last=True)
    )
    yield from rows.iter_rows()
