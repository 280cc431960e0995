"""Verdicts and choices on single federated credentials, from tables."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest

from rightsize.analyze.inputs import schema_of
from rightsize.model.options import WindowOptions
from rightsize.planes.federated.judge import TrustAnalysis, analyse_trust
from rightsize.planes.federated.plan import plan_trust
from rightsize.planes.federated.tables import TrustTables, trust_window
from rightsize.propose.core.options import PlanOptions
from rightsize.rules.trust import admits, fits_wildcards, narrowed, parse_expression, recognise_subject

GITHUB = "https://token.actions.githubusercontent.com"
LAST = dt.date(2026, 3, 31)
DAYS = [LAST - dt.timedelta(days=number) for number in range(90)]
APP, CLIENT, PRINCIPAL = "app", "client", "principal"


class World:
    """One application with credentials, and what the logs say; every log covers the window."""

    def __init__(self) -> None:
        self.held: list[dict[str, Any]] = []
        self.signed: list[dict[str, Any]] = []
        self.seen: list[dict[str, Any]] = []
        self.client: str | None = CLIENT
        self.covered: dict[str, list[dt.date]] = {"sign_in_log": DAYS, "entra_audit_log": DAYS}

    def trusts(self, name: str, subject: str, **more: Any) -> World:
        row = {
            "object_id": APP,
            "name": name,
            "app_id": CLIENT,
            "issuer": GITHUB,
            "subject": subject,
            "audiences": ["a"],
        }
        row |= {"is_expression": subject.startswith("claims["), "credential_id": f"id of {name}", "spelling": name}
        self.held.append(row | {"sign_in_audience": "AzureADMyOrg"} | more)
        return self

    def signs_in(self, credential: str | None, days: list[dt.date] = DAYS, kind: str = "service_principal") -> World:
        for day in days:
            time = dt.datetime.combine(day, dt.time(7))
            row = {"principal_id": PRINCIPAL, "app_id": CLIENT, "kind": kind, "day": day, "succeeded": 2, "failed": 0}
            self.signed.append(row | {"first_seen": time, "last_seen": time, "federated_credential_id": credential})
        return self

    def runs(self, subject: str, days: list[dt.date], **more: str) -> World:
        for day in days:
            row = {"issuer": GITHUB, "subject": subject, "time": dt.datetime.combine(day, dt.time(7)), "app_id": CLIENT}
            self.seen.append(row | more)
        return self

    def judged(self) -> TrustAnalysis:
        coverage = [
            {"source": source, "category": "service_principal", "scope": "/", "day": day, "state": "observed"}
            for source, days in self.covered.items()
            for day in days
        ]
        person = {"principal_id": PRINCIPAL, "principal_type": "ServicePrincipal", "app_id": self.client}
        frames = {
            "federated_credentials": self.held,
            "coverage": coverage,
            "principals": [person | {"display_name": "Deployer", "created_on": dt.datetime(2024, 1, 1)}],
            "credential_sign_ins": self.signed,
            "observed_subjects": self.seen,
        }
        tables = TrustTables.read(lambda name: pl.DataFrame(frames.get(name, []), schema=schema_of(name)))
        return analyse_trust(
            tables, trust_window(tables, WindowOptions(as_of=LAST + dt.timedelta(days=1), min_window=90))
        )

    def proposal(self, name: str, **options: Any) -> Any:
        found = plan_trust(self.judged(), PlanOptions(**options)).proposals
        return next(one for one in found if one.evidence["trust"]["name"] == name)


@pytest.mark.slow
def test_nobody_loses_what_a_gap_in_the_logs_may_hide() -> None:
    world = World().trusts("idle", "repo:o/r:environment:x").trusts("main", "repo:o/r:ref:refs/heads/main")
    world.signs_in("id of main")
    assert world.proposal("idle").kind == "remove"
    world.covered["entra_audit_log"] = []
    assert world.proposal("idle").reason.startswith("age_unknown: ")
    world.covered = {"sign_in_log": DAYS[:10], "entra_audit_log": DAYS}
    found = world.proposal("idle")
    assert (found.kind, found.evidence["trust"]["verdict"]) == ("keep", "out_of_coverage")


def test_pull_requests_and_whole_repositories_give_it_away_and_one_branch_does_not() -> None:
    world = World().trusts("pr", "repo:o/r:pull_request").trusts("main", "repo:o/r:ref:refs/heads/main")
    world.trusts("any", "claims['sub'] matches 'repo:o/r:*'").signs_in("id of main")
    powers = {name: world.proposal(name).evidence.get("gives_away", {}).get("power") for name in ("pr", "any", "main")}
    assert powers == {"pr": 4, "any": 4, "main": None}


def test_an_application_without_an_id_is_no_principals() -> None:
    """An agent has no application of its own, and some exports leave out the id of an application."""
    world = World().trusts("idle", "repo:o/r:environment:x", app_id=None)
    world.client = None
    assert [one.principal_id for one in world.judged().tables.credentials] == [""]


def test_a_log_that_covers_a_part_says_so() -> None:
    world = World().trusts("idle", "repo:o/r:environment:x").signs_in("")
    world.covered["sign_in_log"] = DAYS[:40] + DAYS[45:]
    found = world.proposal("idle")
    assert found.kind == "remove" and "covered 85 of 90 days" in found.reason


@pytest.mark.slow
def test_a_log_that_names_no_credential_proves_nothing() -> None:
    """An export without the column looks like sign-ins without federated credentials."""
    world = World().trusts("idle", "repo:o/r:environment:x").signs_in(None)
    assert world.proposal("idle").evidence["trust"]["because"] == "credential_not_said"
    # The log named one in spring only: nothing says that it names them in winter.
    world.trusts("main", "repo:o/r:ref:refs/heads/main").signs_in("id of main", DAYS[:20])
    assert world.proposal("idle").evidence["trust"]["because"] == "credential_not_said"
    world.signs_in("id of main", DAYS[::7])
    assert world.proposal("idle").kind == "remove"


def test_use_before_the_window_keeps_a_credential() -> None:
    world = World().trusts("old", "repo:o/r:environment:x").signs_in("id of old", [LAST - dt.timedelta(days=120)])
    world.signs_in("", DAYS)
    found = world.proposal("old")
    assert (found.kind, found.evidence["trust"]["because"]) == ("keep", "used_before_window")


def test_options_are_obeyed() -> None:
    world = World().trusts("idle", "repo:o/r:environment:x").signs_in("")
    assert world.proposal("idle", exclude=("deployer",)).reason.startswith("excluded")
    assert world.proposal("idle", max_break=0.0).reason.startswith("risky")


@pytest.mark.slow
def test_limits_are_said_with_their_numbers() -> None:
    world = World().trusts("any", "claims['sub'] matches 'repo:o/r:*'")
    world.signs_in("id of any", DAYS[:2]).signs_in("", DAYS)
    for number in range(18):
        world.trusts(f"e{number}", f"repo:o/r:environment:e{number}").signs_in(f"id of e{number}", DAYS[:1])
    for number in range(2):
        world.runs(f"repo:o/r:ref:refs/heads/b{number}", DAYS[:2])
    assert world.proposal("any").reason.endswith("(19 and 2 new ones are more than 20)")
    # An exact one that is there already needs no new one.
    world.seen = []
    world.runs("repo:o/r:environment:e1", DAYS[:2])
    found = world.proposal("any")
    assert (found.kind, found.evidence["trust"]["makes"]) == ("narrow_scope", [])


def test_what_cannot_be_written_or_understood_stays() -> None:
    long = "x" * 90
    for subject, word in (
        (f"claims['sub'] matches 'repo:o/*' and claims['job_workflow_ref'] matches '{long}*'", "cannot_be_written"),
        ("claims['sub'] is like 'repo:o/*'", "not_understood"),
    ):
        world = World().trusts("any", subject).signs_in("id of any").runs("repo:o/r:pull_request", DAYS)
        assert world.proposal("any").reason.startswith(word)


def test_an_observed_subject_of_another_application_is_no_evidence() -> None:
    world = World().trusts("any", "claims['sub'] matches 'repo:o/r:*'").signs_in("id of any")
    world.runs("repo:o/r:ref:refs/heads/main", DAYS, app_id="another")
    assert world.proposal("any").reason.startswith("days_without_subject")


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("repo:o/*:ref:refs/heads/????", "repo:o/r:ref:refs/heads/main", True),
        ("repo:o/*:ref:refs/heads/????", "repo:o/r:ref:refs/heads/mai", False),
        ("*", "", True),
        ("?", "", False),
        ("A*", "ab", False),
        ("*a" * 60, "a" * 600 + "b", False),
    ],
)
def test_wildcards_match_as_documented(pattern: str, value: str, fits: bool) -> None:
    assert fits_wildcards(pattern, value) is fits


def test_expressions_are_read_and_written() -> None:
    both = parse_expression("claims['sub'] eq 'repo:o/r:x' and claims['job_workflow_ref'] matches 'f/*'")
    assert both is not None
    assert admits(both, {"sub": "repo:o/r:x", "job_workflow_ref": "f/a"}) is True
    assert admits(both, {"sub": "repo:o/r:x", "job_workflow_ref": None}) is None
    assert admits(both, {"sub": "repo:o/r:y", "job_workflow_ref": None}) is False
    assert narrowed(both, "it's") is None
    for wrong in ("", "claims['sub']", "claims['sub'] eq 'a' or claims['sub'] eq 'b'", "claims['sub'] eq 'a' and "):
        assert parse_expression(wrong) is None


@pytest.mark.parametrize(
    ("issuer", "subject", "platform", "breadth", "risk"),
    [
        (GITHUB, "repo:o/r:environment:production", "GitHub Actions", "exact", "low"),
        (GITHUB, "repo:o/r:pull_request", "GitHub Actions", "pull_request", "high"),
        (GITHUB, "repo:o/r:ref:refs/heads/feature/x", "GitHub Actions", "exact", "low"),
        (GITHUB, "repo:o/r:ref:refs/tags/v1", "GitHub Actions", "exact", "low"),
        (GITHUB, "repo:o@1/r@2:ref:refs/heads/main", "GitHub Actions", "exact", "low"),
        (GITHUB, "repo:o/r", "GitHub Actions", "repository", "high"),
        (GITHUB, "repository_owner:o", "GitHub Actions", "organisation", "high"),
        (GITHUB, "job_workflow_ref:o/w/.github/workflows/x.yml@refs/heads/main", "GitHub Actions", "exact", "low"),
        (GITHUB, "claims['sub'] matches 'repo:*'", "GitHub Actions", "any_organisation", "high"),
        (GITHUB, "claims['sub'] matches 'repo:o/*'", "GitHub Actions", "organisation", "high"),
        (GITHUB, "claims['sub'] matches 'repo:o/r:*'", "GitHub Actions", "repository", "high"),
        (GITHUB, "claims['sub'] matches 'repo:o/r:ref:refs/heads/*'", "GitHub Actions", "branches", "medium"),
        (GITHUB, "claims['sub'] matches 'repo:o/r:environment:*'", "GitHub Actions", "environments", "medium"),
        # Subjects that an organisation or repository composed of other claims.
        (GITHUB, "repository_id:456", "GitHub Actions", "repository", "high"),
        (GITHUB, "repository_owner_id:123:repository_id:456", "GitHub Actions", "repository", "high"),
        (GITHUB, "repository_id:456:environment:production", "GitHub Actions", "exact", "low"),
        (GITHUB, "repository_owner_id:1:repository_id:4:ref:refs/heads/main", "GitHub Actions", "exact", "low"),
        (GITHUB, "actor:ann:repo:o/r:pull_request", "GitHub Actions", "pull_request", "high"),
        (GITHUB, "repository_id:456:event_name:pull_request", "GitHub Actions", "pull_request", "high"),
        (GITHUB, "repo:o/r:actor:ann", "GitHub Actions", "repository", "high"),
        (GITHUB, "environment:production%3Aeastus:repository_owner:octo-org", "GitHub Actions", "organisation", "high"),
        (GITHUB, "repository_owner:o:repository_visibility:internal", "GitHub Actions", "organisation", "high"),
        (
            GITHUB,
            "repository_owner:o:job_workflow_ref:o/w/.github/workflows/x.yml@main",
            "GitHub Actions",
            "exact",
            "low",
        ),
        (GITHUB, "repo_property_workspace:ws-1", "GitHub Actions", "any_organisation", "high"),
        (GITHUB, "repository_owner_id:1:repo_property_tier:prod", "GitHub Actions", "organisation", "high"),
        (GITHUB, "environment:repository_id:456", "GitHub Actions", "any_organisation", "high"),
        (f"{GITHUB}/enterprise", "repo_property_tier:prod", "GitHub Actions", "organisation", "high"),
        ("https://ghe.example/_services/token", "repo:o/r:actor:ann", "GitHub Actions", "repository", "high"),
        ("https://ghe.example/_services/token", "repo:o/r:environment:p", "GitHub Actions", "exact", "low"),
        (GITHUB, "octo", "GitHub Actions", "unknown", "medium"),
        (GITHUB, "claims['sub'] matches 'repository_id:456:environment:*'", "GitHub Actions", "environments", "medium"),
        (GITHUB, "claims['sub'] matches 'repository_id:456:*'", "GitHub Actions", "repository", "high"),
        (
            GITHUB,
            "claims['sub'] matches 'repository_owner_id:1:repository_id:*'",
            "GitHub Actions",
            "organisation",
            "high",
        ),
        (
            GITHUB,
            "claims['sub'] matches 'environment:*:repository_id:456'",
            "GitHub Actions",
            "any_organisation",
            "high",
        ),
        ("https://gitlab.com", "project_path:g/p:ref_type:branch:ref:main", "GitLab", "exact", "low"),
        ("https://git.example.com", "claims['sub'] matches 'project_path:g/*'", "GitLab", "organisation", "high"),
        (
            "https://app.terraform.io",
            "organization:o:project:p:workspace:w:run_phase:plan",
            "HCP Terraform",
            "exact",
            "low",
        ),
        (
            "https://app.terraform.io",
            "claims['sub'] matches 'organization:o:project:p:workspace:w:run_phase:*'",
            "HCP Terraform",
            "phases",
            "low",
        ),
        ("https://westeurope.oic.prod-aks.azure.com/t/c/", "system:serviceaccount:n:s", "AKS", "exact", "low"),
        ("https://oidc.example/", "system:serviceaccount:n:s", "Kubernetes", "exact", "low"),
        ("https://vstoken.dev.azure.com/11", "sc://org/project/connection", "Azure DevOps", "exact", "low"),
        ("https://login.microsoftonline.com/t/v2.0", "/eid1/c/pub/t/x/a/y/sc/org/id", "Azure DevOps", "exact", "low"),
        ("https://accounts.google.com", "112233", "Google Cloud", "exact", "low"),
        ("https://unknown.example", "x", "other", "exact", "low"),
        ("https://unknown.example", "claims['sub'] matches 'x*'", "other", "unknown", "medium"),
    ],
)
def test_subjects_are_recognised(issuer: str, subject: str, platform: str, breadth: str, risk: str) -> None:
    found = recognise_subject(issuer, subject, is_expression=subject.startswith("claims["))
    assert (found.platform, found.breadth, found.risk) == (platform, breadth, risk)
    assert bool(found.why) == (risk != "low" or breadth == "phases")
    assert "{" not in found.means


def test_a_long_subject_is_recognised_at_once() -> None:
    """Names of claims and pull requests may alternate in many ways."""
    assert recognise_subject(GITHUB, "pull_request:" * 45 + "x", is_expression=False).breadth != "exact"
    assert recognise_subject(GITHUB, "a:" * 299 + "b", is_expression=False).breadth == "any_organisation"
