"""Planes beyond Azure RBAC: their results are listed beside those of RBAC and change none of them."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest

from rightsize.analyze.inputs import Inputs, empty
from rightsize.analyze.planes import ASSIGNMENTS_SCHEMA, DENIED_SCHEMA, PRINCIPALS_SCHEMA, PlaneAnalysis
from rightsize.analyze.verdicts.judge import VERDICTS_SCHEMA
from rightsize.analyze.window import Window
from rightsize.cli.main import run
from rightsize.model.options import WindowOptions
from rightsize.model.plan import REMOVE, PlanePart, Proof, Proposal
from rightsize.planes.judging import TableOf
from rightsize.planes.planes import Judged, PlaneSteps
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.verify.plan_reader import WrittenPart, load_plan, read_plan
from rightsize.propose.verify.verify import Change
from rightsize.render.plan import plan_files
from rightsize.workflow.analysis.keep_analysis import verify_parts
from tests.analyze.tiny import RG, Tiny
from tests.propose.small_tenant import SmallTenant
from tests.propose.written_plans import contents_of
from tests.tenants.fake_store import FakeStore

WINDOW = Window(dt.date(2026, 1, 1), dt.date(2026, 1, 10))
COUNTS = {"granted": 1, "used": 0, "unused": 1, "unobservable": 0, "out_of_coverage": 0, "creep": 50.0, "risk": 60.0}


def rows(schema: dict[str, pl.DataType], **columns: object) -> pl.DataFrame:
    return pl.DataFrame([{name: columns.get(name) for name in schema}], schema=schema)


def plan(options: PlanOptions) -> PlanePart:
    raise NotImplementedError


def judge(table_of: TableOf, asked: WindowOptions) -> Judged:
    grant = {"role_assignment_id": "grant", "state": "active", "principal_id": "p", "plane": "graph", "scope": "/"}
    verdict = grant | {"verdict": "unused", "reason": "covered", "operation": "User.Read.All", "operations": 1}
    return Judged(
        PlaneAnalysis(
            "graph",
            WINDOW,
            rows(VERDICTS_SCHEMA, **verdict),
            rows(PRINCIPALS_SCHEMA, principal_id="p", plane="graph", **COUNTS),
            rows(ASSIGNMENTS_SCHEMA, **grant, role_definition_id="r", role_name="User.Read.All", **COUNTS),
            rows(
                DENIED_SCHEMA, principal_id="p", operation="GET /users", plane="graph", scope="/", denied=2, used=False
            ),
            empty("findings"),
        ),
        plan,
    )


def unchanged(table_of: TableOf, part: WrittenPart) -> list[Change]:
    return []


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    tiny = Tiny().role("vm", "Microsoft.Compute/*").assign("a", "p", "vm", RG).cover()
    store = FakeStore(tiny.use("p", "Microsoft.Compute/virtualMachines/write", succeeded=2).inputs())
    for module in ("analysis.analyze", "answers.explain"):
        monkeypatch.setattr(f"rightsize.workflow.{module}.open_store", lambda *_, **__: store)
    monkeypatch.setattr("rightsize.workflow.analysis.keep_analysis.PLANES", (PlaneSteps("graph", judge, unchanged),))
    return store


@pytest.mark.nightly
def test_analyze_has_a_row_for_each_plane(store: FakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "--min-window", "10", "-o", "json"]) == 0
    found = {row["plane"]: row for row in json.loads(capsys.readouterr().out) if row["principal_id"] == "p"}
    assert found["graph"]["unused"] == 1
    assert found["control"]["used"] == 1
    assert set(store.answers["verdicts"]["plane"]) == {"control", "graph"}


@pytest.mark.nightly
def test_analyze_by_assignment_names_the_grant(store: FakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "--by", "assignment", "--min-window", "10", "-o", "json"]) == 0
    found = {row["role_assignment_id"]: row for row in json.loads(capsys.readouterr().out)}
    assert (found["grant"]["role_name"], found["grant"]["plane"]) == ("User.Read.All", "graph")


@pytest.mark.slow
def test_explain_shows_all_planes_of_a_principal(store: FakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "p", "--min-window", "10", "-o", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {row["plane"] for row in answer["verdicts"]} == {"control", "graph"}
    assert [row["role_name"] for row in answer["assignments"]] == ["vm", "User.Read.All"]
    assert answer["assignments"][1]["verdicts"][0]["operations"] == 1
    assert answer["denied"][-1]["operation"] == "GET /users"
    assert answer["planes"]["graph"] == {"first_day": "2026-01-01", "last_day": "2026-01-10"}


def test_use_of_another_plane_is_none_of_rbac() -> None:
    tiny = Tiny().cover().use("p", "Microsoft.Compute/virtualMachines/write")
    inputs = tiny.inputs()
    graph = inputs.usage_days.with_columns(plane=pl.lit("graph"))
    log = inputs.coverage.with_columns(source=pl.lit("graph_activity_log"))
    both = {
        "usage_days": pl.concat([inputs.usage_days, graph]),
        "coverage": pl.concat([inputs.coverage, log]),
    }
    read = Inputs.read(lambda name: both.get(name, getattr(inputs, name)))
    assert read.usage_days.equals(inputs.usage_days)
    assert read.coverage.equals(inputs.coverage)


@pytest.mark.slow
def test_proposals_of_a_plane_stand_in_the_plan_and_are_asked_of_the_plane(tmp_path: Path) -> None:
    tenant = SmallTenant()
    tenant.assign(1, tenant.principal(1), "reader", RG)
    plan = tenant.plan()
    proposal = Proposal(
        "graph-1", "graph", ("p",), REMOVE, ("grant",), (), "unused",
        {"role": "User.Read.All", "scope": "/", "state": "active"}, Proof(True, True), 0.0, 4.0, 0.0, 60.0, 0.0,
    )  # fmt: skip
    window = {"first_day": "2026-01-01", "last_day": "2026-01-10", "days": 10}
    part = PlanePart(
        "graph", (proposal,), window, {"allowed": 1}, {"grants": {"grant": "x"}}, files={"graph/a.md": "A"}
    )
    object.__setattr__(plan, "parts", (part,))
    files = contents_of(plan_files(plan))
    assert files["graph/a.md"] == b"A"
    document = load_plan(files["plan.json"])
    assert [one["plane"] for one in document["proposals"]] == ["control", "graph"]
    written = read_plan(files["plan.json"])
    assert [one.id for one in written.parts[0].proposals] == ["graph-1"]
    assert "graph-1" not in {one.id for one in written.proposals}
    gone = Change("grant", "grant", "gone", "it is not there any more")
    steps = PlaneSteps("graph", judge, lambda _, part: [gone] if part.rests_on["grants"] else [])
    assert verify_parts(empty, written, [steps]) == (gone,)
