"""Narrow what the blueprints of agents let their agents inherit, and ask owners whether a blueprint is two.

A blueprint says for each API whether its agents inherit the delegated and the application permissions of its principal.
Where agents have their own permissions and use no inherited one, they need not inherit. Where they use some delegated
ones, a list of these would do; Microsoft's pages disagree whether lists work, so such a proposal is `unconfirmed`.
Sources: Microsoft Learn, "Configure inheritable permissions for agent identity blueprints"; Graph v1.0 reference,
"Update inheritablePermission": a narrower pattern asks for a new consent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.agents import OWN, inheritance
from rightsize.analyze.graph_tables import GRAPH_APP_ID
from rightsize.analyze.inputs import folded
from rightsize.analyze.reasons import SHOWN, Verdict
from rightsize.model.plan import NARROW_SCOPE, REMOVE, Advice, PlannedAssignment, Proof, Proposal
from rightsize.model.text import fold
from rightsize.planes.graph.cases import OUT_OF_COVERAGE, CaseKey, GraphCase, GraphNeed
from rightsize.planes.graph.choose import GraphChoice
from rightsize.planes.graph.judge import GraphAnalysis
from rightsize.propose.core.fingerprint import grant_proposal_id, hash_of

ALL, LISTED, NOTHING = "allAllowed", "enumerated", "none"
"""What agents inherit, as Graph writes it."""

UNLISTED_AGENT = "unlisted_agent"
"""Why what only unlisted agents inherit is left alone."""

_KINDS = {"application": "application permissions", "delegated": "delegated permissions"}
_PREFIX = "inheritance"


@dataclass(frozen=True, slots=True)
class _Question:
    """What one blueprint lets its agents inherit of Microsoft Graph for one kind of access.

    Attributes:
        app_id: The application id of the blueprint; `object_id` is that of its application, None if no listing has it.
        access: application or delegated.
        apis: The number of APIs that its inheritable permissions name.
        mode: `allAllowed` or `enumerated`.
        holder: The principal of the blueprint.
        used: The inherited permissions that their requests used, each with the agents that used it.
        needs: For each need of these requests the permissions that meet it after the plan.
        undecided: The inherited permissions whose use by agents no log decides.
        after: The permissions that they inherit after the plan, if nothing is narrowed.
    """

    app_id: str
    object_id: str | None
    access: str
    apis: int
    mode: str
    holder: str
    agents: tuple[str, ...]
    used: Mapping[str, frozenset[str]]
    needs: tuple[frozenset[str], ...]
    undecided: frozenset[str]
    after: frozenset[str]


def read_inheritance(analysis: GraphAnalysis) -> dict[str, str]:
    """Return a hash of what each blueprint lets its agents inherit of an API, by the name of the entry."""
    found = inheritance(analysis.tables).select("blueprint_app_id", "api_app_id", "access", "mode", "listed")
    return {entry_of(*entry): hash_of([mode, listed]) for *entry, mode, listed in found.iter_rows()}


def entry_of(app_id: str, api: str, access: str) -> str:
    """Return the name that proposals have for an entry of the inheritable permissions of a blueprint."""
    return f"{_PREFIX}/{app_id}/{api}/{access}"


def narrow_inheritance(
    analysis: GraphAnalysis, choices: Mapping[CaseKey, GraphChoice], reasons: Mapping[str, str]
) -> Iterator[Proposal]:
    """Yield the proposals to narrow what agents inherit, proved by the requests of the agents.

    Args:
        analysis: The verdicts.
        choices: The choice for each case.
        reasons: Why an application is left alone, by its id: nothing is narrowed where the principal of the blueprint
            or one of its agents is, nor while a request of one of its agents is unexplained.
    """
    if analysis.state not in SHOWN:
        return
    own = analysis.effective.filter((pl.col("origin") == OWN) & (pl.col("api_app_id") == GRAPH_APP_ID))
    having = set(own.select("agent_id", "access").iter_rows())
    # The listings may be older than an unexplained request, and wrong about what the agent inherits.
    unexplained = {key[0] for key, case in analysis.cases.items() if case.unexplained}
    strangers = set(analysis.agents.filter(pl.col("blueprint_app_id").is_null())["agent_id"])
    if strangers & unexplained:
        return
    for asked in _questions(analysis, choices):
        if any(one in reasons for one in (asked.holder, *asked.agents)) or unexplained.intersection(asked.agents):
            continue
        needed = asked.undecided.union(*asked.needs)
        if not needed and any((agent, asked.access) in having for agent in asked.agents):
            yield _proposal(asked, frozenset(), analysis)
        elif asked.access == "delegated" and asked.mode == ALL and needed and asked.after - needed:
            yield _proposal(asked, needed, analysis)


def _questions(analysis: GraphAnalysis, choices: Mapping[CaseKey, GraphChoice]) -> Iterator[_Question]:
    rules = (
        inheritance(analysis.tables)
        .with_columns(apis=pl.col("api_app_id").n_unique().over("blueprint_app_id"))
        .filter((pl.col("api_app_id") == GRAPH_APP_ID) & pl.col("mode").is_in([ALL, LISTED]))
    )
    listed = analysis.tables.agent_blueprints.select(folded(pl.col("blueprint_app_id")), folded(pl.col("object_id")))
    objects: dict[str, str] = dict(listed.drop_nulls().sort("object_id").iter_rows())
    cases_of: dict[tuple[str, str], list[GraphCase]] = defaultdict(list)
    for key, case in analysis.cases.items():
        cases_of[key[:2]].append(case)
    agents = analysis.agents.filter(~pl.col("deleted")).drop_nulls("holder_id")
    made = agents.group_by("blueprint_app_id", "holder_id").agg(pl.col("agent_id").sort())
    for row in rules.join(made, on="blueprint_app_id").sort("blueprint_app_id", "access").iter_rows(named=True):
        access, holder = row["access"], row["holder_id"]
        inherited = frozenset().union(
            *(one.permissions for agent in row["agent_id"] for one in analysis.inherited.get((agent, access), ()))
        )
        used: dict[str, set[str]] = defaultdict(set)
        asked = {
            one for agent in row["agent_id"] for case in cases_of.get((agent, access), ()) for one in case.requests
        }
        needs: set[frozenset[str]] = set()
        undecided: set[str] = set()
        after: set[str] = set()
        for case in cases_of.get((holder, access), ()):
            stays = _after(case, choices[case.key], inherited)
            after |= stays
            for permission in inherited & frozenset(case.held):
                found = analysis.judgements[case.key][permission]
                if found.verdict is Verdict.USED:
                    used[permission].update(case.agents_behind(found.operations))
                if _is_undecided(permission, case, found.verdict, asked):
                    undecided |= {permission} & stays
            needs |= {(need.held | need.others) & stays for need in needs_of_agents(case)}
        yield _Question(
            app_id=row["blueprint_app_id"],
            object_id=objects.get(row["blueprint_app_id"]),
            access=access,
            apis=row["apis"],
            mode=row["mode"],
            holder=holder,
            agents=tuple(row["agent_id"]),
            used={permission: frozenset(agents) for permission, agents in used.items() if agents},
            needs=tuple(sorted(needs, key=sorted)),
            undecided=frozenset(undecided),
            after=frozenset(after),
        )


def _is_undecided(permission: str, case: GraphCase, verdict: Verdict, asked: Collection[str]) -> bool:
    """Return whether agents may have used a permission of their blueprint's principal, and no log decides it.

    A permission that its principal used may still have allowed a request of an agent that nothing explains.
    """
    if verdict is Verdict.USED:
        reason, behind = case.kept.get(permission, ("", ()))
        return reason in OUT_OF_COVERAGE and not set(behind).isdisjoint(asked)
    return verdict is not Verdict.UNUSED


def heirs_of(analysis: GraphAnalysis) -> dict[CaseKey, list[str]]:
    """Return the agents that inherit, or may inherit, permissions of each case, sorted."""
    found: dict[CaseKey, set[str]] = defaultdict(set)
    for (agent, _), several in analysis.inherited.items():
        for one in several:
            if one.permissions:
                found[one.key].add(agent)
    return {key: sorted(agents) for key, agents in sorted(found.items())}


def needs_of_agents(case: GraphCase) -> tuple[GraphNeed, ...]:
    """Return the needs of requests of agents that rest on permissions of a case of their blueprint's principal."""
    return tuple(need for need in case.needs if not case.agents.keys().isdisjoint(need.operations))


