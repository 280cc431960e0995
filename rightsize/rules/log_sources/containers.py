"""Declare the logs of containers: the audit log of the Kubernetes API server of AKS, and those of registries.

An event of Kubernetes is one JSON text (`log`), or has its parts in columns. Sources: Kubernetes documentation,
"Auditing"; Microsoft Learn, tables AKSAudit, AKSAuditAdmin, ContainerRegistryRepositoryEvents,
ContainerRegistryLoginEvents and AzureDiagnostics.
"""

from __future__ import annotations

from rightsize.rules.log_source import Counted, LogSource, Opened, Stage

_KUBERNETES_RULES = {
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

KUBERNETES = LogSource(
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
    rules=_KUBERNETES_RULES,
    counted=Counted(
        request="AuditId",
        parts=('extract(@"^([^?#]*)", 1, RequestUri)', "Verb"),
        code="tostring(ResponseStatus.code)",
        who=("User",),
        columns={
            "ResourceId": "_ResourceId",
            "Verb": "Verb",
            "User": 'tostring(bag_pack("username", User.username, "extra", bag_pack("oid", User.extra.oid)))',
            "ObjectRef": 'tostring(bag_pack("apiGroup", ObjectRef.apiGroup, "resource", ObjectRef.resource, '
            '"subresource", ObjectRef.subresource, "namespace", ObjectRef.namespace))',
            "ResponseStatus": 'tostring(bag_pack("code", ResponseStatus.code))',
            "Annotations": 'tostring(bag_pack("authorization.k8s.io/decision", '
            'Annotations["authorization.k8s.io/decision"], "authorization.k8s.io/reason", '
            'Annotations["authorization.k8s.io/reason"]))',
            # The path of a request for a resource says no more than the reference does.
            "RequestUri": 'iff(isempty(tostring(ObjectRef.resource)), extract(@"^([^?#]*)", 1, RequestUri), "")',
        },
    ),
)


_REGISTRY_RULES = {
    # pattern,plane,observable_by,reason,source
    "observability": """
Microsoft.ContainerRegistry/registries/pull/read,control,registry_log,,"Microsoft Learn: Azure Container Registry monitoring data reference, repository events"
Microsoft.ContainerRegistry/registries/push/write,control,registry_log,,"Microsoft Learn: Azure Container Registry monitoring data reference, repository events"
Microsoft.ContainerRegistry/registries/artifacts/delete,control,registry_log,,"Microsoft Learn: Azure Container Registry monitoring data reference, repository events"
Microsoft.ContainerRegistry/registries/repositories/content/*,data,registry_log,,Microsoft Learn: ContainerRegistryRepositoryEvents
Microsoft.ContainerRegistry/*,data,,no_resource_log,Microsoft Learn: repository events name pulls and pushes and deletes of artifacts only
""",
    # pattern,plane,log,resource_type,part,categories,source
    "resource_logs": """
Microsoft.ContainerRegistry/registries/repositories/content/*,data,registry_log,Microsoft.ContainerRegistry/registries,,ContainerRegistryRepositoryEvents,"Microsoft Learn: Azure Container Registry monitoring data reference, repository events"
Microsoft.ContainerRegistry/registries/pull/read,control,registry_log,Microsoft.ContainerRegistry/registries,,ContainerRegistryRepositoryEvents,"Microsoft Learn: Azure Container Registry monitoring data reference, repository events"
Microsoft.ContainerRegistry/registries/push/write,control,registry_log,Microsoft.ContainerRegistry/registries,,ContainerRegistryRepositoryEvents,"Microsoft Learn: Azure Container Registry monitoring data reference, repository events"
Microsoft.ContainerRegistry/registries/artifacts/delete,control,registry_log,Microsoft.ContainerRegistry/registries,,ContainerRegistryRepositoryEvents,"Microsoft Learn: Azure Container Registry monitoring data reference, repository events"
""",
    # item,log,category,table,gb_per_1000_users,bytes_per_record,records_per_day,retained_days,licence,policies,source
    "log_tables": """
log:microsoft.containerregistry/registries,registry_log,ContainerRegistryRepositoryEvents,ContainerRegistryRepositoryEvents,,700,10000,0,,,Microsoft Learn: Azure Container Registry monitoring data reference; size of a record and records a day are an assumption
""",
    # service,operation,action,plane,level,access,source
    "log_request_operations": """
registry,Pull,Microsoft.ContainerRegistry/registries/pull/read,control,resource,roles,Microsoft Learn: Azure Container Registry monitoring data reference (repository events) and registry roles
registry,Push,Microsoft.ContainerRegistry/registries/push/write,control,resource,roles,Microsoft Learn: Azure Container Registry monitoring data reference (repository events) and registry roles
registry,Delete,Microsoft.ContainerRegistry/registries/artifacts/delete,control,resource,roles,Microsoft Learn: Azure Container Registry monitoring data reference (repository events) and registry roles
registry,Untag,Microsoft.ContainerRegistry/registries/artifacts/delete,control,resource,roles,Microsoft Learn: Azure Container Registry monitoring data reference (repository events) and registry roles
registry,Login,,,resource,none,Microsoft Learn: Azure Container Registry monitoring data reference (login events); a token or a key was shown and nothing was asked for
registry,Purge*,,,resource,none,Microsoft Learn: Azure Container Registry retention policy; the registry purges by itself
""",
}

_LOGIN = "lower(coalesce(category, table_name)) = 'containerregistryloginevents'"

_NAMED = "coalesce(CASE WHEN identity NOT LIKE '{%' THEN identity END, in_named)"
_HEX = "[0-9A-Fa-f]"
_GUID = "-".join(f"{_HEX}{{{digits}}}" for digits in (8, 4, 4, 4, 12))

REGISTRY = LogSource(
    name="registry",
    source="registry_log",
    records="requests",
    covered=("ContainerRegistryRepositoryEvents",),
    pascal={"repository": ("Repository",)},
    tables=("containerregistryrepositoryevents", "containerregistryloginevents"),
    collected=("ContainerRegistryRepositoryEvents", "ContainerRegistryLoginEvents"),
    categories=("containerregistryrepositoryevents", "containerregistryloginevents"),
    recognised=(
        (
            Stage.SERVICE_FIELDS,
            "repository IS NOT NULL AND resource_key LIKE '%/microsoft.containerregistry/%'",
        ),
    ),
    marks=("repository",),
    opened=(
        Opened(
            "properties",
            {"in_named": ("$.identity",), "in_status": ("$.statusCode",), "in_target": ("$.repository",)},
        ),
    ),
    columns={
        "category": f"CASE WHEN {_LOGIN} THEN 'ContainerRegistryLoginEvents' "
        "ELSE 'ContainerRegistryRepositoryEvents' END",
        "service": "'registry'",
        "named": _NAMED,
        # A name and no id is an account of the registry itself, its administrator or a token.
        "known_access": f"CASE WHEN {_NAMED} IS NULL THEN 'anonymous' "
        f"WHEN {_NAMED} NOT LIKE '%@%' AND NOT regexp_matches({_NAMED}, '^{_GUID}$') THEN 'key' END",
        # The result type is the word HttpStatusCode, and the description has the code.
        "http_status": "coalesce(status_code, in_status, description)",
        "result": "status",
        "target": "coalesce(repository, in_target)",
    },
    rules=_REGISTRY_RULES,
)
