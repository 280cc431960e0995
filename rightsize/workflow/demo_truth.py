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
from rightsize.model.plan import Plan
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
    replaced = {name for one in plan.proposals if one.kind != "keep" for name in one.replaces}
    made = [
        {
            "role_assignment_id": f"{proposal.id}-{number}",
            "state": planned.state,
            "principal_id": planned.principal_id,
            "role_definition_id": planned.role,
            "scope": planned.scope,
            "condition": planned.condition,
        }
        for proposal in plan.proposals
        for number, planned in enumerate(proposal.assignments)
    ]
    kept = assignments.filter(~pl.col("role_assignment_id").is_in(replaced))
    return pl.concat([kept, pl.DataFrame(made, schema=schema_of("role_assignments"))])


def with_planned_roles(plan: Plan, definitions: pl.DataFrame) -> pl.DataFrame:
    """Return the role definitions with those that the plan introduces."""
    made = [
        {
            "role_definition_id": role.definition.role_definition_id,
            "role_name": role.definition.role_name,
            "role_type": role.definition.role_type,
            "permissions": permissions_to_json(role.definition.permissions),
        }
        for role in plan.roles
    ]
    return pl.concat([definitions, pl.DataFrame(made, schema=schema_of("role_definitions"))])
