"""Declare the audit log of the Kubernetes API server of AKS.

An event is one JSON text (`log`), or has its parts in columns.
Sources: Kubernetes documentation, "Auditing"; Microsoft Learn, tables AKSAudit, AKSAuditAdmin and AzureDiagnostics.
"""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Opened, Stage

_RULES = {
    # pattern,plane,observable_by,reason,source
    "observability": """
Microsoft.ContainerService/managedClusters/*,data,aks_audit_log,,Microsoft Learn: AKS kube-audit
Microsoft.ContainerService/*,data,,no_resource_log,Microsoft Learn: AKS kube-audit speaks of managed clusters only
""",
    # pattern,plane,log,resource_type,part,categories,source
    "resource_logs": """
Microsoft.ContainerService/managedClusters/*/read,data,aks_audit_log,Microsoft.ContainerService/managedClusters,,kube-audit,Microsoft Learn: AKS monitoring data reference; kube-audit-admin leaves out get and list
Microsoft.ContainerService/managedClusters/*,data,aks_audit_log,Microsoft.ContainerService/managedClusters,,kube-audit|kube-audit-admin,Microsoft Learn: AKS monitoring data reference
""",
    # item,log,category,table,gb_per_1000_users,bytes_per_record,records_per_day,retained_days,licence,policies,source
    "log_tables": """
log:microsoft.containerservice/managedclusters,aks_audit_log,kube-audit,AKSAudit,,2000,200000,0,,,Microsoft Learn: AKS monitoring data reference and Monitor apiserver requests (substantial cost); size of a record and records a day are an assumption
""",
}

_ADMIN = "lower(coalesce(category, table_name)) IN ('kube-audit-admin', 'aksauditadmin')"
_ANNOTATION = '"authorization.k8s.io/{}"'


def _of(column: str, part: str, path: str) -> str:
    """Return SQL for a value of an event: from its JSON text, else from the JSON text of a column."""
    return f"coalesce(nullif(TRY(json_extract_string({column}, '$.{path}')), ''), {part})"


_OBJECT_ID = _of("audit_user", "in_object_id", "extra.oid[0]")
_REASON = _of("annotations", "in_reason", _ANNOTATION.format("reason"))

SOURCE = LogSource(
    name="kubernetes",
    source="aks_audit_log",
    records="requests",
    covered=("kube-audit", "kube-audit-admin"),
    pascal={
        "audit_text": ("log_s",),
        "audit_id": ("AuditId",),
        "verb": ("Verb",),
        "audit_user": ("User",),
        "object_ref": ("ObjectRef",),
        "response_status": ("ResponseStatus",),
        "stage": ("Stage",),
        "annotations": ("Annotations",),
        "source_ips": ("SourceIps",),
    },
    tables=("aksaudit", "aksauditadmin"),
    collected=("AKSAudit", "AKSAuditAdmin"),
    categories=("kube-audit", "kube-audit-admin"),
    recognised=((Stage.SERVICE_FIELDS, "audit_id IS NOT NULL AND verb IS NOT NULL AND object_ref IS NOT NULL"),),
    marks=("audit_id",),
    opened=(
        Opened("properties", {"in_log": ("$.log",)}),
        Opened(
            "coalesce(audit_text, in_log)",
            {
                "in_verb": ("$.verb",),
                "in_user": ("$.user.username",),
                "in_object_id": ("$.user.extra.oid[0]",),
                "in_api_group": ("$.objectRef.apiGroup",),
                "in_kind": ("$.objectRef.resource",),
                "in_subresource": ("$.objectRef.subresource",),
                "in_namespace": ("$.objectRef.namespace",),
                "in_target": ("$.requestURI",),
                "in_code": ("$.responseStatus.code",),
                "in_audit_id": ("$.auditID",),
                "in_source_ip": ("$.sourceIPs[0]",),
                "in_stage": ("$.stage",),
                "in_decision": (f"$.annotations.{_ANNOTATION.format('decision')}",),
                "in_reason": (f"$.annotations.{_ANNOTATION.format('reason')}",),
                "in_impersonated": ("$.impersonatedUser.username",),
                "in_token_id": ("$.user.extra.uti[0]",),
                "in_session_id": ("$.user.extra.sid[0]",),
            },
        ),
    ),
    columns={
        "category": f"CASE WHEN {_ADMIN} THEN 'kube-audit-admin' ELSE 'kube-audit' END",
        "service": "'kubernetes'",
        "operation_name": "coalesce(verb, in_verb)",
        "object_id": _OBJECT_ID,
        "named": _of("audit_user", "in_user", "username"),
        "caller_ip": "coalesce(nullif(TRY(json_extract_string(source_ips, '$[0]')), ''), in_source_ip)",
        "correlation_id": "coalesce(audit_id, in_audit_id)",
        "http_status": _of("response_status", "in_code", "code"),
        "result": _of("annotations", "in_decision", _ANNOTATION.format("decision")),
        "impersonated": "in_impersonated",
        "reason": _REASON,
        # Accounts of the cluster's own, certificates and bindings inside it are not decided by Azure.
        "known_access": f"CASE WHEN {_REASON} LIKE '%Azure RBAC%' THEN 'roles' "
        f"WHEN {_OBJECT_ID} IS NULL OR {_REASON} LIKE 'RBAC:%' THEN 'own_roles' ELSE 'roles' END",
        "target": "coalesce(request_uri, in_target)",
        "namespace": _of("object_ref", "in_namespace", "namespace"),
        "verb": "coalesce(verb, in_verb)",
        "api_group": _of("object_ref", "in_api_group", "apiGroup"),
        "kind": _of("object_ref", "in_kind", "resource"),
        "subresource": _of("object_ref", "in_subresource", "subresource"),
        "token_id": _of("audit_user", "in_token_id", "extra.uti[0]"),
        "session_id": _of("audit_user", "in_session_id", "extra.sid[0]"),
    },
    rules=_RULES,
)
