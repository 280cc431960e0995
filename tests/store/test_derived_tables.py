"""Tables derived from loads: the tree of scopes, the principals behind names, and group memberships."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.model.errors import InputError
from rightsize.rbac.scopes import parse_scope
from rightsize.store.connection import Store
from rightsize.store.merging import derive
from tests.examples import FEWEST
from tests.store.staged import GROUP, SUBSCRIPTION, VM, calls, content, guid, load, record, rows_of, sign_in

FRESH = Callable[[], Store]

MANAGEMENT_GROUP = "/providers/Microsoft.Management/managementGroups/mg"
LISTED_IDS = (
    "/",
    MANAGEMENT_GROUP,
    f"{MANAGEMENT_GROUP}/providers/Microsoft.Authorization/policyAssignments/p",
    "/providers/Microsoft.Capacity/reservationOrders/r",
    "/providers/Microsoft.Management",
    "/providers/Microsoft.Management/managementGroups",
    "/providers",
    "/subscriptions",
    SUBSCRIPTION,
    f"{SUBSCRIPTION}/providers/Microsoft.Storage",
    f"{SUBSCRIPTION}/resourceGroups",
    f"{SUBSCRIPTION}/something/else/and/more",
    GROUP,
    f"{SUBSCRIPTION}/resourceGroups/providers/providers/Microsoft.X/y/providers",
    VM,
    f"{VM}/extensions/e",
    f"{VM}/extensions",
    f"{VM}/extensions/e/deep/d/deeper",
    f"{VM}/providers/Microsoft.Insights/diagnosticSettings/s",
    f"{VM}/providers/Microsoft.Insights/diagnosticSettings/s/providers/Microsoft.Authorization/locks/l",
    f"{GROUP}/providers/Microsoft.Network/virtualNetworks/v/subnets/providers",
    f"{GROUP}/providers/subscriptions/resourceGroups/x",
    f"{GROUP}/PROVIDERS/microsoft.x/Y/Z",
    "/nothing/known",
)

STEPS = st.sampled_from(
    ["providers", "Providers", "subscriptions", "resourceGroups", "Microsoft.Management", "managementGroups", "a", "B"]
)
BEGINNINGS = st.sampled_from(["", SUBSCRIPTION, GROUP, VM, MANAGEMENT_GROUP])
IDS = st.builds(lambda head, steps: "/".join([head, *steps]) or "/", BEGINNINGS, st.lists(STEPS, max_size=7))


def assert_read_as_rbac_reads(store: Store) -> None:
    columns = ("scope", "kind", "parent_scope", "subscription_id", "resource_group", "resource_type")
    for scope, kind, parent, subscription, group, resource_type in rows_of(store, "scopes", *columns):
        read = parse_scope(scope)
        assert kind == read.kind, scope
        above = None if kind == "root" else read.parent or "/"
        assert (parent and parse_scope(parent).key) == above, scope
        assert (subscription, group, resource_type) == (read.subscription_id, read.resource_group, read.resource_type)


@pytest.mark.slow
def test_scopes_are_read_as_rbac_reads_them(store: Store) -> None:
    """Kind, parent, subscription, group and type of nested, extension, provider-level and odd ids."""
    load(store, calls(*(record(scope=scope, correlation_id=scope) for scope in LISTED_IDS)))
    assert_read_as_rbac_reads(store)
    keys = {parse_scope(scope).key for (scope,) in rows_of(store, "scopes", "scope")}
    assert keys >= {parse_scope(scope).key for scope in LISTED_IDS}


@pytest.mark.nightly
@given(ids=st.lists(IDS, min_size=20, max_size=120), half=st.integers(0, 20))
@FEWEST
def test_generated_scopes_are_read_as_rbac_reads_them(fresh: FRESH, ids: list[str], half: int) -> None:
    """Also when some came before, and every scope has all that are above it."""
    store = fresh()
    for part in (ids[:half], ids[half:]):
        load(store, calls(*(record(scope=scope, correlation_id=scope) for scope in part)))
    assert_read_as_rbac_reads(store)
    rows = rows_of(store, "scopes", "scope", "parent_scope")
    assert {parent for _, parent in rows if parent} <= {scope for scope, _ in rows}


@pytest.mark.slow
def test_an_id_of_thousands_of_steps_hangs_below_its_group_at_once(store: Store) -> None:
    """One line of a log does not make thousands of scopes."""
    deep = f"{GROUP}/providers/M.X" + "/a/b" * 2000
    load(store, calls(record(scope=deep), record(scope="/x/y" * 2000, correlation_id="c2")))
    assert rows_of(store, "scopes", "scope", "parent_scope") == [
        ("/", None),
        (SUBSCRIPTION, "/"),
        (GROUP, SUBSCRIPTION),
        (deep, GROUP),
        ("/x/y" * 2000, "/"),
    ]


def listing(scope: str, parent: str | None = None, name: str | None = None) -> dict[str, str | None]:
    kind = "subscription" if scope.startswith("/subscriptions") else "management_group"
    return {"scope": scope, "kind": kind, "parent_scope": parent, "display_name": name}


@pytest.mark.nightly
@pytest.mark.parametrize("order", [1, -1])
def test_a_listing_puts_a_subscription_below_its_management_group(store: Store, order: int) -> None:
    """Before or after the calls; what no listing places hangs below the root."""
    other = f"/subscriptions/{guid(2)}"
    files = [
        {"scope_listings": [listing(SUBSCRIPTION.upper(), MANAGEMENT_GROUP, "Prod"), listing(MANAGEMENT_GROUP)]},
        calls(record(scope=SUBSCRIPTION), record(scope=other, correlation_id="c2")),
    ]
    for file in files[::order]:
        load(store, file)
    assert rows_of(store, "scopes", "scope", "parent_scope", "display_name", "listed") == [
        ("/", None, None, False),
        (MANAGEMENT_GROUP, "/", None, True),
        (SUBSCRIPTION, MANAGEMENT_GROUP, "Prod", True),
        (other, "/", None, False),
    ]


def member(group: int, of: int, listing: str = "members") -> dict[str, str]:
    return {"group_id": guid(group), "member_id": guid(of), "listing": listing}


def closure(store: Store) -> list[tuple[int, int, int | None]]:
    rows = rows_of(store, "group_closure", "group_id", "member_id", "depth")
    return [(int(group[:8], 16), int(of[:8], 16), depth) for group, of, depth in rows]


@pytest.mark.slow
def test_the_closure_has_each_pair_once_with_its_shortest_chain(store: Store) -> None:
    """A member of a nested group that is a member itself as well is at depth one."""
    load(store, {"group_members": [member(1, 2), member(2, 3), member(3, 4), member(1, 3)]})
    assert closure(store) == [(1, 2, 1), (1, 3, 1), (1, 4, 2), (2, 3, 1), (2, 4, 2), (3, 4, 1)]


@pytest.mark.slow
def test_groups_in_a_circle_contain_one_another_but_not_themselves(store: Store) -> None:
    """The closure ends, and a group that lists itself gains nothing."""
    load(store, {"group_members": [member(1, 2), member(2, 3), member(3, 1), member(1, 1), member(3, 9)]})
    pairs = [(1, 2, 1), (1, 3, 2), (1, 9, 3), (2, 1, 2), (2, 3, 1), (2, 9, 2), (3, 1, 1), (3, 2, 2), (3, 9, 1)]
    assert closure(store) == pairs


@pytest.mark.slow
def test_a_large_circle_is_derived_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The groups of one part are in memory at once, however large the circle is."""
    circle = [member(number, number % 20 + 1) for number in range(1, 21)]
    rows = [*circle, member(20, 99), member(30, 31), member(40, 1)]
    load(store, {"group_members": rows})
    whole = closure(store)
    inserted = []

    class Counting:
        """The connection, with the rows that each part of the closure adds."""

        def __getattr__(self, name: str) -> Any:
            return getattr(store.connection, name)

        def execute(self, statement: str, *given: Any) -> Any:
            answer = store.connection.execute(statement, *given)
            if "min(n.depth)" in statement:
                inserted.append(answer.fetchall()[0][0])
            return answer

    monkeypatch.setattr(derive, "MEMBERSHIPS_AT_ONCE", 50)
    derive.derive_closure(cast("Any", Counting()))
    assert closure(store) == whole
    assert len(inserted) > 5
    assert max(inserted) <= 50 + 22


