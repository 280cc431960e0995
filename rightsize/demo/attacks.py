"""Write the demo's planted attacks: their calls, sign-ins, risk detections and alerts.

An attacker uses the access of a principal. The calls are in a file of their own, with the sign-ins behind calls from
other addresses and, where the monitoring noticed, a risk detection of Entra ID Protection and an alert.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
from typing import Any

from rightsize.demo.calls import ARM, AZURE_CLI, address_of, claims_of, client_of
from rightsize.demo.people import read_cast, read_data
from rightsize.demo.tenant import Principal, SampleTenant
from rightsize.demo.writing import Folder, guid
from rightsize.rbac.assignments import OWNER

FOREIGN_ADDRESS = "192.0.2.66"
NOTICED = ("user_takeover", "workload_takeover", "machine_takeover", "log_tampering")
"""The attacks that raised an alert; slow creep raises none, and only the logs show it."""

_LATE = dt.timedelta(minutes=95)
_CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
_ACTIVATED = "Add member to role requested (PIM activation)"


def write_attacks(tenant: SampleTenant, folder: Folder) -> list[dict[str, Any]]:
    """Write the attacks that the tenant's spec names; return the truth about them: each call, in order."""
    if not tenant.spec.attacks:
        return []
    places = read_cast(tenant.spec).places
    calls: list[dict[str, Any]] = []
    for number, row in enumerate(csv.DictReader(read_data("attacks.csv").splitlines())):
        if row["attack"] in tenant.spec.attacks:
            moment = dt.datetime.combine(tenant.spec.day_ago(int(row["days_ago"])), dt.time())
            calls.append(
                {
                    "attack": row["attack"],
                    "principal_id": guid(tenant.spec.seed, "principal", row["actor"]),
                    "operation": row["operation"],
                    "scope": places.full(row["scope"]),
                    "time": moment + dt.timedelta(minutes=int(row["minute"]), seconds=number % 60),
                    "is_foreign": row["address"] == "foreign",
                    "given_to": guid(tenant.spec.seed, "principal", row["given_to"]) if row["given_to"] else None,
                }
            )
    by_id = tenant.principals_by_id()
    _write_calls(tenant, folder, by_id, calls)
    _write_signals(tenant, folder, by_id, calls)
    _write_activations(tenant, folder, by_id, [call for call in calls if call["attack"] == "night_activation"])
    return [
        {name: value for name, value in call.items() if name != "given_to"} | {"time": _instant(call["time"])}
        for call in calls
    ]


def _write_calls(
    tenant: SampleTenant, folder: Folder, people: dict[str, Principal], calls: list[dict[str, Any]]
) -> None:
    lines = []
    for number, call in enumerate(calls):
        principal = people[call["principal_id"]]
        address = FOREIGN_ADDRESS if call["is_foreign"] else address_of(tenant, principal)
        claims = claims_of(tenant, principal)
        if call["is_foreign"]:
            claims |= {"appid": client_of(tenant, principal) if principal.app_id else AZURE_CLI}
            claims |= {"uti": _token(tenant, call["attack"])}
            claims |= {"ipaddr": address} if "ipaddr" in claims else {}
        lines.append(
            {
                "time": _instant(call["time"]),
                "resourceId": call["scope"].upper(),
                "operationName": call["operation"].upper(),
                "category": "Administrative",
                "resultType": "Success",
                "resultSignature": "Succeeded.",
                "durationMs": "0",
                "callerIpAddress": address,
                "correlationId": guid(tenant.spec.seed, "attack", call["attack"], number),
                "identity": {
                    "authorization": {"scope": call["scope"], "action": call["operation"]},
                    "claims": claims,
                },
                "level": "Information",
                "properties": {"statusCode": "OK", "eventCategory": "Administrative"} | _asked(call),
            }
        )
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    folder.write("activity/more-records.jsonl", text.encode(), records=len(lines))


def _asked(call: dict[str, Any]) -> dict[str, str]:
    """Return the body of a request that assigns a role."""
    if not call["given_to"]:
        return {}
    role = f"/providers/Microsoft.Authorization/roleDefinitions/{_CONTRIBUTOR}"
    given = {"PrincipalId": call["given_to"], "PrincipalType": "User", "RoleDefinitionId": role}
    return {"requestbody": json.dumps({"Id": call["scope"].rsplit("/", 1)[-1], "Properties": given})}


