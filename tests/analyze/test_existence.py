"""What cannot have been used: each condition of a proof of absence, what is never decided, and the whole catalogue."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from rightsize.analyze.reasons import Unused
from rightsize.analyze.verdicts.existence import Existence, states_of
from rightsize.analyze.window import Window
from rightsize.model.nouns import PermissionBlock
from rightsize.rules.resource_types import inventory_types
from tests.propose.inventoried import (
    BLOB_WRITE,
    CONTAINER_WRITE,
    JOIN,
    KINDS,
    READ_ON,
    holder,
    inventoried,
    inventory,
    judged,
    reader,
    resource,
    state_of,
)
from tests.propose.small_tenant import (
    APP,
    BLOB_READER,
    CONTRIBUTOR,
    DATA,
    DAY0,
    DAYS,
    MG,
    SUB,
    SUB2,
    VM,
    VM_CONTRIBUTOR,
    SmallTenant,
    guid,
)

ABSENT = ("unused", Unused.NO_SUCH_RESOURCE.value)
UNREGISTERED = ("unused", Unused.PROVIDER_NOT_REGISTERED.value)
ACCOUNT = f"{DATA}/providers/Microsoft.Storage/storageAccounts/a"
STORAGE = "Microsoft.Storage/storageAccounts"
ALL = ["00000000-0000-0000-0000-000000000000"]


@pytest.mark.nightly
def test_a_type_that_no_listing_and_no_call_shows_was_absent() -> None:
    """Complete listings and a covered log prove it; what runs on its endpoint and linked checks go, reads stay."""
    found = judged(inventoried())
    assert found[CONTAINER_WRITE] == found[JOIN] == ABSENT
    assert found["Microsoft.Storage/storageAccounts/read"] == ("unobservable", "arm_read")
    assert found["Microsoft.Storage/storageAccounts/listKeys/action"] == ("unused", "covered")
    assert found["Microsoft.Storage/storageAccounts/write"] == ("unused", "covered")
    assert state_of(inventoried(), STORAGE) == ("absent", "no_such_resource")
    assert state_of(inventoried(), "Microsoft.Compute/virtualMachines") == ("exists", "listed")


@pytest.mark.nightly
def test_a_log_without_its_first_day_is_enough() -> None:
    """Retention cuts the first of 90 days, so that no export can have it; logged operations are then decided, too."""
    tenant = inventoried()
    tenant.covered = ()
    _cover(tenant, range(1, DAYS))
    assert judged(tenant)[CONTAINER_WRITE] == ABSENT
    assert judged(tenant)["Microsoft.Storage/storageAccounts/listKeys/action"] == ABSENT
    # Creating an account needs none, so that only the log decides it.
    assert judged(tenant)["Microsoft.Storage/storageAccounts/write"] == ("unused", "covered_in_part")


def _cover(tenant: SmallTenant, days: Any, scope: str = SUB) -> None:
    for offset in days:
        day = DAY0 + dt.timedelta(days=offset)
        row = {"source": "activity_log", "category": "Administrative", "scope": scope, "day": day}
        tenant.add("coverage", **row, events=1, state="observed")


def _without(table: str) -> Callable[[SmallTenant], None]:
    return lambda tenant: tenant.rows.pop(table) and None


def _listing(**more: Any) -> Callable[[SmallTenant], None]:
    def change(tenant: SmallTenant) -> None:
        for row in tenant.rows["inventories"][:1]:
            row.update(more)

    return change


def _reading(**more: Any) -> Callable[[SmallTenant], None]:
    def change(tenant: SmallTenant) -> None:
        (row,) = [one for one in tenant.rows["role_assignments"] if one["role_assignment_id"] == guid(9000)]
        row.update(more)

    return change


def _deny(scope: str = SUB, pattern: str = "Microsoft.Storage/*/read") -> Callable[[SmallTenant], None]:
    return lambda tenant: tenant.add(
        "deny_assignments",
        deny_assignment_id=guid(77),
        scope=scope,
        principal_ids=ALL,
        exclude_principal_ids=[],
        does_not_apply_to_child_scopes=False,
        permissions=json.dumps([{"actions": [pattern]}]),
    )


def _call(operation: str, scope: str, **more: Any) -> Callable[[SmallTenant], None]:
    return lambda tenant: tenant.use(guid(5), operation, scope, **more)


def _lose_a_day(tenant: SmallTenant) -> None:
    tenant.covered = ()
    _cover(tenant, [*range(1, 40), *range(41, DAYS)])


def _governed(tenant: SmallTenant) -> None:
    """The reader is in the group that may read only by an activation of its membership."""
    tenant.rows["role_assignments"] = [
        one for one in tenant.rows["role_assignments"] if one["role_assignment_id"] != guid(9000)
    ]
    group = tenant.group(901, [guid(900)])
    tenant.assign(9001, group, "acdd72a7-3385-48ef-bd42-f606fba81ae7", SUB, principal_type="Group")
    tenant.add(
        "group_schedule_instances",
        instance_id="i",
        state="eligible",
        principal_id=guid(900),
        group_id=group,
        access="member",
    )


BREAKS: dict[str, tuple[Callable[[SmallTenant], None], str]] = {
    "bare array": (_without("inventories"), "no_listing"),
    "one kind missing": (lambda tenant: tenant.rows["inventories"].pop(), "no_listing"),
    "not complete": (_listing(complete=False, problem="cut off"), "incomplete"),
    "reader without a right": (_reading(role_definition_id=VM_CONTRIBUTOR), "reader_without_right"),
    "reader of one group": (_reading(scope=APP), "reader_without_right"),
    "reader with a deny": (_deny(), "reader_without_right"),
    "deny inside": (_deny(DATA), "reader_without_right"),
    "deny above": (_deny(MG, "*"), "reader_without_right"),
    "eligible reader": (_reading(state="eligible"), "reader_without_right"),
    "conditional reader": (_reading(condition="@Resource[a] StringEquals 'b'"), "reader_without_right"),
    "reader for a time": (_reading(end_on=dt.datetime(2027, 1, 1)), "reader_without_right"),
    "right came later": (_reading(created_on=READ_ON + dt.timedelta(hours=1)), "reader_without_right"),
    "reader by activation": (_governed, "reader_without_right"),
    "unknown reader": (_listing(reader_id=guid(3)), "reader_without_right"),
    "read too early": (_listing(read_on=READ_ON - dt.timedelta(days=1)), "read_before_end"),
    "read long after": (_listing(read_on=READ_ON + dt.timedelta(days=30)), "log_ends_before_listing"),
    "day of log missing": (_lose_a_day, "days_missing"),
    "group deleted": (_call("Microsoft.Resources/subscriptions/resourceGroups/delete", APP), "group_deleted"),
    "moved": (_call("Microsoft.Resources/subscriptions/resourceGroups/moveResources/action", APP), "moved"),
    "restored": (
        _call("Microsoft.RecoveryServices/vaults/backupFabrics/restore/action", f"{APP}/providers/a/b/c"),
        "restored",
    ),
    "group of the subscription changed": (
        _call("Microsoft.Management/managementGroups/subscriptions/write", f"{MG}{SUB}"),
        "management_group_changed",
    ),
    "a call that cannot be read": (_call("Ressourcengruppe löschen", DATA), "unnamed_call"),
    "there for a part of the window": (_call(f"{STORAGE}/delete", ACCOUNT, days=1), "in_log"),
    "deleted after the window": (_call(f"{STORAGE}/delete", ACCOUNT, days=1, start=DAYS), "in_log"),
    "called in the group": (_call(f"{STORAGE}/write", DATA, days=1), "in_log"),
    "a data call": (_call(BLOB_WRITE, f"{ACCOUNT}/blobServices/default/containers/c", days=1), "in_log"),
    "a refused call": (_call(f"{STORAGE}/delete", ACCOUNT, succeeded=0, denied=1), "named_only"),
    "named by an assignment": (
        lambda tenant: tenant.assign(500, guid(1), VM_CONTRIBUTOR, ACCOUNT) and None,
        "named_only",
    ),
    "listed": (lambda tenant: resource(tenant, ACCOUNT), "listed"),
    "listed in other letters": (lambda tenant: tenant.add("resources", scope=ACCOUNT.upper()), "listed"),
}


@pytest.mark.nightly
@pytest.mark.many(12)
@pytest.mark.parametrize("name", BREAKS)
def test_each_condition_alone_breaks_the_proof(name: str) -> None:
    """Nothing is unused for want of a resource, and the table says what is missing."""
    change, reason = BREAKS[name]
    tenant = inventoried()
    change(tenant)
    assert judged(tenant)[CONTAINER_WRITE][0] == "unobservable"
    assert state_of(tenant, STORAGE)[1] == reason


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize(
    "harmless",
    [
        _call("Microsoft.Resources/subscriptions/resourceGroups/delete", APP, succeeded=0, denied=1),
        _call("Microsoft.KeyVault/vaults/secrets/restore/action", f"{APP}/providers/a/b/c", plane="data"),
        _deny("/subscriptions/other"),
        _deny(pattern="Microsoft.Storage/*/write"),
        _listing(reader_id=guid(900).upper()),
        lambda tenant: tenant.add("inventories", scope=SUB, kind="resource_list", reader_id=guid(3), complete=False),
    ],
)
def test_other_events_leave_the_proof(harmless: Callable[[SmallTenant], None]) -> None:
    """A refused deletion deletes nothing; another listing, deny or plane is no reason against a good listing."""
    tenant = inventoried()
    harmless(tenant)
    assert judged(tenant)[CONTAINER_WRITE] == ABSENT


@pytest.mark.slow
def test_two_readers_and_a_group_prove_together() -> None:
    """Each kind may have a reader of its own, and a permanent membership of a group gives the right as well."""
    tenant = inventoried()
    group = tenant.group(902, [tenant.principal(903)])
    tenant.assign(9002, group, CONTRIBUTOR, MG, principal_type="Group")
    tenant.rows["inventories"][0]["reader_id"] = guid(903)
    assert judged(tenant)[CONTAINER_WRITE] == ABSENT


@pytest.mark.slow
def test_only_listed_types_are_decided() -> None:
    """A type that the rules do not have stays, whatever the listings lack."""
    tenant = inventoried()
    tenant.operations |= {"Contoso.Own/things/use/action": True, "Microsoft.Web/locations/x/use/action": True}
    tenant.roles[CONTRIBUTOR] = ("Contributor", [PermissionBlock(actions=("*",), data_actions=("*",))])
    found = judged(tenant)
    assert (
        found["Contoso.Own/things/use/action"][0] == found["Microsoft.Web/locations/x/use/action"][0] == "unobservable"
    )
    assert found[BLOB_WRITE] == ABSENT


@pytest.mark.slow
@pytest.mark.parametrize(("complete", "expected"), [((SUB, SUB2), ABSENT), ((SUB,), None)])
def test_a_management_group_needs_every_subscription(complete: tuple[str, ...], expected: Any) -> None:
    """One subscription without an inventory leaves everything at the management group open."""
    tenant = inventoried()
    tenant.rows["inventories"].clear()
    reader(tenant, MG)
    holder(tenant, MG, number=2)
    for scope in complete:
        inventory(tenant, scope)
    found = judged(tenant, guid(102))[CONTAINER_WRITE]
    assert found == expected if expected else found[0] == "unobservable"


@pytest.mark.slow
def test_an_unlisted_tree_leaves_a_management_group_open() -> None:
    """Without a listing of management groups nobody knows which subscriptions lie below."""
    tenant = inventoried()
    reader(tenant, SUB2)
    inventory(tenant, SUB2)
    holder(tenant, MG, number=2)
    tenant.parents = {SUB: MG, SUB2: MG}
    assert judged(tenant, guid(102))[CONTAINER_WRITE][0] == "unobservable"


@pytest.mark.nightly
def test_a_resource_group_is_decided_by_itself() -> None:
    """Another group's deletion or resources say nothing about a group; its own do."""
    tenant = inventoried()
    holder(tenant, APP, number=2)
    resource(tenant, ACCOUNT)
    tenant.use(guid(5), "Microsoft.Resources/subscriptions/resourceGroups/delete", DATA)
    assert judged(tenant, guid(102))[CONTAINER_WRITE] == ABSENT
    assert judged(tenant)[CONTAINER_WRITE][0] == "unobservable"
    tenant.use(guid(5), "Microsoft.Resources/subscriptions/resourceGroups/delete", APP)
    assert judged(tenant, guid(102))[CONTAINER_WRITE][0] == "unobservable"


