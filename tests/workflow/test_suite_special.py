"""The special tenant of the suite: what is decided in subscriptions of which not everything can be known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rightsize.analyze.inputs import Inputs
from rightsize.demo.suite.files import read_catalogue, write_suite_exports
from rightsize.demo.suite.tenants import suite_tenants
from rightsize.propose.core.options import PlanOptions
from rightsize.store.connection import open_store
from rightsize.workflow.analysis.keep_analysis import analyse_inputs
from rightsize.workflow.data.load import load_paths
from rightsize.workflow.suite.run import SuiteResult, existence_of, run_suite

pytestmark = pytest.mark.slow

CATALOGUE = ("built-in-roles.json", "operations.csv")


@pytest.fixture(scope="module")
def special(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> SuiteResult:
    """The special suite with the default options."""
    catalogue = [shared_data / "catalog" / name for name in CATALOGUE]
    nowhere = tmp_path_factory.mktemp("special") / "none.duckdb"
    return run_suite("special", 0, db=nowhere, catalogue=catalogue, settings=["reads=all"])


@pytest.fixture(scope="module")
def known(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the analysis decides in each subscription; the plans of the suite, which take long, have no part in it."""
    folder = tmp_path_factory.mktemp("known")
    db = folder / "s.duckdb"
    load_paths(db, [shared_data / "catalog" / name for name in CATALOGUE])
    with open_store(db, read_only=True) as store:
        catalogue = read_catalogue(store.table("operations"), store.table("role_definitions"))
    (tenant,) = suite_tenants("special", 0, catalogue)
    write_suite_exports(tenant, catalogue, folder / "exports")
    load_paths(db, [folder / "exports"], named=False)
    with open_store(db, read_only=True) as store:
        analysis, _ = analyse_inputs(Inputs.read(store.table), PlanOptions())
    return {row["subscription"]: dict(row) for row in existence_of(tenant, analysis)}


@pytest.mark.nightly
def test_the_suite_counts_what_the_analysis_decides(special: SuiteResult, known: dict[str, dict[str, Any]]) -> None:
    assert {row["subscription"]: dict(row) for row in special.existence} == known


@pytest.mark.nightly
def test_no_need_is_lost_where_existence_cannot_be_known(special: SuiteResult) -> None:
    """Data actions on resources that neither a listing nor a log names stay, as does all that a log or rule shows."""
    (row,) = (one for one in special.rows() if one["plan"] == "default")
    lost = {kind: one["lost"] for kind, one in row["needs_by_kind"].items()}
    assert row["needs_by_kind"]["data"]["needs"] >= 3
    assert [lost[kind] for kind in ("logged", "read", "linked", "data")] == [0, 0, 0, 0]
    assert row["recorded_calls_denied"] == 0
    assert row["assignments_by_design"] == sum(special.by_design.values())


@pytest.mark.nightly
def test_what_pipelines_declare_is_not_lost(special: SuiteResult) -> None:
    """With declared code, of what comes later only the needs of people are lost."""
    plans = {one["plan"]: one for one in special.rows()}
    without, declared = plans["default"], plans["declared code"]
    late = ("seasonal", "future")
    lost = [sum(one["needs_by_kind"][kind]["lost"] for kind in late) for one in (without, declared)]
    assert lost == [2, 1]
    assert declared["recorded_calls_denied"] == 0


def test_a_subscription_with_listings_and_a_log_is_decided(known: dict[str, dict[str, Any]]) -> None:
    """Each type is there or absent, and absences decide assignments."""
    assert known["apps"]["unknown"] == 0
    assert known["apps"]["absent"] > 300
    assert known["apps"]["judged"] > 0
    assert known["apps"]["why"] == ""


@pytest.mark.parametrize(("subscription", "why"), [("unlisted", "no_listing"), ("unreadable", "reader_without_right")])
def test_a_short_listing_proves_no_absence(known: dict[str, dict[str, Any]], subscription: str, why: str) -> None:
    """What is known to be there is, all else is unknown, and no assignment is narrowed for want of a resource."""
    row = known[subscription]
    assert row["there"] > 0
    assert (row["absent"], row["not registered"], row["judged"], row["why"]) == (0, 0, 0, why)


def test_a_deleted_resource_group_hides_what_was_in_it(known: dict[str, dict[str, Any]]) -> None:
    """Only what its provider's registration excludes is absent; the provider of the lost resource is registered."""
    row = known["emptied"]
    assert (row["absent"], row["why"]) == (0, "group_deleted")
    assert row["not registered"] > 300
    assert row["unknown"] > 0


def test_an_empty_subscription_waits(known: dict[str, dict[str, Any]]) -> None:
    """All types are proved absent, and still no assignment of it is narrowed for that: it gets a question."""
    row = known["standby"]
    assert (row["there"], row["unknown"], row["judged"]) == (0, 0, 0)
    assert row["absent"] > 300
    assert row["waiting"] == 3