def _after(case: GraphCase, choice: GraphChoice, inherited: frozenset[str]) -> frozenset[str]:
    """Return the permissions that agents inherit after the plan, including those that the principal gets instead."""
    return (frozenset(choice.stays) & inherited & frozenset(case.held)) | choice.comes


def _proposal(asked: _Question, listed: frozenset[str], analysis: GraphAnalysis) -> Proposal:
    """Return the proposal that agents inherit only the listed permissions, or none."""
    goes = asked.after - listed
    ids = {name: analysis.graph.ids.get((asked.access, name), name) for name in listed}
    apis = analysis.clients.filter(pl.col("app_id") == GRAPH_APP_ID)["name"]
    api = apis[0] if len(apis) else "Microsoft Graph"
    entry = entry_of(asked.app_id, GRAPH_APP_ID, asked.access)
    removed = float(sum(analysis.graph.privilege(one, asked.access) for one in goes))
    left = float(sum(analysis.graph.privilege(one, asked.access) for one in listed))
    kind = NARROW_SCOPE if listed else REMOVE
    reason = (
        "its agents use only some of what they inherit; it is not confirmed that Microsoft accepts a list"
        if listed
        else f"its agents have {_KINDS[asked.access]} of their own, and no request of theirs rests on an inherited one"
    )
    evidence: dict[str, Any] = {
        "role": f"inheritance of {_KINDS[asked.access]} by agents",
        "scope": "/",
        "state": "active",
        "access": asked.access,
        "user_id": None,
        "api_app_id": GRAPH_APP_ID,
        "api": api,
        "permissions": [],
        "comes": [],
        "unexplained": [],
        "coverage": analysis.state,
        "inheritance": {
            "blueprint_app_id": asked.app_id,
            "blueprint_object_id": asked.object_id,
            "apis": asked.apis,
            "before": asked.mode,
            "after": LISTED if listed else NOTHING,
            "listed": sorted(listed),
            "no_longer_inherited": sorted(goes),
            "used_by": {permission: sorted(agents) for permission, agents in sorted(asked.used.items())},
            "agents": len(asked.agents),
            "confirmed": not listed,
        },
    }
    return Proposal(
        id=grant_proposal_id("graph", entry),
        plane="graph",
        principal_ids=(asked.holder,),
        kind=kind,
        replaces=(entry,),
        assignments=tuple(PlannedAssignment("/", fold(ids[one]), fold(asked.holder)) for one in sorted(listed)),
        reason=reason,
        evidence=evidence,
        proof=Proof(used_subset=all(need & listed for need in asked.needs), granted_superset=True),
        break_probability_30d=0.0,
        excess_before=removed,
        excess_after=0.0,
        risk_before=removed + left,
        risk_after=left,
    )