@pytest.mark.slow
def test_at_a_resource_only_its_own_type_exists() -> None:
    """No inventory is needed for that; and the type itself is never taken for absent."""
    tenant = SmallTenant()
    holder(tenant, VM, VM_CONTRIBUTOR)
    assert judged(tenant)[JOIN] == ABSENT
    assert judged(tenant)["Microsoft.Compute/virtualMachines/write"] == ("unused", "covered")


def _provider(tenant: SmallTenant, **more: Any) -> None:
    row = {"scope": SUB, "namespace": "microsoft.storage", "state": "NotRegistered", "policy": "RegistrationRequired"}
    tenant.add("provider_registrations", **(row | {"reader_id": guid(900), "updated_on": READ_ON} | more))


def _unlisted() -> SmallTenant:
    tenant = inventoried()
    tenant.rows["inventories"].clear()
    return tenant


@pytest.mark.nightly
def test_a_provider_that_was_not_registered_had_no_resource() -> None:
    """This needs the log, and no inventory."""
    tenant = _unlisted()
    _provider(tenant)
    assert judged(tenant)[CONTAINER_WRITE] == UNREGISTERED
    assert state_of(tenant, STORAGE) == ("absent", "provider_not_registered")
    assert judged(tenant)[JOIN][0] == "unobservable"


