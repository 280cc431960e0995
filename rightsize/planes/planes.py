"""Judge, plan and verify the planes beyond Azure RBAC from the tables of the store.

The planes are Microsoft Graph, directory roles, federated credentials and access policies of key vaults. `PlaneSteps`
is what each of them offers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import polars as pl

from rightsize.analyze.graph_tables import GRAPH_APP_ID
from rightsize.analyze.planes import PlaneAnalysis
from rightsize.model.nouns import Plane
from rightsize.model.options import WindowOptions
from rightsize.model.plan import PlanePart
from rightsize.model.text import fold
from rightsize.planes import judging
from rightsize.planes.directory.choose import read_catalogue
from rightsize.planes.directory.judge import DirectoryAnalysis
from rightsize.planes.directory.plan import plan_directory, read_role_grants, read_roles
from rightsize.planes.directory.tables import read_holders
from rightsize.planes.federated.judge import TrustAnalysis, is_in_use
from rightsize.planes.federated.plan import plan_trust, read_credentials
from rightsize.planes.federated.tables import CredentialVerdict, TrustTables, id_of_narrowed
from rightsize.planes.graph.cases import CaseKey, GraphNeed
from rightsize.planes.graph.choose import unmet
from rightsize.planes.graph.inheritance import entry_of, needs_of_agents, read_inheritance
from rightsize.planes.graph.judge import GraphAnalysis
from rightsize.planes.graph.plan import plan_graph, read_permission_grants
from rightsize.planes.judging import A, PlaneJudge, T, TableOf
from rightsize.planes.vaults.choose import built_in_roles
from rightsize.planes.vaults.judge import VaultAnalysis
from rightsize.planes.vaults.plan import plan_vaults, read_models, read_policies
from rightsize.planes.vaults.tables import VaultTables
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.verify.plan_reader import WrittenPart, WrittenProposal
from rightsize.propose.verify.verify import Change, changed_since
from rightsize.render.plane_requests import graph_files, trust_files
from rightsize.render.vault_requests import vault_files
from rightsize.rules.directory import custom_actions
from rightsize.rules.trust import parse_expression


@dataclass(frozen=True, slots=True)
class Judged:
    """A judged plane: its analysis, and a way to make the plane's part of the plan from it, with its files."""

    analysis: PlaneAnalysis
    plan: Callable[[PlanOptions], PlanePart]


@dataclass(frozen=True, slots=True)
class PlaneSteps:
    """The functions that judge and verify a plane.

    Attributes:
        judge: Judges every grant of the plane over a window, as `PlaneJudge.judge`.
        verify: Returns what makes a written part stale, or what the part does not cover, by the tables of today, over
            its window and every day since.
    """

    plane: Plane
    judge: Callable[[TableOf, WindowOptions], Judged | None]
    verify: Callable[[TableOf, WrittenPart], Sequence[Change]]


def _steps(
    of: PlaneJudge[T, A],
    days_of_use: Callable[[T], pl.Series],
    plan: Callable[[A, PlanOptions], PlanePart],
    verify: Callable[[WrittenPart, A], Sequence[Change]],
) -> PlaneSteps:
    def judge(table_of: TableOf, asked: WindowOptions) -> Judged | None:
        analysis = of.judge(table_of, asked)
        return None if analysis is None else Judged(analysis, partial(plan, analysis))

    def verify_part(table_of: TableOf, part: WrittenPart) -> Sequence[Change]:
        tables = of.read(table_of)
        newest = max([part.window.last_day, *days_of_use(tables).drop_nulls().unique()])
        return verify(part, of.analyse(tables, replace(part.window.remembered, last_day=newest)))

    return PlaneSteps(of.plane, judge, verify_part)


