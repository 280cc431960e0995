"""The demo's directory: its planted truth is found through every shape of its audit log."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rightsize.analyze.inputs import Inputs
from rightsize.model.options import WHOLE
from rightsize.model.plan import REMOVE
from rightsize.model.text import fold
from rightsize.planes.directory.judge import DirectoryAnalysis, analyse_directory
from rightsize.planes.directory.plan import plan_directory
from rightsize.planes.directory.tables import DirectoryTables, directory_window
from rightsize.planes.planes import DIRECTORY
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.verify.plan_reader import WrittenPart, WrittenProposal
from rightsize.store.connection import open_store
from rightsize.workflow.analysis.behaviour import tables_beside
from rightsize.workflow.analysis.keep_analysis import judge_planes
from rightsize.workflow.data.load import load_paths


@pytest.fixture(scope="module")
def store(demo_exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("directory") / "demo.duckdb"
    load_paths(path, [demo_exports / "directory", demo_exports / "sign-ins"])
    return path


@pytest.fixture(scope="module")
def analysis(store: Path) -> DirectoryAnalysis:
    with open_store(store, read_only=True) as opened:
        tables = DirectoryTables.read(opened.table)
    return analyse_directory(tables, directory_window(tables, WHOLE))


@pytest.mark.nightly
def test_a_plane_says_the_same_beside_what_is_read_of_azure(store: Path) -> None:
    """Then the tables of Azure are not read again, and of its use nothing but the newest day."""
    with open_store(store, read_only=True) as opened:
        inputs = Inputs.read(opened.table)
        alone = judge_planes(opened.table, WHOLE)
        beside = judge_planes(tables_beside(opened, inputs), WHOLE)
    assert [one.analysis.window for one in beside] == [one.analysis.window for one in alone]
    for mine, its in zip(beside, alone, strict=True):
        assert_frame_equal(mine.analysis.verdicts, its.analysis.verdicts, check_row_order=False)
        assert_frame_equal(mine.analysis.findings, its.analysis.findings, check_row_order=False)
    assert not all(one.analysis.verdicts.is_empty() for one in alone)


@pytest.mark.slow
def test_every_planted_use_is_credited_to_the_role_that_allowed_it(
    analysis: DirectoryAnalysis, demo_truth: dict[str, Any]
) -> None:
    planted = {
        (one["role_assignment_id"], one["principal_id"], f"microsoft.directory/{one['action']}", fold(one["scope"]))
        for one in demo_truth["directory"]["needs"]
    }
    used = analysis.verdicts.filter(pl.col("verdict") == "used")
    rows = used.select("role_assignment_id", "principal_id", "operation", "scope").rows()
    assert {(*row[:3], fold(row[3])) for row in rows} == planted


@pytest.mark.slow
def test_every_role_becomes_what_was_planted_and_no_need_is_taken(
    analysis: DirectoryAnalysis, demo_truth: dict[str, Any]
) -> None:
    part = plan_directory(analysis, PlanOptions())
    expected = {one["role_assignment_id"]: one["expected"] for one in demo_truth["directory"]["assignments"]}
    assert {one.replaces[0]: one.kind for one in part.proposals} == expected
    assert all(one.proof.holds for one in part.proposals)
    assert part.replay["denied"] == 0


@pytest.mark.slow
def test_every_planted_activation_is_found_once(analysis: DirectoryAnalysis, demo_truth: dict[str, Any]) -> None:
    found = analysis.activations
    assert len(found) == demo_truth["directory"]["activations"]
    assert found["seen_in"].to_list() == [["audit_log", "request"]] * 2
    assert sorted(found["justified"]) == [False, True]


@pytest.mark.nightly
def test_overlapping_shapes_and_a_second_load_change_nothing(demo_exports: Path, store: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.duckdb"
    shutil.copy(store, again)
    load_paths(again, [demo_exports / "directory/AuditLogs.csv", demo_exports / "directory/directory-audits.json"])
    with open_store(again, read_only=True) as one, open_store(store, read_only=True) as other:
        for name in ("usage_days", "pim_records", "coverage"):
            assert one.table(name).sort(pl.all()).equals(other.table(name).sort(pl.all()))


@pytest.mark.nightly
def test_a_plan_is_stale_when_a_role_or_its_use_changes(analysis: DirectoryAnalysis, store: Path) -> None:
    part = plan_directory(analysis, PlanOptions())
    proposals = tuple(
        WrittenProposal(one.id, one.kind, tuple(map(fold, one.replaces)), None, one.assignments)
        for one in part.proposals
    )
    window = analysis.window
    written = WrittenPart("directory", window, proposals, dict(part.rests_on))
    with open_store(store, read_only=True) as opened:
        assert DIRECTORY.verify(opened.table, written) == []
        grants = dict(part.rests_on["grants"])
        grants["gone-1"] = grants.pop(next(iter(grants)))
        other = WrittenPart(
            "directory", window,
            tuple(WrittenProposal(one.id, REMOVE, one.replaces, None, ()) for one in proposals),
            {"grants": grants, "role_definitions": part.rests_on["role_definitions"]},
        )  # fmt: skip
        changes = DIRECTORY.verify(opened.table, other)
    assert {change.change for change in changes} == {"gone", "not_covered"}
