"""A role is named by what its used operations are about, and by the most that all of its operations can do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rightsize.propose.assembly.purposes import RoleUse, name_purposes
from tests.propose.small_tenant import CONTRIBUTOR, SUB, SmallTenant

COMPUTE, WEB = "Microsoft.Compute/virtualMachines", "Microsoft.Web/sites"
PUSH = "Microsoft.ContainerRegistry/registries/push/write"
BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"


def _named(days: dict[str, int], *unseen: str, plane: str = "control") -> str:
    """Return the name of a role with used operations, by days, and others."""
    strings = tuple((plane, name) for name in (*days, *unseen))
    return name_purposes({"role": RoleUse(strings, frozenset((plane, name) for name in days))})["role"][0]


@pytest.mark.parametrize(
    ("days", "unseen", "name"),
    [
        ({f"{WEB}/publishxml/action": 90, f"{WEB}/config/list/action": 90, f"{WEB}/write": 15}, (), "Web App Deployer"),
        ({f"{COMPUTE}/start/action": 45, f"{COMPUTE}/restart/action": 18, f"{COMPUTE}/write": 1}, (), "VM Editor"),
        ({f"{COMPUTE}/start/action": 45, f"{COMPUTE}/restart/action": 18}, (), "VM Operator"),
        ({f"{COMPUTE}/start/action": 45}, (f"{COMPUTE}/delete",), "VM Contributor"),
        (
            {"Microsoft.App/containerApps/stop/action": 9},
            ("Microsoft.App/containerApps/write",),
            "Container App Editor",
        ),
        ({f"{COMPUTE}/write": 9, f"{COMPUTE}/delete": 1}, (), "VM Contributor"),
        ({f"{COMPUTE}/delete": 3}, (), "VM Remover"),
        ({"Microsoft.Resources/deployments/write": 60, f"{WEB}/write": 50}, (), "Web App Deployer"),
        ({"Microsoft.Resources/deployments/write": 60}, (), "Resource Deployer"),
        ({"Microsoft.Resources/deployments/write": 60}, (PUSH,), "Resource Deployer"),
        ({PUSH: 60}, ("Microsoft.Resources/deployments/write",), "Container Image Pusher"),
        ({f"{WEB}/write": 60}, (PUSH,), "Web App Editor"),
        ({f"{COMPUTE}/start/action": 50, f"{WEB}/restart/action": 40}, (), "VM and Web App Operator"),
        ({}, ("Microsoft.Network/virtualNetworks/subnets/join/action", "Microsoft.Network/*/read"), "Subnet Joiner"),
        ({}, ("Microsoft.Network/*/read", "Microsoft.Authorization/*/read"), "Network Reader"),
        ({f"{COMPUTE}/read": 30}, (f"{COMPUTE}/write",), "VM Editor"),
        ({f"{COMPUTE}/read": 30}, (f"{COMPUTE}/instanceView/read",), "VM Reader"),
        ({"Contoso.Ovens/bakeries/bake/action": 5}, (), "Contoso Ovens Bakery Operator"),
    ],
)
def test_a_role_is_named_by_what_it_was_used_for(days: dict[str, int], unseen: tuple[str, ...], name: str) -> None:
    assert _named(days, *unseen) == name


def test_a_name_says_what_a_role_deletes_beside_the_services_it_names() -> None:
    built = {f"{COMPUTE}/write": 9, f"{COMPUTE}/start/action": 9, f"{COMPUTE}/restart/action": 9}
    assert _named(built, f"{WEB}/delete") == "VM Contributor with Web App Deletes"
    assert _named(built, f"{WEB}/delete", f"{REDIS}/delete") == "VM Contributor with Deletes"
    assert _named(built, f"{COMPUTE}/extensions/delete") == "VM Contributor"


def test_a_role_that_may_write_is_no_user() -> None:
    assert _named({f"{BLOBS}/read": 90, f"{BLOBS}/write": 1}, plane="data") == "Storage Blob Data Writer"
    assert _named({f"{BLOBS}/read": 90}, f"{BLOBS}/delete", plane="data") == "Storage Blob Data Remover"
    assert _named({f"{BLOBS}/write": 90}, f"{BLOBS}/delete", plane="data") == "Storage Blob Data Contributor"
    assert _named({f"{BLOBS}/read": 90}, plane="data") == "Storage Blob Data Reader"


STORAGE, REDIS = "Microsoft.Storage/storageAccounts", "Microsoft.Cache/redis"
ASSIGN = "Microsoft.Authorization/roleAssignments/write"


@pytest.mark.parametrize(
    ("risky", "others", "name"),
    [
        ({f"{STORAGE}/listKeys/action": "secret"}, (), "Storage Key Reader"),
        ({f"{COMPUTE}/runCommand/action": "code"}, (), "VM Run Command"),
        (
            {f"{REDIS}/listKeys/action": "secret", f"{REDIS}/regenerateKey/action": "secret"},
            (),
            "Redis Cache Key Operator",
        ),
        (
            {f"{REDIS}/listKeys/action": "secret", f"{REDIS}/regenerateKey/action": "secret"},
            (f"{REDIS}/write",),
            "Redis Cache Editor with Keys",
        ),
        ({f"{COMPUTE}/runCommand/action": "code"}, (f"{COMPUTE}/restart/action",), "VM Operator with Run Command"),
        ({f"{COMPUTE}/extensions/write": "code"}, (f"{COMPUTE}/write",), "VM Editor with Extensions"),
        ({f"{COMPUTE}/delete": "delete"}, (f"{COMPUTE}/write",), "VM Contributor"),
        ({ASSIGN: "privilege"}, (f"{COMPUTE}/write",), "Role Assignment and VM Editor"),
        (
            {ASSIGN: "privilege", f"{COMPUTE}/runCommand/action": "code", f"{STORAGE}/listKeys/action": "secret"},
            (f"{COMPUTE}/write", f"{COMPUTE}/delete", f"{STORAGE}/write"),
            "VM and Role Assignment Contributor with Run Command and Keys",
        ),
    ],
)
def test_a_name_says_keys_code_privilege_and_deletes(risky: dict[str, str], others: tuple[str, ...], name: str) -> None:
    strings = tuple(("control", text) for text in (*risky, *others))
    role = RoleUse(strings, frozenset(strings), {("control", text): kind for text, kind in risky.items()})
    for found in name_purposes({"role": role})["role"]:
        assert len(found) <= 64
    assert name_purposes({"role": role})["role"][0] == name


def test_use_on_more_days_changes_no_name() -> None:
    """A name depends on which operations were used, and not on how often."""
    assert _named({f"{COMPUTE}/start/action": 1, f"{WEB}/restart/action": 90}) == _named(
        {f"{COMPUTE}/start/action": 90, f"{WEB}/restart/action": 1}
    )


def test_many_services_without_a_foremost_one_are_a_platform() -> None:
    used = dict.fromkeys(
        (
            f"{COMPUTE}/write",
            f"{WEB}/write",
            "Microsoft.Sql/servers/write",
            "Microsoft.KeyVault/vaults/write",
            "Microsoft.Cdn/profiles/write",
        ),
        5,
    )
    assert _named(used) == "Platform Editor"


def test_alike_roles_have_further_names_that_tell_them_apart() -> None:
    roles = {verb: RoleUse((("control", f"{COMPUTE}/{verb}/action"),)) for verb in ("start", "redeploy")}
    found = name_purposes(roles)
    assert {names[0] for names in found.values()} == {"VM Operator"}
    assert {names[1] for names in found.values()} == {"VM Start Operator", "VM Redeploy Operator"}


def test_alike_roles_that_write_are_told_apart_by_what_they_write() -> None:
    batch = "Microsoft.Batch/batchAccounts"
    keys = ("control", f"{batch}/listkeys/action")
    pools = (("control", f"{batch}/pools/{verb}") for verb in ("write", "disableAutoscale/action"))
    strings = (keys, *pools)
    role = RoleUse(strings, frozenset(strings), {keys: "secret"})
    first, *others = name_purposes({"role": role})["role"]
    assert (first, others[0]) == ("Batch Account Editor with Keys", "Batch Account Pool Editor with Keys")
    assert "Batch Account Disable Autoscale Editor with Keys" in others


def test_alike_roles_are_told_apart_by_what_else_they_may_refer_to() -> None:
    """A job's role for who may assign identities, and for who may not; data that a role may change comes first."""
    write = ("control", "Microsoft.LoadTestService/loadTests/write")
    assign = ("control", "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action")
    start = ("data", "Microsoft.LoadTestService/loadtests/startTest/action")
    used = frozenset({write})
    others = name_purposes({"role": RoleUse((write, assign, start), used), "less": RoleUse((write,), used)})
    assert others["role"][-2:] == ("Load Test Editor for Data", "Load Test Editor for Managed Identity")
    assert not any(" for " in name for name in others["less"])


