"""Federated credentials from exports to plan: used, unused, too wide, undecided; nobody who signed in is locked out."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rightsize.propose.core.options import PlanOptions
from rightsize.store.connection import open_store
from rightsize.workflow.plan.propose import propose_plan
from rightsize.workflow.plan.verify import verify_plan
from tests.plan_schema import check_plan
from tests.planes.federated.trusting_tenant import DAYS, EXPECTED, HOSTILE, LAST, Tenant, guid, planted

pytestmark = pytest.mark.slow


class Planned:
    """A store and the plan that was written from it."""

    def __init__(self, folder: Path, tenant: Tenant, **options: Any) -> None:
        self.folder = folder / "plan"
        self.db = tenant.load(folder)
        propose_plan(self.db, PlanOptions(**options), self.folder)
        self.document = json.loads((self.folder / "plan.json").read_text())
        mine = [one for one in self.document["proposals"] if one["plane"] == "trust"]
        self.proposals = {self._name(one): one for one in mine}

    @staticmethod
    def _name(one: dict[str, Any]) -> str:
        said = one["evidence"]["trust"]
        if said["name"] != "x":
            return str(said["name"])
        return next(name for name in ("many", "unsaid") if said["object_id"] == guid("app", name))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Planned:
    return Planned(tmp_path_factory.mktemp("trust"), planted())


@pytest.mark.nightly
def test_each_credential_gets_what_an_expert_would_do(done: Planned) -> None:
    found = {name: (one["evidence"]["trust"]["verdict"], one["kind"]) for name, one in done.proposals.items()}
    assert found == EXPECTED


def test_the_plan_is_of_its_schema_and_says_why(done: Planned) -> None:
    check_plan(done.document)
    words = {name: one["evidence"]["trust"]["because"] for name, one in done.proposals.items()}
    assert (words["pod"], words["a"], words["g"]) == ("only_credential", "unknown_credential", "no_such_holder")
    assert (words["many"], words["unsaid"]) == ("other_tenants", "other_tenants")
    kept = {name: done.proposals[name]["reason"].partition(":")[0] for name in ("h", "new", "org")}
    assert kept == {"h": "cannot_restore", "new": "young", "org": "days_without_subject"}
    assert "29 of 30 days" in done.proposals["org"]["reason"]
    assert any(
        "organisation" not in one["text"] and "every repository of contoso" in one["text"]
        for one in done.document["advice"]
    )


def test_a_wide_one_becomes_exactly_the_subjects_that_signed_in(done: Planned) -> None:
    main, production = "repo:contoso/infra:ref:refs/heads/main", "repo:contoso/infra:environment:production"
    assert done.proposals["any"]["evidence"]["comes"] == [production, main]
    said = done.proposals["any"]["evidence"]["trust"]
    bodies = [made["request"]["body"] for made in said["makes"]]
    assert {body["subject"] for body in bodies} == {main, production}
    assert all("claimsMatchingExpression" not in body and body["issuer"] == said["issuer"] for body in bodies)
    whole = next(
        json.loads(path.read_text()) for path in done.folder.glob("trust/*.json") if said["object_id"] in path.name
    )
    steps = [request.get("method", "WAIT") for request in whole["requests"]]
    assert steps == ["POST", "POST", "WAIT", "GET", "GET", "DELETE"]
    assert [request.get("method", "WAIT") for request in whole["rollback"]] == [
        "POST",
        "WAIT",
        "GET",
        "DELETE",
        "DELETE",
    ]


def test_the_way_back_makes_exactly_what_was_there(done: Planned) -> None:
    body = done.proposals["any"]["evidence"]["trust"]["restores"]["body"]
    assert body == {
        "name": "any",
        "issuer": "https://token.actions.githubusercontent.com",
        "audiences": ["api://AzureADTokenExchange"],
        "claimsMatchingExpression": {"value": "claims['sub'] matches 'repo:contoso/infra:*'", "languageVersion": 1},
    }
    idle = done.proposals["Idle"]["evidence"]["trust"]["restores"]
    assert (idle["method"], idle["version"], idle["url"].rpartition("/")[2]) == ("PUT", "2023-01-31", "Idle")
    assert set(idle["body"]["properties"]) == {"issuer", "subject", "audiences"}


def test_other_compared_claims_stay_compared(done: Planned) -> None:
    """An exact subject alone would trust workflows that the expression refuses today."""
    (made,) = done.proposals["flow"]["evidence"]["trust"]["makes"]
    expression = made["request"]["body"]["claimsMatchingExpression"]["value"]
    assert expression == (
        "claims['sub'] eq 'repo:contoso/a:ref:refs/heads/main' and claims['job_workflow_ref'] eq 'c/f/x.yml@main'"
    )
    assert made["request"]["url"].startswith("https://graph.microsoft.com/beta/") and len(expression) <= 128


def test_hostile_subjects_run_nothing(done: Planned, tmp_path: Path) -> None:
    """The shell that reads the scripts sees one argument, and pages have no markup of theirs."""
    (path,) = (path for path in done.folder.glob("trust/*-rollback.sh") if "reboot" in path.read_text())
    fake = tmp_path / "az"
    fake.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    fake.chmod(0o755)
    ran = subprocess.run(
        ["bash", str(path)], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, check=True
    )
    body = next(json.loads(line) for line in ran.stdout.decode().splitlines() if line.startswith("{"))
    assert body["subject"] == HOSTILE
    page = path.with_name(path.name.replace("-rollback.sh", ".md")).read_text()
    assert "<b>" not in page and "\u202e" not in page


def test_sql_shows_who_uses_which_credential(done: Planned) -> None:
    with open_store(done.db, read_only=True) as store:
        rows = {row["name"]: row for row in store.table("credential_verdicts").to_dicts()}
        exact_sign_ins = store.table("credential_sign_ins")
    assert (rows["main"]["sign_ins"], rows["main"]["days"]) == (len(DAYS), len(DAYS))
    assert rows["main"]["last_seen"].date() == LAST
    assert rows["main"]["resources"] == ["Azure Resource Manager"]
    assert rows["any"]["trusts"].startswith("any workflow run of contoso/infra")
    assert rows["any"]["subjects"] == done.proposals["any"]["evidence"]["comes"]
    assert exact_sign_ins["federated_credential_id"].n_unique() == 6


@pytest.mark.nightly
def test_a_written_plan_verifies_until_somebody_else_signs_in(done: Planned, tmp_path: Path) -> None:
    assert verify_plan(done.db, done.folder).refusal is None
    later = planted()
    day = [LAST + dt.timedelta(days=1)]
    later.signs_in("deployer", guid("credential", "deployer", "Old"), day)
    later.signs_in("wide", guid("credential", "wide", "any"), day)
    later.runs("wide", "repo:contoso/infra:pull_request", day)
    changes = verify_plan(later.load(tmp_path), done.folder).rows
    assert {(one["operation"], one["change"]) for one in changes} == {
        ("repo:contoso/shop:pull_request", "not_covered"),
        ("repo:contoso/infra:pull_request", "not_covered"),
    }
