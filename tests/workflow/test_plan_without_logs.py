"""Without a log that decides, a plan takes nothing for want of use, and asks owners about what is wide or ownerless."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rightsize.cli.main import run
from rightsize.propose.core.options import PlanOptions
from rightsize.rbac.assignments import OWNER
from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths
from rightsize.workflow.plan.propose import propose_plan
from tests.propose.small_tenant import MG, READER, SUB, SmallTenant, guid
from tests.tenants.fake_store import FakeStore

APP = 7


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The questions of a plan without any log, by principal."""
    tenant = SmallTenant()
    tenant.covered = ()
    tenant.assign(101, tenant.principal(1, display_name="Ann"), READER, MG)
    tenant.assign(102, tenant.principal(2, display_name="Bob", account_enabled=False), READER, SUB)
    tenant.assign(103, tenant.principal(3, display_name="Eve"), OWNER, SUB)
    tenant.assign(104, tenant.principal(4, display_name="Dan"), READER, SUB)
    tenant.assign(105, tenant.principal(5, display_name="break glass 1"), OWNER, "/")
    for number in (APP, APP + 1):
        holder = tenant.principal(number, "ServicePrincipal", app_id=guid(number + 100))
        tenant.assign(number + 100, holder, READER, SUB, principal_type="ServicePrincipal")
    store = FakeStore(tenant.inputs())
    store.answers["object_owners"] = pl.DataFrame(
        {"object_id": [guid(APP), guid(APP + 1)], "owner_id": [guid(1), guid(2)], "app_id": [None, None]},
        schema_overrides={"app_id": pl.String},
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("rightsize.workflow.plan.propose.open_store", lambda *_, **__: store)
        patched.setattr("rightsize.workflow.plan.propose.renew_digest", lambda *_: "f" * 64)
        options, out = PlanOptions(as_of=dt.date(2026, 4, 1)), tmp_path_factory.mktemp("asked") / "plan"
        result = propose_plan(Path("none"), options, out)
    found: dict[str, list[str]] = {}
    for one in result.questions:
        found.setdefault(one.subject, []).append(one.text)
    return found


def test_owners_are_asked_about_wide_dead_and_permanently_privileged_access(asked: dict[str, list[str]]) -> None:
    assert "it is at a management group" in asked[guid(1)][0]
    assert "its holder is disabled" in asked[guid(2)][0]
    assert "could it be eligible?" in asked[guid(3)][0]
    assert "its owners are disabled or gone" in asked[guid(APP + 1)][0]


def test_nobody_is_asked_about_ordinary_owned_or_emergency_access(asked: dict[str, list[str]]) -> None:
    assert asked.keys() == {guid(1), guid(2), guid(3), guid(APP + 1)}


def _cut(records: list[dict[str, Any]], days: int) -> list[dict[str, Any]]:
    kept = sorted({one["eventTimestamp"][:10] for one in records})[-days:]
    return [one for one in records if one["eventTimestamp"][:10] in kept]


@pytest.mark.slow
def test_twenty_days_of_the_demo_take_nothing_of_azure_roles_for_want_of_use(
    demo_exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every change is an orphan or a duplicate; terminal, summary, comment and report say that the log is short."""
    log = json.loads((demo_exports / "activity" / "subscription-01-cli.json").read_text(encoding="utf-8"))
    (tmp_path / "activity.json").write_text(json.dumps(_cut(log, 20)), encoding="utf-8")
    db, plan = tmp_path / "s.duckdb", tmp_path / "plan"
    parts = ("access", "catalog", "directory", "scopes")
    load_paths(db, [*(demo_exports / part for part in parts), tmp_path / "activity.json"])
    assert run(["propose", "--db", str(db), "--out", str(plan), "--unobservable", "drop", "--reads", "none"]) == 0
    said = capsys.readouterr().err.splitlines()[0]
    assert said.startswith("the log of Azure roles is short: its longest part covers 20 days")
    document = json.loads((plan / "plan.json").read_text(encoding="utf-8"))
    kinds = {one["kind"] for one in document["proposals"] if one["plane"] in ("control", "data")}
    assert kinds == {"keep", "remove_duplicate", "remove_orphan"}
    for command in (["verify", str(plan)], ["next", str(plan)], ["plan", "comment", str(plan)]):
        assert run([*command, "--db", str(db)] if command[0] != "plan" else command) == 0
    assert said[1:] in capsys.readouterr().out
    assert said[1:] in (plan / "summary.html").read_text(encoding="utf-8")
    assert run(["report", "--db", str(db), "--plan", str(plan), "--out", str(tmp_path / "r.html")]) == 0
    assert said[1:] in (tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_assignments_alone_make_a_plan_that_removes_orphans(demo_exports: Path, tmp_path: Path) -> None:
    """Neither roles nor a catalogue are loaded then; a report without a plan says that it has none."""
    db, plan = tmp_path / "s.duckdb", tmp_path / "plan"
    load_paths(db, sorted((demo_exports / "access").glob("role-assignments-*.json")))
    result = propose_plan(db, PlanOptions(), plan)
    assert {str(one.kind) for one in result.plan.proposals} == {"keep", "remove_orphan"}
    assert "use was not judged" in result.said_first[0]
    assert any("az role definition list" in line for line in result.said_first)
    with open_store(db, read_only=True) as store:
        assert store.has_rows("proposals")
    assert run(["report", "--db", str(db), "--out", str(tmp_path / "r.html")]) == 0
    assert "This report has no plan" in (tmp_path / "r.html").read_text(encoding="utf-8")
