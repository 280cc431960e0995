"""Compare reading listings as raw pages with the SDKs' typed models, in rows a second."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import time
from collections.abc import Callable
from typing import Any

from azure.identity import ClientSecretCredential
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.monitor.query import LogsQueryClient
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.graph_service_client import GraphServiceClient

from rightsize.azure.clients import Clients
from rightsize.azure.credentials import open_credential
from rightsize.azure.exchange import Clock, Exchange, Throttle
from rightsize.azure.hosts import read_cloud
from rightsize.azure.wire import WireRequest
from rightsize.collect.listing import read_pages, read_tables

MOST_SECONDS = 20.0
_DAY = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)


def main() -> None:
    """Print rows of (what, raw, typed) as JSON."""
    url, workspace = os.environ["LOOPBACK_URL"], os.environ["LOOPBACK_WORKSPACE"]
    cloud, clock = read_cloud(os.environ["LOOPBACK_CLOUD"]), Clock()
    credential = ClientSecretCredential(
        os.environ["AZURE_TENANT_ID"], os.environ["AZURE_CLIENT_ID"], os.environ["AZURE_CLIENT_SECRET"],
        authority=url, disable_instance_discovery=True,
    )  # fmt: skip
    with Clients(cloud, open_credential("env", cloud, clock)) as clients:
        exchange = Exchange(clients, Throttle(clock, cloud.budgets), clock)
        subscriptions = json.loads(
            exchange.ask(WireRequest("arm", "/subscriptions?api-version=2022-12-01"), read_pages).lines
        )
        identifier = subscriptions["value"][0]["subscriptionId"]
        path = f"/subscriptions/{identifier}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01"
        query = f"AzureActivity | where TimeGenerated >= datetime({_DAY:%Y-%m-%d}) | take 10000"
        body = json.dumps({"query": query})
        logs = WireRequest("logs", f"/v1/workspaces/{workspace}/query", "POST", body)
        arm = AuthorizationManagementClient(credential, identifier, base_url=url, credential_scopes=[f"{url}/.default"])
        monitor = LogsQueryClient(credential, endpoint=url, audience=url)
        rows = [
            (
                "role assignments",
                _rate(lambda: exchange.ask(WireRequest("arm", path), read_pages).rows),
                _rate(lambda: len(list(arm.role_assignments.list_for_subscription()))),
            ),
            (
                "users",
                _rate(lambda: exchange.ask(WireRequest("graph", "/v1.0/users?$top=999"), read_pages).rows),
                _typed_users(credential, url),
            ),
            (
                "AzureActivity",
                _rate(lambda: exchange.ask(logs, read_tables).rows),
                _rate(lambda: len(list(_table(monitor, workspace, query).rows))),
            ),
        ]
    print(json.dumps(rows))


def _table(monitor: LogsQueryClient, workspace: str, query: str) -> Any:
    answer: Any = monitor.query_workspace(workspace, query, timespan=None)
    return answer.tables[0]


def _typed_users(credential: Any, url: str) -> float:
    async def ask() -> float:
        provider = AzureIdentityAuthenticationProvider(
            credential, scopes=[f"{url}/.default"], allowed_hosts=["127.0.0.1"]
        )
        adapter = GraphRequestAdapter(provider)
        adapter.base_url = f"{url}/v1.0"
        client = GraphServiceClient(request_adapter=adapter)
        asked = client.users.with_url(f"{url}/v1.0/users?$top=200")
        # The first one loads a thousand modules.
        await asked.get()
        start = time.perf_counter()
        found: Any = await asked.get()
        return len(found.value) / (time.perf_counter() - start)

    return asyncio.run(ask())


def _rate(ask: Callable[[], int]) -> float:
    """Return rows a second of a question that is asked until some time has passed."""
    ask()
    start, rows = time.perf_counter(), 0
    while time.perf_counter() - start < MOST_SECONDS / 10:
        rows += ask()
    return rows / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
