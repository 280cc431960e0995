"""Check that a plan still allows every need of a generated tenant's planted truth.

The replay of a plan knows only logged use. The truth of a generated tenant also has the reads, linked checks and
unlogged data actions, so this check finds a plan that wrongly takes missing logs for missing need. Some planted linked
checks are in no rule, as in Azure; they are counted apart, so that the other figures promise nothing about them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.inputs import schema_of
from rightsize.demo.tenant import UNRULED_CHECK
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import Plan, PlannedAssignment
from rightsize.model.role_forms import permissions_to_json
from rightsize.rbac.scopes import parse_scope
from rightsize.store.connection import open_store
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
