"""Make the directory part of a plan from the verdicts: one proposal for each assignment, with evidence and proof."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import polars as pl

from rightsize.analyze.activation_use import duration, standing_hours
from rightsize.analyze.directory.judge import DirectoryAnalysis
from rightsize.analyze.directory.tables import DirectoryTables
from rightsize.analyze.pim_findings import SELDOM_HOURS
from rightsize.analyze.reasons import SHOWN, UnobservableReason, Unused, covered_of
from rightsize.analyze.totals import count_unexplained
from rightsize.model.errors import InternalError
from rightsize.model.nouns import AssignmentState
from rightsize.model.plan import Advice, PlanePart, PlannedAssignment, Proof, Proposal
from rightsize.model.proposal_kinds import BUILTIN, KEEP, MAKE_ELIGIBLE, NARROW_SCOPE, ProposalKind
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.core.options import Unobservable as Unseen
from rightsize.propose.directory.breakage import case_bounds
from rightsize.propose.directory.cases import REASONS, DirectoryAssignmentCase, read_cases
from rightsize.propose.directory.choose import DirectoryChoice, DirectoryRoleCatalog, choose, read_catalogue
from rightsize.propose.risk.estimate import Estimate
from rightsize.rbac.resource_actions import is_read
from rightsize.rbac.text import Folded, fold
from rightsize.rules.directory import bound_actions

_TOLD = 50
_IDLE: Mapping[str, Any] = {"days": 0, "hours_a_month": 0.0, "hours_needed": 0.5}
_CUSTOM_ROLES = 100
"""The limit of custom directory roles in a tenant: Microsoft Learn, "Microsoft Entra service limits"."""


def plan_directory(analysis: DirectoryAnalysis, options: PlanOptions) -> PlanePart:
    """Return the directory part of the plan.

    Raises:
        InternalError: A proposal cannot be proved.
    """
    tables = analysis.tables
    catalogue = read_catalogue(tables)
    cases = read_cases(analysis, options)
    bounds = case_bounds(analysis, cases)
    worked = {row["a"]: row for row in standing_hours(analysis.days, analysis.plane.window, "a").iter_rows(named=True)}
    room = _CUSTOM_ROLES - len(tables.roles.filter(~pl.col("is_built_in").fill_null(True)))
    members = _member_like(tables)
    proposals: list[Proposal] = []
    roles: dict[str, frozenset[str]] = {}
    outcomes = {"allowed": 0, "needs_activation": 0, "denied": 0}
    for case in cases:
        is_member = str(case.row["principal_id"]) in members
        bound = bounds.get((str(case.row["role_assignment_id"]), str(case.row["state"])))
        proposal, custom = _propose(
            case, analysis, catalogue, options, worked.get(case.a), is_member, len(roles) < room, bound
        )
        proposals.append(proposal)
        if custom:
            roles[proposal.assignments[0].role] = custom
        sleeps = proposal.kind.makes_eligible or case.row["state"] == "eligible"
        outcomes["needs_activation" if sleeps else "allowed"] += len(case.used)
    outcomes["unknown"] = count_unexplained(analysis.plane.verdicts)
    return PlanePart(
        plane="directory",
        proposals=tuple(sorted(proposals, key=lambda one: one.id)),
        window=analysis.plane.window.as_json(),
        replay=outcomes,
        rests_on={"grants": read_grants(tables), "role_definitions": read_roles(tables)},
        advice=_advice(cases, catalogue),
        names={**catalogue.names, **{role: _custom_name(role) for role in roles}},
        files={f"directory/{role}.json": _role_file(role, roles[role], catalogue) for role in sorted(roles)},
    )


def read_grants(tables: DirectoryTables) -> dict[str, str]:
    """Return a hash of each assignment: of its state, holder, role, scope and end."""
    rows = tables.assignments.filter(pl.col("state") != "activated").select(
        "role_assignment_id", "state", "principal_id", "role", "place", "end_on"
    )
    found: dict[str, list[list[Any]]] = {}
    for identifier, *rest in rows.sort(rows.columns).iter_rows():
        found.setdefault(identifier, []).append([str(value) for value in rest])
    return {identifier: _hash(rest) for identifier, rest in sorted(found.items())}


def read_roles(tables: DirectoryTables) -> dict[str, str]:
    """Return a hash of the actions of each assigned role."""
    assigned = tables.roles.filter(pl.col("role").is_in(tables.assignments["role"].implode()))
    return {
        row["role"]: _hash([row["actions"], row["conditional"]]) for row in assigned.sort("role").iter_rows(named=True)
    }


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=True).encode()).hexdigest()


def _member_like(tables: DirectoryTables) -> set[str]:
    """Return the principals that have the default reads of every member of the tenant: users that are not guests."""
    people = tables.inputs.principals.filter(
        (pl.col("principal_type") == "User") & (pl.col("user_type").fill_null("Member") != "Guest")
    )
    return {str(one).lower() for one in people["principal_id"]}


def _propose(
    case: DirectoryAssignmentCase,
    analysis: DirectoryAnalysis,
    catalogue: DirectoryRoleCatalog,
    options: PlanOptions,
    worked: Mapping[str, Any] | None,
    is_member: bool,
    may_be_custom: bool,
    bound: Estimate | None,
) -> tuple[Proposal, frozenset[str]]:
    """Return the proposal for a case, and the actions of its custom role, empty for none."""
    today = catalogue.allows.get(str(case.row["role"]), frozenset()) | case.used
    choice = DirectoryChoice(KEEP, actions=today)
    if not case.left:
        choice = choose(
            case,
            catalogue,
            may_be_custom=may_be_custom,
            is_member=is_member,
            drops_unobservable=options.unobservable is Unseen.DROP,
        )
    if options.max_break is not None and bound is not None and bound.bound > options.max_break:
        choice = DirectoryChoice(KEEP, actions=today)
    risked = bound if choice.kind.changes else None
    kind = choice.kind
    worked = worked or _IDLE
    sleeps = kind.keeps and not case.left and _may_sleep(case, analysis, worked)
    if sleeps:
        kind = MAKE_ELIGIBLE
    after = _assigned(case, choice, kind)
    proof = _prove(case, choice, kind, today, catalogue.default if is_member else frozenset())
    if not proof.holds:
        raise InternalError(f"the proposal for `{case.row['role_assignment_id']}` cannot be proved: {proof.witness}")
    evidence = _evidence(case, analysis, choice, catalogue, worked if sleeps else None)
    if risked is not None:
        evidence["break_probability"] = risked.as_json()
    before = catalogue.mass(today)
    left = 0 if kind.removes else catalogue.mass(choice.actions) / (4 if choice.place else 1)
    weight = 0.5 if kind.makes_eligible or case.row["state"] == "eligible" else 1.0
    used = catalogue.mass(case.used | case.earlier)
    proposal = Proposal(
        id="directory-" + _hash([case.row["role_assignment_id"], case.row["state"]])[:16],
        plane="directory",
        principal_ids=(str(case.row["principal_id"]),),
        kind=kind,
        replaces=(str(case.row["role_assignment_id"]),),
        assignments=after,
        reason=_reason(case, choice, kind) + _on_days(case, analysis, kind),
        evidence=evidence,
        proof=proof,
        break_probability_30d=risked.expected if risked is not None else 0.0,
        excess_before=float(before - used) * (0.5 if case.row["state"] == "eligible" else 1.0),
        excess_after=float(max(0, left - used)) * weight,
        risk_before=float(before),
        risk_after=float(left),
    )
    return proposal, choice.actions if kind.makes_role else frozenset()


def _assigned(
    case: DirectoryAssignmentCase, choice: DirectoryChoice, kind: ProposalKind
) -> tuple[PlannedAssignment, ...]:
    if not kind.assigns:
        return ()
    principal, role = fold(str(case.row["principal_id"])), fold(str(case.row["role"]))
    state: AssignmentState = "eligible" if kind.makes_eligible or case.row["state"] == "eligible" else "active"
    scope = case.spelt.get(choice.place, choice.place) or str(case.row["scope"])
    if kind.makes_role:
        return (PlannedAssignment(scope, _custom_id(choice.actions), principal, None, state),)
    roles = map(fold, choice.roles) if kind is BUILTIN else (role,)
    return tuple(PlannedAssignment(scope, one, principal, None, state) for one in sorted(roles))


def _prove(
    case: DirectoryAssignmentCase,
    choice: DirectoryChoice,
    kind: ProposalKind,
    today: frozenset[str],
    default: frozenset[str],
) -> Proof:
    after = frozenset() if kind.removes else today if kind.keeps or kind.makes_eligible else choice.actions
    # At an administrative unit the same role reaches no more than in the whole tenant.
    missing = sorted((case.used | case.earlier) - after - default)
    added = sorted(after - today)
    outside = [place for place in sorted(case.places) if choice.place and place != choice.place]
    witness = next(iter([*missing, *added, *outside]), None)
    return Proof(not missing and not outside, not added, witness)


def _may_sleep(case: DirectoryAssignmentCase, analysis: DirectoryAnalysis, worked: Mapping[str, Any]) -> bool:
    """Return whether an active role may become eligible: held by people, in a tenant that uses PIM, and seldom used.

    The role stays the same, and so do the rules of its activation.
    """
    licensed = analysis.tables.assignments["state"].is_in(["eligible", "activated"]).any()
    people = case.holder_type == "User" or (
        case.holder_type == "Group" and str(case.row["principal_id"]) in _assignable_groups(analysis.tables)
    )
    # No log shows how seldom a role is used that only reads, or whose use only other services log.
    changes = {reason for name, reason in case.gone.items() if not is_read(name)}
    judged = bool(case.used) or not changes.isdisjoint(SHOWN)
    seldom = worked["hours_a_month"] < SELDOM_HOURS
    return bool(licensed and people and judged and case.row["state"] == "active" and seldom)


def _assignable_groups(tables: DirectoryTables) -> set[str]:
    principals = tables.inputs.principals
    mine = principals.filter(pl.col("is_role_assignable").fill_null(False))
    return {str(one).lower() for one in mine["principal_id"]}


def _reason(case: DirectoryAssignmentCase, choice: DirectoryChoice, kind: ProposalKind) -> str:
    if case.left:
        return f"{case.left}: {REASONS[case.left]}"
    if kind.removes:
        reasons = set(case.gone.values())
        if reasons == {Unused.NEVER_ACTIVATED.value}:
            return "nobody activated it, and an activation would have been logged"
        if reasons == {Unused.NO_SIGN_IN.value}:
            return "none of its holders signed in"
        if reasons & {word.value for word in UnobservableReason}:
            return "no log shows a use of it, and `--unobservable drop` removes the actions that no log can show"
        return "none of its actions was used, and the audit log would have shown it"
    if kind.makes_eligible:
        return "it is used a few hours a month, and its holder can activate it for them"
    if kind is NARROW_SCOPE:
        return "every use was inside one administrative unit"
    if kind.keeps and case.used & bound_actions():
        return "smaller roles may not do this to every account, and no log says whose account it was done to"
    if kind.keeps:
        return f"no smaller role has all {_staying(case)}"
    smaller = "a custom role" if kind.makes_role else f"{len(choice.roles)} smaller built-in roles"
    return f"{smaller} would have all {_staying(case)}"


def _on_days(case: DirectoryAssignmentCase, analysis: DirectoryAnalysis, kind: ProposalKind) -> str:
    """Return the clause for the days that the audit log covers, if removed actions rest on a part of the window."""
    if kind.keeps or Unused.COVERED_IN_PART not in case.gone.values():
        return ""
    return f" ({covered_of(analysis.covered_days, analysis.plane.window.days)})"


def _staying(case: DirectoryAssignmentCase) -> str:
    kept = f" and the {len(case.kept)} that cannot be decided" if case.kept else ""
    return f"{len(case.used)} used actions{kept}"


def _evidence(
    case: DirectoryAssignmentCase,
    analysis: DirectoryAnalysis,
    choice: DirectoryChoice,
    catalogue: DirectoryRoleCatalog,
    worked: Mapping[str, Any] | None,
) -> dict[str, Any]:
    before = [
        row | {"days_ago": (analysis.plane.window.end.date() - dt.date.fromisoformat(row["last_seen"][:10])).days}
        for row in _uses(analysis.earlier, case)
    ]
    found: dict[str, Any] = {
        "role": case.row["role_name"] or case.row["role"],
        "scope": case.row["scope"],
        "state": case.row["state"],
        "granted": len(case.used) + len(case.kept) + len(case.gone),
        "used": len(case.used),
        "operations": _uses(analysis.used, case),
        **({"used_before": before} if before else {}),
        "kept_unseen": _counted(case.kept.values()),
        "removed": _counted(case.gone.values()),
        "mappable": _mappable(case),
        "coverage": analysis.state,
        **({"covered_days": analysis.covered_days} if analysis.state == Unused.COVERED_IN_PART else {}),
    }
    if choice.roles and choice.kind is BUILTIN:
        found["comes"] = [catalogue.names[role] for role in choice.roles]
    if worked is not None:
        found["standing"] = {
            "days": worked["days"],
            "hours_a_month": round(worked["hours_a_month"], 1),
            "activation": duration(worked["hours_needed"]),
            "meaning": "an activation of this length would have covered the use on 95 of 100 days",
        }
    return found


def _uses(uses: pl.DataFrame, case: DirectoryAssignmentCase) -> list[dict[str, Any]]:
    mine = uses.filter(pl.col("a") == case.a).sort("operation", "place", "principal_id")
    return [
        {
            "operation": row["operation"],
            "scope": row["scope"],
            "principal_id": row["principal_id"] or row["principal_name"],
            "events": row["events"],
            "days": row["days"],
            "first_seen": row["first_seen"].isoformat() + "Z",
            "last_seen": row["last_seen"].isoformat() + "Z",
            "attribution": row["reason"],
        }
        for row in mine.head(_TOLD).iter_rows(named=True)
    ]


def _counted(reasons: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for reason in reasons:
        counts[reason] = counts.get(reason, 0) + 1
    return dict(sorted(counts.items()))


def _mappable(case: DirectoryAssignmentCase) -> float:
    """Return the share of the granted actions whose use a log could show, from 0 to 1."""
    hidden = {word.value for word in UnobservableReason}
    unseen = sum(1 for reason in (*case.kept.values(), *case.gone.values()) if reason in hidden)
    granted = len(case.used) + len(case.kept) + len(case.gone)
    return round(1 - unseen / granted, 3) if granted else 0.0


def _advice(cases: Iterable[DirectoryAssignmentCase], catalogue: DirectoryRoleCatalog) -> tuple[Advice, ...]:
    """Return advice on roles that stay broad although little of them is used: for other services' actions and reads."""
    found = []
    for case in cases:
        others = sum(1 for reason in case.kept.values() if reason == UnobservableReason.OTHER_SERVICE.value)
        reads = sum(1 for name in case.kept if is_read(name) and name not in catalogue.default)
        if not case.left and others and len(case.used) < others:
            name = str(case.row["role_name"] or case.row["role"])
            found.append(
                Advice(
                    str(case.row["role_assignment_id"]),
                    f"{name}: {others} of its actions are checked by other services, and {reads} are reads that no "
                    "log shows; ask its holder, and use `--unobservable drop` if they are not needed",
                )
            )
    return tuple(found)


def _custom_id(actions: frozenset[str]) -> Folded:
    return Folded(str(uuid5(NAMESPACE_URL, "rightsize:directory:" + "\n".join(sorted(actions)))))


def _custom_name(role: str) -> str:
    return f"rightsize directory {role[:8]}"


def _role_file(role: str, actions: frozenset[str], catalogue: DirectoryRoleCatalog) -> str:
    """Return the role as the body of `POST /roleManagement/directory/roleDefinitions`."""
    body = {
        "displayName": _custom_name(role),
        "description": "Has the actions that were used, and those whose use cannot be decided.",
        "isEnabled": True,
        "templateId": role,
        "rolePermissions": [{"allowedResourceActions": [catalogue.spelt[action] for action in sorted(actions)]}],
    }
    return json.dumps(body, indent=2, ensure_ascii=True) + "\n"
