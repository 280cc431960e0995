"""Rows of logs of requests that differ in every field that decides the result of a reduction."""

from __future__ import annotations

import datetime as dt
import json
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


def sign_in_row(choose: Choose, *, table: str = "SigninLogs") -> dict[str, Any]:
    """Return a row of one of the four tables of sign-ins."""
    happened = _time(choose)
    who = "User" if table in ("SigninLogs", "AADNonInteractiveUserSignInLogs") else "ServicePrincipal"
    name = "UserPrincipalName" if who == "User" else "ServicePrincipalName"
    # A workspace has an empty text in place of none.
    ids = [one for one in _IDS if one is not None]
    return {
        "TimeGenerated": happened + dt.timedelta(minutes=choose([0, 1, 90])),
        "CreatedDateTime": choose([happened, happened, None]),
        "Id": choose(["", f"{choose('iI')}{choose(range(10**9))}"]),
        f"{who}Id": choose(ids),
        name: choose(["", "Anna@Example.org", "anna@example.org", "ÅSA@example.org"]),
        "AppId": choose(ids),
        "ResourceIdentity": choose(ids),
        "ResourceDisplayName": choose(["", "Azure Key Vault", "Microsoft Graph"]),
        "IsInteractive": choose([True, False, None]),
        "ResultType": choose(["0", " 0 ", "50126", "50076", "Success", ""]),
        "Type": table,
    }


def diagnostics_row(choose: Choose) -> dict[str, Any]:
    """Return a row of AzureDiagnostics, of one of the services whose logs are read, or of another."""
    at = "/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/"
    make, category, place = choose(
        [
            (_vault_cells, "AuditEvent", f"{at}MICROSOFT.KEYVAULT/VAULTS/KV"),
            (_statement_cells, "AuditEvent", f"{at}MICROSOFT.KEYVAULT/MANAGEDHSMS/HSM"),
            (_cluster_cells, choose(["kube-audit", "kube-audit-admin"]), _CLUSTER.upper()),
            (_message_cells, "RuntimeAuditLogs", f"{at}MICROSOFT.EVENTHUB/NAMESPACES/HUBS/EVENTHUBS/A"),
            (_item_cells, "DataPlaneRequests", f"{at}MICROSOFT.DOCUMENTDB/DATABASEACCOUNTS/C"),
            (_statement_cells, "SQLSecurityAuditEvents", f"{at}MICROSOFT.SQL/SERVERS/S/DATABASES/D"),
            (_statement_cells, "AzureFirewallNetworkRule", f"{at}MICROSOFT.NETWORK/AZUREFIREWALLS/F"),
        ]
    )  # fmt: skip
    row = {
        "TimeGenerated": _time(choose),
        "Category": category,
        "CorrelationId": f"{choose('cC')}{choose(range(10**9))}",
        "ResourceId": place,
        "_ResourceId": place.lower(),
        "Type": "AzureDiagnostics",
    }
    made: dict[str, Any] = make(choose)
    return row | made


def _vault_cells(choose: Choose) -> dict[str, Any]:
    row = vault_row(choose)
    claim = choose(["oid", "http_schemas_microsoft_com_identity_claims_objectidentifier"])
    cells = {name: row[name] for name in ("OperationName", "ResultType", "ResultSignature")}
    # A workspace without room for more columns keeps the rest by its plain name.
    more = {"requestUri": row["RequestUri"], "isRbacAuthorized": choose([True, False, None])}
    kept = choose(
        [{"AdditionalFields": more}, {"requestUri_s": row["RequestUri"], "isAccessPolicyMatch_b": choose([True, None])}]
    )
    ids = {
        f"identity_claim_{claim}_g": choose(_IDS),
        "identity_claim_appid_g": choose(_IDS),
        "identity_claim_upn_s": choose([None, "a@b.c"]),
    }
    more_cells: dict[str, Any] = kept | ids
    return cells | more_cells | {"httpStatusCode_d": row["HttpStatusCode"]}


def _cluster_cells(choose: Choose) -> dict[str, Any]:
    row = cluster_row(choose)
    event = {
        "auditID": row["AuditId"],
        "verb": row["Verb"],
        "user": row["User"],
        "objectRef": row["ObjectRef"],
        "responseStatus": row["ResponseStatus"],
        "annotations": row["Annotations"],
        "requestURI": row["RequestUri"],
        **choose([{}, {}, {"impersonatedUser": {"username": "bob@example.org"}}]),
    }
    text = choose([json.dumps(event), json.dumps(event), json.dumps(event)[:40]])
    operation = "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read"
    return {"OperationName": operation, "CorrelationId": None, "log_s": text}


def _message_cells(choose: Choose) -> dict[str, Any]:
    return {
        "ActivityId_g": f"{choose('aA')}{choose(range(10**9))}",
        "ActivityName_s": choose(["SendMessage", "ReceiveMessage", "Odd"]),
        "AuthType_s": choose(["AAD", "SAS", None]),
        choose(["AuthKey_s", "AuthId_s"]): choose(_IDS),
        "Status_s": choose(["Success", "Failure", None]),
        "CorrelationId": None,
    }


def _item_cells(choose: Choose) -> dict[str, Any]:
    return {
        "OperationName": choose(["Query", "Create"]),
        "ActivityId_g": f"{choose('aA')}{choose(range(10**9))}",
        "authTokenType_s": choose(["AadToken", "PrimaryMasterKey", None]),
        "aadPrincipalId_g": choose(_IDS),
        "statusCode_s": choose(["200", "403", "404", None]),
    }


def _statement_cells(choose: Choose) -> dict[str, Any]:
    return {
        "OperationName": "AuditEvent",
        "action_name_s": choose(["BATCH COMPLETED", "LOGIN"]),
        "server_principal_name_s": choose(["anna@example.org", "sa", None]),
        "CorrelationId": None,
    }
