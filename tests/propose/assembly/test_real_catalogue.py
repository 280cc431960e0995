"""With all operations and built-in roles of Azure, a plan contains only what Azure accepts."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from rightsize.model.role_forms import load_json, read_role_definitions
from tests.propose.small_tenant import (
    CONTRIBUTOR,
    OWNER,
    READER,
    SUB,
    VM,
    VM_CONTRIBUTOR,
    SmallTenant,
    proposal_for,
    strings,
)

pytestmark = pytest.mark.slow


START = "Microsoft.Compute/virtualMachines/start/action"


@pytest.fixture(scope="module")
def catalogue(shared_data: Path) -> dict[str, bool | None]:
    """Every operation, and whether a source says that it is a data action."""
    with (shared_data / "catalog" / "operations.csv").open(encoding="utf-8", newline="") as stream:
        known = {"true": True, "false": False}
        return {row["operation"]: known.get(row["is_data_action"]) for row in csv.DictReader(stream)}


def test_a_plan_over_the_whole_catalogue(shared_data: Path, catalogue: dict[str, bool | None]) -> None:
    """Reader stays beside explicit roles; every string is an operation of the right plane, and none has a wildcard."""
    roles = read_role_definitions(load_json((shared_data / "catalog" / "built-in-roles.json").read_bytes()))
    tenant = SmallTenant(
        operations=dict(catalogue),
        roles={role.role_definition_id: (role.role_name, list(role.permissions)) for role in roles},
    )
    ids = {}
    for number, role in enumerate((CONTRIBUTOR, VM_CONTRIBUTOR, OWNER), start=1):
        user = tenant.principal(number)
        ids[role] = tenant.assign(100 + number, user, role, SUB)
        tenant.use(user, START, VM)
    plan = tenant.plan()
    contributor = proposal_for(plan, ids[CONTRIBUTOR])
    assert READER in {one.role for one in contributor.assignments}
    assert contributor.excess_after < contributor.excess_before / 10
    assert proposal_for(plan, ids[VM_CONTRIBUTOR]).kind == "custom"
    assert plan.replay["denied"] == 0
    assert all(proposal.proof.holds for proposal in plan.proposals)
    written = {text for role in plan.roles for text in strings(plan, role.definition.role_definition_id)}
    explicit = {text for text in written if "*" not in text}
    assert START in explicit
    assert explicit <= set(catalogue)
    assert all(text.endswith("/read") for text in written - explicit)
    for role in plan.roles:
        block = role.definition.permissions[0]
        assert not any(catalogue.get(text) is True for text in block.actions)
        assert not any(catalogue.get(text) is False for text in block.data_actions)
