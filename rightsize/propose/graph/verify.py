"""Verify the Graph part of a written plan: find changed grants and requests of today that it does not cover."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rightsize.analyze.graph.cases import CaseKey, GraphNeed
from rightsize.analyze.graph.judge import GraphAnalysis
from rightsize.analyze.graph.tables import GRAPH_APP_ID
from rightsize.propose.graph.choose import unmet
from rightsize.propose.graph.inheritance import entry_of, needs_of_agents, read_inheritance
from rightsize.propose.graph.plan import read_grants
from rightsize.propose.verify.plan_reader import WrittenPart
from rightsize.propose.verify.verify import Change, changed_since
from rightsize.rbac.text import fold


def verify_graph(part: WrittenPart, today: GraphAnalysis) -> list[Change]:
    """Return the changes that make a part stale: changed grants, and requests that the planned grants do not allow."""
    read = part.rests_on
    changed = "its holder or its permissions changed since the plan"
    inherits = "what agents inherit from their blueprint changed since the plan"
    return [
        *changed_since("grant", read.get("grants", {}), read_grants(today.held), changed),
        *changed_since("inheritance", read.get("inheritance", {}), read_inheritance(today), inherits, inherits),
        *_uncovered(part, today),
        *_no_longer_inherited(part, today),
    ]


def _no_longer_inherited(part: WrittenPart, today: GraphAnalysis) -> Iterator[Change]:
    """Yield the requests of agents that rest on a permission which they would not inherit after the plan."""
    names = {id_: name for (_, name), id_ in today.graph.ids.items()}
    apps = dict(today.agents.select("holder_id", "blueprint_app_id").drop_nulls("holder_id").iter_rows())
    listed = {
        entry: {names.get(one.role, one.role) for one in proposal.assignments}
        for proposal in part.proposals
        if proposal.kind.changes
        for entry in proposal.replaces
    }
    for key, case in today.cases.items():
        entry = fold(entry_of(apps[key[0]], GRAPH_APP_ID, key[1]) if key[0] in apps else "")
        if entry in listed:
            lost = "an agent rests on a permission that it would no longer inherit"
            yield from _unmet(key[0], needs_of_agents(case), listed[entry], lost)


def _uncovered(part: WrittenPart, today: GraphAnalysis) -> Iterator[Change]:
    after = _after(part, today)
    for key, case in today.cases.items():
        if key not in after:
            continue
        present = after[key] | (after.get((*key[:2], ""), frozenset()) if key[2] else frozenset())
        yield from _unmet(key[0], case.needs, present, "today's permissions allow it, and the planned ones do not")


def _unmet(
    client: str, needs: Iterable[GraphNeed], present: frozenset[str] | set[str], detail: str
) -> Iterator[Change]:
    """Yield the requests of a client that none of the permissions allows."""
    for need in unmet(needs, present):
        yield Change("use", client, "not_covered", detail, need.operations[0], "graph", "/")


def _after(part: WrittenPart, today: GraphAnalysis) -> dict[CaseKey, frozenset[str]]:
    """Return the permissions of each case after the plan; a grant that the part does not know keeps all of its own."""
    names = {id_: name for (_, name), id_ in today.graph.ids.items()}
    spoken = {grant: proposal for proposal in part.proposals for grant in proposal.replaces}
    found: dict[CaseKey, set[str]] = {}
    rows = today.held.select("grant_id", "client_id", "access", "user_id", "permission", "permission_id")
    for grant, client, access, user, permission, id_ in rows.iter_rows():
        after = found.setdefault((client, access, user or ""), set())
        proposal = spoken.get(fold(grant))
        assigned = {one.role for one in proposal.assignments} if proposal else set()
        if proposal is None or proposal.kind.keeps or fold(id_ or permission) in assigned:
            after.add(permission)
        after |= {names[role] for role in assigned if role in names}
    return {key: frozenset(permissions) for key, permissions in found.items()}
