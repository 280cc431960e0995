"""Count what an attacker reaches from contained principals: today, after the plan, and after plan and requests.

A blocked sign-in ends everything that needs a new token of the principal. Tokens that were given live on for a while,
so the reach after all requests is counted twice: while such tokens last, and when none is left. Then only that leads on
which needs no sign-in of the principal: applications that it owns, whose credentials it may have added, principals to
which its suspect calls gave a role, and resources, identities and secrets at which its calls did something that gives
more access by a rule of escalation. A managed identity cannot be blocked.
Sources: Microsoft Learn, "Revoke user access in Microsoft Entra ID"; "Configurable token lifetimes"; "Continuous access
evaluation"; "Managed identity best practice recommendations" (a cached token lives for up to 24 hours).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, folded, place_of
from rightsize.analyze.reach.bits import described
from rightsize.analyze.reach.closure import ReachGraph
from rightsize.analyze.reach.escalation import ASSIGN, Holdings
from rightsize.analyze.reach.facts import Facts
from rightsize.analyze.reach.layers import ASSIGNED_SCHEMA
from rightsize.analyze.reach.measure import View, granted_holdings, own_of, reached_of, view_of
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.model.plan import Plan
from rightsize.planes.planned_state import holdings_after
from rightsize.propose.needs.assignments import Key
from rightsize.rules.attacks import escalation_rules

TODAY, AFTER, TOKENS, REQUESTS = "today", "after", "while_tokens_last", "and_options"
_RESOURCE = r"^(/subscriptions/[^/]+/resourcegroups/[^/]+/providers/[^/]+/[^/]+/[^/]+)"
_AS_JOB = "microsoft.automation/automationaccounts/jobs/write"
_JOBS = dict.fromkeys(
    (
        "microsoft.automation/automationaccounts/webhooks/write",
        "microsoft.automation/automationaccounts/jobschedules/write",
    ),
    _AS_JOB,
)
"""Operations that start jobs of an account later, without a sign-in: a webhook by a call of its address, a schedule.

