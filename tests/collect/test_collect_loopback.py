"""A tenant collected through the real clients gives the same result: whole, under faults, killed and resumed."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rightsize.azure.exchange import Exchange
from rightsize.collect.pages import Run
from rightsize.collect.runs import find_runs
from rightsize.collect.sources import logs
from rightsize.model.errors import AccessError
from rightsize.store.connection import open_store
from rightsize.workflow.data.collect import CollectReport, collect_tenant
from rightsize.workflow.data.load import load_paths
from tests.azure.hurried import Hurried
from tests.collect.collecting import UNTIL, Collect, ids, row_of
from tests.loopback.faults import ROTATION
from tests.loopback.fixtures import sign_in
from tests.loopback.server import Loopback

FEW = ("role_assignments", "deny_assignments", "users", "groups", "group_members")
CORE = (
    *FEW,
    "operations",
    "role_definitions",
    "role_eligibility_instances",
    "role_assignment_instances",
    "service_principals",
    "nested_members",
    "deleted_service_principals",
    "activity_log",
    "sign_ins",
)
SOME_SUBSCRIPTION = r"^GET /subscriptions/{}/providers/microsoft\.authorization/roleassignments\?"
TABLES = (
    "principals",
    "group_members",
    "group_closure",
    "principal_aliases",
    "listings",
    "role_assignments",
    "role_definitions",
    "deny_assignments",
    "scopes",
    "operations",
    "events",
    "usage_days",
    "sign_ins",
    "coverage",
)


def contents(db: Path) -> dict[str, list[tuple[Any, ...]]]:
    with open_store(db, read_only=True) as store:
        return {name: store.frame(f"SELECT * FROM {name} ORDER BY ALL").rows() for name in TABLES}


def states(report: CollectReport) -> Counter[str]:
    return Counter(row.state for row in report.rows)


@pytest.mark.nightly
def test_a_clean_run_is_whole_and_asks_nothing_twice(loopback: Loopback, collect: Collect, tmp_path: Path) -> None:
    report = collect(db=tmp_path / "clean.duckdb")
    assert report.is_whole
    assert states(report) == {"complete": len(report.rows)}
    # The queries of Resource Graph, one a subscription, and those of the entities are POSTs to one path each.
    asked = Counter(
        (entry.method, entry.target, entry.body) for entry in loopback.requests if not _is_sign_in(entry.path)
    )
    assert max(asked.values()) == 1
    assert sum(asked.values()) == report.tally.requests
    assert {entry.status for entry in loopback.requests} == {200}
    manifest = json.loads((report.folder / "manifest.json").read_text())
    assert manifest["finished"]
    assert manifest["tenant_id"] == loopback.tenant.tenant_id
    secrets = (loopback.environment()["AZURE_CLIENT_SECRET"], "eyJ")
    for path in report.folder.glob("*.json*"):
        assert not any(secret in path.read_text() for secret in secrets), "no token, no secret on the disk"


def _is_sign_in(path: str) -> bool:
    return "/oauth2/v2.0/" in path or "well-known" in path or "discovery" in path


@pytest.fixture(scope="module")
def clean(loopback_service: Loopback, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[Any, ...]]]:
    """What a store holds after a clean run."""
    folder = tmp_path_factory.mktemp("clean")
    with pytest.MonkeyPatch.context() as patch:
        sign_in(patch, loopback_service)
        cloud = str(loopback_service.cloud)
        db = folder / "clean.duckdb"
        collect_tenant(folder, cloud=cloud, auth="env", until=UNTIL, clock=Hurried(), sources=CORE, db=db)
    return contents(folder / "clean.duckdb")


@pytest.mark.nightly
@pytest.mark.parametrize("every", [2, 3, 10])
def test_faults_change_nothing(
    loopback: Loopback, collect: Collect, tmp_path: Path, clean: dict[str, list[tuple[Any, ...]]], every: int
) -> None:
    """Throttled, cut, truncated, challenged, repeated: what is loaded in the end is the same."""
    loopback.faults.every = every
    report = collect(sources=CORE, db=tmp_path / "faults.duckdb")
    assert report.is_whole
    assert {entry.fault for entry in loopback.requests if entry.fault} == {fault["kind"] for fault in ROTATION}
    assert contents(tmp_path / "faults.duckdb") == clean


@pytest.mark.nightly
@pytest.mark.parametrize("after", [pytest.param(20, marks=pytest.mark.nightly), 110])
def test_a_run_that_is_killed_goes_on_where_it_was(
    loopback: Loopback, collect: Collect, tmp_path: Path, clean: dict[str, list[tuple[Any, ...]]], after: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """However far it had come, the run that follows asks for the rest, and the store is the same."""
    asked = 0
    ask = Exchange.ask

    def cut(*request: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked >= after:
            raise KeyboardInterrupt
        return ask(*request)

    with monkeypatch.context() as patched:
        patched.setattr(Exchange, "ask", cut)
        with pytest.raises(KeyboardInterrupt):
            collect(sources=CORE)
    before = len(loopback.requests)
    (folder,) = find_runs(tmp_path / "runs")
    assert Run.read(folder).manifest["finished"] is None
    report = collect(sources=CORE, db=tmp_path / "resumed.duckdb")
    assert report.resumed
    assert report.folder == folder
    assert report.is_whole
    assert contents(tmp_path / "resumed.duckdb") == clean
    assert len(loopback.requests) - before < 240 - after // 2


@pytest.mark.nightly
def test_a_second_run_fetches_only_what_is_new(loopback: Loopback, collect: Collect) -> None:
    first = collect(sources=["activity_log", "sign_ins"], until=UNTIL - dt.timedelta(days=2))
    loopback.forget()
    second = collect(sources=["activity_log", "sign_ins"])
    assert not second.resumed
    asked = [entry.target for entry in loopback.requests if "eventtypes" in entry.path]
    assert asked
    assert all("2026-09-28" in target for target in asked), "one day of overlap and the new ones"
    assert row_of(second, "activity_log").rows < row_of(first, "activity_log").rows / 5


@pytest.mark.nightly
def test_both_runs_together_are_the_whole(collect: Collect, tmp_path: Path) -> None:
    sources = ["activity_log", "sign_ins", "role_assignments"]
    collect(sources=sources, until=UNTIL - dt.timedelta(days=2))
    collect(sources=sources)
    collect("whole", sources=sources)
    load_paths(tmp_path / "both.duckdb", [tmp_path / "runs"])
    load_paths(tmp_path / "whole.duckdb", [tmp_path / "whole"])
    both, whole = contents(tmp_path / "both.duckdb"), contents(tmp_path / "whole.duckdb")
    for name in ("events", "usage_days", "role_assignments"):
        # The first run reaches two days further back.
        assert set(whole[name]) <= set(both[name])
    assert both["coverage"]


@pytest.mark.nightly
def test_a_refusal_in_one_subscription_of_many_stops_nothing_else(loopback: Loopback, collect: Collect) -> None:
    everything = ids(collect("all", sources=FEW), "role_assignments")
    subscription = loopback.content.subscriptions[0].scope.rsplit("/", 1)[-1]
    loopback.faults.add("forbidden", SOME_SUBSCRIPTION.format(subscription), times=None)
    report = collect(sources=FEW)
    row = row_of(report, "role_assignments")
    assert row.state == "refused"
    assert row.complete == row.units - 1
    assert (
        row.missing == f"Microsoft.Authorization/roleAssignments/read at /subscriptions/{subscription} (role `Reader`)"
    )
    assert "AuthorizationFailed" in row.reason
    assert report.is_whole, "asking again would not help"
    assert ids(report, "role_assignments") < everything
    assert states(report)["complete"] == len(report.rows) - 1


@pytest.mark.slow
def test_a_refusal_with_a_retry_after_is_still_a_refusal(loopback: Loopback, collect: Collect) -> None:
    loopback.faults.add("forbidden", "roleassignments", times=None, retry_after="1")
    clock = Hurried()
    report = collect(sources=["role_assignments"], clock=clock)
    assert row_of(report, "role_assignments").state == "refused"
    assert report.tally.requests == len(loopback.requests) - sum(_is_sign_in(e.path) for e in loopback.requests)


@pytest.mark.slow
def test_a_subscription_that_vanishes_between_two_calls_stops_nothing_else(
    loopback: Loopback, collect: Collect
) -> None:
    subscription = loopback.content.subscriptions[0].scope.rsplit("/", 1)[-1]
    loopback.faults.add("vanish", f"/subscriptions/{subscription}/")
    report = collect(sources=FEW)
    assert report.is_whole
    assert row_of(report, "role_assignments").state == "gone"
    assert row_of(report, "users").state == "complete"


@pytest.mark.slow
def test_a_token_that_expires_in_the_middle_is_renewed(loopback: Loopback, collect: Collect) -> None:
    loopback.faults.add("expire", "roleassignments", skip=3)
    loopback.faults.add("expire", "/v1.0/groups", skip=1)
    report = collect(sources=FEW)
    assert report.is_whole
    assert states(report) == {"complete": len(report.rows)}
    assert loopback.login.issued > 2


@pytest.mark.slow
def test_a_claims_challenge_is_answered_by_the_clients(loopback: Loopback, collect: Collect) -> None:
    loopback.faults.add("claims", "roleassignments")
    loopback.faults.add("claims", "/v1.0/users")
    report = collect(sources=FEW)
    assert report.is_whole
    assert {entry.fault for entry in loopback.requests} == {"", "claims"}


@pytest.mark.nightly
def test_a_sign_in_that_is_lost_for_good_ends_the_run_and_keeps_it(
    loopback: Loopback, collect: Collect, tmp_path: Path
) -> None:
    loopback.faults.add("expire", "denyassignments", times=None)
    with pytest.raises(AccessError, match="the sign-in was lost") as caught:
        collect(sources=FEW)
    assert "continues" in str(caught.value.hint)
    loopback.faults.clear()
    report = collect(sources=FEW)
    assert report.resumed
    assert report.is_whole
    assert len(find_runs(tmp_path / "runs")) == 1


@pytest.mark.slow
def test_a_wrong_secret_collects_nothing(collect: Collect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "guess")
    with pytest.raises(AccessError, match="sign-in failed") as caught:
        collect()
    assert "guess" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("source", ["role_assignments", "users"])
def test_no_link_to_another_host_is_followed_and_no_token_goes_there(
    loopback: Loopback, collect: Collect, source: str
) -> None:
    place = {"role_assignments": "roleassignments", "users": "/v1.0/users"}[source]
    loopback.faults.add("foreign_link", place)
    report = collect(sources=[source, "groups"])
    assert not report.is_whole
    assert "another host" in row_of(report, source).reason
    assert not [entry for entry in loopback.requests if entry.foreign]


@pytest.mark.slow
def test_an_hour_of_waiting_ends_its_source_and_the_run_can_go_on(loopback: Loopback, collect: Collect) -> None:
    loopback.faults.add("throttle", "/v1.0/groups", retry_after="3600")
    report = collect(sources=["groups", "users"])
    assert (row_of(report, "groups").state, row_of(report, "users").state) == ("incomplete", "complete")
    loopback.forget()
    report = collect(sources=["groups", "users"])
    assert report.is_whole
    assert not [entry for entry in loopback.requests if entry.path == "/v1.0/users"]


@pytest.mark.slow
@pytest.mark.many(6)
@pytest.mark.parametrize("kind", ["500", "502", "503", "504", "drop", "cut", "truncate", "html", "not_json", "loop"])
@pytest.mark.parametrize("source", ["deny_assignments", "groups"])
def test_a_source_that_never_answers_is_incomplete_and_nothing_else(
    loopback: Loopback, collect: Collect, kind: str, source: str
) -> None:
    place = {"deny_assignments": "denyassignments", "groups": "/v1.0/groups"}[source]
    loopback.faults.add(kind, place, times=None)
    report = collect(sources=["deny_assignments", "groups"])
    assert not report.is_whole
    other = ({"deny_assignments", "groups"} - {source}).pop()
    assert (row_of(report, source).state, row_of(report, other).state) == ("incomplete", "complete")
    assert row_of(report, source).reason


@pytest.mark.nightly
def test_an_incomplete_listing_is_not_loaded_as_a_complete_one(
    loopback: Loopback, collect: Collect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who is absent from half a listing is not deleted."""
    loopback.faults.add("503", r"/v1.0/users\?.*skiptoken", times=None)
    monkeypatch.setattr(loopback.graph, "page_size", 10)
    report = collect(sources=["users", "groups"], db=tmp_path / "half.duckdb")
    assert row_of(report, "users").state == "incomplete"
    assert row_of(report, "users").rows == 10
    with open_store(tmp_path / "half.duckdb", read_only=True) as store:
        found = dict(store.frame("SELECT listing, complete FROM listings").rows())
    assert found["users"] is False
    assert found["groups"] is True
    assert report.loaded is not None
    assert any("users" in note and "incomplete" in note for note in report.loaded.notes)