@pytest.mark.slow
@pytest.mark.many(5)
@pytest.mark.parametrize(
    ("row", "change"),
    [
        ({"policy": "RegistrationFree"}, None),
        ({"state": "Registered"}, None),
        ({"state": "Unregistering"}, None),
        ({"namespace": "microsoft.web"}, None),
        ({"updated_on": None, "reader_id": None}, None),
        ({"updated_on": READ_ON - dt.timedelta(days=1)}, None),
        ({}, _call("Microsoft.Storage/register/action", SUB)),
        ({}, _call("Microsoft.Storage/unregister/action", SUB)),
        ({}, _call("Microsoft.Resources/subscriptions/providers/write", SUB)),
        ({}, _call(f"{STORAGE}/write", ACCOUNT)),
        ({}, _lose_a_day),
        ({}, lambda tenant: resource(tenant, ACCOUNT)),
    ],
)
def test_a_registration_has_conditions_of_its_own(
    row: dict[str, Any], change: Callable[[SmallTenant], None] | None
) -> None:
    """A namespace that is missing, free, registered, or registered in the window proves nothing."""
    tenant = _unlisted()
    _provider(tenant, **row)
    if change is not None:
        change(tenant)
    assert judged(tenant)[CONTAINER_WRITE][0] == "unobservable"


