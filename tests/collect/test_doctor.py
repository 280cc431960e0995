"""Doctor lists what a collection would miss, and the exact rights to ask for."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from rightsize.collect import known as probe
from rightsize.collect.listing import CollectionUnit, Source
from rightsize.collect.sources import SOURCES, chosen_sources
from rightsize.model.errors import EvidenceError, UsageError
from rightsize.model.role_forms import read_role_definitions
from rightsize.workflow.data.doctor import Diagnosis, collector_role, examine, write_role
from tests.azure.hurried import Hurried
from tests.loopback.fixtures import sign_in
from tests.loopback.server import Loopback

Examine = Callable[..., Diagnosis]
SOME = ["role_assignments", "users", "sign_ins", "key_vaults"]


@pytest.fixture
def signed_in(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> Iterator[Examine]:
    sign_in(monkeypatch, loopback)

    def ask(**options: Any) -> Diagnosis:
        return examine(cloud=str(loopback.cloud), auth="env", clock=Hurried(), **options)

    yield ask
    loopback.faults.clear()


@pytest.mark.nightly
def test_everything_is_readable_where_nothing_is_refused(loopback: Loopback, signed_in: Examine) -> None:
    found = signed_in()
    assert {row.reach for row in found.rows} == {"readable"}
    assert (found.roles, found.permissions) == ((), ())
    assert found.who.credential == "EnvironmentCredential"
    assert len(found.rows) == len(chosen_sources(()))
    assert {entry.method for entry in loopback.requests} <= {"GET", "POST"}


@pytest.mark.slow
def test_each_scope_is_asked_once(loopback: Loopback, signed_in: Examine) -> None:
    (row,) = [row for row in signed_in(sources=["role_assignments"]).rows if row.source == "role_assignments"]
    scopes = len(loopback.content.subscriptions) + len(loopback.content.management_groups)
    assert (row.scopes, row.readable) == (scopes, scopes)


@pytest.mark.slow
def test_what_is_refused_is_named_with_the_least_that_gives_it(loopback: Loopback, signed_in: Examine) -> None:
    subscription = loopback.content.subscriptions[0].scope.lower()
    loopback.faults.add("forbidden", rf"^GET {subscription}/providers/microsoft\.authorization/roleassig", times=None)
    loopback.faults.add("forbidden", "/auditlogs/signins", times=None)
    found = signed_in(sources=SOME)
    rows = {row.source: row for row in found.rows}
    assert rows["role_assignments"].at == (subscription,)
    assert rows["role_assignments"].permission == "Microsoft.Authorization/roleAssignments/read"
    assert rows["role_assignments"].readable == rows["role_assignments"].scopes - 1
    assert rows["sign_ins"].reach == "refused"
    assert rows["users"].reach == "readable"
    assert found.roles == (f"Reader at {subscription}",)
    assert found.permissions == ("AuditLog.Read.All",)


@pytest.mark.slow
def test_a_service_that_does_not_answer_is_told_from_a_refusal(loopback: Loopback, signed_in: Examine) -> None:
    loopback.faults.add("503", "/v1.0/users", times=None)
    (row,) = [row for row in signed_in(sources=["users"]).rows if row.source == "users"]
    assert (row.reach, row.permission) == ("unreachable", "")


@pytest.mark.slow
def test_the_role_for_itself_reads_and_does_nothing_else(loopback: Loopback, signed_in: Examine) -> None:
    role = signed_in(sources=SOME).role
    (read,) = read_role_definitions([role])
    (block,) = read.permissions
    assert block.actions
    assert all(action.rsplit("/", 1)[-1].lower() == "read" and "*" not in action for action in block.actions)
    assert "Microsoft.KeyVault/vaults/read" in block.actions
    assert read.assignable_scopes == tuple(sorted(scope.scope for scope in loopback.content.subscriptions))


def test_only_what_is_used_is_in_the_role() -> None:
    plain = collector_role(chosen_sources(["role_assignments"]), ["a"])["properties"]["permissions"][0]
    assert "Microsoft.KeyVault/vaults/read" not in plain["actions"]
    assert plain["dataActions"] == []
    exported = collector_role(chosen_sources((), with_containers=True), ["a"])["properties"]["permissions"][0]
    assert exported["dataActions"] == ["Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"]
    rows = collector_role(chosen_sources((), with_workspaces=True), ["a"])["properties"]["permissions"][0]
    assert "Microsoft.OperationalInsights/workspaces/query/AzureActivity/read" in rows["actions"]


def test_a_role_with_nowhere_to_be_assigned_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="no scope to be assigned"):
        write_role(collector_role(chosen_sources(()), []), tmp_path / "role.json")
    assert not (tmp_path / "role.json").exists()


@pytest.mark.slow
def test_every_right_is_one_that_azure_has(shared_data: Path) -> None:
    """An action that the catalogue lacks would make Azure refuse the role."""
    with (shared_data / "catalog" / "operations.csv").open(newline="") as file:
        known = {row["operation"].lower(): row["is_data_action"].lower() for row in csv.DictReader(file)}
    # Microsoft Learn (manage access to Log Analytics workspaces) has it; the listing of operations lacks it.
    known["microsoft.operationalinsights/workspaces/query/tables.custom/read"] = "false"
    names = {role["roleName"] for role in json.loads((shared_data / "catalog" / "built-in-roles.json").read_bytes())}
    for source in SOURCES:
        if source.service == "graph":
            continue
        for action in (source.right.permission, *source.right.also):
            assert action.lower() in known, f"{source.name} needs {action}"
        assert (known[source.right.permission.lower()] == "true") == source.right.is_data_action
        assert source.right.role in names


@pytest.mark.nightly
def test_every_graph_permission_reads_what_its_source_asks_for(
    signed_in: Examine, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A permission that does not reach the path would be asked for, given, and still be refused."""
    asked: set[tuple[str, str, str]] = set()
    ask = probe.probe_unit

    def remember(source: Source, unit: CollectionUnit, *rest: Any) -> Any:
        if source.service == "graph":
            asked.add((source.name, source.right.permission, _template(unit.requests[0].url)))
        return ask(source, unit, *rest)

    monkeypatch.setattr(probe, "probe_unit", remember)
    signed_in()
    assert len(asked) > 20
    known = json.loads((shared_data / "graph" / "permissions.json").read_bytes())["permissions"]
    reads = {
        (name, re.sub(r"\{.*?\}", "{}", path.lower()))
        for name, permission in known.items()
        for paths in permission["pathSets"]
        if "GET" in paths["methods"]
        for path in paths["paths"]
    }
    missing = {(permission, path) for _, permission, path in asked} - reads
    assert not {
        (permission, path)
        for permission, path in missing
        if permission not in PERMISSIONS_THAT_THE_MAP_LACKS and not path.startswith(PATHS_THAT_THE_MAP_LACKS)
    }


