"""Declare the logs of container registries: what was pulled, pushed and deleted, and sign-ins.

Sources: Microsoft Learn, tables ContainerRegistryRepositoryEvents, ContainerRegistryLoginEvents and AzureDiagnostics.
"""

from __future__ import annotations

from rightsize.rules.log_source import LogSource, Opened, Stage

_RULES = {
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

SOURCE = LogSource(
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
    rules=_RULES,
)
