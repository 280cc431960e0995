"""What a deployment takes agrees with what others measured and listed, and stands at the scope that is asked."""

from __future__ import annotations

import json
import time

import pytest

from rightsize.iac.deployed.documents import Need, needs_of, not_known, read_deployment
from tests.iac.deployment_cases import (
    AKS,
    GROUP,
    HUB_SUBNET,
    NETWORK,
    STORAGE,
    SUBNET,
    Case,
    of_type,
    resource,
    resource_id,
    state,
    template,
)
from tests.iac.listed_deployments import LISTED
from tests.iac.measured_deployments import MEASURED

CASES = [*MEASURED, *LISTED]


def needs(content: bytes, file: str = "main.json", at: str = GROUP, parameters: bytes | None = None) -> list[Need]:
    return needs_of(read_deployment(content, file, at=at, parameters=parameters))


def found_of(case: Case) -> frozenset[str]:
    """Return the operations of a case that its source could name; those of deployments themselves it grants before."""
    at = GROUP if "at a subscription" not in case.name else GROUP.partition("/resourceGroups")[0]
    silent = tuple(one.lower() for one in ("microsoft.resources/deployments/", *case.silent))
    found = {need.operation.lower() for need in needs(case.content, case.file, at) if not need.only_if}
    is_silent = {
        one: any(one.endswith(text) if text.startswith("/") else one.startswith(text) for text in silent)
        for one in found
    }
    return frozenset(one for one in found if one in case.listed or not is_silent[one])


def hits(cases: list[Case]) -> tuple[float, float]:
    """Return recall and precision over all operations of cases."""
    found = [found_of(case) for case in cases]
    both = sum(len(one & case.listed) for one, case in zip(found, cases, strict=True))
    return both / sum(len(case.listed) for case in cases), both / sum(map(len, found))


def test_recall_and_precision_of_all_cases() -> None:
    """Over all cases nineteen of twenty listed operations are found, and nine of ten found ones are listed."""
    recall, precision = hits(CASES)

    assert len(CASES) >= 15
    assert recall >= 0.95
    assert precision >= 0.9


def test_measured_deployments_lack_nothing() -> None:
    """What somebody measured by deploying is found, all of it."""
    assert {case.name: case.listed - found_of(case) for case in MEASURED if case.listed - found_of(case)} == {}
    assert hits(MEASURED)[1] >= 0.95


@pytest.mark.parametrize("case", LISTED, ids=lambda case: case.name)
def test_listed_deployments_lack_one_operation_at_most(case: Case) -> None:
    """Of no public list more than one operation is missing."""
    assert len(case.listed - found_of(case)) <= 1


def test_join_stands_at_the_network_that_is_joined() -> None:
    """A linked check is asked for at the target, in its own subscription, with the resource that refers to it."""
    site = resource("Microsoft.Web/sites", "web", {"virtualNetworkSubnetId": HUB_SUBNET})

    found = [need for need in needs(template(site)) if need.operation.endswith("/join/action")]

    assert [(one.operation, one.scope, one.resource) for one in found] == [
        (f"{SUBNET}/join/action", HUB_SUBNET, "Microsoft.Web/sites web")
    ]
    assert "linked check by `properties.virtualNetworkSubnetId`" in found[0].rule


def test_name_that_a_file_does_not_say_stays_a_placeholder() -> None:
    """A parameter without a value is a named placeholder of the scope, and a given one is its value."""
    content = json.dumps(
        {
            "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
            "parameters": {"account": {"type": "string"}},
            "resources": [resource(STORAGE, "[parameters('account')]")],
        }
    ).encode()
    given = b'{"parameters": {"account": {"value": "logs"}, "key": {"reference": {"secretName": "one"}}}}'

    def scopes(at: str, values: bytes | None = None) -> set[str]:
        return {one.scope for one in needs(content, at=at, parameters=values) if one.operation == f"{STORAGE}/write"}

    assert scopes(GROUP) == {resource_id(STORAGE, "{account}")}
    assert scopes(GROUP, given) == {resource_id(STORAGE, "logs")}
    assert scopes("") == {
        resource_id(STORAGE, "{account}", "/subscriptions/{subscription}/resourceGroups/{resourceGroup}")
    }


def test_loops_conditions_and_nested_deployments() -> None:
    """A loop makes each resource, a condition that is false makes none, and a nested deployment has its own group."""
    inner = json.loads(template(resource(STORAGE, "inner")))
    content = template(
        resource(STORAGE, "[concat('s', copyIndex())]", copy={"name": "c", "count": 2}),
        resource(STORAGE, "never", condition=False),
        resource("Microsoft.Resources/deployments", "d", {"mode": "Incremental", "template": inner}, resourceGroup="o"),
    )

    written = {one.scope for one in needs(content) if one.operation == f"{STORAGE}/write"}

    other = GROUP.replace("/rg", "/o")
    assert written == {
        resource_id(STORAGE, "s0"),
        resource_id(STORAGE, "s1"),
        resource_id(STORAGE, "inner", other),
    }
    assert "Microsoft.Resources/deployments/write" in {one.operation for one in needs(content) if other in one.scope}


