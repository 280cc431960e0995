"""Write request logs of a vault, a queue namespace, a cluster and a registry, each in another export shape.

The shapes are lines of diagnostic settings, the answer of a Log Analytics query, the envelope of Event Hubs, and the
portal's CSV. Also written is what Azure roles do not decide: a database's log in AzureDiagnostics.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl

from rightsize.demo.calls import address_of, client_of
from rightsize.demo.tenant import Habit, Principal, SampleTenant
from rightsize.demo.writing import Folder, guid, json_text

_OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_UPN = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"
# Verb and kind of a request to the cluster, by the last segments of the data action.
_VERBS = {"read": "list", "write": "patch", "delete": "delete"}

Record = dict[str, Any]


def write_requests(tenant: SampleTenant, folder: Folder) -> pl.DataFrame:
    """Write one file a service; return the calls in them, without those that no role decided."""
    shown = pl.Series([habit.kind == "request" for habit in tenant.habits])
    calls = tenant.calls.filter(shown.gather(tenant.calls["habit"])).sort("time", "habit", "call")
    people = tenant.principals_by_id()
    found: dict[str, list[Record]] = {"vault": [], "messages": [], "cluster": [], "images": []}
    for habit, call, time in calls.select("habit", "call", "time").iter_rows():
        one = _Call(tenant, tenant.habits[habit], people, habit, call, time)
        service, render = _service_of(one.habit.operation)
        found[service] += render(one)
    _write_vault(folder, [*found["vault"], *_noise(tenant, found["vault"])])
    _write_messages(folder, [*found["messages"], *_by_policy(tenant, found["messages"])])
    _write_cluster(folder, [*found["cluster"], *_by_the_cluster(tenant, found["cluster"])])
    _write_images(folder, found["images"])
    _write_databases(tenant, folder)
    return calls


class _Call:
    """A call with all data of its log record."""

    def __init__(
        self,
        tenant: SampleTenant,
        habit: Habit,
        people: dict[str, Principal],
        number: int,
        call: int,
        time: dt.datetime,
    ) -> None:
        self.habit = habit
        self.who = people[habit.principal_id]
        self.client = client_of(tenant, self.who)
        self.address = address_of(tenant, self.who)
        self.id = guid(tenant.spec.seed, "asked", number, call)
        self.number = call
        self.time = time.isoformat(timespec="microseconds") + "Z"


def _service_of(operation: str) -> tuple[str, Callable[[_Call], list[Record]]]:
    provider = operation.split("/", 1)[0]
    return {
        "Microsoft.KeyVault": ("vault", _vault),
        "Microsoft.ServiceBus": ("messages", _message),
        "Microsoft.ContainerService": ("cluster", _cluster),
        "Microsoft.ContainerRegistry": ("images", _image),
    }[provider]


def _vault(call: _Call) -> list[Record]:
    """Return two records: the request without a token, which clients send first, and the answered request."""
    vault = call.habit.scope.partition("/secrets/")[0]
    name = vault.rsplit("/", 1)[-1]
    secret = call.habit.scope.rsplit("/", 1)[-1]
    base = {
        "time": call.time,
        "category": "AuditEvent",
        "operationName": "SecretGet",
        "operationVersion": "7.4",
        "resultType": "Success",
        "correlationId": call.id,
        "callerIpAddress": call.address,
        "resourceId": vault.upper(),
        "durationMs": "11",
    }
    asked = {
        "clientInfo": "azsdk-net-Security.KeyVault.Secrets/4.6.0",
        "requestUri": f"https://{name}.vault.azure.net/secrets/{secret}/?api-version=7.4",
        "id": f"https://{name}.vault.azure.net/secrets/{secret}/0f3c",
    }
    claim = {_OBJECT_ID: call.who.principal_id, "appid": call.client}
    if call.who.user_principal_name:
        claim[_UPN] = call.who.user_principal_name
    grant = call.habit.grant
    answer = base | {
        "identity": {"claim": claim},
        "resultSignature": "OK",
        "properties": asked
        | {"httpStatusCode": 200, "isRbacAuthorized": True, "appliedAssignmentId": grant.grant_id if grant else ""},
    }
    challenge = base | {
        "identity": {},
        "resultSignature": "Unauthorized",
        "properties": asked | {"httpStatusCode": 401},
    }
    return [challenge, answer] if call.number % 5 == 0 else [answer]


def _message(call: _Call) -> list[Record]:
    row = {
        "TimeGenerated": call.time,
        "ActivityId": call.id,
        "ActivityName": "SendMessage",
        "AuthType": "AAD",
        "AuthKey": call.who.app_id,
        "ClientIp": call.address,
        "Count": 1 + call.number % 9,
        "NetworkType": "Public",
        "Protocol": "AMQP",
        "Provider": "SERVICEBUS",
        "Status": "Success",
        "_ResourceId": call.habit.scope.lower(),
        "Type": "AZMSRunTimeAuditLogs",
    }
    opened = row | {"ActivityName": "ConnectionOpen", "ActivityId": call.id[::-1], "Count": 1}
    return [opened, row] if call.number % 7 == 0 else [row]


def _cluster(call: _Call) -> list[Record]:
    cluster, _, namespace = call.habit.scope.partition("/namespaces/")
    kind, verb = call.habit.operation.split("/")[-2:]
    grant = call.habit.grant
    event = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": call.id,
        "stage": "ResponseComplete",
        "requestURI": f"/api/v1/namespaces/{namespace}/{kind}?limit=500",
        "verb": _VERBS[verb],
        "user": {
            "username": call.who.user_principal_name or call.who.principal_id,
            "groups": ["system:authenticated"],
            "extra": {"oid": [call.who.principal_id]},
        },
        "sourceIPs": [call.address],
        "userAgent": "kubectl/v1.30.3 (linux/amd64)",
        "objectRef": {"resource": kind, "namespace": namespace, "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "annotations": {
            "authorization.k8s.io/decision": "allow",
            "authorization.k8s.io/reason": "Access allowed by Azure RBAC Role Assignment "
            f"{(grant.grant_id if grant else '').replace('-', '')} of Role "
            f"{(grant.role.role_definition_id if grant else '').replace('-', '')} to user {call.who.principal_id}",
        },
    }
    return [
        {
            "time": call.time,
            "category": "kube-audit",
            "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
            "resourceId": cluster.upper(),
            "properties": {"log": json_text(event), "stream": "stdout", "pod": "kube-apiserver-0"},
        }
    ]


def _image(call: _Call) -> list[Record]:
    return [
        {
            "TimeGenerated [UTC]": dt.datetime.fromisoformat(call.time[:-1]).strftime("%m/%d/%Y, %I:%M:%S.%f")[:-3]
            + (" AM" if int(call.time[11:13]) < 12 else " PM"),
            "OperationName": "Pull",
            "Category": "ContainerRegistryRepositoryEvents",
            "CorrelationId": call.id,
            "Identity": call.who.principal_id,
            "CallerIpAddress": call.address,
            "LoginServer": f"{call.habit.scope.rsplit('/', 1)[-1]}.azurecr.io",
            "Repository": "portal/web",
            "ResultType": "HttpStatusCode",
            "ResultDescription": "200",
            "Type": "ContainerRegistryRepositoryEvents",
            "_ResourceId": call.habit.scope.lower(),
        }
    ]


def _by_the_cluster(tenant: SampleTenant, records: list[Record]) -> Iterator[Record]:
    """Yield nightly records of the cluster's own accounts, allowed by its own role bindings."""
    for index in range(tenant.spec.days if records else 0):
        event = json.loads(records[0]["properties"]["log"]) | {
            "auditID": guid(tenant.spec.seed, "service account", index),
            "user": {"username": "system:serviceaccount:portal:web", "groups": ["system:serviceaccounts"]},
            "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "RBAC: allowed"},
        }
        properties = records[0]["properties"] | {"log": json_text(event)}
        yield records[0] | {"time": f"{tenant.spec.day_ago(index)}T01:07:00.000000Z", "properties": properties}


