"""The tenants of the suite: every kind of need is planted, the exports agree with the truth, the seed decides all."""

from __future__ import annotations

import csv
import json
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from rightsize.demo.activity_files import CATEGORIES
from rightsize.demo.calls import ARM
from rightsize.demo.suite.files import write_suite_exports, write_suite_truth
from rightsize.demo.suite.jobs import jobs, rates
from rightsize.demo.suite.logs import service_of
from rightsize.demo.suite.model import (
    LARGE,
    NEED_KINDS,
    SEEN_DAYS,
    SMALL,
    SPECIAL,
    SuiteCatalogue,
    SuiteTenant,
    day_of,
)
from rightsize.demo.suite.tenants import make_tenant
from rightsize.model.errors import InputError
from rightsize.model.role_forms import load_json, read_role_definitions
from rightsize.model.text import fold, parse_pattern
from rightsize.propose.drafts.reasons import BY_DESIGN
from rightsize.rules.resource_types import linked_writes

_PLANES = {"true": True, "false": False, "": None}
WINDOW = 90


@pytest.fixture(scope="module")
def catalogue(shared_data: Path) -> SuiteCatalogue:
    """Azure's catalogue, read without a store."""
    with (shared_data / "catalog" / "operations.csv").open(encoding="utf-8-sig", newline="") as file:
        operations = tuple((row["operation"], _PLANES[row["is_data_action"]], None) for row in csv.DictReader(file))
    roles = read_role_definitions(load_json((shared_data / "catalog" / "built-in-roles.json").read_bytes()))
    known = {one.role_name: one for one in roles}
    return SuiteCatalogue(operations, known)


@pytest.fixture(scope="module", params=[(SMALL, 0), (SMALL, 1), (LARGE, 0)], ids=["small-0", "small-1", "large-0"])
def tenant(request: pytest.FixtureRequest, catalogue: SuiteCatalogue) -> SuiteTenant:
    """A tenant of the full suite."""
    shape, seed = request.param
    return make_tenant(shape, seed, catalogue)


@pytest.mark.slow
def test_every_kind_of_need_is_planted_in_every_tenant(tenant: SuiteTenant) -> None:
    """There are needs that no log shows, and needs of later days; all operations are in Azure's catalogue."""
    assert {need.kind for need in tenant.needs} == set(NEED_KINDS)
    assert len({one.jobs for one in tenant.principals if one.jobs}) >= 15


@pytest.mark.slow
def test_the_days_of_a_need_fit_its_kind(tenant: SuiteTenant) -> None:
    """Future needs begin after the seen days; the window shows no use of seasonal ones, and both come up next."""
    for need in tenant.needs:
        if need.kind == "future":
            assert min(need.days) >= SEEN_DAYS
        if need.kind == "seasonal":
            assert not [day for day in need.days if SEEN_DAYS - WINDOW <= day < SEEN_DAYS]
        if need.kind in ("seasonal", "future"):
            assert need.comes_next


@pytest.mark.slow
def test_all_operations_of_the_jobs_exist_on_their_plane(catalogue: SuiteCatalogue) -> None:
    """A misspelt operation would be a need that no role of Azure's catalogue is about."""
    known = {fold(operation): is_data for operation, is_data, _ in catalogue.operations}
    rows = [row for job in jobs() for row in job.needs]
    assert [row.operation for row in rows if fold(row.operation) not in known] == []
    assert [row.operation for row in rows if (row.kind == "data") != bool(known[fold(row.operation)])] == []
    assert [row.cause for row in rows if row.cause and fold(row.cause) not in known] == []
    assert {row.kind for row in rows} | {"future"} == set(NEED_KINDS)
    assert len(jobs()) == 20


def test_made_up_pairs_are_in_no_rule_and_all_others_are() -> None:
    """Otherwise a plan could keep an unruled need by a rule, or lose a linked one for want of one."""
    for job in jobs():
        for row in job.needs:
            if row.cause:
                ruled = any(parse_pattern(one).matches(fold(row.cause)) for one in linked_writes(row.operation))
                assert ruled is (row.kind == "linked"), (row.cause, row.operation)


@pytest.mark.slow
def test_what_stays_by_design_has_a_word_of_the_product(tenant: SuiteTenant) -> None:
    """The truth knows no reason that a plan could not give, and every kind of such access is there."""
    words = Counter(one.by_design for one in tenant.grants if one.by_design)
    assert set(words) == {"emergency_access", "last_owner", "recovery", "first_party", "conditional", "eligible"}
    assert set(words) <= set(BY_DESIGN)
    assert words["emergency_access"] == 2
    assert words["last_owner"] == len(tenant.subscriptions)
    assert sum(words.values()) < len(tenant.grants) / 5