def _write_activations(
    tenant: SampleTenant, folder: Folder, people: dict[str, Principal], calls: list[dict[str, Any]]
) -> None:
    """Write two months of activations at nine with a reason, and the activation before the attack's calls."""
    if not calls:
        return
    who, begun = people[calls[0]["principal_id"]], calls[0]["time"]
    mornings = [begun.replace(hour=9, minute=7) - dt.timedelta(days=7 * week + 1) for week in range(8, 0, -1)]
    records = [
        _activation(tenant, who, time, _CONTRIBUTOR, f"Change {1200 + number}") for number, time in enumerate(mornings)
    ]
    records.append(_activation(tenant, who, begun - dt.timedelta(minutes=6), OWNER, ""))
    page = {"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#auditLogs/directoryAudits", "value": records}
    folder.write_json("directory/directoryAudits-activations.json", page, records=len(records))


def _activation(tenant: SampleTenant, who: Principal, time: dt.datetime, role: str, reason: str) -> dict[str, Any]:
    name = guid(tenant.spec.seed, "activation asked", who.principal_id, time.isoformat())
    return {
        "id": f"PIM_{name}",
        "category": "ResourceManagement",
        "correlationId": name,
        "result": "success",
        "resultReason": reason or None,
        "activityDisplayName": _ACTIVATED,
        "activityDateTime": _instant(time),
        "loggedByService": "PIM",
        "initiatedBy": {"user": {"id": who.principal_id, "userPrincipalName": who.user_principal_name}, "app": None},
        "targetResources": [{"id": role, "type": "Role"}, {"id": who.principal_id, "type": "User"}],
        "additionalDetails": [{"key": "RoleDefinitionOriginId", "value": role}],
    }


def _write_signals(
    tenant: SampleTenant, folder: Folder, people: dict[str, Principal], calls: list[dict[str, Any]]
) -> None:
    sign_ins, detections, alerts = [], [], []
    for attack in NOTICED:
        made = [call for call in calls if call["attack"] == attack]
        if not made:
            continue
        principal = people[made[0]["principal_id"]]
        if made[0]["is_foreign"]:
            sign_ins.append(_sign_in(tenant, attack, principal, made))
            detections.append(_detection(tenant, attack, principal, made))
        alerts.append(_alert(tenant, attack, principal, made))
    for name, path, kind, records in (
        ("sign-ins/signIns-foreign.json", "auditLogs/signIns", "", sign_ins),
        ("signals/riskDetections.json", "identityProtection/riskDetections", "userId", detections),
        ("signals/servicePrincipalRiskDetections.json", "identityProtection/servicePrincipalRiskDetections",
         "servicePrincipalId", detections),
    ):  # fmt: skip
        held = [record for record in records if not kind or kind in record]
        if held:
            page = {"@odata.context": f"https://graph.microsoft.com/v1.0/$metadata#{path}", "value": held}
            folder.write_json(name, page, records=len(held))
    if alerts:
        columns = [{"name": name, "type": "string"} for name in alerts[0]]
        table = {"name": "PrimaryResult", "columns": columns, "rows": [list(alert.values()) for alert in alerts]}
        folder.write_json("signals/SecurityAlert.json", {"tables": [table]}, records=len(alerts))


def _sign_in(tenant: SampleTenant, attack: str, principal: Principal, calls: list[dict[str, Any]]) -> dict[str, Any]:
    who: dict[str, Any] = (
        {"userId": principal.principal_id, "userPrincipalName": principal.user_principal_name,
         "userDisplayName": principal.name, "isInteractive": True}
        if principal.user_principal_name
        else {"servicePrincipalId": principal.principal_id, "servicePrincipalName": principal.name,
              "signInEventTypes": ["servicePrincipal"]}
    )  # fmt: skip
    return {
        "id": _sign_in_id(tenant, attack),
        "createdDateTime": _instant(calls[0]["time"] - dt.timedelta(minutes=4)),
        **who,
        "appId": principal.app_id or AZURE_CLI,
        "appDisplayName": principal.name if principal.app_id else "Microsoft Azure CLI",
        "ipAddress": FOREIGN_ADDRESS,
        "clientAppUsed": "Mobile Apps and Desktop clients",
        "correlationId": guid(tenant.spec.seed, "attack-sign-in", attack),
        "conditionalAccessStatus": "notApplied",
        "uniqueTokenIdentifier": _token(tenant, attack),
        "riskState": "atRisk",
        "riskLevelDuringSignIn": "high",
        "riskLevelAggregated": "high",
        "riskDetail": "none",
        "riskEventTypes_v2": ["anomalousToken"],
        "resourceDisplayName": ARM[1],
        "resourceId": ARM[0],
        "status": {"errorCode": 0, "failureReason": "Other.", "additionalDetails": None},
        "location": {"city": "", "state": "", "countryOrRegion": "KP", "geoCoordinates": {}},
    }