def _noise(tenant: SampleTenant, records: list[Record]) -> Iterator[Record]:
    """Yield the further records of a vault: that an event was published."""
    for index, record in enumerate(records[:2]):
        yield record | {
            "operationName": "SecretNearExpiryEventGridNotification",
            "identity": {},
            "correlationId": guid(tenant.spec.seed, "published", index),
        }


def _by_policy(tenant: SampleTenant, rows: list[Record]) -> Iterator[Record]:
    """Yield messages sent with a shared access policy: they use its key, and nobody's role."""
    for index, row in enumerate(rows[:4]):
        yield row | {
            "ActivityName": "SendMessage",
            "ActivityId": guid(tenant.spec.seed, "policy", index),
            "AuthType": "SAS",
            "AuthKey": "RootManageSharedAccessKey",
        }


def _write_vault(folder: Folder, records: list[Record]) -> None:
    text = "".join(json_text(record) + "\n" for record in records)
    folder.write("requests/insights-logs-auditevent.jsonl", text.encode(), records=len(records))


def _write_messages(folder: Folder, rows: list[Record]) -> None:
    names = list(rows[0]) if rows else ["TimeGenerated"]
    table = {
        "name": "PrimaryResult",
        "columns": [{"name": name, "type": "string"} for name in names],
        "rows": [[row[name] for name in names] for row in rows],
    }
    folder.write("requests/service-bus.json", json.dumps({"tables": [table]}).encode(), records=len(rows))


def _write_cluster(folder: Folder, records: list[Record]) -> None:
    text = json.dumps({"records": records}, ensure_ascii=False)
    folder.write("requests/kube-audit-event-hub.json", text.encode(), records=len(records))


def _write_images(folder: Folder, rows: list[Record]) -> None:
    text = io.StringIO(newline="")
    if rows:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    folder.write("requests/query_data_registry.csv", ("\ufeff" + text.getvalue()).encode(), records=len(rows))


def _write_databases(tenant: SampleTenant, folder: Folder) -> None:
    """Write statements and queries that the database's own roles decided: flagged, and mapped to no permission."""
    group = next(h.scope for h in tenant.habits if h.kind == "request").partition("/providers/")[0]
    rows: list[Record] = []
    for index in range(tenant.spec.days):
        day = tenant.spec.day_ago(index).isoformat()
        common = {"TimeGenerated": f"{day}T09:0{index % 10}:00.0000000Z", "Type": "AzureDiagnostics"}
        rows.append(
            common
            | {
                "Category": "SQLSecurityAuditEvents",
                "OperationName": "AuditEvent",
                "ResourceId": f"{group}/providers/Microsoft.Sql/servers/sql-portal/databases/appointments".upper(),
                "action_name_s": "BATCH COMPLETED",
                "server_principal_name_s": "portal-api",
            }
        )
        rows.append(
            common
            | {
                "Category": "DataPlaneRequests",
                "OperationName": "Query",
                "ResourceId": f"{group}/providers/Microsoft.DocumentDB/databaseAccounts/cosmos-portal".upper(),
                "ActivityId_g": guid(tenant.spec.seed, "query", index),
                "authTokenType_s": "PrimaryMasterKey" if index % 3 == 0 else "AadToken",
                "statusCode_s": "200",
            }
        )
    text = "".join(json_text(row) + "\n" for row in rows)
    folder.write("requests/azure-diagnostics.jsonl", text.encode(), records=len(rows))