@pytest.mark.nightly
def test_more_memberships_than_a_tenant_has_are_an_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A circle gives each of its groups the members of all; past the limit the load says so and changes nothing."""
    monkeypatch.setattr(derive, "MOST_MEMBERSHIPS", 300)
    circle = [member(number, number % 20 + 1) for number in range(1, 21)]
    load(store, {"group_members": circle[:-1]})
    before = closure(store)
    with pytest.raises(InputError, match=r"400 memberships.* the limit is 300"):
        load(store, {"group_members": circle})
    assert closure(store) == before


@pytest.mark.nightly
def test_a_pair_that_only_a_transitive_listing_knows_has_no_depth(store: Store) -> None:
    """One that a chain explains keeps the chain's depth, also when the chain comes later."""
    load(store, {"group_members": [member(1, 3, "transitiveMembers"), member(1, 1, "transitiveMembers")]})
    assert closure(store) == [(1, 3, None)]
    load(store, {"group_members": [member(1, 2), member(2, 3)]})
    assert closure(store) == [(1, 2, 1), (1, 3, 2), (2, 3, 1)]


def by_name(name: str, **fields: object) -> dict[str, object]:
    return record(principal_id=None, principal_name=name, **fields)


def user(number: int, upn: str | None, **fields: object) -> dict[str, object]:
    return {"principal_id": guid(number), "principal_type": "User", "user_principal_name": upn, **fields}


