"""Read permission grants, the permissions that APIs publish, and the Microsoft Graph catalogue.

The ids of both are not GUIDs and are case-sensitive, so they keep their spelling.
Source: Microsoft Learn, Graph v1.0 resource types appRoleAssignment, oAuth2PermissionGrant, servicePrincipal.

The map is the source of Graph's own documentation. Its paths write ids and values in many ways; here they get one form.
`AlsoRequires` names additional permissions; one of several is enough.
Sources: the formats of permissions.json and provisioningInfo.json of Graph's developer experience content; Microsoft
Learn, Graph v1.0 resource types appRole and permissionScope.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from rightsize.ingest.entities import shape
from rightsize.model.errors import InputError
from rightsize.model.text import fold

_ASSIGNMENT_FIELDS = (
    shape.field("id", "id", mandatory=True),
    shape.field("principal_id", "principalId", kind="id", mandatory=True),
    shape.field("principal_type", "principalType"),
    shape.field("principal_name", "principalDisplayName"),
    shape.field("resource_id", "resourceId", kind="id", mandatory=True),
    shape.field("resource_name", "resourceDisplayName"),
    shape.field("app_role_id", "appRoleId", kind="id", mandatory=True),
    shape.field("created_on", "createdDateTime", kind="time"),
)
_INSERT_ASSIGNMENTS = """
INSERT INTO stage_app_role_assignments (file_id, line, app_role_assignment_id, principal_id, principal_type,
    principal_name, resource_id, resource_name, app_role_id, created_on)
SELECT file_id, line, trim(id), principal_id, principal_type, principal_name, resource_id, resource_name, app_role_id,
    created_on
FROM entity_rows
"""

_GRANT_FIELDS = (
    shape.field("id", "id", mandatory=True),
    shape.field("client_id", "clientId", kind="id", mandatory=True),
    shape.field("consent_type", "consentType", words=("allprincipals", "principal")),
    shape.field("principal_id", "principalId", kind="id"),
    shape.field("resource_id", "resourceId", kind="id", mandatory=True),
    shape.field("scope", "scope"),
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
    fields: tuple[shape.Field, ...]
    insert: str

    @property
    def source(self) -> str:
        """Return the word for it in `loads`."""
        return self.name

    def recognises(self, look: shape.Look, context: shape.Context) -> bool:
        """Return whether a record has this shape; `{}` stands for an empty page."""
        if not look.record:
            return fold(context.odata_context).endswith(self.pages)
        return not look.type and all(key in look.outer for key in self.keys)

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the records of `relation` into the staging tables."""
        shape.read_fields(con, relation, self.fields)
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


GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
_ACCESS = {"application": "application", "delegatedwork": "delegated"}
_PARAMETER = re.compile(r"([(,] *[a-z@][a-z0-9_]*) *= *[^,()]*")
_KEY = re.compile(r"\([^=()]*\)$")


def _is_map(look: shape.Look) -> bool:
    return isinstance(look.outer.get("permissions"), Mapping) and not look.type


def _read_map(record: Mapping[str, Any]) -> Iterator[shape.Row | shape.Beside | shape.Unusable]:
    permissions = shape.fold_keys(record).get("permissions")
    if not isinstance(permissions, Mapping):
        raise InputError("`permissions` is not an object")
    for name, entry in permissions.items():
        if not isinstance(entry, Mapping) or not name.strip():
            yield shape.Unusable("a permission is not an object", {name: entry})
            continue
        fields = shape.fold_keys(entry)
        yield from _read_schemes(name.strip(), fields)
        yield from _read_paths(name.strip(), fields)


def _read_schemes(name: str, fields: Mapping[str, Any]) -> Iterator[shape.Row]:
    schemes = fields.get("schemes")
    for scheme, about in schemes.items() if isinstance(schemes, Mapping) else ():
        access = _ACCESS.get(fold(str(scheme)))
        if access is None or not isinstance(about, Mapping):
            continue
        level = about.get("privilegeLevel")
        consent = about.get("requiresAdminConsent")
        yield {
            "permission": name,
            "access": access,
            "privilege_level": level if isinstance(level, int) and not isinstance(level, bool) else None,
            "needs_admin_consent": consent if isinstance(consent, bool) else None,
            "display_name": str(about.get("adminDisplayName") or "") or None,
        }


def _read_paths(name: str, fields: Mapping[str, Any]) -> Iterator[shape.Beside | shape.Unusable]:
    """Yield each request that a permission allows once."""
    sets = fields.get("pathsets")
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for one in sets if isinstance(sets, list) else ():
        about = shape.fold_keys(one) if isinstance(one, Mapping) else {}
        schemes, methods, paths = (about.get(key) for key in ("schemekeys", "methods", "paths"))
        if not isinstance(schemes, list) or not isinstance(methods, list) or not isinstance(paths, Mapping):
            yield shape.Unusable(f"a path set of `{name}` has no usable `schemeKeys`, `methods` or `paths`", one)
            continue
        kinds = sorted({_ACCESS[fold(str(scheme))] for scheme in schemes if fold(str(scheme)) in _ACCESS})
        for path, marks in paths.items():
            least, also = _read_marks(str(marks))
            for access in kinds:
                for method in sorted({str(method).upper() for method in methods}):
                    key = (access, method, common_path(str(path)))
                    row = {
                        "permission": name,
                        "access": access,
                        "method": method,
                        "path": key[2],
                        "is_least": access in least,
                        "also_requires": also,
                    }
                    rows[key] = _either(rows[key], row) if key in rows else row
    for row in rows.values():
        yield shape.Beside("graph_permission_paths", row)


