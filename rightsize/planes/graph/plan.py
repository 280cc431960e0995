"""Make the Graph part of a plan from the verdicts: one proposal for each grant, with evidence, proof and risk."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl

from rightsize.analyze.counting import count_unexplained
from rightsize.analyze.graph_tables import GRAPH_APP_ID
from rightsize.analyze.inputs import folded
from rightsize.analyze.reasons import SHOWN, OutOfCoverage, Unused, Verdict, covered_of
from rightsize.model import plan
from rightsize.model.errors import InternalError
from rightsize.model.options import Unobservable
from rightsize.model.text import fold
from rightsize.planes.graph import inheritance
from rightsize.planes.graph.cases import CaseKey, SeenRequests
from rightsize.planes.graph.choose import GraphChoice, choose, grant_bounds, graph_advice
from rightsize.planes.graph.judge import GraphAnalysis, GraphVerdicts
from rightsize.propose.core.fingerprint import grant_proposal_id, hash_of
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.risk.estimate import Estimate
from rightsize.propose.risk.incidence import HORIZON_DAYS
from rightsize.rules.attacks import gives_away
from rightsize.rules.graph import alternatives

_TOLD = 50


def plan_graph(analysis: GraphAnalysis, options: PlanOptions, horizon: int = HORIZON_DAYS) -> plan.PlanePart:
    """Return the Graph part of the plan.

    Args:
        analysis: The verdicts.
        options: The options of the command.
        horizon: The days ahead for the break probability; a backtest gives the number of its test days.

    Raises:
        InternalError: A proposal cannot be proved.
    """
    reasons = _reasons(analysis, options)
    leave = _left_alone(analysis, options, reasons)
    choices: dict[CaseKey, GraphChoice] = {}
    for key, case in analysis.cases.items():
        # Cases are sorted, so a tenant-wide grant comes before the grants of single users.
        choices[key] = choose(
            case,
            analysis.judgements[key],
            analysis.graph,
            leave=leave.get(key, {}),
            drops_unobservable=options.unobservable is Unobservable.DROP,
            is_covered=analysis.state in SHOWN,
            beyond=choices[*key[:2], ""].after if key[2] else frozenset(),
        )
        if not choices[key].proof.holds:
            raise InternalError(f"the proposal for Graph of `{key[0]}` cannot be proved: {choices[key].proof.witness}")
    writer = _Writer(analysis, options, choices, grant_bounds(analysis, choices, leave, horizon))
    grants = analysis.held.group_by("grant_id", maintain_order=True)
    proposals = [writer.proposal(str(grant), rows.to_dicts()) for (grant,), rows in grants]
    for one in inheritance.narrow_inheritance(analysis, choices, reasons):
        if not one.proof.holds:
            raise InternalError(f"the proposal for the agents of `{one.principal_ids[0]}` cannot be proved")
        proposals.append(one)
    inherited = inheritance.read_inheritance(analysis)
    names = dict(analysis.clients.select("client_id", "name").iter_rows())
    advice = {*graph_advice(analysis, choices, names), *inheritance.split_blueprints(analysis, names)}
    return plan.PlanePart(
        plane="graph",
        proposals=tuple(sorted(proposals, key=lambda one: one.id)),
        window=analysis.window.as_json(),
        replay={
            "allowed": sum(choice.allowed for choice in choices.values()),
            "needs_activation": 0,
            "denied": 0,
            "unknown": count_unexplained(analysis.verdicts),
        },
        rests_on={"grants": read_permission_grants(analysis.held)} | ({"inheritance": inherited} if inherited else {}),
        advice=tuple(sorted(advice, key=lambda one: (one.subject, one.text))),
        names=names,
    )


def read_permission_grants(held: pl.DataFrame) -> dict[str, str]:
    """Return a hash of each grant: of its client, access, user, API and permissions."""
    rows = held.group_by("grant_id", "access", "client_id", "user_id", "api_app_id").agg(pl.col("permission").sort())
    found: dict[str, list[list[Any]]] = {}
    for grant, *rest in rows.sort("grant_id", "access", "client_id", "user_id", "api_app_id").iter_rows():
        found.setdefault(fold(grant), []).append(rest)
    return {grant: hash_of(rest) for grant, rest in sorted(found.items())}


def _reasons(analysis: GraphAnalysis, options: PlanOptions) -> dict[str, str]:
    """Return why an application or an agent is not touched, such as `excluded` or `young`, by its id."""
    excluded = options.excluded_names(analysis.window)
    young_from = options.young_from(analysis.window)
    found = {}
    for client in analysis.clients.iter_rows(named=True):
        made = client["principal_created"]
        names = {client["client_id"], *(fold(client[name] or "") for name in ("app_id", "name"))}
        reason = (
            "excluded" if names & excluded
            else "first_party" if client["is_first_party"]
            else "unresolved_principal" if client["deleted"]
            else "young" if made is not None and made >= young_from
            else ""
        )  # fmt: skip
        if reason:
            found[client["client_id"]] = reason
    for agent in analysis.agents.filter(~pl.col("listed") & ~pl.col("deleted"))["agent_id"]:
        found.setdefault(agent, "excluded" if agent in excluded else inheritance.UNLISTED_AGENT)
    return found


def _left_alone(
    analysis: GraphAnalysis, options: PlanOptions, reasons: Mapping[str, str]
) -> dict[CaseKey, dict[str, str]]:
    """Return the permissions of each case that a plan does not touch, with the reason such as `excluded` or `young`."""
    known = set(analysis.clients["client_id"])
    excluded = options.excluded_names(analysis.window)
    young_from = options.young_from(analysis.window)
    young: dict[CaseKey, dict[str, str]] = {}
    fresh = analysis.held.filter(pl.col("created_on") >= young_from)
    for client, access, user, permission in fresh.select("client_id", "access", "user_id", "permission").iter_rows():
        young.setdefault((client, access, user or ""), {})[permission] = "young"
    of_agents = inheritance.left_for_agents(analysis, reasons)
    found: dict[CaseKey, dict[str, str]] = {}
    for key, case in analysis.cases.items():
        unlisted = "excluded" if key[0] in excluded else "unresolved_principal"
        reason = reasons.get(key[0], "") if key[0] in known else unlisted
        found[key] = (
            dict.fromkeys(case.held, reason)
            if reason
            else dict(sorted((young.get(key, {}) | of_agents.get(key, {})).items()))
        )
    return found


def _told(seen: Collection[SeenRequests]) -> dict[str, Any]:
    """Return the evidence that lists requests, those with the most calls first; nothing where there are none."""
    if not seen:
        return {}
    return {
        "requests": [
            {"operation": one.operation, "events": one.events, "days": one.days, "last_seen": one.last_seen}
            for one in sorted(seen, key=lambda one: (-one.events, one.operation))[:_TOLD]
        ],
        "requests_in_all": len(seen),
    }


def _is_used(found: GraphVerdicts | None) -> bool:
    """Return whether a permission was used in the window, or before it within the days that `--forget-days` counts."""
    return found is not None and (
        found.verdict is Verdict.USED or found.reason == OutOfCoverage.USED_BEFORE_WINDOW.value
    )


def _owners_of(analysis: GraphAnalysis) -> dict[str, list[str]]:
    """Return the owners of each client, of its application too: folded ids, sorted."""
    owners = analysis.tables.object_owners.select(
        owner=folded(pl.col("owner_id")), object=folded(pl.col("object_id")), app_id=folded(pl.col("app_id"))
    )
    clients = analysis.clients.select("client_id", folded(pl.col("app_id")))
    of_apps = clients.drop_nulls("app_id").join(owners, on="app_id").select("client_id", "owner")
    own = clients.join(owners, left_on="client_id", right_on="object").select("client_id", "owner")
    found = pl.concat([of_apps, own]).unique().group_by("client_id").agg(pl.col("owner").sort())
    return dict(found.iter_rows())


class _Writer:
    """Writes the proposals for grants."""

    def __init__(
        self,
        analysis: GraphAnalysis,
        options: PlanOptions,
        choices: Mapping[CaseKey, GraphChoice],
        bounds: Mapping[str, Estimate],
    ) -> None:
        self._analysis, self._options, self._choices, self._bounds = analysis, options, choices, bounds
        self._heirs = inheritance.heirs_of(analysis)
        self._owners = _owners_of(analysis)
        self._holders = dict(analysis.agents.select("agent_id", "holder_id").drop_nulls().iter_rows())
        in_part = analysis.state == Unused.COVERED_IN_PART
        self._covered = {"covered_days": analysis.covered_days} if in_part else {}
        self._on_days = f" ({covered_of(analysis.covered_days, analysis.window.days)})" if in_part else ""

    def proposal(self, grant: str, rows: list[dict[str, Any]]) -> plan.Proposal:
        """Return the proposal for a grant, of which each row has a permission."""
        first = rows[0]
        key = (first["client_id"], first["access"], first["user_id"] or "")
        evidence = {
            "role": first["permission"] if len(rows) == 1 else f"{len(rows)} delegated permissions",
            "scope": "/",
            "state": "active",
            "access": first["access"],
            "user_id": first["user_id"],
            "api_app_id": first["api_app_id"],
            "api": first["resource_name"],
        }
        of_graph = first["api_app_id"] == GRAPH_APP_ID
        write = self._of_graph if of_graph else self._of_another_api
        return write(grant_proposal_id("graph", grant), grant, key, rows, evidence)

    def _of_another_api(
        self, id_: str, grant: str, key: CaseKey, rows: list[dict[str, Any]], evidence: dict[str, Any]
    ) -> plan.Proposal:
        """Return the proposal to keep a grant of an API without a log of requests, with what is known of its use."""
        judged = [self._analysis.others[*key, row["api_app_id"] or "", row["permission"]] for row in rows]
        audited: dict[tuple[str, str], list[SeenRequests]] = {}
        for one in self._analysis.audited:
            if one.key == key:
                audited.setdefault((one.api_app_id, one.permission), []).extend(
                    seen for seen in one.seen if seen.events
                )
        evidence["permissions"] = [
            {"permission": row["permission"], "id": row["permission_id"], "decision": "keep", "reason": found.reason}
            | _told(audited.get((row["api_app_id"], row["permission"]), ()))
            for row, found in zip(rows, judged, strict=True)
        ]
        reason = "; ".join(sorted({found.reason for found in judged}))
        return plan.Proposal(
            id_, "graph", (key[0],), plan.KEEP, (grant,), (), reason, evidence,
            plan.Proof(used_subset=True, granted_superset=True), 0.0, 0.0, 0.0, 0.0, 0.0,
        )  # fmt: skip

    def _of_graph(
        self, id_: str, grant: str, key: CaseKey, rows: list[dict[str, Any]], evidence: dict[str, Any]
    ) -> plan.Proposal:
        graph, judgements, bound = self._analysis.graph, self._analysis.judgements[key], self._bounds.get(grant)
        choice = self._dared(self._choices[key], bound)
        permissions = sorted({row["permission"] for row in rows})
        going = [one for one in permissions if one in choice.goes or one in choice.duplicates]
        instead = sorted({other for one in going for other in choice.goes.get(one, ())})
        staying = [one for one in permissions if one not in going]
        kind = _kind(going, instead, staying, choice)
        own = {(key[1], row["permission"]): row["permission_id"] or row["permission"] for row in rows}
        ids = {**graph.ids, **own}
        weights = {one: graph.privilege(one, key[1]) for one in {*permissions, *instead}}
        unexplained = sorted(self._analysis.cases[key].unexplained.items())[:_TOLD]
        evidence |= {
            "permissions": [
                self._permission(one, ids[key[1], one], key, choice, stays=one not in going) for one in permissions
            ],
            "comes": [{"permission": one, "id": ids[key[1], one]} for one in instead],
            "unexplained": [{"operation": operation, "reason": reason} for operation, reason in unexplained],
            "coverage": self._analysis.state,
            **self._covered,
            **(self._given_away(key[0], permissions) if key[1] == "application" else {}),
        }
        risked = bound if kind.may_break else None
        if risked is not None:
            evidence["break_probability"] = risked.as_json()
        said = {"inherited_by": self._heirs.get(key), "agent_of": self._holders.get(key[0])}
        evidence |= {name: value for name, value in said.items() if value}
        before = sum(weights[one] for one in permissions)
        left = sum(weights[one] for one in {*staying, *instead})
        kept = sum(weights[one] for one in {*staying, *instead} if one in choice.comes or _is_used(judgements.get(one)))
        after = sorted([*staying, *instead]) if kind.assigns else []
        return plan.Proposal(
            id=id_,
            plane="graph",
            principal_ids=tuple(one for one in (key[0], key[2]) if one),
            kind=kind,
            replaces=(grant,),
            assignments=tuple(plan.PlannedAssignment("/", ids[key[1], one], fold(key[0])) for one in after),
            reason=_reason(kind, going, choice, judgements) + (self._on_days if kind.changes else ""),
            evidence=evidence,
            proof=choice.proof,
            break_probability_30d=risked.expected if risked is not None else 0.0,
            excess_before=float(before - kept),
            excess_after=float(left - kept),
            risk_before=float(before),
            risk_after=float(left),
        )

    def _given_away(self, client: str, permissions: Sequence[str]) -> dict[str, Any]:
        """Return the evidence that a client gives the tenant away, with its owners, who can add a credential to it."""
        found = gives_away("graph", map(fold, permissions))
        if found and client in self._owners:
            found["gives_away"] |= {"owners": self._owners[client]}
        return found

    def _dared(self, choice: GraphChoice, risked: Estimate | None) -> GraphChoice:
        """Return the choice, or one that keeps everything where the break probability is above `--max-break`."""
        if risked is None or not risked.exceeds(self._options.max_break):
            return choice
        held = {*choice.stays, *choice.goes, *choice.duplicates}
        return GraphChoice(dict.fromkeys(sorted(held), "risky"), allowed=choice.allowed)

    def _permission(
        self, permission: str, id_: str, key: CaseKey, choice: GraphChoice, *, stays: bool
    ) -> dict[str, Any]:
        """Return the evidence for one permission: decision, verdict, reason, requests and alternatives."""
        case, found = self._analysis.cases[key], self._analysis.judgements[key][permission]
        seen = [case.requests[operation] for operation in found.operations if operation in case.requests]
        earlier = found.reason == OutOfCoverage.USED_BEFORE_WINDOW.value and found.seen and found.seen.last_seen
        resting = case.agents_behind(found.operations)
        return {
            "permission": permission,
            "id": id_,
            "decision": "keep" if stays else "swap" if choice.goes.get(permission) else "remove",
            "instead": list(choice.goes.get(permission, ())),
            "verdict": found.verdict.value,
            "reason": _why(permission, found, choice, stays=stays),
            "level": self._analysis.graph.level(permission, key[1]),
            **(_told(seen) or {"requests": [], "requests_in_all": 0}),
            "without_it": sorted({need.note for need in case.needs if need.note and permission in need.held}),
            **({"agents": resting} if resting else {}),
            **({"days_ago": (self._analysis.window.end.date() - earlier.date()).days} if earlier else {}),
            "alternatives": [
                {"instead": one.instead, "only": one.only} for one in alternatives(permission, key[1]) if stays
            ],
        }


def _kind(going: list[str], instead: list[str], staying: list[str], choice: GraphChoice) -> plan.ProposalKind:
    if not going:
        return plan.KEEP
    if instead:
        return plan.BUILTIN
    if staying:
        return plan.NARROW_SCOPE
    return plan.REMOVE_DUPLICATE if all(one in choice.duplicates for one in going) else plan.REMOVE


def _reason(
    kind: plan.ProposalKind, going: list[str], choice: GraphChoice, judgements: Mapping[str, GraphVerdicts]
) -> str:
    if kind.keeps:
        return "; ".join(sorted(set(choice.stays.values()))) or "used"
    if kind.needs_container:
        return "the tenant-wide grant of the application gives it"
    if kind is plan.BUILTIN:
        return "a narrower permission allows every request that was seen"
    words = {judgements[one].verdict.value for one in going}
    return "not used in the window" if words == {"unused"} else "other permissions that stay allow every request"


def _why(permission: str, found: GraphVerdicts, choice: GraphChoice, *, stays: bool) -> str:
    """Return the reason why a permission stays or goes, as one word."""
    if stays:
        return choice.stays.get(permission, found.reason)
    if permission in choice.duplicates:
        return "duplicate"
    if choice.goes.get(permission):
        return "narrower"
    return "redundant" if _is_used(found) else found.reason
