"""The days that a log covers: rows prove their own days, short silences pass, declarations fill the rest."""

from __future__ import annotations

import datetime as dt

import pytest

from rightsize.model.errors import UsageError
from rightsize.model.times import Declaration
from rightsize.store.connection import Store
from rightsize.store.merging.loads import merge
from rightsize.store.merging.staging import create_staging
from tests.store.staged import GROUP, SUBSCRIPTION, VM, calls, content, guid, load, record, rows_of, sign_in

FIRST = dt.date(2026, 1, 1)
MANAGEMENT_GROUP = "/providers/Microsoft.Management/managementGroups/mg"
ACCOUNT = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/acc"


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number - 1)


def on(number: int, scope: str = VM, **fields: object) -> dict[str, object]:
    time = dt.datetime.combine(day(number), dt.time(12))
    return record(time=time, scope=scope, correlation_id=f"{scope} {number}", **fields)


def states(store: Store, scope: str = SUBSCRIPTION, source: str = "activity_log") -> dict[int, str]:
    rows = rows_of(store, "coverage", "source", "scope", "day", "state")
    return {(d - FIRST).days + 1: state for found, where, d, state in rows if (found, where) == (source, scope)}


def declare(store: Store, scope: str, first: int, last: int, source: str = "activity_log") -> None:
    """Load nothing but the declaration."""
    create_staging(store.connection)
    merge(store, [Declaration(source, scope, day(first), day(last))])


@pytest.mark.slow
def test_two_silent_days_pass_as_quiet_where_the_span_is_dense(store: Store) -> None:
    """Nine of ten days of the span have rows."""
    load(store, calls(*(on(number) for number in range(1, 21) if number not in (5, 6))))
    assert {number: state for number, state in states(store).items() if state != "observed"} == {5: "quiet", 6: "quiet"}
    assert set(states(store)) == set(range(1, 21))


@pytest.mark.slow
def test_three_silent_days_in_a_row_are_missing(store: Store) -> None:
    """However dense the rest is."""
    load(store, calls(*(on(number) for number in range(1, 61) if number not in (5, 6, 7))))
    found = states(store)
    assert [found[number] for number in (4, 5, 6, 7, 8)] == ["observed", "missing", "missing", "missing", "observed"]


@pytest.mark.slow
def test_a_silent_day_of_a_sparse_span_is_missing(store: Store) -> None:
    """Two days of three are not nine of ten."""
    load(store, calls(on(1), on(3)))
    assert states(store) == {1: "observed", 2: "missing", 3: "observed"}


@pytest.mark.nightly
def test_rows_that_fill_a_gap_later_change_the_days_around_it(store: Store) -> None:
    """Coverage follows all that is stored, not the load."""
    load(store, calls(on(1), on(4)))
    load(store, calls(on(2), on(3)))
    assert set(states(store).values()) == {"observed"}


@pytest.mark.nightly
def test_a_declared_day_without_rows_was_a_day_without_calls(store: Store) -> None:
    """Days with rows stay observed, days outside of the window stay what they were."""
    load(store, calls(on(3), on(9)))
    declare(store, GROUP.replace("resourceGroups", "RESOURCEGROUPS"), 1, 4)
    assert states(store)[4] == "missing"
    declare(store, SUBSCRIPTION.upper(), 1, 4)
    missing = dict.fromkeys(range(5, 9), "missing")
    declared = dict.fromkeys((1, 2, 4), "declared_empty")
    assert states(store) == declared | missing | dict.fromkeys((3, 9), "observed")


@pytest.mark.nightly
def test_a_window_declared_for_a_management_group_reaches_its_subscriptions(store: Store) -> None:
    """Through groups of groups, and subscriptions that no row names; another's subscription is not meant."""
    below = f"{MANAGEMENT_GROUP}2"
    other, silent = f"/subscriptions/{guid(2)}", f"/subscriptions/{guid(3)}"
    listings = [
        {"scope": MANAGEMENT_GROUP, "kind": "management_group"},
        {"scope": below, "kind": "management_group", "parent_scope": MANAGEMENT_GROUP},
        {"scope": SUBSCRIPTION, "kind": "subscription", "parent_scope": below},
        {"scope": silent, "kind": "subscription", "parent_scope": MANAGEMENT_GROUP},
    ]
    load(store, {"scope_listings": listings}, calls(on(1), on(1, other)))
    declare(store, MANAGEMENT_GROUP, 1, 2)
    assert states(store) == {1: "observed", 2: "declared_empty"}
    assert states(store, silent) == {1: "declared_empty", 2: "declared_empty"}
    assert states(store, below) == {1: "declared_empty", 2: "declared_empty"}
    assert states(store, other) == {1: "observed"}