@pytest.mark.nightly
def test_the_same_seed_gives_the_same_bytes_and_another_one_others(catalogue: SuiteCatalogue, tmp_path: Path) -> None:
    """Nothing depends on the clock, the machine or the order of a set."""
    for folder, seed in (("one", 3), ("two", 3), ("other", 4)):
        made = make_tenant(SMALL, seed, catalogue)
        write_suite_exports(made, catalogue, tmp_path / folder)
        write_suite_truth(made, tmp_path / folder / "truth.json")
    one, two, other = (_content(tmp_path / folder) for folder in ("one", "two", "other"))
    assert one == two
    assert one["truth.json"] != other["truth.json"]
    assert one["activity/activity.jsonl"] != other["activity/activity.jsonl"]


@pytest.mark.nightly
def test_the_manifest_has_every_listing_with_its_rows(
    catalogue: SuiteCatalogue, tenant: SuiteTenant, tmp_path: Path
) -> None:
    """Both listings of resources and the providers of every subscription stand there, complete, with their reader."""
    write_suite_exports(tenant, catalogue, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["format"] == "rightsize-exports/1"
    assert manifest["reader"]["id"] in {one.principal_id for one in tenant.principals}
    groups = [one for one in tenant.scopes if not one.is_subscription]
    assert len(manifest["files"]) == 2 * len(tenant.subscriptions) + 1 + len(groups)
    for entry in manifest["files"]:
        document = json.loads((tmp_path / entry["path"]).read_text(encoding="utf-8"))
        rows = document if isinstance(document, list) else document.get("data", document.get("value"))
        assert entry["rows"] == len(rows)
        assert bool(rows) is (entry["kind"] != "activity_log")
        assert (entry["complete"], entry["error"]) == (True, None)
    # What came and went is in the log alone.
    gone = [one for one in tenant.resources if not one.listed]
    listed = (tmp_path / "resource-graph.json").read_text(encoding="utf-8")
    assert gone
    assert [one for one in gone if one.scope.lower() in listed] == []


@pytest.mark.nightly
def test_the_log_ends_with_the_seen_days(catalogue: SuiteCatalogue, tenant: SuiteTenant, tmp_path: Path) -> None:
    """A plan sees nothing of the days on which it is judged, and no call of a need that no log shows."""
    write_suite_exports(tenant, catalogue, tmp_path)
    lines = (tmp_path / "activity" / "activity.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    days = {row["eventTimestamp"][:10] for row in rows}
    assert (min(days), max(days)) == ("2026-07-01", "2026-09-30")
    logged = {row["authorization"]["action"] for row in rows}
    silent = {need.operation for need in tenant.needs if need.kind in ("read", "data", "endpoint")}
    assert logged & silent == set()


@pytest.mark.nightly
def test_resources_with_a_log_show_every_need_on_them(
    catalogue: SuiteCatalogue, tenant: SuiteTenant, tmp_path: Path
) -> None:
    """Part of the resources send a log of their data plane: it has each need on them, and rows of every day."""
    write_suite_exports(tenant, catalogue, tmp_path)
    lines = [line for file in sorted((tmp_path / "resource-logs").iterdir()) for line in file.read_text().splitlines()]
    rows = [json.loads(line) for line in lines]
    sending = {fold(one.scope) for one in tenant.resources if one.sends_log}
    assert sending
    assert sending < {fold(one.scope) for one in tenant.resources if one.resource_type in {*_LOGGING}}
    days = Counter({(_resource(row), row["time"][:10]) for row in rows})
    assert Counter(resource for resource, _ in days) == dict.fromkeys(sending, SEEN_DAYS)
    shown = {(need.principal_id, _ten(need.scope)) for need in tenant.needs if need.by_resource and need.is_recorded}
    assert {(who, _resource(row)) for row in rows if (who := _caller(row))} == shown
    assert {need.kind for need in tenant.needs if need.by_resource} == {"logged"}
    silent = [_ten(need.scope) for need in tenant.needs if need.kind == "data"]
    assert silent
    assert sending.isdisjoint(silent)
    # Roles with data actions are assigned at resources, where such a log decides, and above, where all have to log.
    places = {
        one.scope.count("/") > 4 for one in tenant.grants if one.role.permissions[0].data_actions and not one.by_design
    }
    assert places == {True, False}


@pytest.mark.nightly
def test_sign_ins_show_a_token_for_every_day_of_every_need(
    catalogue: SuiteCatalogue, tenant: SuiteTenant, tmp_path: Path
) -> None:
    """Reads count, too; each of the four logs has rows of every day, and who does nothing gets no token for Azure."""
    write_suite_exports(tenant, catalogue, tmp_path)
    tokens: dict[tuple[str, str], set[str]] = {}
    days: dict[str, set[str]] = {}
    for file in sorted((tmp_path / "sign-ins").iterdir()):
        for row in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
            said, day = row["properties"], row["time"][:10]
            who = said.get("userId") or said["servicePrincipalId"]
            tokens.setdefault((who, said["resourceDisplayName"]), set()).add(day)
            days.setdefault(row["category"], set()).add(day)
    assert {category: len(seen) for category, seen in days.items()} == dict.fromkeys(CATEGORIES.values(), SEEN_DAYS)
    for need in tenant.needs:
        _, service = service_of(need)
        seen = {day_of(day).isoformat() for day in need.seen}
        assert seen <= tokens.get((need.principal_id, service), set())
    working = {need.principal_id for need in tenant.needs if need.seen} | {one.principal_id for one in tenant.refusals}
    activated = {one.principal_id for one in tenant.grants if one.activated}
    assert {who for who, service in tokens if service == ARM[1]} == {
        one.principal_id for one in tenant.sign_ins if one.service == ARM
    }
    assert {who for who, service in tokens if service == ARM[1]} <= working | activated
    kinds = {one.kind for one in tenant.principals if any((one.principal_id, name) in tokens for name in _ENDPOINTS)}
    assert {"user", "app"} <= kinds


_ENDPOINTS = ("Azure Storage", "Log Analytics API", "Azure Key Vault")


@pytest.mark.slow
def test_a_tenant_that_is_not_known_whole_has_no_sign_ins(catalogue: SuiteCatalogue, tmp_path: Path) -> None:
    """Without Entra ID P1 nobody can export them."""
    write_suite_exports(make_tenant(SPECIAL, 0, catalogue), catalogue, tmp_path)
    assert not (tmp_path / "sign-ins").exists()


_LOGGING = ("Microsoft.Storage/storageAccounts", "Microsoft.KeyVault/vaults")


def _ten(scope: str) -> str:
    return fold("/".join(scope.split("/")[:9]))


def _resource(row: dict[str, Any]) -> str:
    return _ten(row["resourceId"])


def _caller(row: dict[str, Any]) -> str:
    identity = row["identity"]
    claims = identity.get("claim") or {"objectidentifier": identity.get("requester", {}).get("objectId", "")}
    return str(next(value for name, value in claims.items() if name.endswith("objectidentifier")))


@pytest.mark.nightly
def test_what_azure_refused_is_no_need(catalogue: SuiteCatalogue, tenant: SuiteTenant, tmp_path: Path) -> None:
    """Both forms of a refusal are in the log, with Azure's code; the refused operation is no need at that scope."""
    assert {bool(one.linked) for one in tenant.refusals} == {True, False}
    needs = {(one.principal_id, fold(one.operation), fold(one.scope)) for one in tenant.needs}
    for one in tenant.refusals:
        lacked = (one.linked, one.linked_scope) if one.linked else (one.operation, one.scope)
        assert (one.principal_id, *map(fold, lacked)) not in needs
    write_suite_exports(tenant, catalogue, tmp_path)
    lines = (tmp_path / "activity" / "activity.jsonl").read_text(encoding="utf-8").splitlines()
    failed = [row for row in map(json.loads, lines) if row["status"]["value"] == "Failed"]
    codes = Counter(json.loads(row["properties"]["statusMessage"])["error"]["code"] for row in failed)
    linked = sum(bool(one.linked) for one in tenant.refusals)
    assert codes == {"LinkedAuthorizationFailed": linked, "AuthorizationFailed": len(tenant.refusals) - linked}


def test_chances_have_a_reason() -> None:
    """Each kind of need has a chance, with its reason beside it; so has each row of those without a job."""
    folder = files("rightsize.demo.suite") / "data"
    for name, column in (("rates", "reason"), ("bystanders", "source")):
        rows = list(csv.DictReader((folder / f"{name}.csv").read_text(encoding="utf-8").splitlines()))
        assert [row for row in rows if len(row[column] or "") < 20] == []
    assert set(NEED_KINDS) <= rates().keys()


def test_a_catalogue_without_a_role_is_an_error() -> None:
    """A part of Azure's catalogue would give another tenant under the same name."""
    with pytest.raises(InputError, match="the catalogue has no built-in role `Contributor`"):
        make_tenant(SMALL, 0, SuiteCatalogue((), {}))


def _content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