def _detection(tenant: SampleTenant, attack: str, principal: Principal, calls: list[dict[str, Any]]) -> dict[str, Any]:
    who = (
        {"userId": principal.principal_id, "userPrincipalName": principal.user_principal_name,
         "userDisplayName": principal.name}
        if principal.user_principal_name
        else {"servicePrincipalId": principal.principal_id, "appId": principal.app_id,
              "servicePrincipalDisplayName": principal.name}
    )  # fmt: skip
    found = calls[-1]["time"] + _LATE
    return {
        "id": guid(tenant.spec.seed, "detection", attack),
        "requestId": _sign_in_id(tenant, attack),
        "correlationId": guid(tenant.spec.seed, "attack-sign-in", attack),
        "riskEventType": "anomalousToken" if principal.user_principal_name else "suspiciousSignins",
        "riskState": "atRisk",
        "riskLevel": "high",
        "riskDetail": "none",
        "source": "IdentityProtection",
        "detectionTimingType": "offline",
        "activity": "signin" if principal.user_principal_name else "servicePrincipal",
        "ipAddress": FOREIGN_ADDRESS,
        "activityDateTime": _instant(calls[0]["time"] - dt.timedelta(minutes=4)),
        "detectedDateTime": _instant(found),
        "lastUpdatedDateTime": _instant(found),
        **who,
    }


def _alert(tenant: SampleTenant, attack: str, principal: Principal, calls: list[dict[str, Any]]) -> dict[str, Any]:
    name, _, suffix = principal.user_principal_name.partition("@")
    account = {"$id": "2", "AadUserId": principal.principal_id, "Name": name or principal.name, "Type": "account"}
    entities = [
        account | ({"UPNSuffix": suffix} if suffix else {}),
        *([{"$id": "3", "Address": FOREIGN_ADDRESS, "Type": "ip"}] if calls[0]["is_foreign"] else []),
        *(
            {"$id": str(number), "ResourceId": scope, "Type": "azure-resource"}
            for number, scope in enumerate(sorted({_resource(call["scope"]) for call in calls}), 4)
        ),
    ]
    raised = calls[-1]["time"] + _LATE
    return {
        "TimeGenerated": _instant(raised),
        "AlertName": "ARM_AnomalousOperation.CredentialAccess",
        "AlertSeverity": "High",
        "AlertType": "ARM_AnomalousOperation.CredentialAccess",
        "CompromisedEntity": principal.user_principal_name or principal.name,
        "DisplayName": "Suspicious invocation of a high-risk 'Credential Access' operation detected",
        "EndTime": _instant(calls[-1]["time"]),
        "Entities": json.dumps(entities),
        "ExtendedProperties": "{}",
        "IsIncident": False,
        "ProcessingEndTime": _instant(raised),
        "ProductName": "Microsoft Defender for Cloud",
        "ProviderName": "Microsoft Defender for Cloud",
        "StartTime": _instant(calls[0]["time"]),
        "Status": "New",
        "SystemAlertId": guid(tenant.spec.seed, "alert", attack),
        "Tactics": "CredentialAccess",
        "VendorName": "Microsoft",
        "Type": "SecurityAlert",
    }


def _resource(scope: str) -> str:
    """Return the resource that a scope stands at or below."""
    return "/".join(scope.split("/")[:9])


def _sign_in_id(tenant: SampleTenant, attack: str) -> str:
    return guid(tenant.spec.seed, "attack-token", attack)


def _token(tenant: SampleTenant, attack: str) -> str:
    return guid(tenant.spec.seed, "attack-uti", attack).replace("-", "")[:22]


def _instant(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
