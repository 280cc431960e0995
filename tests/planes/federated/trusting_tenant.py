"""A tenant that trusts outside subjects: exports as the services write them, and what an expert would do with each."""

from __future__ import annotations

import csv
import datetime as dt
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from rightsize.workflow.data.load import load_paths

GITHUB = "https://token.actions.githubusercontent.com"
CLUSTER = "https://westeurope.oic.prod-aks.azure.com/11111111-0000-0000-0000-000000000000/aks/"
FIRST, LAST = dt.date(2026, 1, 1), dt.date(2026, 3, 31)
DAYS = [FIRST + dt.timedelta(days=number) for number in range((LAST - FIRST).days + 1)]
WINDOW = f"{FIRST}..{LAST}"
SUB = "/subscriptions/22222222-0000-0000-0000-000000000000"
AUDIENCES = ["api://AzureADTokenExchange"]
ARM = "797f4846-ba00-4fd7-ba43-dac1f8f63013"


def guid(*words: str) -> str:
    return str(uuid5(NAMESPACE_URL, " ".join(words)))


def identity_id(name: str) -> str:
    return f"{SUB}/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"


@dataclass
class Tenant:
    """Exports to be: applications and identities by name, their sign-ins, observed subjects and changes."""

    applications: list[dict[str, Any]] = field(default_factory=list)
    credentials: list[dict[str, Any]] = field(default_factory=list)
    principals: list[dict[str, Any]] = field(default_factory=list)
    sign_ins: list[dict[str, Any]] = field(default_factory=list)
    observed: list[dict[str, str]] = field(default_factory=list)
    audits: list[dict[str, Any]] = field(default_factory=list)

    def application(self, name: str, *held: dict[str, Any], audience: str | None = "AzureADMyOrg") -> str:
        """Add an application with credentials; return the object id of its service principal."""
        app = {"id": guid("app", name), "appId": guid("client", name), "signInAudience": audience}
        said = [{"id": guid("credential", name, one["name"]), "description": None} | one for one in held]
        self.applications.append(app | {"federatedIdentityCredentials": said})
        self._principal(name, "Application", guid("client", name), [])
        return guid("sp", name)

    def identity(self, name: str, *held: tuple[str, str], listed: bool = True) -> str:
        """Add a user-assigned identity with credentials of `(name, subject)`; return its object id."""
        for credential, subject in held:
            self.credentials.append(
                {
                    "id": f"{identity_id(name)}/federatedIdentityCredentials/{credential}",
                    "name": credential,
                    "type": "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials",
                    "properties": {"issuer": CLUSTER, "subject": subject, "audiences": AUDIENCES},
                }
            )
        if listed:
            self._principal(name, "ManagedIdentity", guid("client", name), ["isExplicit=True", identity_id(name)])
        return guid("sp", name)

    def signs_in(self, name: str, credential: str | None, days: list[dt.date], kind: str = "ServicePrincipal") -> None:
        """Add a sign-in a day; `credential` is the id in the log, None where the log has no such key."""
        for day in days:
            said = {} if credential is None else {"federatedCredentialId": credential}
            self.sign_ins.append(
                {
                    "time": f"{day}T07:00:00Z",
                    "resourceId": "/tenants/33333333-0000-0000-0000-000000000000/providers/Microsoft.aadiam",
                    "operationName": "Sign-in activity",
                    "category": f"{kind}SignInLogs",
                    "resultType": "0",
                    "properties": {
                        "id": guid("sign-in", name, str(credential), str(day)),
                        "createdDateTime": f"{day}T06:59:58Z",
                        "servicePrincipalId": guid("sp", name),
                        "servicePrincipalName": name,
                        "appId": guid("client", name),
                        "resourceId": ARM,
                        "resourceDisplayName": "Azure Resource Manager",
                        **said,
                    },
                }
            )

    def runs(self, name: str, subject: str, days: list[dt.date], **more: str) -> None:
        """Add what the platform's logs say of runs."""
        for day in days:
            row = {"issuer": GITHUB, "subject": subject, "time": f"{day}T06:59:00Z", "app_id": guid("client", name)}
            self.observed.append(row | {"job_workflow_ref": "", "run": f"run {day}"} | more)

    def changed(self, name: str, day: dt.date) -> None:
        """Add a change of an application to the audit log."""
        self.audits.append(
            {
                "id": guid("audit", name),
                "category": "ApplicationManagement",
                "correlationId": guid("correlation", name),
                "result": "success",
                "activityDisplayName": "Update application",
                "activityDateTime": f"{day}T10:00:00Z",
                "loggedByService": "Core Directory",
                "operationType": "Update",
                "initiatedBy": {"user": {"id": guid("user", "ada"), "userPrincipalName": "ada@contoso.example"}},
                "targetResources": [{"id": guid("app", name), "displayName": name, "type": "Application"}],
            }
        )

    def load(self, folder: Path, *, days: str = WINDOW) -> Path:
        """Write the exports, load them, and return the store."""
        graph = "https://graph.microsoft.com/beta/$metadata#"
        trust = {"@odata.context": f"{graph}applications(id,appId,signInAudience)", "value": self.applications}
        people = {"@odata.context": f"{graph}servicePrincipals", "value": self.principals}
        files = {"trust.json": trust, "people.json": people, "operations.json": _CATALOGUE}
        files |= {"identities.json": {"value": self.credentials}} if self.credentials else {}
        for name, document in files.items():
            (folder / name).write_text(json.dumps(document))
        for name, records in (("sign-ins.jsonl", self.sign_ins), ("audits.jsonl", self.audits)):
            (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))
        with (folder / "runs.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, [*self.observed[0]] if self.observed else ["issuer", "subject", "time"])
            writer.writeheader()
            writer.writerows(self.observed)
        (folder / "activity.jsonl").write_text(json.dumps(_ACTIVITY) + "\n")
        db = folder / "store.duckdb"
        listings = [folder / name for name in files] + ([folder / "runs.csv"] if self.observed else [])
        load_paths(db, listings)
        load_paths(db, [folder / "sign-ins.jsonl"], covers=days, source="sign_in_log", scope="/")
        if self.audits:
            load_paths(db, [folder / "audits.jsonl"], covers=days, source="entra_audit_log", scope="/")
        load_paths(db, [folder / "activity.jsonl"], covers=days, source="activity_log", scope=SUB)
        return db

    def _principal(self, name: str, kind: str, app_id: str, others: list[str]) -> None:
        self.principals.append(
            {
                "id": guid("sp", name),
                "appId": app_id,
                "displayName": name,
                "servicePrincipalType": kind,
                "accountEnabled": True,
                "createdDateTime": "2024-05-01T08:00:00Z",
                "alternativeNames": others,
            }
        )


def exact(name: str, subject: str) -> dict[str, Any]:
    return {"name": name, "issuer": GITHUB, "subject": subject, "audiences": AUDIENCES}


def flexible(name: str, expression: str) -> dict[str, Any]:
    matching = {"value": expression, "languageVersion": 1}
    return exact(name, "") | {"subject": None, "claimsMatchingExpression": matching}


_ACTIVITY = {
    "time": "2026-02-01T08:00:00Z",
    "resourceId": f"{SUB}/resourceGroups/rg",
    "operationName": "Microsoft.Resources/subscriptions/resourceGroups/write",
    "category": "Administrative",
    "resultType": "Success",
    "resultSignature": "Succeeded.",
    "correlationId": guid("call"),
    "identity": {
        "authorization": {
            "scope": f"{SUB}/resourceGroups/rg",
            "action": "Microsoft.Resources/subscriptions/resourceGroups/write",
        },
        "claims": {"http://schemas.microsoft.com/identity/claims/objectidentifier": guid("user", "ada")},
    },
}
_CATALOGUE = [
    {
        "name": "Microsoft.Resources",
        "id": "/providers/Microsoft.Authorization/providerOperations/Microsoft.Resources",
        "type": "Microsoft.Authorization/providerOperations",
        "displayName": "Microsoft Resources",
        "operations": [],
        "resourceTypes": [
            {
                "name": "subscriptions/resourceGroups",
                "displayName": "Resource groups",
                "operations": [
                    {
                        "name": "Microsoft.Resources/subscriptions/resourceGroups/write",
                        "displayName": "Write",
                        "description": "",
                        "isDataAction": False,
                        "origin": "user,system",
                    }
                ],
            }
        ],
    }
]
HOSTILE = "repo:contoso/shop:environment:$(reboot)`id`'; rm -rf \u202e"


def planted() -> Tenant:
    """Return the tenant; `EXPECTED` has the decision on each credential."""
    one = Tenant()
    one.application(
        "deployer",
        exact("main", "repo:contoso/shop:ref:refs/heads/main"),
        exact("Old", "repo:contoso/shop:pull_request"),
    )
    one.signs_in("deployer", guid("credential", "deployer", "main"), DAYS)
    one.application("wide", flexible("any", "claims['sub'] matches 'repo:contoso/infra:*'"))
    one.signs_in("wide", guid("credential", "wide", "any").upper(), DAYS[::2])
    one.runs("wide", "repo:contoso/infra:ref:refs/heads/main", DAYS[::2])
    one.runs("wide", "repo:contoso/infra:environment:production", DAYS[:3])
    one.application("asked", flexible("org", "claims['sub'] matches 'repo:contoso/*'"))
    one.signs_in("asked", guid("credential", "asked", "org"), DAYS[::3])
    one.runs("asked", "repo:contoso/web:ref:refs/heads/main", DAYS[:1])
    one.application("many", exact("x", "repo:contoso/x:environment:x"), audience="AzureADMultipleOrgs")
    one.application("unsaid", exact("x", "repo:contoso/u:environment:x"), audience=None)
    one.application("hidden", {"name": "h", "issuer": GITHUB, "subject": None, "audiences": AUDIENCES})
    one.application("<b>evil</b>", exact("evil", HOSTILE))
    one.application("fresh", exact("new", "repo:contoso/new:environment:test"))
    one.changed("fresh", LAST - dt.timedelta(days=3))
    one.application(
        "reusable",
        flexible("flow", "claims['sub'] matches 'repo:contoso/*' and claims['job_workflow_ref'] eq 'c/f/x.yml@main'"),
    )
    one.signs_in("reusable", guid("credential", "reusable", "flow"), DAYS[:5])
    one.runs("reusable", "repo:contoso/a:ref:refs/heads/main", DAYS[:5], job_workflow_ref="c/f/x.yml@main")
    one.identity("pod", ("pod", "system:serviceaccount:shop:pod"))
    one.signs_in("pod", guid("what Entra calls it"), DAYS, "ManagedIdentity")
    one.identity("two", ("a", "system:serviceaccount:shop:a"), ("b", "system:serviceaccount:shop:b"))
    one.signs_in("two", guid("one of the two"), DAYS[:4], "ManagedIdentity")
    one.identity("idle", ("Idle", "system:serviceaccount:shop:idle"))
    one.identity("gone", ("g", "system:serviceaccount:shop:g"), listed=False)
    return one


EXPECTED = {
    "main": ("used", "keep"),
    "Old": ("unused", "remove"),
    "any": ("used", "narrow_scope"),
    "org": ("used", "keep"),
    "many": ("unobservable", "keep"),
    "unsaid": ("unobservable", "keep"),
    "h": ("unused", "keep"),
    "evil": ("unused", "remove"),
    "new": ("unused", "keep"),
    "flow": ("used", "narrow_scope"),
    "pod": ("used", "keep"),
    "a": ("out_of_coverage", "keep"),
    "b": ("out_of_coverage", "keep"),
    "Idle": ("unused", "remove"),
    "g": ("out_of_coverage", "keep"),
}
"""For each credential, by its name (`x` by its application): the verdict, and what an expert would do."""
