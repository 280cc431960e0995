"""Explain one principal from the tables of an analysis."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rightsize.analyze.reasons import Verdict, sentence_on
from rightsize.model.access_answers import ASSIGNMENT, IDENTITY, OTHER_ACCESS, SIGN_IN
from rightsize.model.options import USUAL, WindowOptions
from rightsize.store.connection import open_store
from rightsize.store.stored_analysis import Analysed, Days
from rightsize.workflow.analysis.attack_paths import AnalysedNames, find_principal, names_of, reach_of_node
from rightsize.workflow.analysis.find_analysis import find_analysis, require_content

Rows = list[dict[str, Any]]

_USE = ("operation", "plane", "scope", "events", "days", "first_seen", "last_seen")
_CREDITED = ("principal_id", *_USE, "role_assignment_id", "state")
_COUNTED = ("plane", "verdict", "reason", "operations")
_WORST_LAST = (Verdict.OUT_OF_COVERAGE, Verdict.UNOBSERVABLE, Verdict.UNUSED)
_JUDGED = """
    WITH sets AS (
        SELECT DISTINCT plane, verdict, reason, set_id FROM analysed.profiles
        WHERE profile_id IN (SELECT unnest($profiles::BIGINT[]))),
    judged AS (
        SELECT s.plane, o.operation, min((list_position($order, s.verdict), s.reason)) AS best
        FROM sets AS s JOIN analysed.operation_sets AS o ON o.set_id = s.set_id AND o.plane = s.plane
        GROUP BY s.plane, o.operation)"""
"""Each operation of some profiles once, with the verdict that removes least."""


def explain_principal(analysed: Analysed, principal_id: str) -> dict[str, Any]:
    """Return everything known about the principal with this folded id, as rows over all planes.

    Returns:
        window: Its days for Azure RBAC.
        identity: The principal itself, under the column names of `principals`.
        groups: The groups that contain it, each with `via`, the groups between, nearest first.
        assignments: The assignments that reach it: state, role, scope, condition, `via` and the counts of their
            verdicts.
        scores: Counts and scores for each plane.
        verdicts: How many operations have which verdict, and why.
        used: Each use with the assignment it is credited to and the reason of the attribution.
        used_earlier: The same for use before the window only, with how many days ago that was.
        declared: The same for what loaded code declares and nothing shows as used.
        unexplained: Use that no assignment explains, with the reason.
        denied: Refused calls: demand, never use.
        sign_ins: Tokens for each kind and resource.
        other_access: Requests of data planes that no Azure role decided, or that no rule maps to a permission.
        findings: Findings about it and its assignments.
        activations: Its activations and, for a group, those that others made through it, the latest first.
        reach: What an attacker gains from it, as counts, and the shortest `ways` to it.
        tokens: The calls made with the tokens of its sign-ins, by plane, log, kind of sign-in and resource.
        planes: The days of each plane beyond Azure RBAC.
    """
    (window, *_), chains = analysed.windows.values(), _chains(analysed, principal_id)
    held = _held(analysed, [principal_id, *chains])
    counts = analysed.rows(
        f"""SELECT * FROM analysed.counts WHERE holder IN (SELECT unnest($holders))
        ORDER BY part, role_assignment_id, state, {", ".join(_COUNTED[:3])}""",
        holders=[principal_id, *chains],
    )
    uses = _uses(analysed, principal_id, [principal_id, *chains])
    reach = reach_of_node(analysed, f"p:{principal_id}")
    answer = {
        "window": _shown(window),
        "identity": _identity(analysed, principal_id),
        "groups": _groups(analysed, chains),
        "assignments": _assignments(held, counts, chains, principal_id),
        "scores": _own(analysed, "scores", principal_id),
        "verdicts": _verdicts(analysed, held, counts, uses),
        "used": _chosen(uses["used"], (*_CREDITED, "reason")),
        "used_earlier": _chosen(uses["earlier"], (*_CREDITED, "days_ago")),
        "declared": _chosen(uses["declared"], _CREDITED),
        "unexplained": _chosen(uses["unexplained"], (*_USE, "reason")),
        "denied": _own(analysed, "denied", principal_id),
        "sign_ins": _chosen(_own(analysed, "sign_ins", principal_id), SIGN_IN),
        "other_access": _chosen(_own(analysed, "other_access", principal_id), OTHER_ACCESS),
        "findings": _findings(analysed, principal_id, held),
        "activations": _activations(analysed, principal_id, held),
        "reach": reach.counts | {"ways": reach.ways},
        "tokens": _tokens(analysed, principal_id),
    }
    beyond = list(analysed.windows.items())[1:]
    return answer | {"planes": {plane: _shown(days) for plane, days in beyond}}


def judged_operations(analysed: Analysed, principal_id: str) -> Rows:
    """Return `(plane, operation, verdict, reason)` for each operation of Azure roles that a principal holds.

    An operation that was used has the verdict of what was not used of it elsewhere; of several assignments the verdict
    counts that removes least.
    """
    held = _held(analysed, [principal_id, *_chains(analysed, principal_id)])
    return analysed.rows(
        f"{_JUDGED} SELECT plane, operation, $order[best[1]] AS verdict, best[2] AS reason FROM judged ORDER BY ALL",
        **_profiles_of(held),
    )


def _held(analysed: Analysed, holders: list[str]) -> Rows:
    return analysed.rows(
        "SELECT * FROM analysed.assignments WHERE holder IN (SELECT unnest($holders)) ORDER BY part, n",
        holders=holders,
    )


def _profiles_of(held: Rows) -> dict[str, list[Any]]:
    """Return the parameters of `_JUDGED`."""
    return {
        "profiles": sorted({row["profile_id"] for row in held if row["profile_id"] is not None}),
        "order": [one.value for one in _WORST_LAST],
    }


def _shown(days: Days) -> dict[str, dt.date]:
    return {"first_day": days.first_day, "last_day": days.last_day}


def _chosen(rows: Rows, columns: Sequence[str]) -> Rows:
    return [{name: row[name] for name in columns} for row in rows]


def _without(rows: Rows, *columns: str) -> Rows:
    return [{name: value for name, value in row.items() if name not in columns} for row in rows]


def _own(analysed: Analysed, table: str, principal_id: str) -> Rows:
    """Return the rows of a principal, without the columns that find and order them."""
    order = "n" if table in ("sign_ins", "other_access") else "part, n"
    rows = analysed.rows(f"SELECT * FROM analysed.{table} WHERE principal_id = $id ORDER BY {order}", id=principal_id)
    return _without(rows, "principal_id", "part", "n")


def _chains(analysed: Analysed, principal_id: str) -> dict[str, tuple[str, ...]]:
    """Return each group that contains the principal, with the groups on the shortest way to it, itself the last."""
    above: dict[str, list[str]] = {}
    waiting, known = [principal_id], {principal_id}
    while waiting:
        rows = analysed.rows(
            """SELECT member, group_id FROM analysed.group_edges
            WHERE member IN (SELECT unnest($waiting)) ORDER BY member, group_id""",
            waiting=waiting,
        )
        for row in rows:
            above.setdefault(row["member"], []).append(row["group_id"])
        waiting = sorted({row["group_id"] for row in rows} - known)
        known.update(waiting)
    found: dict[str, tuple[str, ...]] = {}
    queue: deque[tuple[str, tuple[str, ...]]] = deque([(principal_id, ())])
    while queue:
        node, way = queue.popleft()
        for group in above.get(node, []):
            if group not in found and group != principal_id:
                found[group] = (*way, group)
                queue.append((group, found[group]))
    holders = analysed.rows("SELECT holder FROM analysed.memberships WHERE principal_id = $id", id=principal_id)
    containing = {row["holder"] for row in holders} - {principal_id}
    # For groups that only a transitive listing names, the groups between are not known.
    return {group: found.get(group, (group,)) for group in sorted(containing)}


def _identity(analysed: Analysed, principal_id: str) -> dict[str, Any]:
    rows = analysed.rows("SELECT * FROM analysed.identities WHERE id = $id", id=principal_id)
    return _chosen(rows, IDENTITY)[0] if rows else dict.fromkeys(IDENTITY) | {"principal_id": principal_id}


def _groups(analysed: Analysed, chains: Mapping[str, tuple[str, ...]]) -> Rows:
    names = names_of(analysed, list(chains))
    return [
        {"group_id": group, "name": names.get(group, group), "via": list(way[:-1])} for group, way in chains.items()
    ]


def _assignments(held: Rows, counts: Rows, chains: Mapping[str, tuple[str, ...]], principal_id: str) -> Rows:
    by_assignment: dict[tuple[object, ...], Rows] = {}
    for row in counts:
        key = row["part"], row["role_assignment_id"], row["state"]
        by_assignment.setdefault(key, []).append({name: row[name] for name in _COUNTED})
    ways = {principal_id: (), **chains}
    found = []
    for row in held:
        verdicts = by_assignment.get((row["part"], row["role_assignment_id"], row["state"]), [])
        shown = {name: row[name] for name in ASSIGNMENT}
        if row["part"]:
            # Only roles of Azure have conditions; beyond them the column comes after what is known of the grant.
            shown |= {"condition": shown.pop("condition")}
        found.append(shown | {"via": list(ways[row["holder"]]), "verdicts": verdicts})
    return found


def _uses(analysed: Analysed, principal_id: str, holders: list[str]) -> dict[str, Rows]:
    """Return the rows of use by their kind.

    The use of a group is that of its members; any other principal has its own. Beyond Azure RBAC, the use credited to
    an assignment of a group is shown for each of its members.
    """
    rows = analysed.rows(
        """SELECT * FROM analysed.uses WHERE principal_id = $id AND (part = 0 OR kind = 'unexplained')
        UNION ALL SELECT * FROM analysed.uses
        WHERE part = 0 AND holder = $id AND principal_id IS DISTINCT FROM $id AND kind <> 'unexplained'
        UNION ALL SELECT * FROM analysed.uses
        WHERE part > 0 AND kind <> 'unexplained' AND holder IN (SELECT unnest($holders))
        ORDER BY part, n""",
        id=principal_id,
        holders=holders,
    )
    found: dict[str, Rows] = {"used": [], "earlier": [], "declared": [], "unexplained": []}
    for row in rows:
        found[row["kind"]].append(row)
    return found


def _verdicts(analysed: Analysed, held: Rows, counts: Rows, uses: Mapping[str, Rows]) -> Rows:
    """Return how many distinct operations have which verdict; of several assignments the best verdict counts."""
    found = _counts_of_rbac(analysed, held, uses)
    fewest: dict[tuple[object, ...], int] = {}
    totals: dict[tuple[int, str, str, str], int] = {}
    for row in counts:
        key = row["part"], row["plane"], row["reason"]
        if row["covered_days"] is not None:
            fewest[key] = min(fewest.get(key, row["covered_days"]), row["covered_days"])
        if row["part"]:
            total = row["part"], row["plane"], row["verdict"], row["reason"]
            totals[total] = totals.get(total, 0) + row["operations"]
    days = [one.days for one in analysed.windows.values()]
    every = {(0, *key): number for key, number in found.items()} | totals
    return [
        {"plane": plane, "verdict": verdict, "reason": reason, "operations": number}
        | {"meaning": sentence_on(reason, fewest.get((part, plane, reason)), days[part])}
        for (part, plane, verdict, reason), number in sorted(every.items())
    ]


def _counts_of_rbac(analysed: Analysed, held: Rows, uses: Mapping[str, Rows]) -> dict[tuple[str, str, str], int]:
    """Return the number of operations by plane, verdict and reason; what was used has that verdict alone."""
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    used = sorted((row for row in uses["used"] if not row["part"]), key=lambda row: row["reason"])
    for row in used:
        seen.setdefault((row["operation"], row["plane"]), (Verdict.USED.value, row["reason"]))
    for row in (*uses["earlier"], *uses["declared"]):
        if not row["part"]:
            seen.setdefault((row["operation"], row["plane"]), (Verdict.OUT_OF_COVERAGE.value, row["reason"]))
    found: dict[tuple[str, str, str], int] = {}
    for (_, plane), said in seen.items():
        found[plane, *said] = found.get((plane, *said), 0) + 1
    left = analysed.rows(
        f"""{_JUDGED}
        SELECT plane, best[1] AS verdict, best[2] AS reason, count(*) AS operations FROM judged
        WHERE (plane, operation) NOT IN (
            SELECT (unnest($planes::VARCHAR[]), unnest($operations::VARCHAR[])))
        GROUP BY ALL""",
        **_profiles_of(held),
        planes=[plane for _, plane in seen],
        operations=[operation for operation, _ in seen],
    )
    for row in left:
        key = row["plane"], _WORST_LAST[row["verdict"] - 1].value, row["reason"]
        found[key] = found.get(key, 0) + row["operations"]
    return found


def _findings(analysed: Analysed, principal_id: str, held: Rows) -> Rows:
    rows = analysed.rows(
        """SELECT * FROM analysed.findings WHERE principal_id = $id
            OR (part = 0 AND subject IN (SELECT unnest($ids::VARCHAR[]))) ORDER BY part, n""",
        id=principal_id,
        ids=[row["role_assignment_id"] for row in held if not row["part"]],
    )
    return _without(rows, "part", "n")


def _activations(analysed: Analysed, principal_id: str, held: Rows) -> Rows:
    rows = analysed.rows(
        """SELECT * FROM analysed.activations WHERE principal_id = $id
            OR (part = 0 AND eligibility_id IN (SELECT unnest($ids::VARCHAR[]))) ORDER BY part, n""",
        id=principal_id,
        ids=[row["role_assignment_id"] for row in held if not row["part"] and row["holder"] == principal_id],
    )
    return _without(rows, "part", "n")


def _tokens(analysed: Analysed, principal_id: str) -> Rows:
    rows = analysed.rows(
        """SELECT * FROM analysed.tokens WHERE principal_id = $id
        ORDER BY plane NULLS LAST, source NULLS LAST, sign_in_kind NULLS LAST, resource_id NULLS LAST""",
        id=principal_id,
    )
    return _without(rows, "principal_id")


_AGENTIC = """
    SELECT 1 FROM principals WHERE principal_id = $id AND (object_type ILIKE 'agent%' OR blueprint_app_id IS NOT NULL
        OR app_id IN (SELECT blueprint_app_id FROM principals UNION ALL SELECT blueprint_app_id FROM agent_sightings))
    UNION ALL SELECT 1 FROM agent_sightings WHERE app_id = $id"""
"""Whether a principal may be an agent, an agent's user account, or the principal of a blueprint.

It asks in SQL and too generously, so that an answer about anybody else needs no frames; `agent_answer` decides.
"""


def explain(
    db: Path,
    principal: str,
    asked: WindowOptions = USUAL,
    *,
    note: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Return everything known about the principal that an id, UPN, application id or name means.

    The fields are those of `explain_principal`, and `agent` for an AI agent or the principal of a blueprint: what
    `rightsize agents` shows of it. They are read from the stored analysis where it is of the present
    content and these options, else from an analysis in memory: `note` is then called with a sentence that says so.

    Raises:
        InputError: No principal has the name.
        UsageError: Several have it.
        EvidenceError: Nothing is loaded that could be analysed.
    """
    with open_store(db, read_only=True) as store:
        require_content(store)
        analysed = find_analysis(store, asked, note)
        found = find_principal(store, AnalysedNames(analysed), principal)
        answer = explain_principal(analysed, found)
        if not store.rows(_AGENTIC, {"id": found}):
            return answer
        # Its frames take longer to import than the answer about anybody else.
        from rightsize.workflow.answers.agents import agent_answer  # noqa: PLC0415

        agent = agent_answer(store, found, asked.as_of)
        return answer if agent is None else answer | {"agent": agent}