Source: Microsoft Learn, "Start a runbook from a webhook"; "Manage schedules in Azure Automation".
"""
_GAVE = "got a role from it"
_READ_SECRETS = "microsoft.keyvault/vaults/secrets/"
"""Of the data actions, only these leave something that works without a sign-in: a secret lives until it is replaced."""


@dataclass(frozen=True, slots=True)
class Lead:
    """One thing that still leads on when the sign-in of a principal is blocked.

    Attributes:
        node: The thing, as a node of the graph of `analyze.reach.escalation`.
        why: How it was gained.
    """

    node: str
    why: str


@dataclass(frozen=True, slots=True)
class ReachAfter:
    """The reach of contained principals before and after, and what still leads on.

    Attributes:
        counts: Counts as in the table `reach` for `today`, `after` the plan, `while_tokens_last` after plan and
            requests, and `and_options` when no token is left; a principal that cannot be blocked has no
            `while_tokens_last`. All but today's count what it may have left.
        is_blocked: Whether the requests block the sign-in of all of them.
        attached: Folded resources that get tokens as a managed identity among them.
        leads: What still leads on when no token is left.
        enabled_by: Ids of the principals and groups that can change the account of the first one: enable it again,
            reset its password or add a credential.
        enables_itself: Whether something among `leads` leads to them.
    """

    counts: Mapping[str, Mapping[str, Any]]
    is_blocked: bool
    attached: tuple[str, ...]
    leads: tuple[Lead, ...]
    enabled_by: tuple[str, ...]
    enables_itself: bool


def reach_after(
    principals: Sequence[str],
    inputs: Inputs,
    analysis: Analysis,
    facts: Facts,
    plan: Plan,
    ended: Collection[Key],
    *,
    is_blocked: bool,
) -> ReachAfter:
    """Return the reach of the first principal before and after its containment.

    Eligible assignments count: whoever has the session of a principal may activate.

    Args:
        principals: Folded ids; the first one's reach is counted, the others are its agents and their user accounts.
        inputs: The tables.
        analysis: The verdicts.
        facts: The access beyond Azure roles.
        plan: The plan of the containment.
        ended: Eligible assignments and activations that requests end.
        is_blocked: Whether requests block the sign-in of all the principals.
    """
    tenant, granted = analysis.tenant, granted_holdings(analysis.tenant)
    first, theirs = principals[:1], list(principals)
    calls = _calls(principals, inputs)
    left, given = _left(calls), _given(calls, principals, inputs)
    later = _with(holdings_after(plan, granted, inputs, tenant), left)
    requested = holdings_after(plan, granted, inputs, _without(tenant, ended))
    gave = replace(facts, owned=pl.concat([facts.owned, given]))
    counts = {
        TODAY: _counted(view_of(facts, tenant, inputs, granted, with_eligible=True), first),
        AFTER: _counted(view_of(gave, tenant, inputs, later, with_eligible=True), first),
    }
    bare, alone = _after_requests(gave, theirs), _alone(tenant, theirs)
    view = view_of(bare, alone, inputs, _with(requested, left), with_eligible=True)
    counts[TOKENS if is_blocked else REQUESTS] = _counted(view, first)
    attached = facts.attached.filter(pl.col("principal_id").is_in(theirs))["scope"]
    enablers = _enablers(view.graph, principals)
    # The graph of a large tenant takes a gigabyte: of two, the first goes before the second is built.
    del view
    found = ReachAfter(counts, is_blocked, tuple(attached.unique().sort()), (), enablers, False)
    if not is_blocked:
        return found
    held = Holdings(requested.assigned.filter(~pl.col("holder").is_in(theirs)), requested.grants)
    view = view_of(_without_sign_in(bare, theirs), alone, inputs, _with(held, left), with_eligible=True)
    counts[REQUESTS] = _counted(view, principals)
    leads = _leads(view.graph, principals, {f"p:{one}" for one in given["owned_id"]})
    reached = view.graph.reachable(one.node for one in leads)
    return replace(found, leads=leads, enables_itself=f"p:{principals[0]}" in reached)


def _with(held: Holdings, left: Holdings) -> Holdings:
    return Holdings(pl.concat([held.assigned, left.assigned]), pl.concat([held.grants, left.grants]))


def _counted(view: View, principals: Sequence[str]) -> dict[str, Any]:
    """Return the counts of what principals reach together, without themselves."""
    reached = own = 0
    for principal in principals:
        reached |= reached_of(view, f"p:{principal}")
        own |= own_of(view, f"p:{principal}")
    for principal in principals:
        number = view.graph.numbers.get(f"p:{principal}")
        if number is not None and number in view.frame.things:
            reached &= ~(1 << view.frame.things[number])
    return described(view.frame, reached, own)


def _without(tenant: Tenant, ended: Collection[Key]) -> Tenant:
    """Return the tenant without the assignments that requests end; an activation is listed twice, and goes twice."""
    gone = {*ended, *((id_, "active") for id_, state in ended if state == "activated")}
    keys = pl.DataFrame(sorted(gone), schema={"role_assignment_id": pl.String, "state": pl.String}, orient="row")
    return replace(tenant, assignments=tenant.assignments.join(keys, on=["role_assignment_id", "state"], how="anti"))


def _alone(tenant: Tenant, principals: list[str]) -> Tenant:
    """Return the tenant in which the principals are members of no group."""
    kept = ~pl.col("principal_id").is_in(principals) | (pl.col("holder") == pl.col("principal_id"))
    return replace(tenant, membership=tenant.membership.filter(kept), sleeping=tenant.sleeping.filter(kept))


def _after_requests(facts: Facts, principals: list[str]) -> Facts:
    """Return the facts without what the requests take from the principals.

    Applications that they own stay: a credential that an owner added outlives the ownership.
    """
    theirs = pl.col("principal_id").is_in(principals)
    kept = {name: getattr(facts, name).filter(~theirs) for name in ("permissions", "roles", "scoped")}
    groups = pl.col("owner_id").is_in(principals) & (pl.col("kind") == "Group")
    by_pim = theirs & ((pl.col("state") == "eligible") | (pl.col("access") == "member"))
    consented = pl.col("client_id").is_in(principals) | pl.col("user_id").is_in(principals).fill_null(False)
    kept |= {"owned": facts.owned.filter(~groups), "delegated": facts.delegated.filter(~consented)}
    return replace(facts, **kept, governed=facts.governed.filter(~by_pim))


def _without_sign_in(bare: Facts, principals: list[str]) -> Facts:
    """Return the facts without what needs a token of the principals."""
    is_theirs = pl.col("subject").is_in(principals).fill_null(False)
    return replace(
        bare,
        governed=bare.governed.filter(~pl.col("principal_id").is_in(principals)),
        agents=bare.agents.filter(~pl.col("holder_id").is_in(principals)),
        trusted=bare.trusted.with_columns(subject=pl.when(~is_theirs).then("subject")),
    )


def _calls(principals: Collection[str], inputs: Inputs) -> pl.DataFrame:
    """Return the use by the principals, a row a day, that no refusal ended; with the folded operation as `name`."""
    theirs = folded(pl.col("principal_id")).is_in(list(principals))
    found = inputs.usage_days.filter(theirs & (pl.col("succeeded") + pl.col("started") > 0))
    return found.with_columns(
        folded(pl.col("principal_id")), name=folded(pl.col("operation")), place=place_of(pl.col("scope"))
    )


def _given(calls: pl.DataFrame, principals: Collection[str], inputs: Inputs) -> pl.DataFrame:
    """Return the principals that got a role by suspect calls, as `Facts.owned`; members of groups are left out."""
    days = calls.filter((pl.col("suspect") > 0) & (pl.col("name") == ASSIGN)).select("place", "day").unique()
    known = inputs.principals.filter(pl.col("principal_type") != "Group").select(
        owned_id=folded(pl.col("principal_id")), kind=pl.lit("ServicePrincipal")
    )
    asking = inputs.role_assignment_requests.select(
        owner_id=folded(pl.col("principal_id")),
        owned_id=folded(pl.col("assigned_principal_id")),
        place=place_of(pl.col("scope")),
        day=pl.col("time").dt.date(),
    ).filter(pl.col("owner_id").is_in(list(principals)) & ~pl.col("owned_id").is_in(list(principals)))
    found = asking.join(days, on=["place", "day"], how="semi").join(known, on="owned_id")
    return found.select("owner_id", "owned_id", "kind").unique()


def _left(calls: pl.DataFrame) -> Holdings:
    """Return what calls of the principals may have left, each as a role of one operation at the resource of the call.

    The suspect calls count; where none is suspect, all calls.
    """
    suspect = calls.filter(pl.col("suspect") > 0)
    lasting = escalation_rules("data").filter(pl.col("permission").str.starts_with(_READ_SECRETS))
    rules = pl.concat([escalation_rules("control").filter(pl.col("gains") != "access"), lasting])
    seen = (calls if suspect.is_empty() else suspect).select(
        holder="principal_id",
        plane="plane",
        name=pl.col("name").replace(_JOBS),
        place=pl.coalesce(pl.col("place").str.extract(_RESOURCE), "place"),
    )
    seen = seen.filter(pl.col("name").is_in(rules["permission"].implode())).unique().with_columns(
        role=pl.format("left {} {}", "plane", "name"), state=pl.lit("active"), condition=pl.lit(None, dtype=pl.String)
    )  # fmt: skip
    grants = seen.select("role", "name", "plane", conditional=pl.lit(False)).unique()
    return Holdings(seen.select(list(ASSIGNED_SCHEMA)), grants)


def _leads(graph: ReachGraph, principals: Collection[str], given: Collection[str]) -> tuple[Lead, ...]:
    """Return the things that the access of principals leads to at once, each with how; `given` got a role from them."""
    found: dict[str, str] = {}
    for principal in principals:
        number = graph.numbers.get(f"h:{principal}")
        for end, (why, _) in graph.out[number].items() if number is not None else ():
            if graph.names[end].startswith("p:"):
                found.setdefault(graph.names[end], _GAVE if graph.names[end] in given else why)
            for bundle, (what, _) in graph.out[end].items() if graph.names[end].startswith("g:left ") else ():
                for thing in graph.out[bundle]:
                    found.setdefault(graph.names[thing], what)
    return tuple(Lead(node, why) for node, why in sorted(found.items()) if node[2:] not in principals)


def _enablers(graph: ReachGraph, principals: Sequence[str]) -> tuple[str, ...]:
    """Return the principals and groups that can change the account of the first principal, by a direct right."""
    rights = [number for number, name in enumerate(graph.names) if name.startswith("x:")]
    known = {graph.numbers[node] for node in (f"p:{principals[0]}",) if node in graph.numbers}
    while new := {one for one in rights if one not in known and not known.isdisjoint(graph.out[one])}:
        known |= new
    holders = {
        name[2:]
        for name, ends in zip(graph.names, graph.out, strict=True)
        if name.startswith("h:") and not known.isdisjoint(ends)
    }
    return tuple(sorted(holders - set(principals)))
