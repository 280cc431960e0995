"""Make the directory part of a plan from the verdicts: one proposal for each assignment, with evidence and proof.

The estimate is that of Azure roles (`propose.risk.calibration`), for each assignment. Active days are the days on which
the directory's logs show an action of the holder, or of a member of the group. A *novelty* is an action at a scope:
without the days of its use the plan would remove it. Reads are no novelties, since no log shows that one is unused.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import polars as pl

from rightsize.analyze.counting import count_unexplained
from rightsize.analyze.findings import SELDOM_HOURS
from rightsize.analyze.observability.undecided import Gaps
from rightsize.analyze.reasons import Unused, covered_of
from rightsize.analyze.verdicts.usage import duration, standing_hours
from rightsize.analyze.window import days_missing
from rightsize.model import plan
from rightsize.model.errors import InternalError
from rightsize.model.nouns import AssignmentState
from rightsize.model.options import Unobservable as Unseen
from rightsize.model.text import Folded, fold, is_directory_read
from rightsize.planes.directory.cases import DirectoryAssignmentCase, price_reads, read_cases
from rightsize.planes.directory.choose import (
    IN_PART,
    DirectoryChoice,
    DirectoryRoleCatalog,
    Room,
    allowed_today,
    choose,
    read_catalogue,
)
from rightsize.planes.directory.judge import DirectoryAnalysis
from rightsize.planes.directory.reasons import asked_of, lost_by, place_word, question, reason_of
from rightsize.planes.directory.tables import DirectoryTables, Holders, read_bound_reach, read_holders
from rightsize.propose.core.fingerprint import hash_of
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.risk.estimate import Estimate, estimates_of
from rightsize.propose.risk.incidence import KEY, count_incidence
from rightsize.rules.attacks import gives_away

_UNITS: dict[str, pl.DataType] = {
    **dict.fromkeys((*KEY, "role", "holder_type", "holder"), pl.String()),
    "a": pl.Int64(),
}
_CALL = ["principal_id", "principal_name", "name", "place"]


def case_bounds(
    analysis: DirectoryAnalysis, cases: Iterable[DirectoryAssignmentCase]
) -> dict[tuple[str, str], Estimate]:
    """Return the estimate of each assignment that the plan may change, by its id and state."""
    units = pl.DataFrame(list(_units(cases)), schema=_UNITS, orient="row")
    if units.is_empty():
        return {}
    window = analysis.window
    days = analysis.tables.days.filter(window.holds("day") & (pl.col("use") > 0))
    active = days.select("principal_id", "day").join(analysis.tables.membership, on="principal_id")
    used = analysis.used.select("a", *_CALL, "way").join(
        units.select(pl.col("a").cast(analysis.used.schema["a"]), *KEY), on="a"
    )
    changes = used.filter(~pl.col("way").is_in([one for one in used["way"].unique() if is_directory_read(one)]))
    novelty = [*KEY, "way", "place"]
    numbers = changes.select(novelty).unique().sort(novelty).with_row_index("novelty")
    seen = (
        changes.join(numbers, on=novelty, nulls_equal=True)
        .join(days.select(*_CALL, "day"), on=_CALL, nulls_equal=True)
        .select(*KEY, "novelty", "day")
        .unique()
    )
    in_part = analysis.state == Unused.COVERED_IN_PART
    missing = days_missing(analysis.tables.coverage["day"], window)
    gaps = Gaps.of_one_log(units.select(KEY), missing if in_part else missing.clear())
    incidence = count_incidence(units.drop("a"), active.select("holder", "day"), seen, window, gaps)
    return {(id_, state): one for (id_, state), one in estimates_of(incidence, window).items()}


def _units(cases: Iterable[DirectoryAssignmentCase]) -> Iterator[tuple[object, ...]]:
    for case in cases:
        if not case.left:
            row = case.row
            yield row["role_assignment_id"], row["state"], row["role"], case.holder_type, row["principal_id"], case.a


_TOLD = 50
_IDLE: Mapping[str, Any] = {"days": 0, "hours_a_month": 0.0, "hours_needed": 0.5}
_CUSTOM_ROLES = 100
"""The limit of custom directory roles in a tenant: Microsoft Learn, "Microsoft Entra service limits"."""


def plan_directory(analysis: DirectoryAnalysis, options: PlanOptions) -> plan.PlanePart:
    """Return the directory part of the plan.

    Raises:
        InternalError: A proposal cannot be proved.
    """
    tables = analysis.tables
    holders = read_holders(tables)
    cases = read_cases(analysis, options, holders)
    planner = _Planner(analysis, options, holders, cases)
    proposals: list[plan.Proposal] = []
    advice: list[plan.Advice] = []
    outcomes = {"allowed": 0, "needs_activation": 0, "denied": 0}
    for case in cases:
        choice = planner.choice(case)
        proposals.extend(planner.proposals(case, choice))
        advice.extend(question(case, choice, planner.catalogue, planner.default_of(case)))
        sleeps = choice.kind.makes_eligible or case.row["state"] == "eligible"
        outcomes["needs_activation" if sleeps else "allowed"] += len(case.used)
    outcomes["unknown"] = count_unexplained(analysis.verdicts)
    catalogue, roles = planner.catalogue, planner.custom
    return plan.PlanePart(
        plane="directory",
        proposals=tuple(sorted(proposals, key=lambda one: one.id)),
        window=analysis.window.as_json(),
        replay=outcomes,
        rests_on={"grants": read_role_grants(tables), "role_definitions": read_roles(tables)},
        advice=tuple(advice),
        names={**catalogue.names, **{role: _custom_name(role) for role in roles}},
        files={f"directory/{role}.json": _role_file(role, roles[role], catalogue) for role in sorted(roles)},
        reads=price_reads(analysis, cases, options.reads, holders, catalogue.default),
    )


def read_role_grants(tables: DirectoryTables) -> dict[str, str]:
    """Return a hash of each assignment: of its state, holder, role, scope and end."""
    rows = tables.assignments.filter(pl.col("state") != "activated").select(
        "role_assignment_id", "state", "principal_id", "role", "place", "end_on"
    )
    found: dict[str, list[list[Any]]] = {}
    for identifier, *rest in rows.sort(rows.columns).iter_rows():
        found.setdefault(identifier, []).append([str(value) for value in rest])
    return {identifier: hash_of(rest) for identifier, rest in sorted(found.items())}


def read_roles(tables: DirectoryTables) -> dict[str, str]:
    """Return a hash of the actions of each assigned role."""
    assigned = tables.roles.filter(pl.col("role").is_in(tables.assignments["role"].implode()))
    return {
        row["role"]: hash_of([row["actions"], row["conditional"]])
        for row in assigned.sort("role").iter_rows(named=True)
    }


class _Planner:
    """Choose and write the proposals of the cases; custom roles of the plan count towards the tenant's limit."""

    def __init__(
        self,
        analysis: DirectoryAnalysis,
        options: PlanOptions,
        holders: Holders,
        cases: Iterable[DirectoryAssignmentCase],
    ) -> None:
        tables = analysis.tables
        self.catalogue = read_catalogue(tables)
        self.custom: dict[str, frozenset[str]] = {}
        self._analysis, self._options, self._holders = analysis, options, holders
        self._bounds = case_bounds(analysis, cases)
        hours = standing_hours(analysis.days, analysis.window, "a")
        self._worked = {row["a"]: row for row in hours.iter_rows(named=True)}
        self._room = _CUSTOM_ROLES - len(tables.roles.filter(~pl.col("is_built_in").fill_null(True)))
        self._reach = read_bound_reach(tables, holders)
        privileged = tables.roles.filter(pl.col("is_privileged").fill_null(False))
        self._privileged = frozenset(privileged["role"])

    def choice(self, case: DirectoryAssignmentCase) -> DirectoryChoice:
        """Return the choice for a case; `keep` also where the change is likelier to break something than it may be."""
        stay = DirectoryChoice(plan.KEEP, actions=self.catalogue.allows.get(case.role, frozenset()) | case.used)
        if case.left:
            return stay
        found = choose(case, self.catalogue, self._room_of(case))
        bound = self._bound(case)
        risky = bound is not None and bound.exceeds(self._options.max_break)
        if risky and found.kind.changes and not found.kind.makes_eligible:
            found = replace(stay, why="max_break")
        if found.kind.makes_role:
            self.custom[_custom_id(found.actions)] = found.actions
        return found

    def default_of(self, case: DirectoryAssignmentCase) -> frozenset[str]:
        """Return the reads that the holder of a case is allowed without any role."""
        return self.catalogue.default if case.holder in self._holders.members else frozenset()

    def _room_of(self, case: DirectoryAssignmentCase) -> Room:
        holders = self._holders
        no_custom = (
            "agent" if case.holder in holders.agents
            else "no_premium" if not holders.premium
            else "no_room" if len(self.custom) >= self._room
            else ""
        )  # fmt: skip
        return Room(
            is_member=case.holder in holders.members,
            has_premium=holders.premium,
            no_custom=no_custom,
            may_sleep=holders.licensed and case.holder in holders.sleepers and case.row["state"] == "active",
            is_seldom=self._hours(case)["hours_a_month"] < SELDOM_HOURS,
            is_privileged=case.role in self._privileged,
            drops_unobservable=self._options.unobservable is Unseen.DROP,
            bounds=self._reach,
        )

    def _hours(self, case: DirectoryAssignmentCase) -> Mapping[str, Any]:
        return self._worked.get(case.a) or _IDLE

    def _bound(self, case: DirectoryAssignmentCase) -> Estimate | None:
        return self._bounds.get(case.key)

    def proposals(self, case: DirectoryAssignmentCase, choice: DirectoryChoice) -> Iterable[plan.Proposal]:
        """Yield the proposal of a case, and after a split a second one that makes the rest eligible.

        Raises:
            InternalError: It cannot be proved.
        """
        default = self.default_of(case)
        today = allowed_today(case, self.catalogue, default)
        proof = _prove(case, choice, today, default)
        if not proof.holds:
            raise InternalError(f"the proposal for `{case.key[0]}` cannot be proved: {proof.witness}")
        yield self._proposal(case, choice, proof, default)
        if choice.rest:
            rest = DirectoryChoice(plan.MAKE_ELIGIBLE, actions=self.catalogue.allows[case.role] | case.used, rest=True)
            yield self._proposal(case, rest, proof, default)

    def _proposal(
        self, case: DirectoryAssignmentCase, choice: DirectoryChoice, proof: plan.Proof, default: frozenset[str]
    ) -> plan.Proposal:
        mass, kind = self.catalogue.mass, choice.kind
        own = self.catalogue.allows.get(case.role, frozenset()) | case.used
        hours = self._hours(case) if kind.makes_eligible and not choice.rest and not case.is_idle else None
        evidence = self._evidence(case, choice, default, hours)
        bound = self._bound(case) if kind.changes and not kind.makes_eligible and not choice.rest else None
        if bound is not None:
            evidence["break_probability"] = bound.as_json()
        before = mass(own)
        left = 0.0 if kind.removes else mass(choice.actions) / (IN_PART if choice.place else 1) + mass(choice.reads)
        weight = 0.5 if kind.makes_eligible or case.row["state"] == "eligible" else 1.0
        used = mass(case.used | case.earlier)
        # The second proposal of a split frees nothing that the first did not free.
        is_second = choice.rest and kind.makes_eligible
        excess_before = float(before - used) * (0.5 if case.row["state"] == "eligible" else 1.0)
        return plan.Proposal(
            id="directory-" + hash_of([*case.key, *(["rest"] * is_second)])[:16],
            plane="directory",
            principal_ids=(case.holder,),
            kind=kind,
            replaces=case.key[:1],
            assignments=_assigned(case, choice),
            reason=reason_of(case, choice, self.catalogue, default) + _on_days(case, self._analysis, kind),
            evidence=evidence,
            proof=proof,
            break_probability_30d=bound.expected if bound is not None else 0.0,
            excess_before=0.0 if is_second else excess_before,
            excess_after=float(max(0, left - used)) * weight,
            risk_before=0.0 if is_second else float(before),
            risk_after=float(left),
        )

    def _evidence(
        self,
        case: DirectoryAssignmentCase,
        choice: DirectoryChoice,
        default: frozenset[str],
        worked: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        analysis, catalogue = self._analysis, self.catalogue
        last_day = analysis.window.end.date()
        before = [
            row | {"days_ago": (last_day - dt.date.fromisoformat(row["last_seen"][:10])).days}
            for row in _uses(analysis.earlier, case)
        ]
        lost, asked = lost_by(case, choice, default), asked_of(case, choice, default)
        granted = len(case.used) + len(case.kept) + len(case.gone)
        comes = _comes(choice, catalogue)
        found: dict[str, Any] = {
            "role": case.row["role_name"] or case.row["role"],
            "scope": case.row["scope"],
            "state": case.row["state"],
            "granted": granted,
            "used": len(case.used),
            "operations": _uses(analysis.used, case),
            **({"used_before": before} if before else {}),
            "kept_unseen": _counted(reason for name, reason in case.kept.items() if name not in lost),
            "removed": _counted([*case.gone.values(), *lost.values()]),
            **({"not_held": sorted(catalogue.spelt[name] for name in asked)[:_TOLD]} if asked else {}),
            "mappable": round(1 - len(case.unlogged) / granted, 3) if granted else 0.0,
            "coverage": analysis.state,
            **({"covered_days": analysis.covered_days} if analysis.state == Unused.COVERED_IN_PART else {}),
            **({"comes": comes} if comes else {}),
            **self._given_away(case),
        }
        if worked is not None:
            found["standing"] = {
                "days": worked["days"],
                "hours_a_month": round(worked["hours_a_month"], 1),
                "activation": duration(worked["hours_needed"]),
                "meaning": "an activation of this length would have covered the use on 95 of 100 days",
            }
        return found

    def _given_away(self, case: DirectoryAssignmentCase) -> dict[str, Any]:
        if case.row["scope"] != "/":
            return {}
        return gives_away("directory", (fold(case.role), *self.catalogue.allows.get(case.role, ())))


def _assigned(case: DirectoryAssignmentCase, choice: DirectoryChoice) -> tuple[plan.PlannedAssignment, ...]:
    kind = choice.kind
    if not kind.assigns:
        return ()
    principal, today = fold(case.holder), str(case.row["scope"])
    state: AssignmentState = "eligible" if kind.makes_eligible or case.row["state"] == "eligible" else "active"
    scope = case.spelt.get(choice.place, choice.place) or today
    roles = (
        (_custom_id(choice.actions),) if kind.makes_role
        else map(fold, choice.roles) if choice.roles
        else (fold(case.role),)
    )  # fmt: skip
    found = [plan.PlannedAssignment(scope, one, principal, None, state) for one in roles]
    found += [plan.PlannedAssignment(today, fold(one), principal, None, state) for one in choice.readers]
    return tuple(sorted(found))


def _prove(
    case: DirectoryAssignmentCase, choice: DirectoryChoice, today: frozenset[str], default: frozenset[str]
) -> plan.Proof:
    """Prove that what was used stays allowed where it was used, and that nothing comes that is not allowed today.

    At an administrative unit or an application a role reaches no more than in the whole tenant.
    """
    kind = choice.kind
    if kind.keeps or kind.makes_eligible:
        return plan.Proof(used_subset=True, granted_superset=True)
    needed = (case.used | case.earlier) - default
    changed = {name for name in needed if not is_directory_read(name)}
    missing = sorted(
        (changed - choice.actions) | ((needed - changed) - choice.reads if choice.place else needed - choice.allowed)
    )
    added = sorted(choice.allowed - today)
    outside = sorted(place for place in case.written if choice.place and place != choice.place)
    witness = next(iter([*missing, *added, *outside]), None)
    return plan.Proof(not missing and not outside, not added, witness)


def _on_days(case: DirectoryAssignmentCase, analysis: DirectoryAnalysis, kind: plan.ProposalKind) -> str:
    """Return the clause for the days that the audit log covers, if removed actions rest on a part of the window."""
    if kind.keeps or Unused.COVERED_IN_PART not in case.gone.values():
        return ""
    return f" ({covered_of(analysis.covered_days, analysis.window.days)})"


def _comes(choice: DirectoryChoice, catalogue: DirectoryRoleCatalog) -> list[str]:
    """Return the names of the new roles for people, with their place where it is narrower; none for one role alone."""
    at = f" at one {place_word(choice.place)}" if choice.place else ""
    readers = [catalogue.names[role] for role in choice.readers]
    if choice.kind.makes_role:
        return [_custom_name(_custom_id(choice.actions)), *readers] if readers else []
    if choice.kind is plan.BUILTIN or readers:
        return [*(catalogue.names[role] + at for role in choice.roles), *readers]
    return []


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
    return dict(sorted(Counter(reasons).items()))


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
