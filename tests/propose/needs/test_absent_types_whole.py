"""Existence on Azure's whole catalogue: what a complete inventory decides for a Contributor, and what it never does."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from rightsize.analyze.verdicts.judge import Analysis, analyse
from rightsize.analyze.window import choose_window
from rightsize.model.options import Unobservable
from rightsize.model.plan import Plan
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.pipeline import make_plan
from rightsize.rules.resource_types import extends_others, type_named
from tests.conftest import MadeOnce
from tests.propose.inventoried import holder, inventory, reader, resource
from tests.propose.small_tenant import DAY0, DAYS, SUB, VM, guid, proposal_for
from tests.propose.whole_catalogue import WholeTenant, write_catalogue

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(shared_data: Path, made_once: MadeOnce) -> Path:
    """Where the tables of the whole catalogue are written, once for all processes."""
    return made_once("whole-catalogue", lambda to: write_catalogue(shared_data, to))


def _judged(folder: Path, *, with_inventory: bool) -> tuple[Analysis, Plan]:
    tenant = WholeTenant(folder=folder)
    resource(tenant, VM)
    reader(tenant)
    if with_inventory:
        inventory(tenant)
    holder(tenant)
    holder(tenant, role="8e3af657-a8ff-443c-a75c-2fe8c4bcb635", scope=SUB, number=2)
    inputs = tenant.inputs()
    analysis = analyse(inputs, choose_window(inputs, DAY0 + dt.timedelta(days=DAYS), DAYS))
    options = PlanOptions(unobservable=Unobservable.KEEP)
    return analysis, make_plan(inputs, analysis, options, content_hash="0" * 64)


@pytest.fixture(scope="module")
def before(folder: Path) -> tuple[Analysis, Plan]:
    """The tenant without an inventory."""
    return _judged(folder, with_inventory=False)


@pytest.fixture(scope="module")
def after(folder: Path) -> tuple[Analysis, Plan]:
    """The tenant with a complete inventory of one virtual machine."""
    return _judged(folder, with_inventory=True)


def _open(analysis: Analysis) -> pl.DataFrame:
    profile = analysis.profiles.filter(pl.col("role_assignment_id") == guid(101))["profile_id"].item()
    rows = analysis.profile_operations.filter(pl.col("profile_id") == profile)
    is_read = (pl.col("plane") == "control") & pl.col("operation").str.ends_with("/read")
    return rows.filter(~is_read & pl.col("verdict").is_in(["unobservable", "out_of_coverage"]))


def test_most_of_what_no_log_shows_is_decided(before: tuple[Analysis, Plan], after: tuple[Analysis, Plan]) -> None:
    """Of the unlogged operations of a Contributor, what is left is on types that exist or are never decided."""
    first, second = _open(before[0]), _open(after[0])
    assert set(second["operation"]) < set(first["operation"])
    decided = first.join(second, on="operation", how="anti")
    assert decided.height > first.height / 4
    kinds = decided.select(kind=type_named(pl.col("operation").str.to_lowercase()))["kind"]
    assert kinds.null_count() == 0
    assert not extends_others(kinds.unique()).any()
    assert not decided["operation"].str.contains("(?i)/locations/|/register/action$").any()
    machines = "microsoft.compute/virtualmachines"
    assert machines not in set(kinds)
    of_machines = type_named(pl.col("operation").str.to_lowercase()) == machines
    assert first.filter(of_machines).equals(second.filter(of_machines))


def test_reads_stay_the_pattern_that_they_were(before: tuple[Analysis, Plan], after: tuple[Analysis, Plan]) -> None:
    """An inventory breaks no `*/read` into names, and a plan with it has no more strings than one without."""
    sizes = []
    for _, plan in (before, after):
        planned = {role.definition.role_definition_id: role.definition.permissions for role in plan.roles}
        blocks = [block for one in proposal_for(plan, guid(101)).assignments for block in planned.get(one.role, ())]
        reads = {text for block in blocks for text in block.actions if text.endswith("/read")}
        assert reads <= {"*/read"}
        sizes.append(sum(len(block.actions) + len(block.data_actions) for block in blocks))
    assert sizes[1] < sizes[0]


def test_profiles_stay_few(after: tuple[Analysis, Plan]) -> None:
    """Three assignments of three roles have three profiles."""
    assert after[0].profiles["profile_id"].n_unique() == after[0].profiles.height == 3