def _either(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return one row for two spellings of a request; it needs a further permission only if both spellings do."""
    also = [one["also_requires"], other["also_requires"]]
    return {
        **one,
        "is_least": one["is_least"] or other["is_least"],
        "also_requires": sorted({*also[0], *also[1]}) if all(also) else [],
    }


def _read_marks(marks: str) -> tuple[set[str], list[str]]:
    """Return the kinds of access for which a permission is marked least, and the additional permissions."""
    least: set[str] = set()
    also: set[str] = set()
    for part in marks.split(";"):
        word, _, values = part.partition("=")
        listed = [value.strip() for value in values.split(",") if value.strip()]
        if fold(word) == "least":
            least |= {_ACCESS[fold(value)] for value in listed if fold(value) in _ACCESS}
        elif fold(word) == "alsorequires":
            also |= set(listed)
    return least, sorted(also)


def common_path(path: str) -> str:
    """Return a path of the map with ids as `{id}` and values of parameters as `{value}`, in ASCII lower case."""
    steps = []
    for step in fold(path).partition("?")[0].replace("'", "").split("/"):
        if not step:
            continue
        named = _PARAMETER.sub(r"\1={value}", step).replace(" ", "")
        if named.startswith("(") or (named.startswith("{") and "(" not in named):
            steps.append("{id}:" if named.endswith(":") else "{id}")
        elif _KEY.search(named):
            steps += [_KEY.sub("", named)] if named.endswith("()") else [_KEY.sub("", named), "{id}"]
        else:
            steps.append(named)
    return "/" + "/".join(steps)


def _is_provisioning(look: shape.Look) -> bool:
    return isinstance(look.outer.get("permissiondeployments"), Mapping)


def _read_provisioning(record: Mapping[str, Any]) -> Iterator[shape.Row | shape.Unusable]:
    deployments = shape.fold_keys(record)["permissiondeployments"]
    for name, entries in deployments.items():
        if not isinstance(entries, list):
            yield shape.Unusable("the deployments of a permission are not a list", {name: entries})
            continue
        for entry in entries:
            about = shape.fold_keys(entry) if isinstance(entry, Mapping) else {}
            access, identifier = _ACCESS.get(fold(str(about.get("scheme")))), fold(str(about.get("id") or ""))
            if access is not None and identifier:
                yield {
                    "api_app_id": fold(str(about.get("resourceappid") or "")) or GRAPH_APP_ID,
                    "permission_id": identifier,
                    "access": access,
                    "permission": name,
                    "is_enabled": about.get("isenabled") is not False,
                }


def _is_role(look: shape.Look) -> bool:
    return {"allowedmembertypes", "id", "value"} <= look.outer.keys() and "appid" not in look.outer


def _is_scope(look: shape.Look) -> bool:
    return {"adminconsentdisplayname", "id", "value"} <= look.outer.keys() and "appid" not in look.outer


def _read_published(record: Mapping[str, Any]) -> Iterator[shape.Row]:
    fields = shape.fold_keys(record)
    identifier, value = fold(str(fields.get("id") or "")), str(fields.get("value") or "").strip()
    if not identifier or not value:
        raise InputError("a permission has no `id` or no `value`")
    named = fields.get("displayname") or fields.get("adminconsentdisplayname")
    yield {
        "api_app_id": GRAPH_APP_ID,
        "permission_id": identifier,
        "access": "application" if "allowedmembertypes" in fields else "delegated",
        "permission": value,
        "display_name": str(named) if named else None,
        "is_enabled": fields.get("isenabled") is not False,
    }


def _is_first_party(look: shape.Look) -> bool:
    return {"appid", "appdisplayname", "appownerorganizationid"} <= look.outer.keys()


def _read_first_party(record: Mapping[str, Any]) -> Iterator[shape.Row]:
    fields = shape.fold_keys(record)
    identifier = fold(str(fields.get("appid") or ""))
    if not identifier:
        raise InputError("an application has no `AppId`")
    yield {
        "app_id": identifier,
        "display_name": str(fields.get("appdisplayname") or "") or None,
        "owner_tenant_id": fold(str(fields.get("appownerorganizationid") or "")) or None,
    }


GRAPH_CATALOGUE_SHAPES = (
    shape.ObjectShape("graph_permission_map", "graph_permissions", _is_map, "graph_permissions", _read_map),
    shape.ObjectShape(
        "graph_permission_ids", "api_permissions", _is_provisioning, "api_permissions", _read_provisioning
    ),
    shape.ObjectShape("graph_app_roles", "api_permissions", _is_role, "api_permissions", _read_published),
    shape.ObjectShape("graph_scopes", "api_permissions", _is_scope, "api_permissions", _read_published),
    shape.ObjectShape("first_party_apps", "first_party_apps", _is_first_party, "first_party_apps", _read_first_party),
)
