"""Commands written for `az` run in `az`, and the output of `az` is loaded here."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rightsize.collect.sources import chosen_sources
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.role_forms import read_role_definitions
from rightsize.propose.verify.plan_reader import load_plan
from rightsize.propose.verify.review import plan_of
from rightsize.render.deploy.contents import Today, contents_of
from rightsize.render.deploy.files import ROLE_FORMATS, deploy_files
from rightsize.store.connection import open_store
from rightsize.workflow.data.collect import collect_tenant
from rightsize.workflow.data.doctor import collector_role
from rightsize.workflow.data.load import load_paths
from rightsize.workflow.plan_folder import read_plan_folder
from tests.azure.hurried import Hurried
from tests.loopback.az import Az, az_environment, sign_in_az
from tests.loopback.fixtures import sign_in
from tests.loopback.server import Loopback, Options

pytestmark = pytest.mark.external


FEW = 1
"""Roles of each kind that are written: `az` takes two seconds for each."""
UNTIL = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def writable() -> Iterator[Loopback]:
    """A tenant of its own, in which roles may be written."""
    with Loopback(options=Options(writes=True)).start() as service:
        yield service


@pytest.fixture(scope="module")
def az_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("az")


@pytest.fixture(scope="module")
def az(writable: Loopback, az_folder: Path) -> Az:
    return sign_in_az(writable, az_folder)


def put(az: Az, role: dict[str, Any], folder: Path) -> Any:
    """Write a role as `docs/collect.md` says."""
    path = folder / "role.json"
    path.write_text(json.dumps(role), encoding="utf-8")
    (scope, *_) = role["properties"]["assignableScopes"]
    url = f"{scope}/providers/Microsoft.Authorization/roleDefinitions/{role['name']}?api-version=2022-04-01"
    return az("rest", "--method", "put", "--url", url, "--body", f"@{path}")


def test_the_role_of_doctor_is_taken(az: Az, writable: Loopback, tmp_path: Path) -> None:
    subscriptions = [scope.scope.rsplit("/", 1)[-1] for scope in writable.content.subscriptions]
    # The sample tenant's Azure knows the operations of a few providers only.
    role = collector_role(chosen_sources(["subscriptions", "key_vaults"]), subscriptions)
    put(az, role, tmp_path)
    where = ("--name", role["name"], "--scope", f"/subscriptions/{subscriptions[0]}")
    (listed,) = az("role", "definition", "list", *where)
    (ours,), (theirs,) = read_role_definitions([role]), read_role_definitions([listed])
    assert (theirs.role_name, theirs.permissions) == (ours.role_name, ours.permissions)
    assert sorted(theirs.assignable_scopes) == sorted(ours.assignable_scopes)


def test_the_roles_of_a_plan_are_taken(az: Az, demo_folder: Path, tmp_path: Path) -> None:
    plan = load_plan((demo_folder / "plan.json").read_bytes())
    roles = [json.loads((demo_folder / entry["file"]).read_bytes()) for entry in plan["roles"]]
    with_data = [role for role in roles if role["properties"]["permissions"][0]["dataActions"]]
    chosen = [*roles[:FEW], *with_data[:FEW]]
    assert chosen
    for role in chosen:
        assert put(az, role, tmp_path)["name"] == role["name"]


def test_the_script_of_a_plan_is_run_by_az(
    az: Az, az_folder: Path, writable: Loopback, demo_folder: Path, tmp_path: Path
) -> None:
    """Roles and assignments arrive with their ids, and a second run changes nothing."""
    plan = plan_of(read_plan_folder(demo_folder))
    new = {role.definition.role_definition_id for role in plan.roles}
    making = [one for one in plan.proposals if any(place.role in new for place in one.assignments)]
    wide = next(one for one in making if any("/managementgroups/" in place.scope.lower() for place in one.assignments))
    few = min((one for one in making if one is not wide), key=lambda one: (len(one.assignments), one.id))
    contents = contents_of(plan, Today(), {few.id, wide.id})
    files = {
        **{f"roles/{role.slug}.json": ROLE_FORMATS["json"].write_role(role.definition) for role in contents.roles},
        **deploy_files(contents, ["az"]),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    environment = {**os.environ, **az_environment(writable, az_folder)}
    script = ["bash", str(tmp_path / "az" / "deploy.sh")]
    for _ in range(2):
        done = subprocess.run(script, check=False, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    made = {one["name"]: one["properties"] for one in writable.content.role_assignments}
    for one in contents.assignments:
        assert made[one.id]["principalId"] == one.principal_id
        assert made[one.id]["roleDefinitionId"].lower().endswith(one.role)
    definitions = {one["name"]: one for one in writable.content.role_definitions}
    for role in contents.roles:
        assert read_role_definitions([definitions[role.definition.role_definition_id]]) == (role.definition,)


def test_the_flat_input_is_taken_by_az(az: Az, writable: Loopback, tmp_path: Path) -> None:
    """`az role definition create` reads every field of it, but chooses an id of its own."""
    (scope, *_) = [place.scope for place in writable.content.subscriptions]
    block = PermissionBlock(("Microsoft.Compute/virtualMachines/restart/action",))
    role = RoleDefinition("", "It's ${x}", (block,), "CustomRole", "[d]", (scope,))
    (tmp_path / "role.json").write_text(ROLE_FORMATS["az"].write_role(role), encoding="utf-8")
    made = az("role", "definition", "create", "--role-definition", f"@{tmp_path / 'role.json'}")
    (theirs,) = read_role_definitions([made])
    assert replace(theirs, role_definition_id="") == role


def test_whoever_az_signed_in_collects(
    az: Az, az_folder: Path, writable: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in az_environment(writable, az_folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SSL_CERT_FILE", str(writable.certificate))
    who: list[str] = []
    report = collect_tenant(
        tmp_path, cloud=str(writable.cloud), auth="cli", until=UNTIL, clock=Hurried(),
        sources=["subscriptions", "users"], signed_in=lambda found: who.append(found.credential),
    )  # fmt: skip
    assert report.is_whole
    assert who == ["AzureCliCredential"]


def test_what_az_lists_is_what_is_collected(
    az: Az, writable: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch, writable)
    exports = tmp_path / "exports"
    exports.mkdir()
    for place in writable.content.subscriptions:
        where = ("--subscription", place.scope.rsplit("/", 1)[-1])
        listed = az("role", "assignment", "list", "--all", "--include-inherited", *where)
        (exports / f"{place.scope.rsplit('/', 1)[-1]}.json").write_text(json.dumps(listed), encoding="utf-8")
    load_paths(tmp_path / "az.duckdb", [exports])
    collect_tenant(
        tmp_path / "runs", cloud=str(writable.cloud), auth="env", until=UNTIL, clock=Hurried(),
        sources=["role_assignments"], db=tmp_path / "collected.duckdb",
    )  # fmt: skip
    columns = "role_assignment_id, principal_id, role_definition_id, scope, condition"
    question = f"SELECT {columns} FROM role_assignments WHERE state = 'active' ORDER BY ALL"
    with open_store(tmp_path / "az.duckdb", read_only=True) as store:
        listed = store.frame(question).rows()
    with open_store(tmp_path / "collected.duckdb", read_only=True) as store:
        collected = store.frame(question).rows()
    assert listed
    assert listed == collected
