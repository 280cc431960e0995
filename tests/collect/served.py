"""The exports that hold what the loopback service serves of a tenant."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from rightsize.demo.generator import write_exports
from tests.loopback.arm import diagnostic_setting
from tests.loopback.content import Content


def write_served(content: Content, folder: Path) -> None:
    """Write the exports of what the service serves: all but Graph permissions, the logs of Graph and of other services.

    The inventory is the service's own, which lists a workspace beside what the tenant's exports have.
    """
    write_exports(content.tenant, folder)
    for name in ("graph-activity", "catalogue", "requests", "inventory", "directory/insights-logs-auditlogs"):
        shutil.rmtree(folder / name)
    for path in [
        *folder.glob("directory/*-graph.json"),
        *folder.glob("directory/*-exchange.json"),
        *folder.glob("directory/*-azure.json"),
    ]:
        path.unlink()
    for name in ("AuditLogs.csv", "directory-audits.json", "oauth2PermissionGrants.json"):
        (folder / "directory" / name).unlink()
    resources = content.resources
    logged = {resource.lower() for resource in content.tenant.logged_resources}
    settings = [
        diagnostic_setting(content, f"{resource['id']}/blobServices/default")
        for resource in resources
        if resource["id"].lower() in logged
    ]
    (folder / "inventory").mkdir()
    for name, records in (
        ("resources", resources),
        ("diagnostic-settings", settings),
        ("federated-credentials", content.federated_credentials),
    ):
        (folder / "inventory" / f"{name}.json").write_text(json.dumps({"value": records}), encoding="utf-8")
