"""Built-in roles for a service of Azure are known by what their descriptions say, also those that Azure adds later."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rightsize.rules.role_names import is_for_service


@pytest.mark.parametrize(
    "description",
    [
        "Provide permission to the Contoso Fabric Resource Provider to create and delete virtual machines.",
        "Custom Role for ContosoStack RP to manage hybrid machines in a resource group",
        "This role is used by the Contoso service to read virtual networks.",
        "Contoso.Data service role to access the resources of Contoso.Data.",
        "For internal use within Azure. Can manage domains.",
        "Do not remove this role from your resource group.",
        "This role is managed and assigned automatically by the Contoso system.",
        "Role required by a Managed Identity for Contoso operations",
    ],
)
def test_a_description_says_that_a_role_is_for_a_service(description: str) -> None:
    assert is_for_service("Contoso Operator", description)


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("Storage Account Key Operator Service Role", "Storage Account Key Operators are allowed to list keys"),
        ("Hybrid Server Onboarding", "Can onboard new Hybrid servers to the Hybrid Resource Provider."),
        ("Durable Task Worker", "Used by worker applications to interact with the Durable Task service"),
        ("SupportPlan Contributor", "Contributor role for Enterprise Support Resource Provider"),
        ("Reader", ""),
    ],
)
def test_a_role_for_people_and_their_workloads_is_none(name: str, description: str) -> None:
    assert not is_for_service(name, description)


@pytest.mark.slow
def test_of_the_built_in_roles_only_few_are_for_a_service(shared_data: Path) -> None:
    """A rule that takes in roles of people would take them out of every plan."""
    roles = json.loads((shared_data / "catalog" / "built-in-roles.json").read_bytes())
    found = {one["roleName"] for one in roles if is_for_service(one["roleName"], one["description"] or "")}
    assert len(found) < len(roles) / 10
    assert {"Desktop Virtualization Virtual Machine Contributor", "Windows 365 Network User", "Defender CSPM"} <= found
    people = {"AcrPush", "Virtual Machine Contributor", "Managed Identity Operator", "Website Contributor", "Reader"}
    assert not people & found
