"""A command or query lists a whole subscription only if nothing in it is able to leave something out."""

from __future__ import annotations

import pytest

from rightsize.ingest.whole_exports import read_query

ID = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("az resource list", "resource_list"),
        (f"az resource list --subscription {ID} -o json --only-show-errors", "resource_list"),
        ("az resource list --output=json > resources.json", "resource_list"),
        (f"GET /subscriptions/{ID}/resources?api-version=2021-04-01&$expand=createdTime,changedTime", "resource_list"),
        (f"az rest --method get --url https://management.azure.com/subscriptions/{ID}/providers?api-version=2021-04-01",
         "providers"),
        ("az provider list -o json", "providers"),
        ('az graph query -q "resources" -o json', "resource_graph"),
        (f'az graph query --graph-query "Resources | order by id asc" --first 1000 --subscriptions {ID} {OTHER}',
         "resource_graph"),
        ("resources | project id, name, type, properties | sort by id", "resource_graph"),
        ("resources;", "resource_graph"),
    ],
)  # fmt: skip
def test_a_listing_of_everything_is_known(text: str, kind: str) -> None:
    asked = read_query(text)
    assert (asked.kind, asked.problem) == (kind, "")


@pytest.mark.parametrize(
    "text",
    [
        "az resource list --tag env=prod",
        "az resource list -g app",
        "az resource list --resource-group app",
        "az resource list --resource-type Microsoft.Web/sites",
        "az resource list -n web1",
        "az resource list --namespace Microsoft.Web",
        "az resource list -l westeurope",
        "az resource list --query [0]",
        "az resource list | jq .[0]",
        "az resource list > a.json && head a.json",
        "az provider list --query \"[?registrationState=='Registered']\"",
        f"GET /subscriptions/{ID}/resources?api-version=2021-04-01&$filter=resourceType eq 'x'",
        f"GET /subscriptions/{ID}/resources?api-version=2021-04-01&$top=5",
        "az graph query -q \"resources | where type =~ 'microsoft.web/sites'\"",
        'az graph query -q "resources" --skip 100',
        'az graph query -q "resources" --allow-partial-scopes',
        'az graph query -q "resourcecontainers"',
        'az graph query -q "resources | take 10"',
        "resources | project id = tolower(id), type",
        "resources | order by id asc | limit 5",
        "resources | join kind=leftouter (resourcecontainers) on subscriptionId",
    ],
)
def test_what_may_leave_something_out_is_named(text: str) -> None:
    assert read_query(text).problem


@pytest.mark.parametrize(
    "text", ["", "Get-AzResource", "az vm list", "az resource show", "az 'resource", "az rest --method post --url x"]
)
def test_anything_else_lists_nothing(text: str) -> None:
    assert read_query(text).kind == ""


def test_the_subscriptions_that_a_command_names_by_id_are_known() -> None:
    assert read_query(f"az resource list --subscription {ID.upper()}").subscriptions == {ID}
    assert read_query(f"az graph query -q resources -s {ID} {OTHER}").subscriptions == {ID, OTHER}
    assert read_query("az resource list --subscription Production").subscriptions == frozenset()