def test_keys_that_a_template_lists() -> None:
    """A function `list…` of a template is the operation that it calls, where the resource is."""
    site = resource("Microsoft.Web/sites", "w", {"k": f"[listKeys(resourceId('{STORAGE}', 'logs'), '2023-01-01').k]"})

    assert (f"{STORAGE}/listKeys/action", resource_id(STORAGE, "logs")) in {
        (one.operation, one.scope) for one in needs(template(site))
    }


def test_what_if_output() -> None:
    """What-if output says by resource whether it is written, removed, or only read."""
    changes = [
        {"resourceId": resource_id(STORAGE, "new"), "changeType": "Create", "after": {"type": STORAGE}},
        {"resourceId": resource_id(STORAGE, "old"), "changeType": "Delete", "before": {"type": STORAGE}},
        {"resourceId": resource_id(STORAGE, "same"), "changeType": "NoChange", "after": {"type": STORAGE}},
        {"resourceId": resource_id(STORAGE, "not"), "changeType": "Ignore", "after": {"type": STORAGE}},
    ]

    found = needs(json.dumps({"status": "Succeeded", "changes": changes}).encode())

    by_name = {
        name: {one.operation.rpartition("/")[2] for one in found if one.scope == resource_id(STORAGE, name)}
        for name in ("new", "old", "same", "not")
    }
    assert by_name == {"new": {"write", "read"}, "old": {"delete"}, "same": {"read"}, "not": set()}


def test_plan_of_terraform() -> None:
    """A plan says what happens: nothing written where nothing changes, both removal and write where it is replaced."""

    def change(name: str, *actions: str) -> dict[str, object]:
        values = {"id": resource_id(STORAGE, name), "name": name, "resource_group_name": "rg"}
        return {
            "address": f"azurerm_storage_account.{name}",
            "mode": "managed",
            "type": "azurerm_storage_account",
            "name": name,
            "change": {"actions": list(actions), "before": values, "after": values},
        }

    changes = [change("new", "create"), change("same", "no-op"), change("other", "delete", "create")]
    found = needs(
        json.dumps({"format_version": "1.2", "terraform_version": "1.9.0", "resource_changes": changes}).encode()
    )

    def does(name: str) -> set[str]:
        kinds = (f"{STORAGE}/write", f"{STORAGE}/delete", f"{STORAGE}/read")
        return {one.operation.rpartition("/")[2] for one in found if name in one.resource and one.operation in kinds}

    assert (does("new"), does("same"), does("other")) == ({"read", "write"}, {"read"}, {"read", "write", "delete"})


def test_reference_that_stands_in_the_configuration_only() -> None:
    """What a plan knows after the apply is followed through the configuration to the resource that will have the id."""
    plan = {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "resource_changes": [
            {
                "address": "azurerm_subnet.apps",
                "mode": "managed",
                "type": "azurerm_subnet",
                "name": "apps",
                "change": {
                    "actions": ["create"],
                    "after": {"name": "apps", "virtual_network_name": "vnet", "resource_group_name": "rg"},
                },
            },
            {
                "address": "azurerm_kubernetes_cluster.k",
                "mode": "managed",
                "type": "azurerm_kubernetes_cluster",
                "name": "k",
                "change": {
                    "actions": ["create"],
                    "after": {"name": "k", "resource_group_name": "rg", "default_node_pool": [{"name": "a"}]},
                },
            },
        ],
        "configuration": {
            "root_module": {
                "resources": [
                    {
                        "address": "azurerm_kubernetes_cluster.k",
                        "type": "azurerm_kubernetes_cluster",
                        "name": "k",
                        "mode": "managed",
                        "expressions": {
                            "default_node_pool": [
                                {"vnet_subnet_id": {"references": ["azurerm_subnet.apps.id", "azurerm_subnet.apps"]}}
                            ]
                        },
                    }
                ]
            }
        },
    }

    joins = [one for one in needs(json.dumps(plan).encode()) if one.operation == f"{SUBNET}/join/action"]

    assert [(one.scope.rpartition("/providers/")[2], one.resource) for one in joins] == [
        ("Microsoft.Network/virtualNetworks/vnet/subnets/apps", "azurerm_kubernetes_cluster.k")
    ]


def test_type_of_terraform_without_a_rule_is_said() -> None:
    """A resource of which no rule knows the type is named, and not left out silently."""
    deployment = read_deployment(state(("azurerm_new_thing", "x", {"id": ""})), "state.json", at=GROUP)

    assert not_known(deployment) == ["no rule says what `azurerm_new_thing` takes"]


def test_role_assignment_of_a_template_gives_privilege() -> None:
    """An operation that gives privilege is marked as one."""
    found = needs(template(resource("Microsoft.Authorization/roleAssignments", "a", {"principalId": "p"})))

    assert {one.operation for one in found if one.privilege} >= {"Microsoft.Authorization/roleAssignments/write"}


@pytest.mark.slow
def test_state_of_five_thousand_resources() -> None:
    """What a state of 5,000 resources takes is known within five seconds."""
    kinds = (
        ("azurerm_storage_account", STORAGE),
        ("azurerm_virtual_network", NETWORK),
        ("azurerm_kubernetes_cluster", AKS),
    )
    content = state(*(of_type(*kinds[n % 3][:1], f"r{n}", arm=kinds[n % 3][1]) for n in range(5000)))

    start = time.process_time()
    found = needs(content)

    assert len(found) > 15_000
    assert time.process_time() - start < 5
