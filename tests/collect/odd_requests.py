"""Rows of logs of requests that differ in every field that decides the result of a reduction."""

from __future__ import annotations

import datetime as dt
from typing import Any

from tests.collect.odd_rows import GUIDS, Choose, storage_row

_VAULT = "/subscriptions/S/resourceGroups/G/providers/Microsoft.KeyVault/vaults/Kv"
_CLUSTER = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/aks"
_OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_IDS = (None, "", GUIDS[0], GUIDS[1], "no id")


def _time(choose: Choose) -> dt.datetime:
    return dt.datetime(2026, 9, 7, 22) + dt.timedelta(seconds=choose(range(12_000)))


def object_row(choose: Choose) -> dict[str, Any]:
    """Return a row of StorageBlobLogs, of a request of its own or exported twice."""
    return storage_row(choose) | {"CorrelationId": f"{choose('aA')}{choose(range(10**9))}"}


def vault_row(choose: Choose) -> dict[str, Any]:
    """Return a row of AZKVAuditLogs."""
    claims = {
        choose(["oid", _OBJECT_ID]): choose(_IDS),
        "upn": choose([None, "Anna@example.org"]),
        "appid": choose(_IDS),
    }
    path = choose(
        ["secrets/db/4c39", "secrets/db", "keys/k1/", "certificates/c-1/1?api-version=7.4", "", "deletedsecrets/x"]
    )
    return {
        "TimeGenerated": _time(choose),
        "OperationName": choose(
            ["SecretGet", "secretget", "SecretSet", "KeyGet", "Authentication", "VaultPatch", "Odd"]
        ),
        "CorrelationId": choose([None, f"{choose('cC')}{choose(range(10**9))}"]),
        "HttpStatusCode": choose([200, 200, 204, 403, 404, 429, 500, None]),
        "ResultSignature": choose(["OK", "Forbidden", "Unauthorized", "", None]),
        "ResultType": choose(["Success", "", None]),
        "Identity": choose([{"claim": claims}, {"claim": claims}, {}, None]),
        "IsAccessPolicyMatch": choose([True, False, None]),
        "Properties": choose([None, {"isRbacAuthorized": choose([True, False])}]),
        "RequestUri": choose([f"https://kv.vault.azure.net/{path}", f"https://kv.vault.azure.net/{path}", None]),
        "_ResourceId": choose([_VAULT, _VAULT.lower(), "/subscriptions/s"]),
        "Type": "AZKVAuditLogs",
    }


def cluster_row(choose: Choose) -> dict[str, Any]:
    """Return a row of AKSAudit."""
    reason = choose(["", f"Access allowed by Azure RBAC Role Assignment {GUIDS[0]} of Role x", "RBAC: allowed by y"])
    kind = choose(["pods", "pods", "secrets", "crds", "", None])
    return {
        "TimeGenerated": _time(choose),
        "AuditId": f"{choose('aA')}{choose(range(10**9))}",
        "Verb": choose(["get", "list", "create", "DELETE", "patch", "odd"]),
        "User": choose(
            [{"username": "anna@example.org", "extra": {"oid": [choose(GUIDS)]}}, {"username": "system:node"}]
        ),
        "ObjectRef": {
            "apiGroup": choose(["apps", "", None, "example.org"]),
            "resource": kind,
            "subresource": choose([None, "exec", "log"]),
            "namespace": choose([None, "default", "Odd Name"]),
            "name": choose(["a", "b"]),
        },
        "ResponseStatus": {"code": choose([200, 201, 403, 404, 429, None])},
        "Annotations": {
            "authorization.k8s.io/decision": choose(["allow", "forbid", None]),
            "authorization.k8s.io/reason": reason,
        },
        "RequestUri": choose(["/api/v1/pods?limit=5", "/healthz", "/api/v1/namespaces/default/pods/a"]),
        "_ResourceId": _CLUSTER,
        "Type": "AKSAudit",
    }


def graph_row(choose: Choose) -> dict[str, Any]:
    """Return a row of MicrosoftGraphActivityLogs."""
    path = choose(
        [
            f"v1.0/users/{GUIDS[0]}", f"v1.0/users/{GUIDS[1]}/messages?$top=5&$skiptoken=abc", "beta/me/drive",
            f"v1.0/groups/{GUIDS[1]}/members?$expand=owner", f"v1.0/applications(appId='{GUIDS[0]}')",
            "v1.0/users/anna@example.org", f"v1.0/directoryObjects('{GUIDS[0]}')/$ref", "v1.0/$batch", "",
        ]
    )  # fmt: skip
    return {
        "TimeGenerated": _time(choose),
        "AppId": choose([GUIDS[0], GUIDS[1].lower(), None]),
        "UserId": choose([None, "", GUIDS[0], GUIDS[1]]),
        "ServicePrincipalId": choose([None, GUIDS[0], GUIDS[1]]),
        "RequestId": choose([None, f"{choose('rR')}{choose(range(10**9))}"]),
        "RequestMethod": choose(["GET", "get", "POST", "DELETE", None]),
        "RequestUri": choose([f"https://graph.microsoft.com/{path}", f"https://graph.microsoft.com//{path}"]),
        "ResponseStatusCode": choose([200, 201, 401, 403, 404, 429, 500, None]),
        "Roles": choose([None, "User.Read.All Group.Read.All"]),
        "Scopes": choose([None, "User.Read"]),
        "Type": "MicrosoftGraphActivityLogs",
    }
