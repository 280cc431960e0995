"""Verdicts on data planes by resource, category and day, by settings, and by possible use of a request."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from tests.analyze.tiny import CATALOGUE, FIRST, MG, RG, SUB, Tiny

VAULT = f"{RG}/providers/Microsoft.KeyVault/vaults/kv"
OTHER = f"{RG}/providers/Microsoft.KeyVault/vaults/other"
ACCOUNT = f"{RG}/providers/Microsoft.Storage/storageAccounts/acct"
CLUSTER = f"{RG}/providers/Microsoft.ContainerService/managedClusters/aks"
REGISTRY = f"{RG}/providers/Microsoft.ContainerRegistry/registries/acr"
HUBS = f"{RG}/providers/Microsoft.EventHub/namespaces/hubs"
GET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
LIST = "Microsoft.KeyVault/vaults/secrets/readMetadata/action"
READ = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
WRITE = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write"
ADD = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action"
PEEK = "Microsoft.Storage/storageAccounts/queueServices/queues/messages/read"
PODS = "Microsoft.ContainerService/managedClusters/pods/read"
WRITES = "Microsoft.ContainerService/managedClusters/pods/write"
PULL = "Microsoft.ContainerRegistry/registries/pull/read"
CONTENT = "Microsoft.ContainerRegistry/registries/repositories/content/read"
SEND = "Microsoft.EventHub/namespaces/messages/send/action"
COSMOS = "Microsoft.DocumentDB/databaseAccounts/readMetadata"
DATA = dict.fromkeys((GET, LIST, READ, WRITE, ADD, PEEK, PODS, WRITES, CONTENT, SEND, COSMOS), True)
STORAGE = ("StorageRead", "StorageWrite", "StorageDelete")


@pytest.fixture
def tiny() -> Tiny:
    tenant = Tiny()
    tenant.catalogue({**CATALOGUE, **DATA, PULL: False})
    return tenant.role("secrets", data=[GET, LIST])


def cover(tenant: Tiny, scope: str, source: str, *categories: str, **more: Any) -> None:
    for category in categories:
        tenant.cover(scope, source=source, category=category, **more)


def inventory(tenant: Tiny, *resources: str, complete: bool = True, **more: Any) -> None:
    for scope in resources:
        kind = "/".join(scope.split("/")[6:8])
        tenant.add("resources", scope=scope.lower(), resource_type=kind, **more)
        if complete:
            tenant.add("listings", listing="resources", of=f"{SUB} {kind.lower()}", complete=True)


def sends(tenant: Tiny, scope: str, category: str, enabled: bool = True) -> None:
    tenant.add(
        "diagnostic_settings", scope=scope.lower(), name="x", category=category.lower(), is_group=False, enabled=enabled
    )


def test_what_a_vault_logs_every_day_and_nobody_did_is_unused(tiny: Tiny) -> None:
    """The log of the one vault decides; the operation that was seen is used."""
    tiny.assign("a", "p", "secrets", VAULT).use("p", GET, f"{VAULT}/secrets/x", plane="data")
    cover(tiny, VAULT, "key_vault_log", "AuditEvent")
    assert tiny.judged("a") == {GET: ("used", "elimination"), LIST: ("unused", "covered")}


@pytest.mark.parametrize(
    ("prepare", "verdict", "reason"),
    [
        (lambda _: None, "unobservable", "no_diagnostic_inventory"),
        (lambda t: sends(t, OTHER, "AuditEvent"), "unobservable", "no_diagnostic_setting"),
        (lambda t: sends(t, VAULT, "AuditEvent", enabled=False), "unobservable", "no_diagnostic_setting"),
        (lambda t: sends(t, VAULT, "AuditEvent"), "out_of_coverage", "no_log_loaded"),
        (lambda t: cover(t, VAULT, "key_vault_log", "AuditEvent", days=range(9)), "out_of_coverage", "days_missing"),
        (
            lambda t: cover(t, VAULT, "key_vault_log", "AuditEvent", state="missing"),
            "unobservable",
            "no_diagnostic_inventory",
        ),
        (lambda t: cover(t, OTHER, "key_vault_log", "AuditEvent"), "unobservable", "no_diagnostic_inventory"),
    ],
)  # fmt: skip
def test_what_no_log_of_the_vault_could_show_is_not_unused(
    tiny: Tiny, prepare: Callable[[Tiny], None], verdict: str, reason: str
) -> None:
    """A log of another vault, a setting that sends nothing, a day without log: each says less than that."""
    prepare(tiny.assign("a", "p", "secrets", VAULT))
    assert tiny.judged("a")[LIST] == (verdict, reason)


@pytest.mark.slow
def test_each_service_of_an_account_and_each_category_counts(tiny: Tiny) -> None:
    """The log of blobs says nothing of queues; writes alone say nothing of reads."""
    tiny.role("data", data=[READ, PEEK]).assign("a", "p", "data", ACCOUNT)
    cover(tiny, f"{ACCOUNT}/blobServices/default", "storage_log", *STORAGE)
    assert tiny.judged("a")[READ] == ("unused", "covered")
    assert tiny.judged("a")[PEEK] == ("unobservable", "no_diagnostic_inventory")
    tiny.rows["coverage"] = [row for row in tiny.rows["coverage"] if row["category"] != "StorageWrite"]
    assert tiny.judged("a")[READ] == ("out_of_coverage", "days_missing")


def test_the_lesser_audit_of_a_cluster_shows_all_but_reads(tiny: Tiny) -> None:
    """kube-audit-admin leaves out get and list."""
    tiny.role("pods", data=[PODS, WRITES]).assign("a", "p", "pods", CLUSTER)
    cover(tiny, CLUSTER, "aks_audit_log", "kube-audit-admin")
    assert tiny.judged("a") == {PODS: ("unobservable", "no_diagnostic_inventory"), WRITES: ("unused", "covered")}


@pytest.mark.nightly
@pytest.mark.parametrize("scope", [RG, SUB, MG, "/"])
def test_above_resources_every_one_of_them_must_be_known_and_log(tiny: Tiny, scope: str) -> None:
    """Without a whole listing a vault may be there that nobody knows."""
    tiny.add("scopes", scope=MG, kind="management_group", parent_scope="/", listed=True)
    tiny.rows["scopes"][0]["parent_scope"] = MG
    tiny.assign("a", "p", "secrets", scope)
    cover(tiny, VAULT, "key_vault_log", "AuditEvent")
    inventory(tiny, VAULT, complete=False)
    assert tiny.judged("a")[GET] == ("unobservable", "no_diagnostic_inventory")
    inventory(tiny, VAULT)
    assert tiny.judged("a")[GET] == ("unused", "covered")
    inventory(tiny, OTHER)
    assert tiny.judged("a")[GET] == ("unobservable", "no_diagnostic_inventory")
    sends(tiny, VAULT, "AuditEvent")
    assert tiny.judged("a")[GET] == ("unobservable", "no_diagnostic_setting")
    cover(tiny, OTHER, "key_vault_log", "AuditEvent", days=range(3))
    assert tiny.judged("a")[GET] == ("out_of_coverage", "days_missing")


@pytest.mark.slow
def test_a_vault_that_only_an_assignment_names_counts_like_a_listed_one(tiny: Tiny) -> None:
    """A listing shows what its reader may read; what is seen elsewhere is there all the same."""
    inventory(tiny, VAULT)
    cover(tiny, VAULT, "key_vault_log", "AuditEvent")
    tiny.assign("a", "p", "secrets", SUB)
    assert tiny.judged("a")[GET] == ("unused", "covered")
    tiny.assign("b", "q", "secrets", OTHER)
    assert tiny.judged("a")[GET] == ("unobservable", "no_diagnostic_inventory")


@pytest.mark.slow
def test_where_no_resource_of_the_kind_is_nothing_is_proved(tiny: Tiny) -> None:
    """A grant may wait for a vault that is made tomorrow; below a virtual machine nobody can make one."""
    inventory(tiny, VAULT)
    tiny.rows["resources"][0]["scope"] = f"/subscriptions/s2/resourcegroups/r/{VAULT.split('/', 5)[5]}".lower()
    tiny.add("scopes", scope="/subscriptions/s2", kind="subscription", parent_scope="/", listed=True)
    tiny.assign("a", "p", "secrets", SUB).assign(
        "b", "p", "secrets", f"{RG}/providers/Microsoft.Compute/virtualMachines/v"
    )
    assert tiny.judged("a")[GET] == ("unobservable", "no_resource")
    assert tiny.judged("b")[GET] == ("unused", "no_such_resource")


@pytest.mark.slow
def test_days_before_a_resource_was_made_need_no_log(tiny: Tiny) -> None:
    """Nobody could ask it anything."""
    tiny.assign("a", "p", "secrets", VAULT)
    cover(tiny, VAULT, "key_vault_log", "AuditEvent", days=range(4, 10))
    inventory(tiny, VAULT, created_on=dt.datetime(2026, 1, 5, 9))
    assert tiny.judged("a")[GET] == ("unused", "covered")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operation", "day", "verdict"),
    [
        ("Microsoft.Insights/diagnosticSettings/write", FIRST, "out_of_coverage"),
        ("Microsoft.Insights/diagnosticSettings/delete", FIRST, "unobservable"),
        ("Microsoft.Insights/diagnosticSettings/write", dt.date(2025, 12, 1), "unused"),
    ],
)
def test_a_setting_that_was_changed_in_the_window_makes_declared_days_doubtful(
    tiny: Tiny, operation: str, day: dt.date, verdict: str
) -> None:
    """Before it was written nothing may have been sent, and after it was deleted nothing is."""
    tiny.assign("a", "p", "secrets", VAULT)
    cover(tiny, VAULT, "key_vault_log", "AuditEvent", state="declared_empty")
    scope = f"{VAULT}/providers/microsoft.insights/diagnosticSettings/to-workspace"
    tiny.use("admin", operation, scope, day=day)
    assert tiny.judged("a")[GET][0] == verdict


@pytest.mark.slow
@pytest.mark.parametrize(
    ("events", "other", "verdict"),
    [
        ([("delete", 1)], False, ("unobservable", "no_diagnostic_setting")),
        ([("write", 1), ("delete", 5)], False, ("unobservable", "no_diagnostic_setting")),
        ([("delete", 1), ("write", 5)], False, ("unused", "covered")),
        ([("delete", 1)], True, ("unused", "covered")),
    ],
)
def test_a_setting_that_was_deleted_before_the_window_sends_nothing_though_an_old_listing_has_it(
    tiny: Tiny, events: list[tuple[str, int]], other: bool, verdict: tuple[str, str]
) -> None:
    """A declaration over it proves nothing, unless the setting came back or another one sends the same."""
    tiny.assign("a", "p", "secrets", VAULT)
    sends(tiny, VAULT, "AuditEvent")
    if other:
        sends(tiny, VAULT, "AuditEvent")
        tiny.rows["diagnostic_settings"][-1]["name"] = "y"
    cover(tiny, VAULT, "key_vault_log", "AuditEvent", state="declared_empty")
    for verb, day in events:
        tiny.use("admin", f"Microsoft.Insights/diagnosticSettings/{verb}",
                 f"{VAULT}/providers/microsoft.insights/diagnosticSettings/X", day=dt.date(2025, 12, day))  # fmt: skip
    assert tiny.judged("a")[GET] == verdict


@pytest.mark.slow
def test_an_operation_that_no_rule_knows_may_have_used_anything_of_its_service(tiny: Tiny) -> None:
    """It is coverage lost for whoever did it, there, and for nobody else."""
    tiny.assign("a", "p", "secrets", VAULT).assign("b", "q", "secrets", VAULT).assign("c", "p", "secrets", OTHER)
    for vault in (VAULT, OTHER):
        cover(tiny, vault, "key_vault_log", "AuditEvent")
    tiny.use("p", "SecretTeleport", VAULT, plane="data")
    assert tiny.judged("a") == dict.fromkeys((GET, LIST), ("out_of_coverage", "unmapped_use"))
    assert tiny.judged("b")[GET] == ("unused", "covered")
    assert tiny.judged("c")[GET] == ("unused", "covered")
    assert (None, "SecretTeleport", "unexplained", "not_mapped", 1) in tiny.verdicts()


@pytest.mark.slow
def test_an_unknown_name_may_be_anybody(tiny: Tiny) -> None:
    """Logs of messages name applications; one that no listing resolves may hold any assignment there."""
    tiny.role("send", data=[SEND]).assign("a", "p", "send", f"{HUBS}/eventhubs/one").assign("b", "q", "send", RG)
    cover(tiny, HUBS, "messaging_log", "RuntimeAuditLogs")
    tiny.use(None, SEND, HUBS, plane="data", principal_name="orders")
    for assignment in ("a", "b"):
        assert tiny.judged(assignment)[SEND][0] != "unused"


@pytest.mark.slow
def test_a_log_that_names_the_resource_only_proves_nothing_against_what_is_inside_it(tiny: Tiny) -> None:
    """Who sent to some hub of a namespace may have sent to the one where an assignment is."""
    tiny.role("send", data=[SEND]).assign("a", "p", "send", f"{HUBS}/eventhubs/one")
    cover(tiny, HUBS, "messaging_log", "RuntimeAuditLogs")
    assert tiny.judged("a")[SEND] == ("unused", "covered")
    tiny.use("p", SEND, HUBS, plane="data")
    assert tiny.judged("a")[SEND] == ("out_of_coverage", "unexplained_use")


@pytest.mark.slow
def test_a_request_that_two_permissions_allow_used_the_one_that_is_granted(tiny: Tiny) -> None:
    """Putting a blob is write, or add where only that is held."""
    tiny.role("adds", data=[ADD]).role("both", data=[ADD, WRITE])
    tiny.assign("a", "p", "adds", ACCOUNT).assign("b", "q", "both", ACCOUNT)
    cover(tiny, f"{ACCOUNT}/blobServices/default", "storage_log", *STORAGE)
    for principal in ("p", "q"):
        tiny.use(principal, WRITE, f"{ACCOUNT}/blobServices/default/containers/c", plane="data")
    assert tiny.judged("a") == {ADD: ("used", "elimination")}
    assert tiny.judged("b") == {WRITE: ("used", "elimination"), ADD: ("unused", "covered")}


@pytest.mark.slow
def test_what_a_vault_with_access_policies_let_through_is_use_of_no_role(tiny: Tiny) -> None:
    """Its rows prove access policies, whatever roles are assigned there."""
    tiny.assign("a", "p", "secrets", VAULT).use("p", GET, f"{VAULT}/secrets/x", plane="data")
    cover(tiny, VAULT, "key_vault_log", "AuditEvent")
    inventory(tiny, VAULT, settings='{"enableRbacAuthorization":"false"}')
    assert tiny.judged("a")[GET] == ("unobservable", "policies_decide")
    assert (None, GET, "unexplained", "other_access", 1) in tiny.verdicts()
    tiny.rows["resources"][0]["settings"] = '{"enableRbacAuthorization":"true"}'
    assert tiny.judged("a")[GET] == ("used", "elimination")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "pull", "content"),
    [
        ('{"roleAssignmentMode":"LegacyRegistryPermissions"}', ("used", "elimination"), ("unused", "covered")),
        ('{"roleAssignmentMode":"AbacRepositoryPermissions"}', ("unused", "covered"), ("used", "elimination")),
        (None, ("used", "elimination"), ("out_of_coverage", "unmapped_use")),
    ],
)
def test_a_registry_asks_for_an_action_or_a_data_action(
    tiny: Tiny, settings: str | None, pull: tuple[str, str], content: tuple[str, str]
) -> None:
    """Where its mode is not known, a pull may have used either."""
    tiny.role("images", PULL, data=[CONTENT]).assign("a", "p", "images", REGISTRY)
    tiny.use("p", PULL, REGISTRY)
    cover(tiny, REGISTRY, "registry_log", "ContainerRegistryRepositoryEvents")
    inventory(tiny, REGISTRY, settings=settings)
    assert tiny.judged("a") == {PULL: pull, CONTENT: content}


@pytest.mark.slow
def test_roles_of_a_service_of_its_own_are_not_replaced_by_azures(tiny: Tiny) -> None:
    """Whatever its log says, an Azure role decides nothing there."""
    tiny.role("cosmos", data=[COSMOS]).assign("a", "p", "cosmos", SUB)
    assert tiny.judged("a") == {COSMOS: ("unobservable", "own_roles")}


@pytest.mark.nightly
def test_the_order_of_rows_changes_nothing(tiny: Tiny) -> None:
    """All of it at once, shuffled."""
    tiny.role("adds", data=[ADD]).role("images", PULL, data=[CONTENT])
    tiny.assign("a", "p", "secrets", SUB).assign("b", "p", "adds", ACCOUNT).assign("c", "p", "images", RG)
    tiny.use("p", "SecretTeleport", VAULT, plane="data").use("p", PULL, REGISTRY)
    tiny.use("p", WRITE, f"{ACCOUNT}/blobServices/default/containers/c", plane="data")
    inventory(tiny, VAULT, ACCOUNT, REGISTRY)
    cover(tiny, VAULT, "key_vault_log", "AuditEvent")
    expected = tiny.analyse()
    for seed in range(3):
        other = tiny.analyse(shuffled=seed)
        assert other.verdicts.equals(expected.verdicts)
        assert other.profile_operations.equals(expected.profile_operations)
