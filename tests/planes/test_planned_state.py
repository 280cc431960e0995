"""The tables of the directory and of Graph after a plan is carried out."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from rightsize.analyze.inputs import schema_of
from rightsize.model.nouns import Plane
from rightsize.model.plan import PROPOSAL_KINDS, Plan, PlanePart, PlannedAssignment, Proof, Proposal
from rightsize.planes.planned_state import tables_after


def proposal(kind: str, *assignments: PlannedAssignment, plane: Plane = "directory", of: str = "d1") -> Proposal:
    evidence = {"role": "R", "scope": "/", "state": "active"}
    return Proposal(
        "p1", plane, ("u",), PROPOSAL_KINDS[kind], (of,), assignments, "", evidence, Proof(True, True), 0, 0, 0, 0, 0
    )


def rows(*proposals: Proposal, name: str = "directory_role_assignments") -> list[dict[str, Any]]:
    plane = proposals[0].plane
    tables = {
        "directory_roles": [{"directory_role_id": "small"}, {"directory_role_id": "big"}],
        "directory_role_assignments": [
            {
                "role_assignment_id": one,
                "state": "active",
                "principal_id": "u",
                "directory_role_id": "big",
                "scope": "/",
            }
            for one in ("d1", "d2")
        ],
        "api_permissions": [{"api_app_id": "api", "permission_id": "small", "access": "application"}],
        "app_role_assignments": [
            {"app_role_assignment_id": "d1", "principal_id": "u", "resource_id": "api", "app_role_id": "big"}
        ],
    }
    part = PlanePart(plane, proposals, {}, {}, {})
    read = tables_after(
        Plan({}, (), (), (), parts=(part,)), lambda name: pl.DataFrame(tables[name], schema=schema_of(name))
    )
    return read(name).to_dicts()


def test_what_is_removed_is_gone_and_the_rest_stays() -> None:
    assert [row["role_assignment_id"] for row in rows(proposal("remove"))] == ["d2"]
    assert len(rows(proposal("keep"))) == 2


@pytest.mark.parametrize(("state", "scope"), [("eligible", "/"), ("active", "/administrativeUnits/x")])
def test_a_smaller_narrower_or_sleeping_role_takes_its_place(state: Any, scope: str) -> None:
    given = PlannedAssignment(scope, "small", "u", None, state)
    (new,) = [row for row in rows(proposal("builtin", given)) if row["role_assignment_id"] != "d2"]
    assert (new["directory_role_id"], new["state"], new["scope"], new["principal_id"]) == ("small", state, scope, "u")


def test_a_role_that_nothing_describes_leaves_todays_in_place() -> None:
    found = rows(proposal("custom", PlannedAssignment("/", "unheard-of", "u")))
    assert {row["directory_role_id"] for row in found} == {"big"}
    assert len(found) == 2


def test_a_permission_of_graph_is_swapped_at_the_same_api() -> None:
    given = PlannedAssignment("/", "small", "u")
    (new,) = rows(proposal("builtin", given, plane="graph"), name="app_role_assignments")
    assert (new["app_role_id"], new["resource_id"]) == ("small", "api")
