"""Write sign-in logs as Graph pages and as records of diagnostic settings."""

from __future__ import annotations

from typing import Any

import polars as pl

from rightsize.demo.calls import (
    ARM,
    AZURE_CLI,
    AZURE_PORTAL,
    INTERACTIVE,
    MANAGED_IDENTITY,
    NON_INTERACTIVE,
    SERVICE_PRINCIPAL,
    SERVICES,
    address_of,
    claims_of,
    client_of,
)
from rightsize.demo.directory_files import pipeline_of, used_credentials, write_runs
from rightsize.demo.tenant import Principal, SampleTenant
from rightsize.demo.writing import Folder, Template, guid, guids, gzip_chunks, instant, joined, json_text, number

_PAGE = 1000
_SLICE = 20_000
_OUTLOOK = ("9199bf20-a13f-4107-85dc-02114787ef48", "One Outlook Web")
_CLIENT_NAMES = {AZURE_PORTAL: "Azure Portal", AZURE_CLI: "Microsoft Azure CLI"}
_MAIL = 1
CATEGORIES = {
    INTERACTIVE: "SignInLogs",
    NON_INTERACTIVE: "NonInteractiveUserSignInLogs",
    SERVICE_PRINCIPAL: "ServicePrincipalSignInLogs",
    MANAGED_IDENTITY: "ManagedIdentitySignInLogs",
}


def write_sign_ins(tenant: SampleTenant, folder: Folder, rows: pl.DataFrame) -> None:
    """Write interactive sign-ins as Graph pages, the other three kinds as diagnostic records."""
    federated = used_credentials(tenant)
    texts = pl.DataFrame(
        [_principal_texts(tenant, one, federated.get(one.principal_id, "")) for one in tenant.principals]
    )
    _write_graph(tenant, folder, texts, rows.filter(pl.col("kind") == INTERACTIVE).reverse())
    for kind, category in CATEGORIES.items():
        if kind == INTERACTIVE:
            continue
        template = sign_in_record(tenant.tenant_id, kind)
        held = rows.filter(pl.col("kind") == kind)
        parts = (_frame(tenant, texts, part) for part in held.iter_slices(_SLICE))
        lines = (joined(template.fill(part), "\n") + b"\n" for part in parts)
        if kind == SERVICE_PRINCIPAL:
            runs = held.filter(pl.col("principal") == tenant.principals.index(pipeline_of(tenant)))
            write_runs(tenant, folder, _frame(tenant, texts, runs)["instant"])
        name = f"sign-ins/insights-logs-{category.lower()}.jsonl"
        if kind == MANAGED_IDENTITY:
            folder.write(f"{name}.gz", gzip_chunks(lines), records=held.height)
        else:
            folder.write(name, lines, records=held.height)


def _write_graph(tenant: SampleTenant, folder: Folder, texts: pl.DataFrame, rows: pl.DataFrame) -> None:
    template = Template(_GRAPH)
    for page_number, page in enumerate(rows.iter_slices(_PAGE), start=1):
        records = joined(template.fill(_frame(tenant, texts, page)), ",")
        head = '{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#auditLogs/signIns",'
        if page_number * _PAGE < rows.height:
            link = f"https://graph.microsoft.com/v1.0/auditLogs/signIns?$top={_PAGE}&$skiptoken={page_number:04d}"
            head += f'"@odata.nextLink":"{link}",'
        path = f"sign-ins/signIns-page-{page_number:03d}.json"
        folder.write(path, head.encode() + b'"value":[' + records + b"]}", records=page.height)


