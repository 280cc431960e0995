"""Build the JSON that the page's script reads: columns of numbers, with every text stored once.

The page embeds it as JSON with `<` escaped, so that no text of a tenant can end the element that holds it.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from rightsize.analyze.overview import COUNTS
from rightsize.analyze.reasons import SENTENCES
from rightsize.model.nouns import LAYERS, RoleDefinition
from rightsize.model.plan import PROPOSAL_KINDS
from rightsize.model.role_forms import permissions_from_json, permissions_to_json, strings_of
from rightsize.model.text import fold
from rightsize.render.report.figures import BASES, Sources, clean, name_of, summaries_of
from rightsize.render.role_summary import SERVICE_COLUMNS
from rightsize.render.sentences import bound_of
from rightsize.rules.operations import EFFECTS

Columns = dict[str, list[Any]]
_STATES = ("active", "eligible", "activated")
_PLANES = {"control": 0, "data": 1}


class _Pool:
    """A pool of texts that numbers each text at its first use."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def add(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))

    def add_all(self, texts: Iterable[str | None]) -> list[int | None]:
        return [None if text is None else self.add(text) for text in texts]

    def texts(self) -> list[str]:
        return [clean(text) for text in self.numbers]


class Embedding:
    """Builds the document, in which principals, roles and scopes are numbered in the order of their tables."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.principals, self.roles, self.scopes = _Pool(), _Pool(), _Pool()
        self.operations, self.assignments, self.words = _Pool(), _Pool(), _Pool()
        self.rows_of: dict[str, list[int]] = {}

    def document(self) -> dict[str, Any]:
        """Return the whole document as plain values."""
        overview = self.sources.overview
        window = self.sources.window
        principals = self._principals(overview.principals)
        roles = self._roles(overview.roles)
        scopes = self._counted("scope", overview.scopes, self.scopes) | {"kind": overview.scopes["kind"].to_list()}
        document: dict[str, Any] = {
            "window": [window.first_day.isoformat(), window.last_day.isoformat(), window.days],
            "scopeNames": {fold(scope): name_of(name, scope) for scope, name in self.sources.scope_names.items()},
            "principals": principals,
            "roles": roles,
            "scopes": scopes,
            "assignments": self._assignments(overview.assignments),
            "reached": self._pairs(overview.reached_by),
            "uses": self._uses(overview.uses),
            "unexplained": self._unexplained(overview.unexplained),
            "providers": self._providers(overview.providers),
            "findings": self._findings(self.sources.findings),
            "layers": self._layers(self.sources.layers),
            "proposals": self._proposals(),
            "keeps": [kind for kind in PROPOSAL_KINDS if PROPOSAL_KINDS[kind].keeps],
            "actions": self._actions(),
            "summaries": self._summaries(),
        }
        _complete(principals, self.principals, {"type": ""})
        _complete(roles, self.roles, {"type": "", "permissions": []})
        _complete(scopes, self.scopes, {"kind": None})
        document["scopeIds"] = self.scopes.texts()
        document["operations"] = self.operations.texts()
        document["words"] = [clean(SENTENCES.get(word, word)) for word in self.words.numbers]
        return document

    def _principals(self, table: pl.DataFrame) -> Columns:
        self.principals.add_all(table["principal_id"])
        return {
            "id": table["principal_id"].to_list(),
            "name": [name_of(*row) for row in table.select("name", "principal_id").iter_rows()],
            "type": table["principal_type"].to_list(),
            **_numbers(table, *COUNTS, "creep", "risk", "data_granted", "data_used"),
        }

    def _roles(self, table: pl.DataFrame) -> Columns:
        columns = self._counted("role", table, self.roles)
        columns["id"] = table["role"].to_list()
        columns["name"] = [name_of(*row) for row in table.select("role_name", "role").iter_rows()]
        columns["type"] = table["role_type"].to_list()
        columns["permissions"] = [_blocks(text) for text in table["permissions"]]
        for id_, role in sorted(self.sources.planned_roles.items()):
            if fold(id_) not in self.roles.numbers:
                self.roles.add(fold(id_))
                self._append_role(columns, fold(id_), role)
        return columns

    def _append_role(self, columns: Columns, id_: str, role: RoleDefinition) -> None:
        known: dict[str, Any] = {"id": id_, "name": name_of(role.role_name, id_)}
        known["type"] = "Proposed" if id_ in self.sources.evidence else role.role_type
        known["permissions"] = _blocks(permissions_to_json(role.permissions))
        for name, values in columns.items():
            values.append(known.get(name, 0))

    def _counted(self, key: str, table: pl.DataFrame, pool: _Pool) -> Columns:
        pool.add_all(table[key])
        return _numbers(table, *COUNTS, "assignments", "principals")

    def _assignments(self, table: pl.DataFrame) -> Columns:
        keys = zip(table["role_assignment_id"], table["state"], strict=True)
        for id_, state in keys:
            self.rows_of.setdefault(fold(id_), []).append(self.assignments.add(f"{id_} {state}"))
        return {
            "id": table["role_assignment_id"].to_list(),
            "state": [_STATES.index(state) for state in table["state"]],
            "principal": self.principals.add_all(table["principal_id"]),
            "role": self.roles.add_all(table["role"]),
            "scope": self.scopes.add_all(table["scope"]),
            "created": [None if day is None else day.date().isoformat() for day in table["created_on"]],
            "conditional": [int(flag) for flag in table["conditional"]],
            **_numbers(table, *COUNTS, "creep", "risk"),
        }

    def _pairs(self, table: pl.DataFrame) -> Columns:
        return {
            "principal": self.principals.add_all(table["principal_id"]),
            "holder": self.principals.add_all(table["holder"]),
        }

    def _uses(self, table: pl.DataFrame) -> Columns:
        keys = zip(table["role_assignment_id"], table["state"], strict=True)
        return {
            "assignment": self.assignments.add_all(f"{id_} {state}" for id_, state in keys),
            "principal": self.principals.add_all(table["principal_id"]),
            "operation": self.operations.add_all(table["operation"]),
            "plane": [_PLANES.get(plane, 0) for plane in table["plane"]],
            **_numbers(table, "events", "days", "scopes"),
            "first": [self._day(time) for time in table["first_seen"]],
            "last": [self._day(time) for time in table["last_seen"]],
        }

    def _unexplained(self, table: pl.DataFrame) -> Columns:
        return {
            "principal": self.principals.add_all(table["principal_id"]),
            "operation": self.operations.add_all(table["operation"]),
            "scope": self.scopes.add_all(table["scope"]),
            "events": table["events"].to_list(),
            "last": [self._day(time) for time in table["last_seen"]],
            "why": self.words.add_all(table["reason"]),
        }

    def _providers(self, table: pl.DataFrame) -> Columns:
        known = table.filter(pl.col("role").is_in(list(self.roles.numbers)))
        return {
            "role": self.roles.add_all(known["role"]),
            "provider": [clean(name) for name in known["provider"]],
            "operations": known["operations"].to_list(),
        }

    def _findings(self, table: pl.DataFrame) -> Columns:
        return {
            "control": [clean(name) for name in table["control"]],
            "severity": table["severity"].to_list(),
            "principal": self.principals.add_all(table["principal_id"]),
            "reason": [clean(text) for text in table["reason"]],
        }

    def _layers(self, table: pl.DataFrame) -> Columns:
        """Return one row a principal, layer, basis and state: the number of subscriptions, and the worst operation."""
        worst = {effect: rank for rank, effect in enumerate(EFFECTS)}
        key = ("principal_id", "layer", "basis", "state")
        rows = (
            table.with_columns(rank=pl.col("effect").replace_strict(worst, return_dtype=pl.Int64))
            .sort(*key, "conditional", "rank", "operation", "scope")
            .group_by(*key, maintain_order=True)
            .agg(pl.col("operation", "effect", "control", "conditional").first(), scopes=pl.col("scope").n_unique())
        )
        return {
            "principal": self.principals.add_all(rows["principal_id"]),
            "layer": [LAYERS.index(layer) for layer in rows["layer"]],
            "basis": [BASES.index(basis) for basis in rows["basis"]],
            "state": [_STATES.index(state) for state in rows["state"]],
            "operation": self.operations.add_all(rows["operation"]),
            "effect": [EFFECTS.index(effect) for effect in rows["effect"]],
            "control": [self.words.add(control) for control in rows["control"]],
            "conditional": [int(flag) for flag in rows["conditional"]],
            "scopes": rows["scopes"].to_list(),
        }

    def _proposals(self) -> list[list[Any]] | None:
        if self.sources.proposals is None:
            return None
        return [self._proposal(one) for one in self.sources.proposals]

    def _proposal(self, one: Mapping[str, Any]) -> list[Any]:
        evidence = one["evidence"]
        state = evidence.get("state", "active")
        return [
            one["id"],
            one["kind"],
            self.assignments.add(f"{one['replaces'][0]} {state}"),
            clean(one["reason"]),
            [one["break_probability_30d"], bound_of(evidence)],
            [round(one[name]) for name in ("excess_before", "excess_after", "risk_before", "risk_after")],
            [self._place(place) for place in one["assignments"]],
            self._reasons(evidence.get("removed", {})),
            self._reasons(evidence.get("kept_unseen", {})),
            int(one["proof"]["used_subset"] and one["proof"]["granted_superset"]),
            [self.roles.add(fold(grown["role"])) for grown in one["proof"].get("tomorrow", ())],
            self._others(evidence.get("rests_on", ())),
            self._others(evidence.get("together_with", ())),
            int(bool(evidence.get("by_design"))),
        ]

    def _others(self, ids: Iterable[str]) -> list[int]:
        """Return the numbers of other assignments by their ids; those of one id are neighbours."""
        return [row for id_ in ids for row in self.rows_of.get(fold(id_), ())]

    def _place(self, place: Mapping[str, Any]) -> list[Any]:
        return [
            self.roles.add(fold(place["role"])),
            self.scopes.add(place["scope"]),
            self.principals.add(fold(place["principal_id"])),
            _STATES.index(place["state"]),
            None if place["condition"] is None else clean(place["condition"]),
        ]

    def _reasons(self, counts: Mapping[str, int]) -> list[list[int]]:
        return [[self.words.add(reason), number] for reason, number in counts.items()]

    def _actions(self) -> dict[int, list[list[Any]]]:
        """Return for each new role its action strings, each with calls and last day, or why it is kept without use."""
        return {
            self.roles.add(fold(id_)): [self._action(action) for action in evidence["actions"]]
            for id_, evidence in sorted(self.sources.evidence.items())
        }

    def _summaries(self) -> dict[int, list[Any]]:
        """Return for each new role the lines of its summary, and today's access beside what stays, by service."""
        return {
            self.roles.add(id_): [
                [[label, clean(line)] for label, line in text.lines],
                [[clean(row[name]) if name == SERVICE_COLUMNS[0] else row[name] for name in SERVICE_COLUMNS]
                 for row in text.services],
            ]
            for id_, text in summaries_of(self.sources).items()
        }  # fmt: skip

    def _action(self, action: Mapping[str, Any]) -> list[Any]:
        words = [] if action["why"] == "used" else list(action.get("meaning", ())) or [action["why"]]
        return [
            clean(action["action"]),
            _PLANES.get(action["plane"], 0),
            [self.words.add(word) for word in words],
            action.get("events", 0),
            str(action.get("last_seen") or "")[:10],
        ]

    def _day(self, time: dt.datetime | None) -> int | None:
        """Return the number of a time's day in the window, from 0."""
        return None if time is None else (time.date() - self.sources.window.first_day).days


def to_json(document: Mapping[str, Any]) -> str:
    """Return a document as text that is safe inside an element of a page."""
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _complete(columns: Columns, pool: _Pool, blank: Mapping[str, Any]) -> None:
    """Add a row for every id that is named anywhere and has none, with nothing but the id."""
    length = len(next(iter(columns.values())))
    for id_ in list(pool.numbers)[length:]:
        for name, values in columns.items():
            values.append(clean(id_) if name in ("id", "name") else blank.get(name, 0))


def _numbers(table: pl.DataFrame, *names: str) -> Columns:
    return {name: table[name].fill_null(0).to_list() for name in names}


def _blocks(text: str | None) -> list[dict[str, Any]]:
    """Return permission blocks with harmless strings; absent fields of a block are left out."""
    found = []
    for block in permissions_from_json(text):
        strings = strings_of(block).items()
        document: dict[str, Any] = {name: [clean(one) for one in texts] for name, texts in strings if texts}
        if block.condition:
            document["condition"] = clean(block.condition)
        found.append(document)
    return found
