"""Read app role assignments and delegated permission grants, as Graph lists them, and the permissions APIs publish.

The ids of both are not GUIDs and are case-sensitive, so they keep their spelling.
Source: Microsoft Learn, Graph v1.0 resource types appRoleAssignment, oAuth2PermissionGrant, servicePrincipal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from rightsize.ingest.entities.fields import Field, field, read_fields
from rightsize.ingest.entities.look import Look, look_at
from rightsize.ingest.shapes import Context
from rightsize.rbac.text import fold

_ASSIGNMENT_FIELDS = (
    field("id", "id", mandatory=True),
    field("principal_id", "principalId", kind="id", mandatory=True),
    field("principal_type", "principalType"),
    field("principal_name", "principalDisplayName"),
    field("resource_id", "resourceId", kind="id", mandatory=True),
    field("resource_name", "resourceDisplayName"),
    field("app_role_id", "appRoleId", kind="id", mandatory=True),
    field("created_on", "createdDateTime", kind="time"),
)
_INSERT_ASSIGNMENTS = """
INSERT INTO stage_app_role_assignments (file_id, line, app_role_assignment_id, principal_id, principal_type,
    principal_name, resource_id, resource_name, app_role_id, created_on)
SELECT file_id, line, trim(id), principal_id, principal_type, principal_name, resource_id, resource_name, app_role_id,
    created_on
FROM entity_rows
"""

_GRANT_FIELDS = (
    field("id", "id", mandatory=True),
    field("client_id", "clientId", kind="id", mandatory=True),
    field("consent_type", "consentType", words=("allprincipals", "principal")),
    field("principal_id", "principalId", kind="id"),
    field("resource_id", "resourceId", kind="id", mandatory=True),
    field("scope", "scope"),
)
_INSERT_GRANTS = """
INSERT INTO stage_permission_grants (file_id, line, permission_grant_id, client_id, consent_type, principal_id,
    resource_id, permissions)
SELECT file_id, line, trim(id), client_id, CASE WHEN lower(trim(consent_type)) = 'principal'
        OR (coalesce(consent_type, '') = '' AND principal_id IS NOT NULL) THEN 'Principal' ELSE 'AllPrincipals' END,
    principal_id, resource_id,
    list_sort(list_distinct(list_filter(string_split(coalesce(scope, ''), ' '), lambda one: one <> '')))
FROM entity_rows
"""


@dataclass(frozen=True, slots=True)
class GrantShape:
    """A listing of grants; its records have `keys`, and the context of an empty page ends in one of `pages`."""

    name: str
    keys: tuple[str, ...]
    pages: tuple[str, ...]
    fields: tuple[Field, ...]
    insert: str

    @property
    def source(self) -> str:
        """Return the word for it in `loads`."""
        return self.name

    def recognises(self, record: Mapping[str, Any], context: Context) -> bool:
        """Return whether a record has this shape; `{}` stands for an empty page."""
        if not record:
            return fold(context.odata_context).endswith(self.pages)
        look: Look = look_at(record)
        return not look.type and all(key in look.outer for key in self.keys)

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the records of `relation` into the staging tables."""
        read_fields(con, relation, self.fields)
        con.execute(self.insert)


PERMISSION_SHAPES = (
    GrantShape(
        "app_role_assignments",
        ("approleid", "principalid", "resourceid"),
        ("/approleassignedto", "/approleassignments", "#approleassignments"),
        _ASSIGNMENT_FIELDS,
        _INSERT_ASSIGNMENTS,
    ),
    GrantShape(
        "permission_grants",
        ("clientid", "resourceid", "scope"),
        ("oauth2permissiongrants",),
        _GRANT_FIELDS,
        _INSERT_GRANTS,
    ),
)


_PUBLISHED = {
    "application": ("appRoles", "AppRoles"),
    "delegated": (
        "oauth2PermissionScopes",
        "Oauth2PermissionScopes",
        "publishedPermissionScopes",
        "oauth2Permissions",
    ),
}
"""Keys under which a service principal lists its permissions, as spelt by Graph, PowerShell and older versions."""


def published_permissions(relation: str) -> str:
    """Return SQL that stages the app roles and delegated permissions that service principals publish.

    Reads `entity_judged` of the directory and its records. Lists within a record are short and become rows.
    """
    found = " UNION ALL ".join(
        f"SELECT file_id, line, '{access}' AS access, unnest(TRY(from_json(coalesce("
        + ", ".join(f"nullif(record ->> '$.{key}', '')" for key in keys)
        + f"), '[\"JSON\"]'))) AS one FROM {relation}"
        for access, keys in _PUBLISHED.items()
    )

    def member(name: str) -> str:
        return f"coalesce(one ->> '$.{name}', one ->> '$.{name[0].upper()}{name[1:]}')"

    return f"""
INSERT INTO stage_api_permissions (file_id, line, api_app_id, permission_id, access, permission, display_name,
    is_enabled)
SELECT file_id, line, app_id, lower({member("id")}), access, nullif({member("value")}, ''),
    coalesce({member("displayName")}, {member("adminConsentDisplayName")}), TRY_CAST({member("isEnabled")} AS BOOLEAN)
FROM ({found}) JOIN entity_judged USING (file_id, line)
WHERE problem IS NULL AND kind = 'serviceprincipal' AND app_id IS NOT NULL AND {member("id")} IS NOT NULL
"""
