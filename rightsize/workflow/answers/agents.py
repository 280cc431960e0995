"""List AI agents and their blueprints: who answers for them, what they may do and did, and what their tokens held."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.agents import INHERITED, OWN, UNCERTAIN, agent_identities, inheritance, listed_blueprints
from rightsize.analyze.graph_tables import GRAPH_APP_ID, GraphTables, graph_window
from rightsize.analyze.inputs import folded
from rightsize.analyze.name_resolution import hint_of, nearest
from rightsize.analyze.reasons import Verdict
from rightsize.model.errors import InputError, UsageError
from rightsize.model.options import WindowOptions
from rightsize.model.text import fold
from rightsize.planes.graph.agent_use import agent_permissions, is_disagreement, last_calls
from rightsize.planes.graph.judge import GraphAnalysis, analyse_graph
from rightsize.store.connection import Store, open_store
from rightsize.workflow.analysis.find_analysis import require_content
from rightsize.workflow.names import read_names

BLUEPRINT, AGENT, AGENT_USER = "blueprint", "agent", "agent_user"
_UNDECIDED = (Verdict.UNOBSERVABLE.value, Verdict.OUT_OF_COVERAGE.value)

AGENT_FACTS = (
    "kind", "id", "name", "blueprint_app_id", "blueprint", "parent_id", "owners", "sponsors", "enabled", "agents",
    "own", "inherited", "uncertain", "used", "unused", "undecided", "disagreements", "unexplained", "azure_roles",
    "directory_roles", "on_behalf_of", "last_seen", "listed",
)  # fmt: skip
"""The facts about an agent or a blueprint, in the order in which they are shown."""

_LAST_USE = """
    SELECT principal_id AS id, max(last_seen) AS last_seen FROM usage_days WHERE principal_id IS NOT NULL GROUP BY ALL
    UNION ALL SELECT principal_id, max(last_seen) FROM sign_ins WHERE principal_id IS NOT NULL GROUP BY ALL
    UNION ALL SELECT principal_id, max(last_seen) FROM agent_sightings GROUP BY ALL
    UNION ALL SELECT app_id, max(last_seen) FROM agent_sightings GROUP BY ALL"""


@dataclass(frozen=True, slots=True)
class AgentsResult:
    """The agents of a tenant.

    Attributes:
        rows: AGENT_FACTS of each blueprint, its agent identities and their agent users, in this order.
        permissions: The rows of `agent_permissions` by agent; by the principal of a blueprint what it was granted.
        inheritance: By application id of a blueprint what it lets its agents inherit: API, access, mode, permissions.
    """

    rows: list[dict[str, Any]]
    permissions: dict[str, list[dict[str, Any]]]
    inheritance: dict[str, list[dict[str, Any]]]

    def of(self, name: str) -> list[dict[str, Any]]:
        """Return the row that a name or id means, and for a blueprint those of its agents after it.

        Raises:
            InputError: No agent or blueprint has the name; the hint has the nearest.
            UsageError: Several have it.
        """
        wanted = fold(name)
        found = (
            [row for row in self.rows if fold(row["id"]) == wanted]
            or [row for row in self.rows if fold(row["name"]) == wanted]
            or [row for row in self.rows if row["kind"] == BLUEPRINT and row["blueprint_app_id"] == wanted]
            or [row for row in self.rows if fold(row["id"]).startswith(wanted) or fold(row["name"]).startswith(wanted)]
        )
        if not found:
            near = nearest(name, [row["name"] for row in self.rows if row["name"]])
            hint = hint_of(near, "`rightsize agents` lists them")
            raise InputError(f"no agent or blueprint is called `{name}`", hint=hint)
        if len(found) > 1:
            ids = ", ".join(row["id"] for row in found[:8])
            raise UsageError(f"`{name}` names {len(found)} agents or blueprints", hint=f"give one of the ids {ids}")
        (one,) = found
        if one["kind"] != BLUEPRINT:
            return [one]
        below = [row for row in self.rows if row["blueprint_app_id"] == one["blueprint_app_id"] and row is not one]
        return [one, *below]


def show_agents(db: Path, as_of: dt.date | None = None) -> AgentsResult:
    """Return the agents of the store.

    Raises:
        InputError: There is no store.
        EvidenceError: Nothing is loaded.
    """
    with open_store(db, read_only=True) as store:
        require_content(store)
        return read_agents(store, as_of)


def agent_answer(store: Store, principal_id: str, as_of: dt.date | None = None) -> dict[str, Any] | None:
    """Return what `explain` tells of an agent or the principal of a blueprint; None where it is none after all."""
    found = read_agents(store, as_of)
    row = next((row for row in found.rows if row["id"] == principal_id), None)
    return None if row is None else document_of(row, found)


def document_of(row: Mapping[str, Any], found: AgentsResult) -> dict[str, Any]:
    """Return the facts about one agent or blueprint with its permissions."""
    answer = dict(row) | {"permissions": found.permissions.get(row["id"], [])}
    if row["blueprint_app_id"]:
        answer["inheritable"] = found.inheritance.get(row["blueprint_app_id"], [])
    return answer


def read_agents(store: Store, as_of: dt.date | None = None) -> AgentsResult:
    """Return the agents of an open store."""
    tables = GraphTables.read(store.table)
    agents = agent_identities(tables)
    is_user = (pl.col("parent_id").fill_null("") != "") | (folded(pl.col("object_type")) == "agentuser")
    users = tables.principals.filter(is_user).sort("principal_id")
    blueprints = _blueprints(tables, agents)
    if not (blueprints or users.height or agents.height):
        return AgentsResult([], {}, {})
    analysis = analyse_graph(tables, graph_window(tables, WindowOptions(as_of=as_of)))
    permissions = _by(agent_permissions(analysis, store.table("token_permissions")), "agent_id")
    permissions |= _granted(analysis, {one["holder_id"] for one in blueprints if one["holder_id"]})
    facts = _Facts.read(store, analysis, permissions)
    shown = tables.principals.filter(folded(pl.col("principal_id")).is_in(sorted(map(_id_of, blueprints))))
    principals: dict[str, dict[str, Any]] = {fold(row["principal_id"]): row for row in shown.iter_rows(named=True)}
    below: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
    for agent in agents.iter_rows(named=True):
        below[agent["blueprint_app_id"]].append(agent)
    rows = []
    for blueprint in blueprints:
        made = below[blueprint["app_id"]]
        rows.append(facts.of_blueprint(blueprint, principals, [one["agent_id"] for one in made]))
        rows += [facts.of_agent(one, blueprint["name"]) for one in made]
    rows += [facts.of_agent(one, None) for one in below[None]]
    named = {row["id"]: row for row in rows}
    for user in users.iter_rows(named=True):
        rows.append(facts.of_user(user, named.get(fold(user["parent_id"] or ""))))
    rows = sorted(rows, key=lambda row: (row["blueprint"] or "~", row["blueprint_app_id"] or "",
                  (BLUEPRINT, AGENT, AGENT_USER).index(row["kind"]), row["name"], row["id"]))  # fmt: skip
    return AgentsResult(rows, permissions, _inheritance(tables))


def _blueprints(tables: GraphTables, agents: pl.DataFrame) -> list[dict[str, Any]]:
    """Return `app_id, object_id, name, holder_id` of each blueprint that a listing, an agent or a principal names."""
    found: dict[str, dict[str, Any]] = {}
    typed = tables.principals.filter(folded(pl.col("object_type")) == "agentidentityblueprintprincipal")
    for row in typed.sort("principal_id").iter_rows(named=True):
        if row["app_id"]:
            found[fold(row["app_id"])] = {"holder_id": fold(row["principal_id"]), "name": row["display_name"]}
    for app_id, holder in agents.select("blueprint_app_id", "holder_id").drop_nulls("blueprint_app_id").iter_rows():
        found.setdefault(app_id, {"holder_id": holder, "name": None})
    for row in tables.agent_blueprints.iter_rows(named=True):
        one = found.setdefault(fold(row["blueprint_app_id"]), {"holder_id": None, "name": None})
        one |= {"name": row["display_name"] or one["name"], "object_id": row["object_id"]}
    return [{"object_id": None, "app_id": app_id, **one} for app_id, one in sorted(found.items())]


def _id_of(blueprint: Mapping[str, Any]) -> str:
    """Return the id under which a blueprint is shown: of its principal, else of its application."""
    id_: str = blueprint["holder_id"] or blueprint["object_id"] or blueprint["app_id"]
    return id_


def _granted(analysis: GraphAnalysis, holders: set[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the grants of principals of blueprints with verdicts: use by themselves or by any of their agents."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in analysis.held.filter(pl.col("client_id").is_in(sorted(holders))).iter_rows(named=True):
        one = {"access": row["access"], "user_id": row["user_id"], "api_app_id": row["api_app_id"]}
        one |= {name: row[name] for name in ("resource_name", "permission", "grant_id")} | {"origin": OWN}
        key = (row["client_id"], row["access"], row["user_id"] or "")
        if row["api_app_id"] == GRAPH_APP_ID:
            judged, case = analysis.judgements[key][row["permission"]], analysis.cases[key]
            seen = judged.seen
            one |= {"verdict": judged.verdict.value, "reason": judged.reason}
            one |= {"events": seen.events if seen else None, "last_seen": seen.last_seen if seen else None}
            one["used_by"] = case.agents_behind(judged.operations)
        else:
            one |= {"verdict": Verdict.UNOBSERVABLE.value, "reason": "no_api_log", "events": None, "last_seen": None}
            one["used_by"] = []
        found[row["client_id"]].append(one)
    return found


def _inheritance(tables: GraphTables) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {one: [] for one in listed_blueprints(tables)}
    for row in inheritance(tables).iter_rows(named=True):
        found.setdefault(row["blueprint_app_id"], []).append(
            {"api_app_id": row["api_app_id"], "access": row["access"], "mode": row["mode"]}
            | {"permissions": row["listed"]}
        )
    return found


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of agents beside their permissions, by id."""

    permissions: Mapping[str, Sequence[Mapping[str, Any]]]
    owners: Mapping[str, list[str]]
    sponsors: Mapping[str, list[str]]
    azure: Counter[str]
    directory: Counter[str]
    last: Mapping[str, dt.datetime]
    users: Mapping[str, set[str]]
    unexplained: Counter[str]

    @classmethod
    def read(
        cls, store: Store, analysis: GraphAnalysis, permissions: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> _Facts:
        names, _ = read_names(store)
        last: dict[str, dt.datetime] = {}
        users: dict[str, set[str]] = defaultdict(set)
        for client, user, seen in last_calls(analysis):
            last[client] = max(seen, last.get(client, seen))
            if user:
                users[client].add(names.get(user, user))
        for row in store.rows(_LAST_USE):
            if row["last_seen"] is not None:
                last[row["id"]] = max(row["last_seen"], last.get(row["id"], row["last_seen"]))
        return cls(
            permissions,
            _people(store, "object_owners", "owner_id", names),
            _people(store, "object_sponsors", "sponsor_id", names),
            _held(store, "role_assignments"),
            _held(store, "directory_role_assignments"),
            last,
            users,
            Counter(client for (client, _, _), case in analysis.cases.items() for _ in case.unexplained),
        )

    def _row(self, kind: str, id_: str, name: str | None, also: str | None = None) -> dict[str, Any]:
        """Return the facts of one object; `also` is another id under which owners and sponsors stand."""
        mine = self.permissions.get(id_, ())
        verdicts = Counter(row["verdict"] for row in mine)
        origins = Counter(row["origin"] for row in mine)
        both = [one for one in (id_, also) if one]
        return {
            "kind": kind, "id": id_, "name": name or id_, "blueprint_app_id": None, "blueprint": None,
            "parent_id": None, "owners": _of(self.owners, both), "sponsors": _of(self.sponsors, both), "enabled": None,
            "agents": None, "own": origins[OWN], "inherited": origins[INHERITED], "uncertain": origins[UNCERTAIN],
            "used": verdicts[Verdict.USED.value], "unused": verdicts[Verdict.UNUSED.value],
            "undecided": sum(verdicts[one] for one in _UNDECIDED),
            "disagreements": sum(kind == AGENT and is_disagreement(row) for row in mine),
            "unexplained": self.unexplained[id_], "azure_roles": self.azure[id_],
            "directory_roles": self.directory[id_],
            "on_behalf_of": sorted(self.users.get(id_, ())), "last_seen": self.last.get(id_), "listed": True,
        }  # fmt: skip

    def of_blueprint(
        self, blueprint: Mapping[str, Any], principals: Mapping[str, Mapping[str, Any]], agents: Sequence[str]
    ) -> dict[str, Any]:
        """Return the facts of a blueprint: its grants are those of its principal."""
        id_ = _id_of(blueprint)
        row = self._row(BLUEPRINT, id_, blueprint["name"], blueprint["object_id"])
        principal = principals.get(id_, {})
        seen = [self.last[one] for one in (id_, *agents) if one in self.last]
        return row | {
            "blueprint_app_id": blueprint["app_id"], "blueprint": row["name"], "agents": len(agents),
            "enabled": principal.get("account_enabled"), "last_seen": max(seen, default=None),
            "listed": bool(principal) or blueprint["object_id"] is not None,
        }  # fmt: skip

    def of_agent(self, agent: Mapping[str, Any], blueprint: str | None) -> dict[str, Any]:
        """Return the facts of an agent identity."""
        row = self._row(AGENT, agent["agent_id"], agent["name"])
        return row | {
            "blueprint_app_id": agent["blueprint_app_id"], "blueprint": blueprint or agent["blueprint_app_id"],
            "enabled": agent["enabled"], "listed": agent["listed"],
        }  # fmt: skip

    def of_user(self, user: Mapping[str, Any], parent: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the facts of an agent user: it holds roles as users do, and acts through its agent."""
        row = self._row(AGENT_USER, fold(user["principal_id"]), user["display_name"] or user["user_principal_name"])
        return row | {
            "parent_id": user["parent_id"], "enabled": user["account_enabled"], "listed": bool(user["listed"]),
            "blueprint_app_id": parent["blueprint_app_id"] if parent else None,
            "blueprint": parent["blueprint"] if parent else None,
        }  # fmt: skip


def _by(rows: Sequence[dict[str, Any]], name: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row[name]].append({key: value for key, value in row.items() if key != name})
    return dict(found)


def _people(store: Store, table: str, column: str, names: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for row in store.rows(f"SELECT DISTINCT object_id, {column} AS who FROM {table} ORDER BY ALL"):
        found[row["object_id"]].append(names.get(row["who"], row["who"]))
    return found


def _held(store: Store, table: str) -> Counter[str]:
    rows = store.rows(f"SELECT principal_id, count(*) AS n FROM {table} WHERE principal_id IS NOT NULL GROUP BY ALL")
    return Counter({row["principal_id"]: row["n"] for row in rows})


def _of(people: Mapping[str, list[str]], ids: Sequence[str]) -> list[str]:
    return sorted({name for one in ids for name in people.get(one, ())})