def split_blueprints(analysis: GraphAnalysis, names: Mapping[str, str]) -> Iterator[Advice]:
    """Yield a question to the owner of each blueprint whose agents use disjoint inherited permissions."""
    used: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for (holder, access, _), case in analysis.cases.items():
        for permission, found in analysis.judgements[case.key].items():
            if found.verdict is Verdict.USED:
                for agent in case.agents_behind(found.operations):
                    used[holder][agent].add(f"{permission} ({access})")
    for holder, by_agent in sorted(used.items()):
        groups = _groups(by_agent)
        if len(groups) > 1:
            said = "; ".join(
                f"{', '.join(names.get(one, one) for one in members)} use {', '.join(permissions)}"
                for members, permissions in groups
            )
            yield Advice(
                names.get(holder, holder),
                f"its agents use disjoint permissions: {said}. Would a blueprint for each group do? "
                "Then no agent inherits what only others use",
            )


def _groups(used: Mapping[str, Collection[str]]) -> list[tuple[list[str], list[str]]]:
    """Return agents and permissions in groups that share no permission, sorted."""
    groups: list[tuple[set[str], set[str]]] = []
    for agent in sorted(used):
        members, permissions = {agent}, set(used[agent])
        for other in [one for one in groups if one[1] & permissions]:
            groups.remove(other)
            members |= other[0]
            permissions |= other[1]
        groups.append((members, permissions))
    return sorted((sorted(members), sorted(permissions)) for members, permissions in groups)


def left_for_agents(analysis: GraphAnalysis, reasons: Mapping[str, str]) -> dict[CaseKey, dict[str, str]]:
    """Return the permissions of blueprints' principals that are left alone because of agents, with the reason.

    What an excluded agent inherits is left alone. What only young agents inherit is, too: they had no time to use it.
    The age of an agent that no listing has is not known.

    Args:
        analysis: The verdicts.
        reasons: Why an application is left alone, by its id.
    """
    heirs: dict[tuple[CaseKey, str], set[str]] = defaultdict(set)
    for (agent, _), several in analysis.inherited.items():
        for one in several:
            for permission in one.permissions:
                heirs[one.key, permission].add(reasons.get(agent, ""))
    found: dict[CaseKey, dict[str, str]] = defaultdict(dict)
    for (key, permission), words in sorted(heirs.items()):
        if "excluded" in words or words <= {"young", UNLISTED_AGENT}:
            found[key][permission] = min(words & {"excluded", "young", UNLISTED_AGENT})
    return found
