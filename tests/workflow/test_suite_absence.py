"""More evidence of absence never makes a worse plan: on tenants of the suite, it leaves nobody idle more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from rightsize.analyze.inputs import Inputs
from rightsize.demo.suite.files import read_catalogue, write_suite_exports
from rightsize.demo.suite.model import SMALL
from rightsize.demo.suite.tenants import make_tenant
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.drafts.keep_rules import active_holders
from rightsize.propose.drafts.reading import read_plan_settings, read_tenant
from rightsize.propose.pipeline import plan_from_reading
from rightsize.store.connection import open_store
from rightsize.workflow.analysis.keep_analysis import analyse_inputs
from rightsize.workflow.data.load import load_paths
from tests.conftest import MadeOnce

pytestmark = pytest.mark.nightly

SEEDS = (1, 2, 3)
_ROUNDING = 1e-6
Left = Mapping[str, float]


def _without_listings(inputs: Inputs) -> Inputs:
    return replace(inputs, inventories=inputs.inventories.clear())


def _without_sign_in_logs(inputs: Inputs) -> Inputs:
    """Drop what the logs cover, and no sign-in: a token is evidence of presence."""
    return replace(inputs, coverage=inputs.coverage.filter(pl.col("source") != "sign_in_log"))


def _without_a_log(inputs: Inputs) -> Inputs:
    """Drop what the log of one subscription covers, and no call in it."""
    is_log = pl.col("source") == "activity_log"
    one = inputs.coverage.filter(is_log & pl.col("scope").str.starts_with("/subscriptions/"))["scope"].min()
    return replace(inputs, coverage=inputs.coverage.filter(~(is_log & (pl.col("scope") == one))))


LESS: dict[str, Callable[[Inputs], Inputs]] = {
    "listings": _without_listings,
    "sign-in logs": _without_sign_in_logs,
    "a log": _without_a_log,
    "listings and sign-in logs": lambda inputs: _without_listings(_without_sign_in_logs(inputs)),
}


def _left(inputs: Inputs) -> tuple[Left, Left, Set[str], int]:
    """Return what a plan leaves of each assignment, as a share, today's excess, the idle ones, and the roles.

    A share, since the reach of a scope above subscriptions, and so the excess of today, depends on what is known below.
    """
    options = PlanOptions()
    analysis, _ = analyse_inputs(inputs, options)
    reading = read_tenant(inputs, analysis)
    plan = plan_from_reading(reading, read_plan_settings(reading, options), content_hash="")
    active = set(active_holders(inputs, reading.use.placed))
    idle = {one.role_assignment_id for one in reading.today.subjects if one.principal_id not in active}
    after: dict[str, float] = defaultdict(float)
    before: dict[str, float] = defaultdict(float)
    for proposal in plan.proposals:
        for id_ in proposal.replaces:
            after[id_] += proposal.excess_after
            before[id_] += proposal.excess_before
    return {id_: after[id_] / whole for id_, whole in before.items() if whole}, before, idle, len(plan.roles)


@pytest.fixture(scope="module")
def tenants(shared_data: Path, made_once: MadeOnce) -> Callable[[int], Inputs]:
    """The tables of the tenant of a seed."""

    def load(seed: int, folder: Path) -> None:
        store = folder / "store.duckdb"
        load_paths(store, [shared_data / "catalog" / name for name in ("operations.csv", "built-in-roles.json")])
        with open_store(store, read_only=True) as opened:
            known = read_catalogue(opened.table("operations"), opened.table("role_definitions"))
        write_suite_exports(make_tenant(SMALL, seed, known), known, folder / "exports")
        load_paths(store, [folder / "exports"], named=False)

    def read(seed: int) -> Inputs:
        folder = made_once(f"suite-absence-{seed}", lambda to: load(seed, to))
        with open_store(folder / "store.duckdb", read_only=True) as opened:
            return Inputs.read(opened.table)

    return read


@pytest.mark.parametrize("seed", [SEEDS[0], *(pytest.param(one, marks=pytest.mark.nightly) for one in SEEDS[1:])])
def test_evidence_of_absence_leaves_nobody_more(tenants: Callable[[int], Inputs], seed: int) -> None:
    """Neither an idle assignment nor the tenant's sum, but for roles that are not worth writing for what exists."""
    inputs = tenants(seed)
    more, today, idle, roles = _left(inputs)
    assert idle & more.keys()
    for name, without in LESS.items():
        less, _, _, other_roles = _left(without(inputs))
        worse = {id_: (less[id_], more[id_]) for id_ in idle & more.keys() if more[id_] > less[id_] + _ROUNDING}
        assert not worse, name
        sums = [sum(left[id_] * today[id_] for id_ in more) for left in (more, less)]
        not_worth = max(0, other_roles - roles) * PlanOptions().role_worth
        assert sums[0] <= sums[1] * (1 + _ROUNDING) + not_worth, name
