"""Show what an attacker gains from one principal or resource, with the steps to it, from the tables of an analysis.

The principal that a name means is found by the same tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rightsize.analyze.name_resolution import KnownNames, find_known, resolve_name
from rightsize.analyze.reach.closure import ReachGraph, Step, visible_ways
from rightsize.model.access_answers import COUNTS, LETTERS
from rightsize.model.errors import UsageError
from rightsize.model.text import fold
from rightsize.store.connection import Store, open_store
from rightsize.store.stored_analysis import Analysed
from rightsize.workflow.analysis.find_analysis import find_reach


@dataclass(frozen=True, slots=True)
class AnalysedNames:
    """The names of principals in the tables of an analysis."""

    analysed: Analysed

    def called(self, kind: str, name: str) -> set[str]:
        """Return the ids of the principals that have a name of a kind of `CALLED`."""
        sql = "SELECT principal_id FROM analysed.callings WHERE name = $name AND kind = $kind"
        return {row["principal_id"] for row in self.analysed.rows(sql, name=name, kind=kind)}

    def begun(self, head: str, tail: str) -> set[str]:
        """Return the ids of the principals of which an id or a name begins and ends with these texts."""
        sql = """SELECT DISTINCT principal_id FROM analysed.callings
            WHERE kind = 'beginning' AND starts_with(name, $head) AND ends_with(name, $tail)"""
        return {row["principal_id"] for row in self.analysed.rows(sql, head=head, tail=tail)}

    def every(self) -> list[str]:
        """Return all display names, UPNs and other aliases, folded."""
        sql = "SELECT DISTINCT name FROM analysed.callings WHERE kind NOT IN ('id', 'beginning') ORDER BY name"
        return [row["name"] for row in self.analysed.rows(sql)]

    def names(self, ids: list[str]) -> Mapping[str, str]:
        """Return the display names of principals by id."""
        return names_of(self.analysed, ids)


def names_of(analysed: Analysed, ids: list[str]) -> dict[str, str]:
    """Return the display names of principals and of high scopes, by id or folded scope."""
    sql = "SELECT id, name FROM analysed.names WHERE id IN (SELECT unnest($ids::VARCHAR[]))"
    return {row["id"]: row["name"] for row in analysed.rows(sql, ids=ids)}


def find_principal(store: Store, known: KnownNames, name: str) -> str:
    """Return the id of the principal with a name.

    The id of a proposal of the last plan, or a unique beginning of it, means the holder of the assignment.

    Raises:
        InputError: No principal has the name.
        UsageError: Several principals have it.
    """
    return find_known(known, name) or resolve_name(known, _holder_in(store, name) or name)


def _holder_in(store: Store, proposal: str) -> str | None:
    """Return the holder of the assignment that a proposal of the last plan is about, where one alone has the id."""
    wanted = fold(proposal).removesuffix("…")
    rows = store.rows(
        "SELECT DISTINCT principal_ids[1] AS holder FROM proposals WHERE starts_with(lower(proposal_id), $wanted)",
        {"wanted": wanted},
    )
    return rows[0]["holder"] if wanted and len(rows) == 1 else None


KINDS = {
    "p": "identity",
    "r": "resource",
    "s": "secrets",
    "a": "access",
    "x": "directory",
    "o": "outsider",
    "d": "consent",
}
"""The type of a node, by its letter."""

_FIRST = {"a": 0, "x": 0, "p": 1, "s": 2, "r": 3}


@dataclass(frozen=True, slots=True)
class ReachResult:
    """The reach of one subject: all that an attacker gains from it.

    Attributes:
        subject: Its id; `kind` is its type, `name` its display name.
        counts: As in the table `reach`, as granted.
        ways: Each thing that can be gained, with the steps of the shortest way to it.
    """

    subject: str
    kind: str
    name: str
    counts: dict[str, Any]
    ways: list[dict[str, Any]]

    def document(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"subject": self.subject, "kind": self.kind, "name": self.name} | self.counts | {"ways": self.ways}


def reach_from(
    db: Path, subject: str, *, eligible: bool = False, note: Callable[[str], None] = lambda _: None
) -> ReachResult:
    """Return what an attacker gains from a principal or a resource, and how, by what is granted now.

    Args:
        db: The store.
        subject: An id, UPN or name of a principal, the id or unique name of a resource that has an identity, or the
            subject of an outside issuer that is trusted, alone or behind the issuer.
        eligible: Count eligible assignments as permanent ones.
        note: Called with a sentence where no stored analysis matches.

    Raises:
        UsageError: The name fits several subjects.
        InputError: It fits nothing, or there is no store.
    """
    with open_store(db, read_only=True) as store:
        analysed = find_reach(store, note)
        rows = analysed.rows("SELECT node FROM analysed.subjects")
        node = named_subject((row["node"] for row in rows), subject)
        node = node or f"p:{find_principal(store, AnalysedNames(analysed), subject)}"
        return reach_of_node(analysed, node, eligible=eligible)


def reach_of_node(analysed: Analysed, node: str, *, eligible: bool = False) -> ReachResult:
    """Return what an attacker gains from a node of the graph, as granted."""
    graph = _graph_after(analysed, node, eligible=eligible)
    found = list(graph.numbers)
    crowd = {
        row["node"]
        for row in analysed.rows(
            """SELECT node FROM analysed.crowd
            WHERE eligible <= $eligible AND node IN (SELECT unnest($found::VARCHAR[]))""",
            found=found,
            eligible=eligible,
        )
    }
    ends = [
        end for end in found
        if (end[0] in "prs" and end != node and end not in crowd) or end[:2] in ("a:", "x:")
    ]  # fmt: skip
    ways = visible_ways(graph, node, ends)
    counts = analysed.rows(
        f"SELECT {', '.join(COUNTS)} FROM analysed.reach WHERE node = $node AND eligible = $eligible",
        node=node,
        eligible=eligible,
    )
    return told_reach(node, counts[0] if counts else dict(_NOTHING), ways, _names_in(analysed, node, ways))


_NOTHING: Mapping[str, Any] = dict.fromkeys(COUNTS, 0) | {"layers": [], "planes": [], "takes_tenant": False}


def told_reach(
    node: str, counts: dict[str, Any], ways: Mapping[str, list[Step]], names: Mapping[str, str]
) -> ReachResult:
    """Return the reach of a node from its counts and ways, with names in place of ids."""
    said: dict[Step, dict[str, Any]] = {}
    rows = [
        {
            "target": end[2:],
            "kind": KINDS[end[0]],
            "name": named(end, names),
            "certain": all(step.certain for step in steps),
            "steps": [said.get(step) or said.setdefault(step, step_of(step, names)) for step in steps],
        }
        for end, steps in sorted(ways.items(), key=lambda item: (rank_of(item[0]), len(item[1]), item[0]))
    ]
    kind = next(kind for kind, letter in LETTERS.items() if letter == node[0])
    return ReachResult(node[2:], kind, named(node, names), counts, rows)


def _graph_after(analysed: Analysed, node: str, *, eligible: bool) -> ReachGraph:
    """Return the part of the graph that a node reaches, itself included if it has an edge."""
    graph = ReachGraph()
    waiting, seen = [node], {node}
    while waiting:
        # An edge that differs where eligible assignments count comes after the one of today, and replaces it.
        rows = analysed.tuples(
            """SELECT start, "end", why, certain FROM analysed.edges
            WHERE eligible <= $eligible AND start IN (SELECT unnest($waiting::VARCHAR[])) ORDER BY eligible""",
            waiting=waiting,
            eligible=eligible,
        )
        edges = {(start, end): (why, certain) for start, end, why, certain in rows}
        for (start, end), (why, certain) in edges.items():
            graph.link(start, end, why, certain=certain)
        waiting = sorted({end for _, end in edges} - seen)
        seen.update(waiting)
    return graph


def _names_in(analysed: Analysed, node: str, ways: Mapping[str, list[Step]]) -> dict[str, str]:
    """Return the display names of the ids that the steps of some ways name."""
    steps = {step for found in ways.values() for step in found}
    texts = {node[2:], *(word for step in steps for word in _words(step.why))}
    for one in (*ways, *(step.start for step in steps), *(step.end for step in steps)):
        rest = one.partition(":")[2]
        texts |= {rest, rest.partition("|")[2]}
    return names_of(analysed, sorted(texts))


def rank_of(node: str) -> int:
    """Return the rank of a node: the tenant first, then any access, identities, secrets, resources."""
    return -1 if node in ("x:tenant", "a:/") else _FIRST.get(node[0], 1)


def _words(why: str) -> list[str]:
    return why.replace(",", " ").split()


def step_of(step: Step, names: Mapping[str, str]) -> dict[str, Any]:
    """Return a step as a row for people, with names in place of ids."""
    why = step.why
    for word in _words(why):
        if word in names or word.startswith("/subscriptions/"):
            why = why.replace(word, names.get(word) or _last(word))
    return {
        "from": named(step.start, names),
        "to": named(step.end, names),
        "why": why,
        "certain": step.certain,
    }


def named(node: str, names: Mapping[str, str]) -> str:
    """Return the display name of a node."""
    letter, _, rest = node.partition(":")
    if letter == "x":
        part, _, unit = rest.partition("|")
        part = "members of restricted units" if part == "restricted" else part.replace("_", " ")
        return part + (f" of {names.get(unit, unit)}" if unit else "")
    if letter == "a":
        return f"any role at {names.get(rest, rest)}"
    if letter == "o":
        issuer, _, subject = rest.partition(" ")
        return f"{subject} ({issuer.removeprefix('https://').partition('/')[0]})"
    if letter == "d":
        return "any user, in Azure" if rest == "everybody" else f"{names.get(rest, rest)}, in Azure"
    return names.get(rest) or _last(rest)


def _last(scope: str) -> str:
    parts = scope.split("/")
    return f"{parts[-1]} ({parts[-2]})" if len(parts) > 2 else scope


def named_subject(subjects: Iterable[str], subject: str) -> str | None:
    """Return the node of an outside subject or of a resource with an identity that a name means.

    An outside subject is named with its issuer, or alone where only one issuer has it; a resource by its id or unique
    last name.

    Raises:
        UsageError: Several have the name.
    """
    known = sorted(subjects)
    outside = [one[2:] for one in known if one[0] == "o" and subject in (one[2:], one.partition(" ")[2])]
    if len(outside) > 1:
        raise UsageError(f"`{subject}` is trusted of {len(outside)} issuers", hint="give one of " + ", ".join(outside))
    if outside:
        return f"o:{outside[0]}"
    place = re.sub("/{2,}", "/", fold(subject))
    place = place.rstrip("/") or place
    scopes = [one[2:] for one in known if one[0] == "r"]
    found = [scope for scope in scopes if scope == place or (not place.startswith("/") and scope.endswith(f"/{place}"))]
    if len(found) > 1:
        raise UsageError(f"`{subject}` names {len(found)} resources", hint="give one of the ids " + ", ".join(found))
    return f"r:{found[0]}" if found else None