@pytest.mark.nightly
def test_a_partial_answer_of_a_workspace_is_asked_for_in_halves(
    loopback: Loopback, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = loopback.content.workspace_id
    options = {"workspaces": [workspace], "sources": ["SigninLogs"], "raw": True, "days": 150}
    whole = row_of(collect("whole", **options), "SigninLogs")
    monkeypatch.setattr(loopback.monitor, "record_limit", 300)
    report = collect("halves", **options)
    assert report.is_whole
    assert row_of(report, "SigninLogs").rows == whole.rows
    assert row_of(report, "SigninLogs").pages > whole.pages


@pytest.mark.nightly
def test_use_that_is_reduced_in_the_workspace_is_the_use_of_its_rows(
    loopback: Loopback, collect: Collect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reduction runs where the log is, whatever the slices, and far less comes back."""
    # To translate a query takes the loopback service longer than to run it.
    monkeypatch.setattr(logs, "COUNTED_DAYS", 90)
    options: dict[str, Any] = {"workspaces": [loopback.content.workspace_id], "days": 150}
    people = ["users", "service_principals", "operations"]
    tables = ["AzureActivity", "StorageBlobLogs", "SigninLogs", "AADServicePrincipalSignInLogs"]
    names = [f"reduced_{table}" for table in tables]
    reduced = collect("reduced", sources=[*names, *people], db=tmp_path / "reduced.duckdb", **options)
    rows = collect("rows", sources=[*tables, *people], raw=True, db=tmp_path / "rows.duckdb", **options)
    assert reduced.is_whole
    assert rows.is_whole
    assert row_of(reduced, "reduced_AzureActivity").rows < row_of(rows, "AzureActivity").rows
    found, expected = contents(tmp_path / "reduced.duckdb"), contents(tmp_path / "rows.duckdb")
    assert found["usage_days"] == expected["usage_days"]
    assert found["sign_ins"] == expected["sign_ins"]


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["504", "partial"])
def test_a_reduction_that_takes_too_long_is_asked_for_in_halves_of_whole_hours(
    loopback: Loopback, collect: Collect, kind: str
) -> None:
    options = {"workspaces": [loopback.content.workspace_id], "sources": ["reduced_SigninLogs"], "days": 6}
    whole = row_of(collect("whole", **options), "reduced_SigninLogs")
    # The first query counts the rows of each hour.
    loopback.faults.add(kind, "/query", times=1, skip=1)
    parts = row_of(collect("parts", **options), "reduced_SigninLogs")
    assert (parts.state, parts.rows) == ("complete", whole.rows)
    assert parts.pages > whole.pages


@pytest.mark.slow
def test_users_without_their_sign_ins_are_better_than_none(loopback: Loopback, collect: Collect) -> None:
    """Sign-in activity takes a licence of its own."""
    loopback.faults.add("forbidden", r"/v1.0/users\?.*signInActivity", times=None)
    report = collect(sources=["users"])
    row = row_of(report, "users")
    assert (row.state, row.rows) == ("complete", len(loopback.content.directory("users")))
    assert "without the refused part" in row.reason


@pytest.mark.slow
def test_subscriptions_that_are_named_are_the_only_ones(loopback: Loopback, collect: Collect) -> None:
    wanted = loopback.content.subscriptions[1].scope.rsplit("/", 1)[-1]
    collect(sources=["role_assignments", "activity_log"], subscriptions=[wanted.upper()])
    below = [entry.path for entry in loopback.requests if "/providers/microsoft.authorization" in entry.path.lower()]
    assert below
    assert all(wanted in path.lower() for path in below)


@pytest.mark.slow
def test_what_a_listing_lacks_against_resource_graph_is_told(loopback: Loopback, collect: Collect) -> None:
    subscription = loopback.content.subscriptions[0].scope.rsplit("/", 1)[-1]
    loopback.faults.add("forbidden", SOME_SUBSCRIPTION.format(subscription), times=None)
    report = collect(sources=["role_assignments", "assignment_counts"])
    assert any(subscription in note and "Resource Graph counts" in note for note in report.notes)


@pytest.mark.nightly
def test_an_assignment_that_the_next_collection_lacks_is_granted_no_more(
    loopback: Loopback, collect: Collect, tmp_path: Path
) -> None:
    """Each listing is complete at its scope; a run in which one was refused takes nothing away there."""
    db = tmp_path / "store.duckdb"

    def collect_on(day: int) -> None:
        collect(db=db, sources=("role_assignments",), clock=Hurried(dt.datetime(2026, 10, day, tzinfo=dt.UTC)))

    collect_on(1)
    listing = loopback.content.role_assignments
    at_subscriptions = (one for one in listing if one["properties"]["scope"].startswith("/subscriptions/"))
    removed = next(at_subscriptions)
    place = listing.index(removed)
    subscription = removed["properties"]["scope"].split("/")[2]

    def granted() -> int:
        with open_store(db, read_only=True) as store:
            found = store.frame(
                "SELECT 1 FROM role_assignments WHERE role_assignment_id = $id", {"id": removed["name"]}
            )
            return found.height

    del listing[place]
    try:
        loopback.faults.add("forbidden", SOME_SUBSCRIPTION.format(subscription), times=None)
        collect_on(2)
        assert granted() == 1
        loopback.faults.clear()
        collect_on(3)
        assert granted() == 0
    finally:
        listing.insert(place, removed)
    collect_on(4)
    assert granted() == 1


@pytest.mark.nightly
def test_flexible_credentials_are_asked_for_in_the_version_that_shows_them(
    loopback: Loopback, collect: Collect, tmp_path: Path
) -> None:
    """An older service is asked again, hides the expression, and the run says so."""
    sources = ["subscriptions", "user_assigned_identities", "identity_federated_credentials"]
    sources.append("application_federated_credentials")
    pod = loopback.content.federated_credentials[0]["properties"]
    pod["claimsMatchingExpression"] = {"value": "claims['sub'] matches 'x*'", "languageVersion": 1}
    subject, pod["subject"] = pod["subject"], None
    try:
        shown = {}
        for word in ("newer", "older"):
            loopback.content.refuses_new_versions = word == "older"
            report = collect(out=word, sources=sources, db=tmp_path / f"{word}.duckdb")
            with open_store(tmp_path / f"{word}.duckdb", read_only=True) as store:
                held = store.table("federated_credentials").filter("is_expression")
            shown[word] = sorted(str(one) for one in held["subject"])
            said = {row.source: row.reason for row in report.rows if row.source in sources[2:]}
            assert all(("refused" in reason) == (word == "older") for reason in said.values()), said
            assert {row.state for row in report.rows} == {"complete"}
    finally:
        loopback.content.refuses_new_versions = False
        del pod["claimsMatchingExpression"]
        pod["subject"] = subject
    wide = "claims['sub'] matches 'repo:aldervalley/connectivity:*'"
    assert shown == {"newer": [wide, "claims['sub'] matches 'x*'"], "older": ["None", "None"]}
