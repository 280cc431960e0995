"""The aims on planted vaults: nothing used is denied, nothing grave is new, most of what is unused goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from rightsize.model.nouns import RoleDefinition
from rightsize.model.options import USUAL
from rightsize.model.plan import PlanePart
from rightsize.model.role_forms import load_json, read_role_definitions
from rightsize.planes.vaults.judge import analyse_vaults
from rightsize.planes.vaults.plan import plan_vaults
from rightsize.planes.vaults.tables import VaultTables, vault_window
from rightsize.propose.core.options import PlanOptions
from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths
from tests.planes.vaults.planted_vaults import ASKED, PIPED, VAULTS, PlantedVaults, judge, roles_of

pytestmark = pytest.mark.nightly


def _part(planted: PlantedVaults, folder: Path, roles: Mapping[str, RoleDefinition]) -> PlanePart:
    planted.write(folder / "exports", roles)
    load_paths(folder / "store.duckdb", [folder / "exports"], named=False)
    with open_store(folder / "store.duckdb", read_only=True) as store:
        tables = VaultTables.read(store.table)
    return plan_vaults(analyse_vaults(tables, vault_window(tables, USUAL)), PlanOptions())


@pytest.mark.parametrize("seed", range(3, 6))
def test_the_aims_hold_with_all_roles_of_azure(seed: int, tmp_path: Path, shared_data: Path) -> None:
    definitions = read_role_definitions(load_json((shared_data / "catalog" / "built-in-roles.json").read_bytes()))
    roles = {one.role_name: one for one in definitions}
    _check(PlantedVaults(seed), tmp_path, roles)


@pytest.mark.parametrize("seed", range(3))
def test_the_aims_hold(seed: int, tmp_path: Path) -> None:
    """Everything that is planted gets its word, whatever the seed."""
    part = _check(PlantedVaults(seed), tmp_path, roles_of())
    words = {one.evidence["vault"]["word"] for one in part.proposals}
    assert words == {"", "unused", "orphan", "no_log", "on_behalf", "young"}
    assert any(one.text.startswith("pipeline wrote the vault kv-piped") for one in part.advice)
    assert {one.evidence["vault"]["foreign_policies"] for one in part.proposals} == {1}
    fresh = [one for one in part.proposals if one.evidence["vault"]["word"] == "young"]
    assert {one.evidence["scope"].rpartition("/")[2] for one in fresh} == {PIPED}


def test_the_judge_sees_what_is_denied_and_what_is_new(tmp_path: Path) -> None:
    """Without roles all use is denied; with administrators much is new, and hardly anything goes."""
    planted, roles = PlantedVaults(0), roles_of()
    part = _part(planted, tmp_path, roles)
    bare = replace(part, proposals=tuple(replace(one, assignments=()) for one in part.proposals))
    none = judge(planted, bare, roles)
    assert (len(none.denied), none.beyond) == (none.used, [])
    role = roles["Key Vault Administrator"].role_definition_id
    grown = [
        replace(one, assignments=tuple(replace(given, role=role) for given in one.assignments))
        for one in part.proposals
    ]
    all_ = judge(planted, replace(part, proposals=tuple(grown)), roles)
    assert (all_.denied, bool(all_.beyond)) == ([], True)
    assert all_.gone < 0.2 * all_.unused


def _check(planted: PlantedVaults, folder: Path, roles: Mapping[str, RoleDefinition]) -> PlanePart:
    part = _part(planted, folder, roles)
    tally = judge(planted, part, roles)
    assert tally.switched == set(VAULTS) - {ASKED}
    assert tally.used > 50
    assert tally.denied == tally.beyond == []
    assert tally.gone >= 0.8 * tally.unused
    held = {one.holder for one in planted.policies if not one.tenant}
    assert {one.principal_ids[0] for one in part.proposals} == held
    return part