@pytest.mark.nightly
def test_a_window_declared_before_the_listing_reaches_the_subscriptions_that_it_names(store: Store) -> None:
    """The declaration is remembered; what is below its scope is looked up at each load."""
    declare(store, MANAGEMENT_GROUP, 1, 2)
    assert states(store) == {}
    listings = [{"scope": SUBSCRIPTION, "kind": "subscription", "parent_scope": MANAGEMENT_GROUP}]
    load(store, {"scope_listings": listings})
    assert states(store) == {1: "declared_empty", 2: "declared_empty"}


@pytest.mark.nightly
def test_a_declaration_of_the_tenant_reaches_everything(store: Store) -> None:
    """The root contains every subscription."""
    load(store, calls(on(1)))
    declare(store, "/", 1, 2)
    assert states(store) == {1: "observed", 2: "declared_empty"}


@pytest.mark.nightly
def test_a_storage_log_is_covered_a_service_and_category_at_a_time(store: Store) -> None:
    """Containers share the log of their service; a declaration speaks of what the service is known to send."""
    blobs = f"{ACCOUNT}/blobServices/default"
    rows = [
        on(number, f"{blobs}/containers/{name}", source="storage_log", plane="data") | {"category": c}
        for number, name, c in ((1, "a", "StorageRead"), (2, "b", "StorageRead"), (2, "b", "StorageWrite"))
    ]
    rows[2]["key_correlation"] = "another"
    load(store, calls(*rows))
    assert rows_of(store, "coverage", "scope", "category", "day", "events") == [
        (blobs, "StorageRead", day(1), 1),
        (blobs, "StorageRead", day(2), 1),
        (blobs, "StorageWrite", day(2), 1),
    ]
    declare(store, SUBSCRIPTION, 3, 3, "storage_log")
    third = [row for row in rows_of(store, "coverage", "scope", "category", "day") if row[2] == day(3)]
    assert third == [(blobs, "StorageRead", day(3)), (blobs, "StorageWrite", day(3))]


@pytest.mark.slow
def test_a_request_at_the_account_is_in_the_log_of_its_service(store: Store) -> None:
    """Listing containers names no container; the operation says which service it asked."""
    listed = on(1, ACCOUNT, source="storage_log") | {
        "category": "StorageRead",
        "operation": "Microsoft.Storage/storageAccounts/blobServices/containers/read",
        "key_operation": "microsoft.storage/storageaccounts/blobservices/containers/read",
    }
    load(store, calls(listed))
    assert [scope.lower() for (scope,) in store.frame("SELECT scope FROM coverage").rows()] == [
        f"{ACCOUNT}/blobServices/default".lower()
    ]


@pytest.mark.nightly
@pytest.mark.parametrize("is_group", [False, True])
def test_a_declaration_reaches_what_diagnostic_settings_send(store: Store, is_group: bool) -> None:
    """A vault that nobody asked anything has a log without rows, if it sends one; its neighbour has none."""
    vault = f"{SUBSCRIPTION}/resourcegroups/rg/providers/microsoft.keyvault/vaults/kv"
    sent = {
        "scope": vault,
        "name": "x",
        "category": "alllogs" if is_group else "auditevent",
        "is_group": is_group,
        "enabled": True,
    }
    load(store, {"diagnostic_settings": [sent, sent | {"scope": f"{vault}2", "enabled": False}]})
    declare(store, "/", 1, 2, "key_vault_log")
    declare(store, "/", 1, 2, "storage_log")
    assert store.frame("SELECT scope, category, state, day FROM coverage ORDER BY day").rows() == [
        (vault, "AuditEvent", "declared_empty", day(1)),
        (vault, "AuditEvent", "declared_empty", day(2)),
    ]


@pytest.mark.nightly
def test_sign_in_logs_are_the_tenants_a_kind_at_a_time(store: Store) -> None:
    """A declaration speaks of every kind of sign-in."""
    load(store, {"sign_in_rows": [sign_in("2026-01-01T10:00:00")]})
    assert rows_of(store, "coverage", "source", "category", "scope") == [("sign_in_log", "interactive", "/")]
    declare(store, "/", 1, 2, "sign_in_log")
    found = rows_of(store, "coverage", "category", "day", "state")
    assert len(found) == 8
    assert [row for row in found if row[2] == "observed"] == [("interactive", day(1), "observed")]


@pytest.mark.nightly
def test_declarations_that_mean_nothing_are_refused(store: Store) -> None:
    """A log that nobody declares, and a window that ends before it starts; the load that brings one stores nothing."""
    before = content(store)
    create_staging(store.connection)
    with pytest.raises(UsageError, match="`dns` is not a log that can be declared"):
        merge(store, [Declaration("activity_log", "/", day(1), day(1)), Declaration("dns", "/", day(1), day(1))])
    with pytest.raises(UsageError, match="ends before it starts"):
        declare(store, "/", 2, 1)
    assert content(store) == before