@pytest.mark.nightly
@pytest.mark.parametrize("order", [1, -1], ids=["logs first", "directory first"])
def test_a_call_that_names_only_a_upn_is_its_users(store: Store, order: int) -> None:
    """Whatever is loaded first, and in any case of the name; the event keeps beside it what the log said."""
    files = [calls(by_name("Ann@Contoso.example")), {"principals": [user(1, "ann@contoso.EXAMPLE")]}]
    for file in files[::order]:
        load(store, file)
    assert rows_of(store, "usage_days", "principal_id", "principal_name") == [(guid(1), "ann@contoso.example")]
    said = ("principal_id", "logged_principal_id", "principal_name")
    assert rows_of(store, "events", *said) == [(guid(1), None, "Ann@Contoso.example")]
    assert rows_of(store, "usage", "principal_id", "succeeded", "days") == [(guid(1), 1, 1)]


@pytest.mark.nightly
def test_a_name_that_two_principals_had_is_nobodys(store: Store) -> None:
    """UPNs are given to new people; the name counts again for nobody, and is not lost."""
    load(store, calls(by_name("ann@x.example")), {"principals": [user(1, "ann@x.example")]})
    load(store, {"principals": [user(2, "ANN@x.example")]})
    assert rows_of(store, "principal_aliases", "alias") == []
    assert rows_of(store, "usage_days", "principal_id", "principal_name") == [(None, "ann@x.example")]


@pytest.mark.slow
def test_a_call_with_both_names_teaches_the_alias(store: Store) -> None:
    """The log that has object ids explains the one that has not; a guest's display name is no alias."""
    both = record(principal_type="User", principal_name="bo@x.example", correlation_id="c1")
    nick = record(principal_type="User", principal_name="Bo", correlation_id="c3")
    load(store, calls(both, by_name("BO@x.example", correlation_id="c2"), nick))
    assert rows_of(store, "principal_aliases", "kind", "alias", "principal_id") == [("upn", "bo@x.example", guid(100))]
    assert {principal for (principal,) in rows_of(store, "usage_days", "principal_id")} == {guid(100)}


