"""Principals that can defeat a layer of defence in a subscription, and those that can defeat several."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from rightsize.analyze.reach.layers import LayerAnswer, measure_layers
from tests.analyze.tiny import MG, RG, SUB, VM, Tiny

NSG = "Microsoft.Network/networkSecurityGroups/write"
RUN = "Microsoft.Compute/virtualMachines/runCommand/action"
STORAGE = "Microsoft.Storage/storageAccounts/write"
KEYS = "Microsoft.Storage/storageAccounts/listKeys/action"
LOGS = "Microsoft.Insights/diagnosticSettings/delete"
ROLES = "Microsoft.Authorization/roleAssignments/write"
START = "Microsoft.Compute/virtualMachines/start/action"
ADMIN_LOGIN = "Microsoft.Compute/virtualMachines/loginAsAdmin/action"
CATALOGUE = dict.fromkeys((NSG, RUN, STORAGE, KEYS, LOGS, ROLES, START), False) | {ADMIN_LOGIN: True}


@pytest.fixture
def tenant(tiny: Tiny) -> Tiny:
    return tiny.catalogue(CATALOGUE)


def measured(tenant: Tiny) -> LayerAnswer:
    return measure_layers(tenant.analyse())


def layers(tenant: Tiny, principal: str, basis: str = "granted", state: str = "active") -> dict[str, str]:
    """Return layer to the operation that defeats it, of one principal."""
    defeats = measured(tenant).defeats.filter(
        (pl.col("principal_id") == principal) & (pl.col("basis") == basis) & (pl.col("state") == state)
    )
    return dict(defeats.select("layer", "operation").iter_rows())


def violations(tenant: Tiny) -> list[dict[str, Any]]:
    return measured(tenant).violations.filter(pl.col("basis") == "granted").to_dicts()


@pytest.mark.slow
def test_a_role_defeats_the_layers_of_its_operations_and_no_more(tenant: Tiny) -> None:
    tenant.role("ops", RUN, START).assign("a", "p", "ops").cover()
    assert layers(tenant, "p") == {"host_integrity": RUN}
    assert violations(tenant) == []


def test_one_identity_with_two_layers_of_one_subscription_is_a_violation(tenant: Tiny) -> None:
    tenant.role("net", NSG).role("ops", RUN).assign("a", "p", "net").assign("b", "p", "ops").cover()
    (row,) = violations(tenant)
    assert row["layers"] == ["host_integrity", "network_segmentation"]
    assert row["fewest"] == [NSG, RUN]
    assert row["whole"] is True


def test_layers_in_two_subscriptions_are_no_violation(tenant: Tiny) -> None:
    tenant.add("scopes", scope="/subscriptions/s2", kind="subscription", parent_scope="/", listed=True)
    tenant.role("net", NSG).role("ops", RUN).assign("a", "p", "net").assign("b", "p", "ops", "/subscriptions/s2")
    assert violations(tenant.cover()) == []


def test_the_fewest_operations_are_one_where_one_defeats_all(tenant: Tiny) -> None:
    """Writing a storage account opens its network and its data; keys and rules beside it add nothing."""
    tenant.role("store", STORAGE, KEYS, NSG).assign("a", "p", "store").cover()
    (row,) = violations(tenant)
    assert row["layers"] == ["network_segmentation", "data_protection"]
    assert row["fewest"] == [STORAGE]


def test_members_have_what_their_group_has_and_the_group_is_not_counted_beside_them(tenant: Tiny) -> None:
    tenant.role("both", NSG, RUN).assign("a", "g", "both").member("g", "p").cover()
    assert {row["principal_id"] for row in violations(tenant)} == {"p"}


@pytest.mark.slow
def test_a_group_in_which_nobody_is_known_stands_for_itself(tenant: Tiny) -> None:
    tenant.role("both", NSG, RUN).assign("a", "g", "both", principal_type="Group").cover()
    assert {row["principal_id"] for row in violations(tenant)} == {"g"}


def test_a_management_group_reaches_every_subscription_below_it(tenant: Tiny) -> None:
    tenant.add("scopes", scope=MG, kind="management_group", parent_scope="/", listed=True)
    for number in (2, 3):
        tenant.add("scopes", scope=f"/subscriptions/s{number}", kind="subscription", parent_scope=MG, listed=True)
    tenant.add("scopes", scope="/subscriptions/s4", kind="subscription", parent_scope=f"{MG}-other", listed=True)
    tenant.role("both", NSG, RUN).assign("a", "p", "both", MG).cover()
    found = {row["scope"]: row["reach"] for row in violations(tenant)}
    # Where s1 is, nothing loaded says, so it may lie below; s4 lies elsewhere.
    assert found == {SUB: 6, "/subscriptions/s2": 6, "/subscriptions/s3": 6}


def test_a_part_of_a_subscription_is_not_the_whole(tenant: Tiny) -> None:
    tenant.role("both", NSG, RUN).assign("a", "p", "both", RG).cover()
    (row,) = violations(tenant)
    assert (row["scope"], row["whole"]) == (SUB, False)


def test_what_is_eligible_counts_with_what_is_standing_beside_it(tenant: Tiny) -> None:
    tenant.role("net", NSG).role("ops", RUN).assign("a", "p", "net").assign("b", "p", "ops", state="eligible").cover()
    (row,) = violations(tenant)
    assert (row["state"], row["layers"]) == ("eligible", ["host_integrity", "network_segmentation"])


def test_what_a_condition_hedges_is_said_and_is_no_violation(tenant: Tiny) -> None:
    tenant.role("net", NSG).role("uaa", ROLES).assign("a", "p", "net").assign(
        "b", "p", "uaa", condition="@Request[...]"
    )
    answer = measured(tenant.cover())
    hedged = dict(answer.defeats.filter(pl.col("basis") == "granted").select("layer", "conditional").iter_rows())
    assert hedged == {"network_segmentation": False, "identity_control": True}
    assert answer.violations.is_empty()


@pytest.mark.slow
def test_only_what_was_used_is_used(tenant: Tiny) -> None:
    tenant.role("all", "*").assign("a", "p", "all").cover()
    tenant.use("p", NSG, f"{RG}/providers/Microsoft.Network/networkSecurityGroups/n").use("p", START, VM)
    assert layers(tenant, "p", "used") == {"network_segmentation": NSG}
    assert len(layers(tenant, "p")) == 5


@pytest.mark.slow
def test_data_actions_defeat_layers_too(tenant: Tiny) -> None:
    tenant.role("login", data=[ADMIN_LOGIN]).assign("a", "p", "login", VM).cover()
    assert layers(tenant, "p") == {"host_integrity": ADMIN_LOGIN}


@pytest.mark.slow
def test_the_answer_does_not_depend_on_the_order_of_rows(tenant: Tiny) -> None:
    tenant.role("both", "*").role("net", NSG).role("ops", RUN).member("g", "p", "q")
    tenant.assign("a", "g", "net").assign("b", "p", "ops").assign("c", "q", "both", RG).cover()
    first = measure_layers(tenant.analyse(shuffled=1))
    second = measure_layers(tenant.analyse(shuffled=2))
    assert first.defeats.equals(second.defeats)
    assert first.violations.equals(second.violations)
