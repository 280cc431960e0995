"""Findings about data planes: grants without effect, and ways around every grant."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from rightsize.analyze.findings import find
from tests.analyze.test_data_planes import ACCOUNT, CLUSTER, DATA, GET, LIST, OTHER, PODS, REGISTRY, VAULT, inventory
from tests.analyze.tiny import CATALOGUE, SUB, Tiny

POLICIES = '{"enableRbacAuthorization":"false"}'
ROLES = '{"enableRbacAuthorization":"true"}'


@pytest.fixture
def tiny() -> Tiny:
    tenant = Tiny()
    tenant.catalogue({**CATALOGUE, **DATA})
    return tenant.role("secrets", data=[GET, LIST])


def found(tenant: Tiny, *controls: str) -> dict[tuple[str, str], str]:
    """Return (control, subject) to reason of the findings of some controls."""
    rows = find(tenant.inputs(), tenant.analyse())
    picked = rows.select("control", "subject", "reason").rows()
    return {(control, subject): reason for control, subject, reason in picked if control in controls}


@pytest.mark.slow
def test_data_actions_on_a_vault_with_access_policies_do_nothing(tiny: Tiny) -> None:
    """At the vault, and above it where no vault decides by roles."""
    tiny.assign("a", "p", "secrets", VAULT).assign("b", "p", "secrets", SUB)
    inventory(tiny, VAULT, settings=POLICIES)
    inventory(tiny, OTHER, settings=ROLES)
    reasons = found(tiny, "inert_data_actions")
    assert set(reasons) == {("inert_data_actions", "a")}
    assert "1 microsoft.keyvault/vaults, which use access policies" in reasons["inert_data_actions", "a"]
    tiny.rows["resources"][1]["settings"] = POLICIES
    assert set(found(tiny, "inert_data_actions")) == {("inert_data_actions", "a"), ("inert_data_actions", "b")}
    assert ("access_beside_roles", VAULT.lower()) in found(tiny, "access_beside_roles")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("resource", "settings", "says"),
    [
        (VAULT, None, False),
        (VAULT, ROLES, False),
        (CLUSTER, '{"disableLocalAccounts":"true"}', True),
        (CLUSTER, '{"aadProfile/enableAzureRBAC":"true"}', False),
    ],
)
def test_a_grant_is_inert_only_where_the_settings_say_so(
    tiny: Tiny, resource: str, settings: str | None, says: bool
) -> None:
    """What is not known is no finding."""
    tiny.role("pods", data=[PODS]).assign("a", "p", "secrets" if resource == VAULT else "pods", resource)
    inventory(tiny, resource, settings=settings)
    assert bool(found(tiny, "inert_data_actions")) == says


@pytest.mark.parametrize(
    ("resource", "settings", "controls"),
    [
        (ACCOUNT, '{"allowSharedKeyAccess":"true"}', {"keys_allowed"}),
        (ACCOUNT, "{}", {"keys_allowed"}),
        (ACCOUNT, '{"allowSharedKeyAccess":"false","allowBlobPublicAccess":"true"}', {"anonymous_allowed"}),
        (ACCOUNT, None, set()),
        (REGISTRY, '{"adminUserEnabled":"true","anonymousPullEnabled":"true"}', {"keys_allowed", "anonymous_allowed"}),
        (CLUSTER, '{"aadProfile/enableAzureRBAC":"true","disableLocalAccounts":"false"}', {"keys_allowed"}),
    ],
)
def test_ways_past_every_role_are_named(tiny: Tiny, resource: str, settings: str | None, controls: Any) -> None:
    """An absent setting counts as Azure counts it; without properties nobody knows."""
    inventory(tiny, resource, settings=settings)
    said = found(tiny, "keys_allowed", "keys_used", "anonymous_allowed")
    assert {control for control, _ in said} == controls


@pytest.mark.slow
def test_traffic_by_key_is_counted_with_what_allows_it(tiny: Tiny) -> None:
    """Where it is known that keys are off, old traffic is no finding; where nothing is known, the traffic is."""
    for access, events in (("key", 3), ("sas", 2), ("roles", 9)):
        day = dt.date(2026, 1, 3)
        row = {"source": "storage_log", "resource": ACCOUNT.lower(), "access": access, "day": day, "events": events}
        tiny.add("request_access", **row)
    key = ("keys_used", ACCOUNT.lower())
    assert found(tiny, "keys_used")[key] == "requests by key bypass every role here: 5 on 1 days"
    inventory(tiny, ACCOUNT, settings="{}")
    assert "5 requests used them on 1 days" in found(tiny, "keys_allowed")["keys_allowed", ACCOUNT.lower()]
    tiny.rows["resources"][0]["settings"] = '{"allowSharedKeyAccess":"false"}'
    assert found(tiny, "keys_used", "keys_allowed") == {}