def _frame(tenant: SampleTenant, texts: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    seed = tenant.spec.seed
    services = pl.DataFrame([{"resource_id": service, "resource_name": json_text(name)} for service, name in SERVICES])[
        rows["service"]
    ]
    mail = (pl.col("service") == _MAIL) & (pl.col("kind") < SERVICE_PRINCIPAL)
    failed = pl.col("error") != 0
    return rows.hstack(texts[rows["principal"]]).hstack(services).with_columns(
        guids(number(seed, "sign-in-id"), rows["chance"], rows["kind"], rows["error"]).alias("id"),
        guids(number(seed, "sign-in-request"), rows["chance"]).alias("correlation"),
        (pl.col("chance") % 10).cast(pl.String).alias("digit"),
        pl.when(mail).then(pl.lit(_OUTLOOK[0])).otherwise("client").alias("client"),
        pl.when(mail).then(pl.lit(json_text(_OUTLOOK[1]))).otherwise("client_name").alias("client_name"),
        pl.col("error").cast(pl.String).alias("error_code"),
        pl.when(failed).then(pl.lit("Invalid username or password.")).otherwise(pl.lit("Other.")).alias("reason"),
        pl.when(failed).then(pl.lit("FAILURE")).otherwise(pl.lit("SUCCESS")).alias("signature"),
    ).with_columns(
        instant("time", "digit").alias("instant"),
        # The claims in the Activity Log have the id of a token for Azure Resource Manager.
        pl.when((pl.col("service") == SERVICES.index(ARM)) & ~failed).then("uti")
        .otherwise(pl.col("id").str.replace_all("-", "").str.slice(0, 22)).alias("token"),
    )  # fmt: skip


def _principal_texts(tenant: SampleTenant, principal: Principal, federated: str) -> dict[str, str]:
    client = client_of(tenant, principal)
    return {
        "principal_id": principal.principal_id,
        "name": json_text(principal.name),
        "upn": json_text(principal.user_principal_name),
        "client": client,
        "client_name": json_text(_CLIENT_NAMES.get(client, principal.name)),
        "address": address_of(tenant, principal),
        "uti": claims_of(tenant, principal)["uti"],
        "user_type": json_text("guest" if principal.kind == "guest" else "member"),
        "credential": json_text("" if federated else guid(tenant.spec.seed, "credential", principal.principal_id)),
        "federated": json_text(federated),
    }


_USER: dict[str, Any] = {
    "userDisplayName": "@{name}",
    "userPrincipalName": "@{upn}",
    "userId": "#{principal_id}",
    "userType": "@{user_type}",
    "isInteractive": False,
    "signInEventTypes": ["nonInteractiveUser"],
    "clientAppUsed": "Browser",
}
_APPLICATION: dict[str, Any] = {
    "servicePrincipalId": "#{principal_id}",
    "servicePrincipalName": "@{name}",
    "servicePrincipalCredentialKeyId": "@{credential}",
    "federatedCredentialId": "@{federated}",
    "isInteractive": False,
}
_STATUS = {"errorCode": "@{error_code}", "failureReason": "#{reason}", "additionalDetails": None}
_GRAPH: dict[str, Any] = {
    "id": "#{id}",
    "createdDateTime": "#{instant}",
    "userDisplayName": "@{name}",
    "userPrincipalName": "@{upn}",
    "userId": "#{principal_id}",
    "appId": "#{client}",
    "appDisplayName": "@{client_name}",
    "ipAddress": "#{address}",
    "clientAppUsed": "Browser",
    "correlationId": "#{correlation}",
    "conditionalAccessStatus": "success",
    "isInteractive": True,
    "riskDetail": "none",
    "riskLevelAggregated": "none",
    "riskLevelDuringSignIn": "none",
    "riskState": "none",
    "riskEventTypes_v2": [],
    "resourceDisplayName": "@{resource_name}",
    "resourceId": "#{resource_id}",
    "status": _STATUS,
    "deviceDetail": {"deviceId": "", "displayName": "", "operatingSystem": "Windows10", "browser": "Edge 139.0.0"},
    "location": {"city": "Alder Valley", "state": "", "countryOrRegion": "GB", "geoCoordinates": {}},
    "appliedConditionalAccessPolicies": [],
}


def sign_in_record(tenant_id: str, kind: int) -> Template:
    """Return the record of a sign-in of one kind, as diagnostic settings send it."""
    if kind == INTERACTIVE:
        who = _USER | {"isInteractive": True, "signInEventTypes": ["interactiveUser"]}
    else:
        who = _USER if kind == NON_INTERACTIVE else _APPLICATION
    return Template(_diagnostic(tenant_id, CATEGORIES[kind], who))


def _diagnostic(tenant_id: str, category: str, who: dict[str, Any]) -> dict[str, Any]:
    return {
        "time": "#{instant}",
        "resourceId": f"/tenants/{tenant_id}/providers/Microsoft.aadiam",
        "operationName": "Sign-in activity",
        "operationVersion": "1.0",
        "category": category,
        "tenantId": tenant_id,
        "resultType": "#{error_code}",
        "resultSignature": "#{signature}",
        "durationMs": 0,
        "callerIpAddress": "#{address}",
        "correlationId": "#{correlation}",
        "identity": "@{name}",
        "Level": 4,
        "location": "GB",
        "properties": {
            "id": "#{id}",
            "createdDateTime": "#{instant}",
            **who,
            "appId": "#{client}",
            "appDisplayName": "@{client_name}",
            "ipAddress": "#{address}",
            "status": _STATUS,
            "correlationId": "#{correlation}",
            "resourceDisplayName": "@{resource_name}",
            "resourceId": "#{resource_id}",
            "authenticationProtocol": "none",
            "riskLevelDuringSignIn": "none",
            "uniqueTokenIdentifier": "#{token}",
        },
    }