@pytest.mark.nightly
def test_the_log_and_the_directory_must_not_disagree_on_a_name(store: Store) -> None:
    """The log saw the name with another object id than the directory lists: it means neither."""
    load(store, calls(record(principal_type="User", principal_name="bo@x.example")))
    load(store, {"principals": [user(1, "bo@x.example")]}, calls(by_name("bo@x.example", correlation_id="c2")))
    assert rows_of(store, "principal_aliases", "alias") == []


@pytest.mark.slow
def test_an_application_id_names_its_service_principal(store: Store) -> None:
    """From the directory, or from a service principal's own call; a user's client application is no alias."""
    apps = {"principals": [{"principal_id": guid(1), "principal_type": "ServicePrincipal", "app_id": guid(11)}]}
    rows = [
        record(principal_id=None, app_id=guid(11), correlation_id="c1"),
        record(principal_id=guid(2), principal_type="ServicePrincipal", app_id=guid(12), correlation_id="c2"),
        record(principal_id=None, app_id=guid(12), correlation_id="c3"),
        record(principal_id=guid(3), principal_type="User", app_id=guid(13), correlation_id="c4"),
        record(principal_id=None, app_id=guid(13), correlation_id="c5"),
    ]
    load(store, calls(*rows), apps)
    used = [who for (who,) in rows_of(store, "usage_days", "principal_id")]
    assert used == [guid(1), guid(2), guid(2), guid(3), None]
    assert sorted(alias for (alias,) in rows_of(store, "principal_aliases", "alias")) == [guid(11), guid(12)]


@pytest.mark.nightly
def test_a_sign_in_that_names_only_a_upn_is_its_users(store: Store) -> None:
    """Once the directory is there."""
    load(store, {"sign_in_rows": [sign_in(principal_id=None, principal_name="Ann@X.example")]})
    assert rows_of(store, "sign_ins", "principal_id") == [(None,)]
    load(store, {"principals": [user(1, "ann@x.example")]})
    assert rows_of(store, "sign_ins", "principal_id") == [(guid(1),)]


@pytest.mark.nightly
def test_the_directory_may_come_after_the_logs(fresh: FRESH) -> None:
    """Loads of everything at once, and one by one in either order, give one store."""
    files = [
        calls(by_name("ann@x.example"), record(correlation_id="c2", scope=f"{VM}/extensions/e")),
        {"principals": [user(1, "ann@x.example")], "group_members": [member(5, 1)]},
        {"scope_listings": [listing(SUBSCRIPTION, MANAGEMENT_GROUP)]},
        {"operations": [{"operation": "Microsoft.Compute/VirtualMachines/extensions/read", "is_data_action": False}]},
    ]
    hashes = set()
    for loads in ([[file] for file in files], [[file] for file in files[::-1]], [files]):
        store = fresh()
        for load_files in loads:
            load(store, *load_files)
        hashes.add(content(store))
    assert len(hashes) == 1


@pytest.mark.nightly
def test_events_and_usage_agree_on_who_acted(store: Store) -> None:
    """By object id, by a name, by an application id; what nobody resolves is nobody's in both."""
    directory = {"principals": [user(1, "ann@x.example"), user(2, None, app_id=guid(11))]}
    rows = [
        by_name("ANN@x.example", correlation_id="c1"),
        record(principal_id=None, app_id=guid(11), correlation_id="c2"),
        record(principal_id=guid(3), correlation_id="c3"),
        by_name("gone@x.example", correlation_id="c4"),
    ]
    load(store, calls(*rows), directory)
    assert set(rows_of(store, "events", "principal_id", "logged_principal_id")) == {
        (guid(1), None),
        (guid(2), None),
        (guid(3), guid(3)),
        (None, None),
    }
    used = {principal for (principal,) in rows_of(store, "usage", "principal_id")}
    assert used == {guid(1), guid(2), guid(3), None}