def verify_graph(part: WrittenPart, today: GraphAnalysis) -> list[Change]:
    """Return the changes that make a part stale: changed grants, and requests that the planned grants do not allow."""
    read = part.rests_on
    changed = "its holder or its permissions changed since the plan"
    inherits = "what agents inherit from their blueprint changed since the plan"
    return [
        *changed_since("grant", read.get("grants", {}), read_permission_grants(today.held), changed),
        *changed_since("inheritance", read.get("inheritance", {}), read_inheritance(today), inherits, inherits),
        *_uncovered_requests(part, today),
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


def _uncovered_requests(part: WrittenPart, today: GraphAnalysis) -> Iterator[Change]:
    after = _permissions_after(part, today)
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


def _permissions_after(part: WrittenPart, today: GraphAnalysis) -> dict[CaseKey, frozenset[str]]:
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


def verify_directory(part: WrittenPart, today: DirectoryAnalysis) -> list[Change]:
    """Return the changes that make a part stale: changed assignments or roles, and use that the plan does not allow."""
    read = part.rests_on
    return [
        *changed_since(
            "grant",
            read.get("grants", {}),
            read_role_grants(today.tables),
            "its holder, role, scope or end changed since the plan",
        ),
        *changed_since(
            "role_definition",
            read.get("role_definitions", {}),
            read_roles(today.tables),
            "its actions changed since the plan",
        ),
        *_uncovered_actions(part, today),
    ]


def _uncovered_actions(part: WrittenPart, today: DirectoryAnalysis) -> Iterator[Change]:
    catalogue = read_catalogue(today.tables)
    members = read_holders(today.tables).members
    spoken: dict[str, list[WrittenProposal]] = {}
    for proposal in part.proposals:
        for grant in proposal.replaces:
            spoken.setdefault(fold(grant), []).append(proposal)
    columns = ("role_assignment_id", "principal_id")
    held = {a: (fold(id_), holder) for a, id_, holder in today.tables.assignments.select("a", *columns).iter_rows()}
    rows = today.used.select("a", "principal_id", "operation", "name", "way", "place")
    for a, principal, operation, name, way, place in rows.sort(rows.columns).iter_rows():
        grant, holder = held[a]
        proposals = spoken.get(grant, [])
        # What stays or can be activated is allowed.
        if not proposals or any(one.kind.keeps or one.kind.makes_eligible for one in proposals):
            continue
        allowed = _allowed(proposals, place, catalogue.allows) | (catalogue.default if holder in members else set())
        if not {name, way} & allowed:
            detail = "today's role allows it, and the planned roles do not"
            yield Change("use", principal or "", "not_covered", detail, operation, "directory", place)


def _allowed(proposals: list[WrittenProposal], place: str, allows: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return the actions that the planned roles allow at a place."""
    given = [one for proposal in proposals for one in proposal.assignments]
    roles = [one.role for one in given if one.scope == "/" or fold(one.scope) == place]
    # The actions of a new custom role are in its file, and are among those that custom roles may hold.
    new = custom_actions() if any(role not in allows for role in roles) else frozenset()
    return frozenset().union(new, *(allows.get(role, frozenset()) for role in roles))


def verify_trust(part: WrittenPart, today: TrustAnalysis) -> list[Change]:
    """Return the changes that make a part stale: changed credentials, and sign-ins that the plan would refuse."""
    changed = "its issuer, subject or audiences changed since the plan"
    read = part.rests_on.get("credentials", {})
    return [*changed_since("grant", read, read_credentials(today), changed), *_uncovered_sign_ins(part, today)]


def _uncovered_sign_ins(part: WrittenPart, today: TrustAnalysis) -> Iterator[Change]:
    spoken = {fold(grant): proposal for proposal in part.proposals for grant in proposal.replaces}
    for one in today.judged:
        proposal = spoken.get(fold(one.credential.grant))
        if proposal is None or proposal.kind.keeps or not is_in_use(one):
            continue
        for what, detail in _refused(one, proposal):
            yield Change("use", one.credential.principal_id, "not_covered", detail, what, "trust", "/")


def _refused(one: CredentialVerdict, proposal: WrittenProposal) -> Iterator[tuple[str, str]]:
    subject = one.credential.subject or one.trusts.means
    if proposal.kind.removes:
        yield subject, "sign-ins use the credential that the plan removes"
        return
    others = tuple(other for other in parse_expression(subject) or () if other.claim != "sub")
    planned = {assignment.role for assignment in proposal.assignments}
    for seen in one.observed:
        if id_of_narrowed(one.credential, seen.subject, others) not in planned:
            yield seen.subject, "the subject signed in, and none of the planned credentials trusts it"
    told = {day for seen in one.observed for day in seen.days}
    for use in (one.use, one.earlier):
        if use is not None and set(use.days) - told:
            yield subject, f"it signed in on {min(set(use.days) - told)}, and no observed subject says who"
            return


def verify_vaults(part: WrittenPart, today: VaultAnalysis) -> list[Change]:
    """Return the changes that make a part stale: changed policies or vaults, and use that the roles do not allow."""
    read = part.rests_on
    policy, model = "its access policy changed since the plan", "its model or its switches changed since the plan"
    return [
        *changed_since("grant", read.get("policies", {}), read_policies(today.tables), policy),
        *changed_since("vault", read.get("vaults", {}), read_models(today.tables), model),
        *_changed_roles(read.get("roles", {}), today),
        *_uncovered_use(part, today),
    ]


def _changed_roles(read: Mapping[str, str], today: VaultAnalysis) -> Iterator[Change]:
    """Yield the built-in roles that have other data actions today; new roles are in no listing yet."""
    now: dict[str, str] = {role.id: " ".join(sorted(role.operations)) for role in built_in_roles(today.tables.roles)}
    for id_ in sorted(read.keys() & now.keys()):
        if read[id_] != now[id_]:
            yield Change("role_definition", id_, "changed", "its data actions of vaults changed since the plan")


def _uncovered_use(part: WrittenPart, today: VaultAnalysis) -> Iterator[Change]:
    """Yield the use of policies that the planned roles do not allow; the part says the operations of each role."""
    spoken = {fold(grant): proposal for proposal in part.proposals for grant in proposal.replaces}
    has = {fold(role): set(text.split()) for role, text in part.rests_on.get("roles", {}).items()}
    detail = "the access policy allows it, and the planned roles do not"
    for one in today.cases:
        proposal = spoken.get(fold(one.policy.grant))
        if proposal is None or proposal.kind.keeps:
            continue
        given = [(fold(to.scope), has.get(to.role, set())) for to in proposal.assignments]
        for operation, use in one.used.items():
            for scope in use.days_at:
                if not any(operation in role and f"{scope}/".startswith(f"{place}/") for place, role in given):
                    yield Change("use", one.policy.principal_id, "not_covered", detail, operation, "vault", scope)


def _plan_graph(analysis: GraphAnalysis, options: PlanOptions) -> PlanePart:
    part = plan_graph(analysis, options)
    listed = analysis.clients.filter(pl.col("app_id").is_not_null())
    app_ids = dict(listed.select("client_id", "app_id").iter_rows())
    apis = {app_id: client for client, app_id in sorted(app_ids.items(), reverse=True)}
    return replace(part, files=graph_files(part, app_ids, apis))


def _plan_trust(analysis: TrustAnalysis, options: PlanOptions) -> PlanePart:
    part = plan_trust(analysis, options)
    return replace(part, files=trust_files(part))


def _plan_vaults(analysis: VaultAnalysis, options: PlanOptions) -> PlanePart:
    part = plan_vaults(analysis, options)
    return replace(part, files=vault_files(part))


def _days_of_sign_ins(tables: TrustTables) -> pl.Series:
    return pl.Series(dtype=pl.Date) if tables.is_empty else tables.sign_ins["day"]


def _days_of_vaults(tables: VaultTables) -> pl.Series:
    return pl.Series(dtype=pl.Date) if tables.is_empty else tables.use["day"]


GRAPH = _steps(judging.GRAPH, lambda tables: tables.graph_usage_days["day"], _plan_graph, verify_graph)
DIRECTORY = _steps(judging.DIRECTORY, lambda tables: tables.days["day"], plan_directory, verify_directory)
TRUST = _steps(judging.TRUST, _days_of_sign_ins, _plan_trust, verify_trust)
VAULTS = _steps(judging.VAULTS, _days_of_vaults, _plan_vaults, verify_vaults)
