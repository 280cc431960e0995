"""Judge a change of assignments by the planted truth of a generated tenant: what is lost, and what goes.

The replay of a plan knows only logged use. The truth of a generated tenant also has the reads, linked checks and
unlogged data actions, so `check_plan` finds a plan that wrongly takes missing logs for missing need. Some planted
linked checks are in no rule, as in Azure; they are counted apart, so that the other figures promise nothing about
them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from rightsize.analyze.inputs import Inputs, empty, schema_of
from rightsize.demo.suite.model import IN_LOG, LAST_OWNER, UNRULED, SuiteNeed, SuiteTenant, is_owner_of
from rightsize.demo.tenant import UNRULED_CHECK
from rightsize.model.nouns import Decision, PermissionBlock, RoleDefinition
from rightsize.model.plan import Plan, PlannedAssignment
from rightsize.model.role_forms import permissions_from_json, permissions_to_json
from rightsize.model.text import fold, is_read, parse_pattern
from rightsize.propose.core.operation_sets import OperationIndex, Scale
from rightsize.propose.risk.calibration import Prediction
from rightsize.rbac.access import Access
from rightsize.rbac.scopes import parse_scope
from rightsize.store.connection import open_store
from rightsize.workflow.suite.contenders import Change, Forecast, recorded_calls
from rightsize.workflow.suite.excess import NOTHING, Held, Ledger, Weight
from rightsize.workflow.suite.jobs import MadeRole, RoleJudge
from rightsize.workflow.tenant_access import read_tenant_access


@dataclass(frozen=True, slots=True)
class TruthCheck:
    """The answers to the needs of a tenant once a plan is carried out.

    Attributes:
        needs: Number of needs by evidence: used, read, linked, unlogged_data, data_endpoint, out_of_coverage.
        answers: Number of needs by answer: yes, conditional, eligible or no.
        denied: The needs that are refused.
        unruled: Number of further needs that no rule knows, by answer.
        unruled_denied: The further needs that are refused.
    """

    needs: Mapping[str, int]
    answers: Mapping[str, int]
    denied: Sequence[Mapping[str, Any]]
    unruled: Mapping[str, int]
    unruled_denied: Sequence[Mapping[str, Any]]

    @property
    def silent(self) -> int:
        """The needs that no log shows."""
        return sum(self.needs.values()) - self.needs.get("used", 0)

    def document(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "needs": dict(self.needs),
            "answers": dict(self.answers),
            "denied": list(self.denied),
            "unruled": {"answers": dict(self.unruled), "denied": list(self.unruled_denied)},
        }


def check_plan(db: Path, plan: Plan, needs: Sequence[Mapping[str, Any]]) -> TruthCheck:
    """Return for every need whether it is allowed once the plan is carried out.

    Args:
        db: The store that the plan was made from.
        plan: The plan.
        needs: The `needs` of the truth.
    """
    with open_store(db, read_only=True) as store:
        changed = {
            "role_assignments": after_plan(plan, store.table("role_assignments")),
            "role_definitions": with_planned_roles(plan, store.table("role_definitions")),
        }
        tenant = read_tenant_access(lambda name: changed[name] if name in changed else store.table(name))
    answers = [
        tenant.access.decide(need["principal_id"], need["operation"], need["plane"], parse_scope(need["scope"])).allowed
        for need in needs
    ]
    asked = list(zip(needs, answers, strict=True))
    known, unruled = (
        [(need, answer) for need, answer in asked if (need["kind"] == UNRULED_CHECK) is apart]
        for apart in (False, True)
    )
    return TruthCheck(
        dict(sorted(Counter(need["kind"] for need, _ in known).items())),
        dict(sorted(Counter(answer for _, answer in known).items())),
        [need for need, answer in known if answer == "no"],
        dict(sorted(Counter(answer for _, answer in unruled).items())),
        [need for need, answer in unruled if answer == "no"],
    )


def after_plan(plan: Plan, assignments: pl.DataFrame) -> pl.DataFrame:
    """Return the assignments after the plan: without those it replaces, with those it makes."""
    replaced = {name for one in plan.proposals if one.kind.changes for name in one.replaces}
    made = [planned for proposal in plan.proposals for planned in proposal.assignments]
    return with_assignments(assignments.filter(~pl.col("role_assignment_id").is_in(replaced)), made)


def with_assignments(assignments: pl.DataFrame, made: Sequence[PlannedAssignment]) -> pl.DataFrame:
    """Return the assignments with those that somebody would make."""
    rows = [
        {
            "role_assignment_id": f"planned-{number}",
            "state": planned.state,
            "principal_id": planned.principal_id,
            "role_definition_id": planned.role,
            "scope": planned.scope,
            "condition": planned.condition,
        }
        for number, planned in enumerate(made)
    ]
    return pl.concat([assignments, pl.DataFrame(rows, schema=schema_of("role_assignments"))])


def with_planned_roles(plan: Plan, definitions: pl.DataFrame) -> pl.DataFrame:
    """Return the role definitions with those that the plan introduces."""
    return with_roles(definitions, [role.definition for role in plan.roles])


def with_roles(definitions: pl.DataFrame, made: Sequence[RoleDefinition]) -> pl.DataFrame:
    """Return the role definitions with those that somebody would make."""
    rows = [
        {
            "role_definition_id": role.role_definition_id,
            "role_name": role.role_name,
            "role_type": role.role_type,
            "permissions": permissions_to_json(role.permissions),
        }
        for role in made
    ]
    return pl.concat([definitions, pl.DataFrame(rows, schema=schema_of("role_definitions"))])


@dataclass(frozen=True, slots=True)
class SuiteTally:
    """The outcome of one contender on one tenant; tallies of several tenants can be added.

    Attributes:
        needs: Number of planted needs that today's assignments allow, by kind.
        lost: Number of these that the change refuses, by kind.
        recorded: Number of distinct calls of the log that today's assignments allow.
        denied: Number of these that the change refuses.
        principals: Number of principals with a need in the next 30 days.
        broken: Number of these that lose such a need, apart from those that no rule may know.
        assignments: Number of assignments today.
        staying: Number of assignments that have to stay, and that the change leaves.
        before: Excess today, without what assignments give that have to stay.
        after: The same after the change.
        by_design: Excess that assignments give which have to stay, and which the change leaves.
        everything: All excess today.
        roles: The new roles.
        jobs: Number of planted jobs of which a log shows a change.
        holders: Number of holders with a planted job that get a new role.
        explained: Number of these strings that were observed, that read, or whose type exists where they are granted.
        predictions: What the plan says about breaking, with the outcome.
    """

    tenants: int = 0
    needs: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    recorded: int = 0
    denied: int = 0
    principals: int = 0
    broken: int = 0
    assignments: int = 0
    staying: int = 0
    before: Weight = NOTHING
    after: Weight = NOTHING
    by_design: Weight = NOTHING
    everything: Weight = NOTHING
    roles: tuple[MadeRole, ...] = ()
    jobs: int = 0
    holders: int = 0
    explained: int = 0
    predictions: tuple[Prediction, ...] = ()

    @property
    def role_sizes(self) -> tuple[int, ...]:
        """Number of strings of each new role."""
        return tuple(role.strings for role in self.roles)

    def pairs(self, kind: Literal["foreign", "checks", "misplaced"], *, risky: bool = False) -> int:
        """Return the number of (holder, operation) that new roles give as a kind of `MadeRole`, or of the risky ones.

        A holder that gets an operation by two roles counts once.
        """
        return len(
            {
                (role.tenant, who, operation)
                for role in self.roles
                for who, operation in getattr(role, kind)
                if not risky or operation in role.risky
            }
        )

    def __add__(self, other: SuiteTally) -> SuiteTally:
        """Return the sum of both tallies."""
        return SuiteTally(
            self.tenants + other.tenants,
            Counter(self.needs) + Counter(other.needs),
            Counter(self.lost) + Counter(other.lost),
            self.recorded + other.recorded,
            self.denied + other.denied,
            self.principals + other.principals,
            self.broken + other.broken,
            self.assignments + other.assignments,
            self.staying + other.staying,
            self.before + other.before,
            self.after + other.after,
            self.by_design + other.by_design,
            self.everything + other.everything,
            self.roles + other.roles,
            self.jobs + other.jobs,
            self.holders + other.holders,
            self.explained + other.explained,
            self.predictions + other.predictions,
        )


class SuiteJudge:
    """Judges changes of one tenant.

    Args:
        tenant: The tenant with its truth.
        inputs: The tables that a plan may see.
        index: The operations.
        scale: Their weights.
        risky: The risky changes, as a set of operations.
    """

    def __init__(self, tenant: SuiteTenant, inputs: Inputs, index: OperationIndex, scale: Scale, risky: int) -> None:
        self._roles = RoleJudge(tenant, index, risky)
        self._tenant, self._inputs, self._index = tenant, inputs, index
        self._ledger = Ledger(tenant, index, scale)
        rows = inputs.role_definitions.select("role_definition_id", "permissions").iter_rows()
        self._known: dict[str, str | None] = {fold(id_): permissions for id_, permissions in rows}
        self._masks: dict[str, int] = {}
        self._members = {group: tuple(members) for group, members in tenant.members.items()}
        self._recorded = recorded_calls(tenant.needs)
        self._today = self._decide(Change())
        self._weighed_today: dict[frozenset[str], tuple[Weight, Weight]] = {}

    @property
    def knows(self) -> frozenset[str]:
        """The folded ids of the roles that exist in the tenant."""
        return frozenset(self._known)

    def judge(self, change: Change) -> SuiteTally:
        """Return the outcome of a change."""
        after = self._decide(change)
        counted = [
            (need, today, then)
            for need, today, then in zip(self._tenant.needs, self._today, after, strict=True)
            if today.allowed != "no"
        ]
        lost = [(need, today) for need, today, then in counted if not _is_kept(today, then)]
        stays = self._stays(change.replaced)
        free, by_design = self._weights(change, after, stays)
        if stays not in self._weighed_today:
            self._weighed_today[stays] = self._weights(Change(), self._today, stays)
        free_today, by_design_today = self._weighed_today[stays]
        sizes, explained = self._strings(change)
        return SuiteTally(
            tenants=1,
            needs=Counter(need.kind for need, _, _ in counted),
            lost=Counter(need.kind for need, _ in lost),
            recorded=sum(need.is_recorded for need, _, _ in counted),
            denied=sum(need.is_recorded for need, _ in lost),
            principals=len({need.principal_id for need, _, _ in counted if need.comes_next}),
            broken=len({need.principal_id for need, _ in lost if need.comes_next and need.kind != UNRULED}),
            assignments=len(self._tenant.grants),
            staying=len(stays - change.replaced),
            before=free_today,
            after=free,
            by_design=by_design,
            everything=free_today + by_design_today,
            roles=tuple(self._roles.describe(change, sizes)),
            jobs=self._roles.jobs_in_use,
            holders=self._roles.holders(change),
            explained=explained,
            predictions=tuple(_outcome(one, lost) for one in change.forecasts),
        )

    def _assignments(self, change: Change) -> pl.DataFrame:
        """Return the assignments after a change, in the columns of the table."""
        kept = self._inputs.role_assignments.filter(~pl.col("role_assignment_id").is_in(change.replaced))
        return with_assignments(kept, change.made)

    def _decide(self, change: Change) -> list[Decision]:
        """Return for each need whether it is allowed after a change."""
        assignments = self._assignments(change)
        if assignments.is_empty():
            return [Decision("no")] * len(self._tenant.needs)
        assigned = pl.col("role_definition_id").is_in(assignments["role_definition_id"].unique().implode())
        definitions = with_roles(self._inputs.role_definitions.filter(assigned), change.roles)
        # No question is asked of the plane of an operation, so the catalogue is not needed.
        changed = {
            "role_assignments": assignments,
            "role_definitions": definitions,
            "operations": empty("operations"),
        }
        access: Access = read_tenant_access(
            lambda name: changed[name] if name in changed else getattr(self._inputs, name)
        ).access
        return [
            access.decide(need.principal_id, need.operation, need.plane, parse_scope(need.scope))
            for need in self._tenant.needs
        ]

    def _stays(self, replaced: frozenset[str]) -> frozenset[str]:
        """Return the assignments that have to stay.

        Of several Owners of a subscription one has to stay, and a plan may choose which. It is the one that the truth
        names if the change leaves it or leaves no Owner, else the first that the change leaves.
        """
        found = set()
        for grant in self._tenant.grants:
            if grant.by_design == LAST_OWNER:
                others = sorted(one.grant_id for one in self._tenant.grants if is_owner_of(one, grant.scope))
                left = [id_ for id_ in (grant.grant_id, *others) if id_ not in replaced]
                found.add(left[0] if left else grant.grant_id)
            elif grant.by_design:
                found.add(grant.grant_id)
        return frozenset(found)

    def _weights(self, change: Change, decisions: Sequence[Decision], stays: frozenset[str]) -> tuple[Weight, Weight]:
        """Return the excess after a change: what may change, and what the assignments give that have to stay.

        What somebody holds by an assignment that stays counts there alone, whatever else gives it, too.
        """
        new: dict[str, RoleDefinition] = {fold(one.role_definition_id): one for one in change.roles}
        held: dict[str, list[Held]] = {}
        staying: dict[str, list[Held]] = {}
        columns = ("role_assignment_id", "principal_id", "role_definition_id", "scope", "state")
        for id_, principal, role, scope, state in self._assignments(change).select(columns).iter_rows():
            one = Held(self._granted(fold(role), new), fold(scope), state)
            for who in self._members.get(principal, (principal,)):
                held.setdefault(who, []).append(one)
                if id_ in stays:
                    staying.setdefault(who, []).append(one)
        whole, by_design = (_sum(map(self._ledger.of, many.values())) for many in (held, staying))
        for need, decision in zip(self._tenant.needs, decisions, strict=True):
            if decision.allowed != "no":
                weight = self._ledger.of_need(need, is_eligible=decision.allowed == "eligible")
                whole -= weight
                if any(reason.role_assignment_id in stays for reason in decision.because):
                    by_design -= weight
        return whole - by_design, by_design

    def _granted(self, role: str, new: Mapping[str, RoleDefinition]) -> int:
        if role in new:
            return self._index.granted_by(new[role].permissions)
        if role not in self._masks:
            self._masks[role] = self._index.granted_by(permissions_from_json(self._known[role]))
        return self._masks[role]

    def _strings(self, change: Change) -> tuple[tuple[int, ...], int]:
        """Return the number of strings of each new role, and how many strings are explained."""
        sizes, explained = [], 0
        for role in change.roles:
            places = [one for one in change.made if fold(one.role) == fold(role.role_definition_id)]
            seen = {
                (plane, operation)
                for one in places
                for who in self._members.get(one.principal_id, (one.principal_id,))
                for plane, operation, _ in self._recorded.get(who, ())
            }
            strings = list(strings_of(role.permissions))
            sizes.append(len(strings))
            explained += sum(self._is_explained(one, seen, [place.scope for place in places]) for one in strings)
        return tuple(sizes), explained

    def _is_explained(self, string: tuple[str, str], seen: set[tuple[str, str]], scopes: Sequence[str]) -> bool:
        plane, text = string
        if is_read(text) or self._ledger.exists(text, scopes):
            return True
        pattern = parse_pattern(text)
        return any(plane == one and pattern.matches(operation) for one, operation in seen)


def strings_of(blocks: Iterable[PermissionBlock]) -> Iterable[tuple[str, str]]:
    """Yield the plane and the folded text of each string that grants something."""
    for block in blocks:
        yield from (("control", fold(text)) for text in block.actions)
        yield from (("data", fold(text)) for text in block.data_actions)


def _is_kept(today: Decision, then: Decision) -> bool:
    """Return whether a need is as certain after a change as it was before; an activation is no loss."""
    return then.allowed != "no" and (today.depends_on_reading or not then.depends_on_reading)


def _outcome(forecast: Forecast, lost: Sequence[tuple[SuiteNeed, Decision]]) -> Prediction:
    """Return whether a proposal broke a logged operation in the next 30 days."""
    broke = any(
        need.comes_next
        and need.kind in IN_LOG
        and any(reason.role_assignment_id in forecast.replaced for reason in today.because)
        for need, today in lost
    )
    return Prediction(forecast.bound, forecast.expected, broke, forecast.basis, forecast.new_weeks)


def _sum(weights: Iterable[Weight]) -> Weight:
    return sum(weights, NOTHING)