# Source: Microsoft Learn, "List roleManagementPolicyAssignments", permissions for PIM for Groups.
PERMISSIONS_THAT_THE_MAP_LACKS = ("RoleManagementPolicy.Read.AzureADGroup",)


PATHS_THAT_THE_MAP_LACKS = (
    "/directory/deleteditems/",
    # It has these for those who write them only.
    "/rolemanagement/directory/roleassignmentschedulerequests",
    # Source: Microsoft Learn, Graph v1.0, "List inheritablePermission objects" and "List agentUser objects".
    "/applications/{}/microsoft.graph.agentidentityblueprint/inheritablepermissions",
    "/users/microsoft.graph.agentuser",
)


def _template(url: str) -> str:
    path = re.sub(r"^/(v1\.0|beta)", "", url.partition("?")[0].lower())
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "{}", path)


@pytest.mark.parametrize(
    ("names", "options", "hint"),
    [
        (["no_such"], {}, "role_assignments"),
        (["AzureActivity"], {}, "--workspace"),
        (["exported_logs"], {}, "--container"),
        (["AzureActivity"], {"with_workspaces": True}, "--raw"),
        (["activity_log"], {"with_workspaces": True}, "replace it"),
    ],
)
def test_a_source_that_does_not_apply_is_told(names: list[str], options: dict[str, bool], hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        chosen_sources(names, **options)
    assert hint in str(caught.value.hint)


def test_names_of_sources_are_unique_and_rest_on_earlier_ones() -> None:
    names = [source.name for source in SOURCES]
    assert len(names) == len(set(names))
    assert all(set(source.after) <= set(names) for source in SOURCES)
    assert all(source.name.replace("_", "").isalnum() for source in SOURCES), "they are names of folders"


@pytest.mark.slow
def test_the_command_exits_4_where_something_is_refused(
    loopback: Loopback, signed_in: Examine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--cloud", str(loopback.cloud), "--auth", "env", "--until", "2026-10-01T00:00:00"]
    arguments = ["status", "sources", *where, "--source", "users", "--source", "key_vaults", "-o", "json"]
    assert run([*arguments, "--role-out", str(tmp_path / "role.json")]) == 0
    assert {row["reach"] for row in json.loads(capsys.readouterr().out)} == {"readable"}
    assert json.loads((tmp_path / "role.json").read_text())["properties"]["roleName"] == "rightsize collector"
    loopback.faults.add("forbidden", "/v1.0/users", times=None)
    assert run(arguments) == 4
    captured = capsys.readouterr()
    assert "ask for the Graph permission: User.Read.All" in captured.err
    assert "signed in by EnvironmentCredential" in captured.err