@pytest.mark.slow
@pytest.mark.parametrize("place", ["scope", "group name", "tag", "role name"])
def test_what_is_for_recovery_gets_no_verdict(place: str) -> None:
    """A name or a tag of the scope, or the name of the role, says that it waits for a failure elsewhere."""
    tenant = inventoried()
    if place == "role name":
        tenant.roles[CONTRIBUTOR] = ("DR Operator", tenant.roles[CONTRIBUTOR][1])
    if place == "tag":
        tenant.add("scope_tags", scope=SUB.lower(), name="purpose", value="failover of Zurich")
    scope = f"{SUB}/resourceGroups/rg-app-dr" if place == "group name" else SUB
    if place == "scope":
        tenant.parents = {SUB: f"{MG}-bcp", f"{MG}-bcp": "/"}
    resource(tenant, f"{scope}/resourceGroups/x/providers/Microsoft.Compute/disks/d".replace("/resourceGroups/x", ""))
    holder(tenant, scope, number=2)
    assert judged(tenant, guid(102))[CONTAINER_WRITE][0] == "unobservable"


@pytest.mark.slow
def test_a_scope_that_waits_gets_no_verdict() -> None:
    """A complete inventory without any resource shows a scope that nobody has begun to use, not access to take away."""
    tenant = inventoried()
    reader(tenant, SUB2)
    inventory(tenant, SUB2)
    tenant.assign(103, tenant.principal(3), CONTRIBUTOR, SUB2)
    assert judged(tenant, guid(103))[CONTAINER_WRITE][0] == "unobservable"
    resource(tenant, f"{SUB2}/resourceGroups/x/providers/Microsoft.Compute/disks/d")
    assert judged(tenant, guid(103))[CONTAINER_WRITE] == ABSENT