def test_a_name_has_the_words_of_the_catalogue_whatever_a_log_writes() -> None:
    pools = "Microsoft.Batch/batchAccounts/pools"
    tenant = SmallTenant()
    for number, verb in enumerate(("disableAutoscale", "stopResize"), start=1):
        tenant.operations[f"{pools}/{verb}/action"] = False
        user = tenant.principal(number)
        tenant.assign(100 + number, user, CONTRIBUTOR, SUB)
        tenant.use(user, f"{pools}/{verb}/action".lower(), SUB)
    plan = tenant.plan(reads="none", unobservable="drop", role_worth=0)
    names = {role.definition.role_name for role in plan.roles}
    assert names == {"Batch Account Disable Autoscale Operator", "Batch Account Stop Resize Operator"}


@pytest.mark.nightly
def test_built_in_roles_would_get_decent_names(shared_data: Path) -> None:
    """Microsoft's own roles by their content alone: a reader where all reads, and for most a service that they name."""
    roles = {}
    listed = {}
    for role in json.loads((shared_data / "catalog" / "built-in-roles.json").read_text(encoding="utf-8")):
        strings = tuple(
            (plane, text)
            for block in role["permissions"]
            for plane, texts in (("control", block["actions"]), ("data", block["dataActions"]))
            for text in texts
        )
        if strings:
            roles[role["name"]] = RoleUse(strings)
            listed[role["name"]] = role["roleName"]
    names = {id_: found[0] for id_, found in name_purposes(roles).items()}
    assert len(names) > 900
    assert max(map(len, names.values())) <= 64
    for id_, name in names.items():
        reads = all(text.lower().endswith("/read") for _, text in roles[id_].strings)
        assert not reads or name.endswith((" Reader", " Puller")), (listed[id_], name)
    assert sum(name.startswith("Platform ") for name in names.values()) < 0.08 * len(names)
    by_name = {listed[id_]: name for id_, name in names.items()}
    assert {theirs: by_name[theirs] for theirs in ("AcrPush", "AcrPull", "Reader", "Contributor")} == {
        "AcrPush": "Container Image Pusher",
        "AcrPull": "Container Image Puller",
        "Reader": "Resource Reader",
        "Contributor": "Resource Contributor",
    }
    assert by_name["Key Vault Secrets User"] == "Key Vault Secret Reader"
    assert by_name["Storage Queue Data Message Sender"] == "Storage Queue Message Sender"
