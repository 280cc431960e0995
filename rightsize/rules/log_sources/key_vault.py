"""Declare the audit log of key vaults.

`AuditEvent` is the category of several services; the resource shows which one.
Sources: Microsoft Learn, "Azure Key Vault logging", tables AZKVAuditLogs and AzureDiagnostics of Log Analytics.
"""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Opened, Stage

_RULES = {
    # pattern,plane,observable_by,reason,source
    "observability": """
Microsoft.KeyVault/managedHsms/*,data,,own_roles,Microsoft Learn: Managed HSM local RBAC
Microsoft.KeyVault/vaults/storageAccounts/*,data,,no_resource_log,Microsoft Learn: Azure Key Vault logging names no operations of managed storage accounts
Microsoft.KeyVault/vaults/certificates/release/action,data,,no_resource_log,Microsoft Learn: Azure Key Vault logging names no such operation
Microsoft.KeyVault/*,data,key_vault_log,,Microsoft Learn: Azure Key Vault logging (AuditEvent)
""",
    # pattern,plane,log,resource_type,part,categories,source
    "resource_logs": """
Microsoft.KeyVault/vaults/*,data,key_vault_log,Microsoft.KeyVault/vaults,,AuditEvent,Microsoft Learn: Azure Key Vault logging
""",
    # item,log,category,table,gb_per_1000_users,bytes_per_record,records_per_day,retained_days,licence,policies,source
    "log_tables": """
log:microsoft.keyvault/vaults,key_vault_log,AuditEvent,AZKVAuditLogs,,1000,10000,0,,6b359d8f-f88d-4052-aa7c-32015963ecc1,Microsoft Learn: Azure Key Vault logging; 1000 bytes is its sample record; records a day are an assumption; Microsoft Learn: Built-in policies for Azure Monitor names the policy
""",
}

_CLAIMS = "http://schemas.microsoft.com/identity/claims"
_UPN = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"

_BY_ROLES = "lower(coalesce(by_roles, in_by_roles))"
_BY_POLICY = "lower(coalesce(by_policy, in_by_policy))"

SOURCE = LogSource(
    name="key_vault",
    source="key_vault_log",
    records="requests",
    covered=("AuditEvent",),
    pascal={
        "diagnostic_object_id": (
            "identity_claim_oid_g",
            "identity_claim_http_schemas_microsoft_com_identity_claims_objectidentifier_g",
        ),
        "diagnostic_upn": (
            "identity_claim_upn_s",
            "identity_claim_http_schemas_xmlsoap_org_ws_2005_05_identity_claims_upn_s",
        ),
        "diagnostic_app_id": ("identity_claim_appid_g",),
        "by_roles": ("IsRbacAuthorized", "isRbacAuthorized_b"),
        "by_policy": ("IsAccessPolicyMatch", "isAccessPolicyMatch_b"),
        "applied_assignment": ("AppliedAssignmentId", "appliedAssignmentId_g", "appliedAssignmentId_s"),
    },
    tables=("azkvauditlogs",),
    collected=("AZKVAuditLogs",),
    likely_categories=("auditevent",),
    recognised=(
        (Stage.SERVICE, "category_key = 'auditevent' AND resource_key LIKE '%/microsoft.keyvault/vaults/%'"),
        (Stage.SERVICE_FIELDS, "by_policy IS NOT NULL OR by_roles IS NOT NULL"),
    ),
    marks=("by_policy", "by_roles"),
    opened=(
        Opened(
            "properties",
            {
                "in_http_status": ("$.httpStatusCode", "$.HttpStatusCode"),
                "in_target": ("$.requestUri",),
                "in_by_roles": ("$.isRbacAuthorized",),
                "in_by_policy": ("$.isAccessPolicyMatch",),
                "in_assignment": ("$.appliedAssignmentId",),
            },
        ),
        # The claims of a token include its id; the log has the claims that the service passes on.
        Opened(
            "identity",
            {
                "claim_object_id": (f'$.claim."{_CLAIMS}/objectidentifier"', "$.claim.oid"),
                "claim_upn": (f'$.claim."{_UPN}"', "$.claim.upn"),
                "claim_app_id": ("$.claim.appid", "$.claim.azp"),
                "claim_token_id": ("$.claim.uti",),
                "claim_session_id": ("$.claim.sid",),
            },
        ),
    ),
    columns={
        "category": "'AuditEvent'",
        "service": "'key_vault'",
        "object_id": "coalesce(diagnostic_object_id, claim_object_id)",
        "upn": "coalesce(diagnostic_upn, claim_upn)",
        "app_id": "coalesce(diagnostic_app_id, claim_app_id)",
        "http_status": "coalesce(http_status, in_http_status)",
        "result": "coalesce(sub_status, status)",
        "known_access": f"CASE WHEN coalesce({_BY_ROLES}, '') <> 'true' AND {_BY_POLICY} = 'true' "
        "THEN 'access_policy' END",
        # A client asks once without a token to learn whom to ask for one; an old token is no refusal either.
        "unauthorized": "'none'",
        "target": "coalesce(request_uri, in_target)",
        "role_assignment_id": "coalesce(applied_assignment, in_assignment)",
        "token_id": "claim_token_id",
        "session_id": "claim_session_id",
    },
    rules=_RULES,
)