@pytest.mark.slow
def test_an_eligible_assignment_gets_no_verdict() -> None:
    """It is for days that may not have come yet."""
    tenant = inventoried()
    holder(tenant, number=2, state="eligible")
    assert judged(tenant, guid(102), "eligible")[CONTAINER_WRITE][0] == "unobservable"


@pytest.mark.slow
def test_quarantined_use_is_never_unused() -> None:
    """A suspect call of an absent type leaves it to a person."""
    tenant = inventoried()
    tenant.use(guid(1), CONTAINER_WRITE, f"{ACCOUNT}/blobServices/default/containers/c", suspect=2)
    assert judged(tenant)[CONTAINER_WRITE][0] == "out_of_coverage"


@pytest.mark.slow
def test_order_and_kinds_of_listings_do_not_matter() -> None:
    """The same rows in another order give the same verdicts."""
    tenant = inventoried()
    first = judged(tenant)
    for rows in tenant.rows.values():
        rows.reverse()
    assert judged(tenant) == first
    assert set(KINDS) == {row["kind"] for row in tenant.rows["inventories"]}


def test_every_listed_type_exists_whatever_extends_others() -> None:
    """Of many types of a subscription only those that extend others are left out; no listed type counts as absent."""
    kinds = sorted(inventory_types())[:200]
    extending = "microsoft.authorization/roleassignments"
    rows = [
        {"node": SUB.lower(), "at": SUB.lower(), "kind": kind, "listed": True, "sure": True, "first_day": None}
        for kind in (*kinds, extending)
    ]
    dates = {"first_day": pl.Date, "last_day": pl.Date}
    known = {"node": SUB.lower(), "problem": None, "detail": None, "kind": "resource_list", "reader_id": "r"}
    subscriptions = pl.DataFrame(
        [known | {"read_on": None, "days": 90}],
        schema_overrides={"problem": pl.String, "detail": pl.String, "read_on": pl.Datetime("us")},
    )
    existence = Existence(
        Window(DAY0, DAY0),
        subscriptions,
        pl.DataFrame(schema={"node": pl.String, "at": pl.String, "change": pl.String}),
        pl.DataFrame([row | {"last_day": None} for row in rows], schema_overrides=dates),
        pl.DataFrame(
            schema={"node": pl.String, "namespace": pl.String, "reader_id": pl.String, "read_on": pl.Datetime("us")}
        ),
        pl.DataFrame(schema={"node": pl.String, "at": pl.String, "kind": pl.String, "new_to_node": pl.Boolean}),
    )
    for _ in range(20):
        states = dict(states_of(existence).select("kind", "state").iter_rows())
        assert {states[kind] for kind in kinds} == {"exists"}
        assert extending not in states


BLOB_READ = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"


def _with_logged_account() -> SmallTenant:
    """Return the tenant with a storage account that sends a whole log, and a reader of blobs on the subscription."""
    tenant = inventoried()
    resource(tenant, ACCOUNT)
    holder(tenant, role=BLOB_READER, number=2)
    for category in ("StorageRead", "StorageWrite", "StorageDelete"):
        for offset in range(DAYS):
            row = {"source": "storage_log", "category": category, "day": DAY0 + dt.timedelta(days=offset)}
            tenant.add("coverage", **row, scope=f"{ACCOUNT}/blobServices/default", events=1, state="observed")
    return tenant


@pytest.mark.slow
def test_a_vouched_listing_shows_every_resource_whose_log_counts() -> None:
    """Data actions above resources are decided without a page of Resource Manager, and by every account listed."""
    tenant = _with_logged_account()
    assert judged(tenant, guid(102))[BLOB_READ] == ("unused", "covered")
    resource(tenant, f"{ACCOUNT}2")
    assert judged(tenant, guid(102))[BLOB_READ][0] == "unobservable"


@pytest.mark.slow
@pytest.mark.many(4)
@pytest.mark.parametrize(
    "name",
    [
        "bare array",
        "one kind missing",
        "not complete",
        "reader of one group",
        "read too early",
        "read long after",
        "day of log missing",
        "group deleted",
        "restored",
    ],
)
def test_each_condition_of_a_vouched_listing_counts_for_data_actions(name: str) -> None:
    """Otherwise an account may be there that nobody knows, and its log is asked for."""
    tenant = _with_logged_account()
    BREAKS[name][0](tenant)
    assert judged(tenant, guid(102))[BLOB_READ] == ("unobservable", "no_diagnostic_inventory")
