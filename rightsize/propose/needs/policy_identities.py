"""Find the assignments that managed identities of Azure Policy need: those of the roles that their policies name.

An assignment can be given up only under two conditions: all needs of the identity's policies are known, and the
identity holds each of these roles at the scope of the policy or above. Otherwise it may remediate by another of its
roles, and keeps all assignments. Assignments with use stay as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.policy_needs import PolicyNeed, read_policy_needs
from rightsize.analyze.reasons import Verdict
from rightsize.analyze.scoping import containing
from rightsize.analyze.text import folded, place_of
from rightsize.analyze.verdicts import Analysis

_Row = Mapping[str, Any]
_KEY = ("role_assignment_id", "state")


def judge_policy_identities(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return `(role_assignment_id, state, policy_remediation, remediation)` of assignments kept for policies.

    `policy_remediation` is true, and `remediation` is the clause with the reason, null if the policies' needs are not
    known. The assignments of a group with such a member are kept. No policy needs an assignment that has no row.
    """
    needs = read_policy_needs(inputs)
    groups = inputs.group_closure.filter(folded(pl.col("member_id")).is_in(list(needs)))["group_id"]
    rows = inputs.role_assignments.select(
        *_KEY,
        holder=folded(pl.col("principal_id")),
        role=folded(pl.col("role_definition_id")),
        place=place_of(pl.col("scope")),
        is_group=folded(pl.col("principal_id")).is_in(folded(groups).implode()),
    ).filter(pl.col("holder").is_in(list(needs)) | pl.col("is_group"))
    held: dict[str, list[_Row]] = defaultdict(list)
    for row in rows.filter(~pl.col("is_group")).iter_rows(named=True):
        held[row["holder"]].append(row)
    used = analysis.verdicts.filter(pl.col("verdict") == Verdict.USED).select(_KEY).unique()
    definitions = inputs.role_definitions.select(folded(pl.col("role_definition_id")), "role_name")
    asked = sorted({need.place for own in needs.values() for need in own})
    above = containing(pl.Series("place", asked, dtype=pl.String), rows["place"].unique().sort(), analysis.tenant.tree)
    facts = _PolicyFacts(set(used.iter_rows()), dict(definitions.iter_rows()), set(above.iter_rows()))
    found = [
        (row["role_assignment_id"], row["state"], True, said)
        for holder, own in sorted(held.items())
        for row, said in facts.kept(own, needs[holder])
    ]
    found += [(id_, state, True, None) for id_, state in rows.filter("is_group").select(_KEY).iter_rows()]
    schema = dict.fromkeys(_KEY, pl.String()) | {"policy_remediation": pl.Boolean(), "remediation": pl.String()}
    return pl.DataFrame(found, schema=schema, orient="row")


@dataclass(frozen=True, slots=True)
class _PolicyFacts:
    used: Set[tuple[str, str]]
    names: Mapping[str, str | None]
    above: Set[tuple[str, str]]

    def kept(self, held: Sequence[_Row], needs: Sequence[PolicyNeed]) -> Iterator[tuple[_Row, str | None]]:
        """Yield the assignments that an identity keeps, each with the reason."""
        if any(need.roles is None for need in needs):
            yield from ((row, None) for row in held)
            return
        named = {role: (need, by) for need in reversed(needs) for role, by in (need.roles or {}).items()}
        lacking = next(self._lacking(held, needs), None)
        for row in held:
            if row["role"] in named:
                need, by = named[row["role"]]
                yield row, f"its holder remediates for the policy {need.name}, whose definition {by} names the role"
            elif lacking is not None:
                need, role = lacking
                what = self.names.get(role) or role
                yield row, f"the policy {need.name} names the role {what}, which its holder does not have there"
            elif (row["role_assignment_id"], row["state"]) in self.used:
                yield row, "its holder remediates for policies, and the role was used although none of them names it"

    def _lacking(self, held: Sequence[_Row], needs: Sequence[PolicyNeed]) -> Iterator[tuple[PolicyNeed, str]]:
        """Yield the roles that a policy names and its identity does not hold at the policy's scope or above."""
        for need in needs:
            for role in need.roles or ():
                there = (row["place"] for row in held if row["role"] == role and row["state"] == "active")
                if not any((need.place, place) in self.above for place in there):
                    yield need, role
