"""Declare the directory audit log of Microsoft Entra.

Some exports have the categories of its activities where others have `AuditLogs`.
Source: Microsoft Learn, "Microsoft Entra audit log categories and activities".
"""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Stage

_ACTIVITIES = (
    "administrativeunit applicationmanagement attributemanagement authentication authorization authorizationpolicy b2c "
    "certificatebasedauthconfiguration contact crosstenantaccesssettings crosstenantidentitysyncsettings device "
    "deviceconfiguration directorymanagement entitlementmanagement externaluserprofile groupmanagement "
    "identityprotection kerberosdomain keymanagement label multitenantorg multitenantorgidentitysyncpolicyupdate other "
    "pendingexternaluserprofile permissiongrantpolicy policy policymanagement provisioningmanagement "
    "resourcemanagement rolemanagement taskmanagement transactionmanagement userauthentication usermanagement "
    "workflowmanagement"
)

SOURCE = LogSource(
    name="entra_audit",
    source="entra_audit_log",
    records="entra_audit",
    sent_by="tenant",
    splits=True,
    covered=("AuditLogs",),
    needed=("correlation_id", "operation_name"),
    tables=("auditlogs",),
    collected=("AuditLogs",),
    categories=("auditlogs",),
    category_stage=Stage.CATEGORY,
    recognised=(
        # Before an unknown table: flattened records have the type of an object where rows have their table.
        (Stage.MARK, "logged_by IS NOT NULL"),
        # Every log of Microsoft Entra comes from the same resource: what a record is, its category says.
        (
            Stage.CATEGORY,
            "resource_key LIKE '/tenants/%/providers/microsoft.aadiam%' AND category_key IN "
            f"({', '.join(repr(word) for word in _ACTIVITIES.split())})",
        ),
    ),
    marks=("logged_by",),
    likely_keys=(frozenset({"loggedbyservice"}),),
)
