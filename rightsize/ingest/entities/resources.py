"""Read resources with the settings that control access to their data, identities, diagnostic settings and tags.

A listing of all resources of a subscription has no properties, a listing of one type has; the Azure CLI prints them
beside the id. `rules/resource_settings.csv` has the settings and their meaning.
Source: Microsoft Learn, REST reference of Microsoft.Resources, of the providers and of Microsoft.Insights.

Tag names are case-insensitive in Azure, values are case-sensitive; tags are not inherited, and management groups have
none (Microsoft Learn, "Use tags to organize your Azure resources").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from rightsize.ingest.entities import shape
from rightsize.ingest.entities.azure_roles import text_of
from rightsize.model.errors import InputError
from rightsize.model.text import fold
from rightsize.rules.tables import rows_of
from rightsize.rules.vaults import PLURALS, VAULT
from rightsize.store.sql import folded, quoted

GROUP = re.compile(r"/subscriptions/[^/]+/resourcegroups/[^/]+")
TAG_FIELDS = (shape.field("scope", "id", kind="scope", mandatory=True), shape.field("tags", "tags", kind="members"))
"""The fields that `INSERT_TAGS` reads."""

INSERT_TAGS = f"""
INSERT INTO stage_scope_tags (file_id, line, scope, name, value)
SELECT file_id, line, scope, {folded("key")}, value ->> '$'
FROM entity_rows, json_each(tags::JSON)
WHERE trim(key) <> '' AND type = 'VARCHAR'
"""


def read_tags(scope: str, tags: object) -> Iterator[shape.Beside | shape.Unusable]:
    """Yield the tags of a scope in a record, or an Unusable if they are not an object of strings."""
    if isinstance(tags, Mapping) and all(isinstance(value, str | None) for value in tags.values()):
        for name, value in tags.items():
            if fold(str(name)) and value is not None:
                yield shape.Beside("scope_tags", {"scope": scope, "name": fold(str(name)), "value": value})
    elif tags:
        yield shape.Unusable("`tags` is not an object of strings", tags)


@dataclass(frozen=True, slots=True)
class GroupShape:
    """A listing of resource groups, of which only the tags are kept."""

    name: str = "resource_groups"
    source: str = "resource_groups"

    def recognises(self, look: shape.Look, context: shape.Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record has this shape: the id of a group, and tags or the fields of every resource."""
        if not GROUP.fullmatch(look.text("id").rstrip("/")):
            return False
        return "tags" in look.outer or {"name", "type", "location"} <= look.outer.keys()

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the tags of the records of `relation`; a record without tags adds no row."""
        shape.read_fields(con, relation, TAG_FIELDS)
        con.execute(INSERT_TAGS)


TAG_SHAPES = (GroupShape(),)


_RESOURCE = re.compile(r"/subscriptions/[^/]+(/resourcegroups/[^/]+)?(/providers/[^/]+(/[^/]+/[^/]+)+)+")
# Types that are at a scope and have separate shapes.
_OF_OTHERS = (
    "microsoft.authorization/", "microsoft.management/", "microsoft.insights/diagnosticsettings",
    "microsoft.security/assessments", "microsoft.advisor/recommendations",
)  # fmt: skip
_CHOSEN = frozenset({"id", "name", "type", "kind", "location", "resourcegroup", "subscriptionid", "tenantid"})
# A resource id as a whole string of a JSON document, and the top-level resource at the beginning of a folded one.
_NAMED = r'"(/subscriptions/[^"/]+/(?:resourceGroups/[^"/]+/)?providers/[^"/]+/[^"]+)"'
_TOP_LEVEL = r"^/subscriptions/[^/]+/(?:resourcegroups/[^/]+/)?providers/[^/]+/[^/]+/[^/]+"
_SETTING = "/providers/microsoft.insights/diagnosticsettings/"


def _setting_fields() -> tuple[shape.Field, ...]:
    """Return one field for each property that a rule names, at the path of Resource Manager, then of the Azure CLI."""
    named = dict.fromkeys(row["property"] for row in rows_of("resource_settings") if row["property"])
    boolean = {row["property"] for row in rows_of("resource_settings") if row["value"] in ("true", "false")}
    return tuple(
        shape.field(name, f"properties/{name}", name, kind="bool" if name in boolean else "text") for name in named
    )


_SETTINGS = _setting_fields()
_FIELDS = (
    *TAG_FIELDS,
    shape.field("resource_type", "type"),
    shape.field("sku_name", "sku/name", "properties/sku/name"),
    shape.field("created_on", "createdTime", "systemData/createdAt", "properties/creationTime", kind="time"),
    shape.field("updated_on", "changedTime", "systemData/lastModifiedAt", kind="time"),
    *_SETTINGS,
)


_VAULT_SETTINGS = (
    "tenantId", "enabledForDeployment", "enabledForDiskEncryption", "enabledForTemplateDeployment",
    "enablePurgeProtection",
)  # fmt: skip
"""The settings that the view `vaults` reads besides the model. Resource Graph names a tenant beside each resource."""


def _policies() -> str:
    """Return SQL for the access policies of a vault as sorted JSON, null where the record does not have them.

    Ids and permissions are folded: Azure compares them so.
    """
    paths = ("$.properties.accessPolicies", "$.accessPolicies")
    listed = " || ".join(f"json_extract(record, '{path}[*]')" for path in paths)
    ids = (("principal", "objectId"), ("application", "applicationId"), ("tenant", "tenantId"))
    said = [f"{name}: coalesce({_text_at(path)}, '')" for name, path in ids]
    said += [f'"{kind}": {_words_at(name)}' for kind, name in PLURALS.items()]
    is_said = " OR ".join(f"json_type(record, '{path}') = 'ARRAY'" for path in paths)
    return f"""CASE WHEN {is_said}
        THEN to_json(list_sort(list_distinct(list_transform({listed}, lambda one: {{{", ".join(said)}}})))) END"""


def _text_at(path: str) -> str:
    """Return SQL for the folded text of a policy `one` at a path."""
    text = f"json_extract_string(one, '$.{path}')"
    return folded(text)


def _words_at(name: str) -> str:
    """Return SQL for the sorted, folded permissions of one kind of a policy `one`."""
    words = f"json_extract_string(one, '$.permissions.{name}[*]')"
    return f"list_sort(list_distinct(list_transform({words}, lambda word: {folded('word')})))"


def _of_vaults() -> str:
    """Return SQL for the pairs of the settings that only a vault has."""
    found = {name: f"json_extract(record, '$.properties.{name}')" for name in _VAULT_SETTINGS}
    found["accessPolicies"] = _policies()
    is_vault = f"{folded('resource_type')} = '{VAULT}'"
    return ", ".join(f"'{name}', CASE WHEN {is_vault} THEN {value} END" for name, value in found.items())


def _insert(relation: str) -> str:
    pairs = ", ".join(f"'{wanted.name}', {quoted(wanted.name)}::VARCHAR" for wanted in _SETTINGS)
    pairs += f", {_of_vaults()}"
    found = " OR ".join(f"{quoted(wanted.name)} IS NOT NULL" for wanted in _SETTINGS)
    properties = "json_extract(record, '$.properties')"
    has_properties = f"json_type({properties}) = 'OBJECT' AND len(json_keys({properties})) > 0"
    return f"""
        INSERT INTO stage_resources (file_id, line, scope, resource_type, sku, settings, created_on, updated_on)
        SELECT file_id, line, scope, resource_type, sku_name, settings, created_on,
            CASE WHEN settings IS NOT NULL THEN updated_on END
        FROM (
            SELECT r.*, CASE WHEN coalesce({has_properties}, false) OR {found} THEN (
                SELECT '{{' || coalesce(
                    string_agg(to_json(key)::VARCHAR || ':' || value::VARCHAR, ',' ORDER BY key), '') || '}}'
                FROM json_each(json_object({pairs})) WHERE json_type(value) <> 'NULL'
            ) END AS settings
            FROM {shape.ROWS} AS r JOIN {relation} USING (file_id, line)
        ) WHERE trim(resource_type) <> ''"""


# A listing is complete if one of its pages has no next page and none of its records was rejected. It is complete only
# for the types that it contains: a listing of a single type shows nothing of others.
_LISTED = f"""
    INSERT INTO stage_listings (file_id, line, listing, of, complete)
    SELECT DISTINCT file_id, NULL::BIGINT, 'resources',
        '/subscriptions/' || split_part({folded("scope")}, '/', 3) || ' ' || {folded("resource_type")}, true
    FROM {shape.ROWS} WHERE trim(resource_type) <> '' AND file_id NOT IN (SELECT file_id FROM stage_rejects)
        AND file_id IN (SELECT file_id FROM stage_pages WHERE NOT has_next)"""


# `az resource list` names the subscription of a resource only in its id, Resource Graph also beside it.
_QUERIED = """
    INSERT INTO stage_query_rows
    SELECT DISTINCT file_id FROM {relation} WHERE record ->> 'subscriptionId' IS NOT NULL"""


def _attached(relation: str) -> str:
    """Return SQL that inserts the managed identities of resources.

    They are in `identity`; that of the nodes of a Kubernetes cluster is in `properties`. The principal of a
    user-assigned identity is in its own `properties` (Microsoft Learn, REST reference of Microsoft.ManagedIdentity).
    """
    own = folded("json_extract_string(record, '$.identity.principalId')")
    given = "json_extract(record, '$.identity.userAssignedIdentities')"
    nodes = "json_extract(record, '$.properties.identityProfile.kubeletidentity')"
    itself = folded("coalesce(json_extract_string(record, '$.properties.principalId'), record ->> 'principalId')")
    given_id, node_id, node_scope = (
        folded("value ->> 'principalId'"),
        folded(f"{nodes} ->> 'objectId'"),
        folded(f"{nodes} ->> 'resourceId'"),
    )
    is_identity = f"{folded('resource_type')} = 'microsoft.managedidentity/userassignedidentities'"
    parts = (
        f"SELECT file_id, line, scope, 'system', '', {own} FROM found WHERE {own} <> ''",
        f"SELECT file_id, line, scope, 'user', {folded('key')}, {given_id} "
        f"FROM found, json_each({given}) WHERE json_type({given}) = 'OBJECT' AND key LIKE '/%'",
        f"SELECT file_id, line, scope, 'user', {node_scope}, "
        f"{node_id} FROM found WHERE {nodes} ->> 'resourceId' LIKE '/%'",
        f"SELECT file_id, line, scope, 'self', {folded('scope')}, {itself} FROM found WHERE {is_identity}",
    )
    return f"""
        WITH found AS (SELECT r.*, record FROM {shape.ROWS} AS r JOIN {relation} USING (file_id, line))
        INSERT INTO stage_resource_identities (file_id, line, scope, kind, identity_scope, principal_id)
        {" UNION ALL ".join(parts)}"""


def _references(relation: str) -> str:
    """Return SQL that inserts the resources that a record names: in properties, as an identity, as its manager.

    What a resource says of itself and of its own children is left out.
    """
    text = "replace(record::VARCHAR, '\\/', '/')"
    named = f"unnest(regexp_extract_all({text}, '{_NAMED}', 1, 'i'))"
    top = f"regexp_extract({{}}, '{_TOP_LEVEL}', 0)"
    return f"""
        INSERT INTO stage_resource_references (file_id, line, scope, target)
        SELECT DISTINCT file_id, line, scope, target
        FROM (
            SELECT file_id, line, {folded("scope")} AS scope, rtrim({folded("named")}, '/') AS target
            FROM (
                SELECT r.file_id, r.line, r.scope, {named} AS named
                FROM {shape.ROWS} AS r JOIN {relation} USING (file_id, line)
            )
        ) WHERE {top.format("target")} <> '' AND {top.format("target")} <> {top.format("scope")}"""


@dataclass(frozen=True, slots=True)
class ResourceShape:
    """A listing of resources with their types, tags and settings."""

    name: str = "resources"
    source: str = "resources"

    def recognises(self, look: shape.Look, context: shape.Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record has this shape.

        It has the id of a resource, and tags, or the fields of every resource, or only fields that say what it is, as a
        query of Resource Graph may choose them.
        """
        if look.type.startswith(_OF_OTHERS) or not _RESOURCE.fullmatch(look.text("id").rstrip("/")):
            return False
        if "tags" in look.outer or {"name", "type", "location"} <= look.outer.keys():
            return True
        return bool(look.type) and look.outer.keys() <= _CHOSEN

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the records of `relation` into the staging tables."""
        shape.read_fields(con, relation, _FIELDS)
        con.execute(INSERT_TAGS)
        con.execute(_insert(relation))
        con.execute(_LISTED)
        con.execute(_attached(relation))
        con.execute(_references(relation))
        con.execute(_QUERIED.format(relation=relation))


def _is_diagnostic_setting(look: shape.Look) -> bool:
    return _SETTING in look.text("id") and isinstance(look.value("logs"), list)


def _read_diagnostic_setting(record: Mapping[str, Any]) -> Iterator[shape.Row | shape.Unusable]:
    look = shape.look_at(record)
    scope, _, name = fold(text_of(look.outer, "id").strip()).rstrip("/").rpartition(_SETTING)
    if not scope.startswith("/") or not name:
        raise InputError("its `id` is not the id of a diagnostic setting")
    logs = look.value("logs")
    if not isinstance(logs, list):
        raise InputError("it has no list of logs")
    for log in logs:
        if not isinstance(log, Mapping):
            yield shape.Unusable("one of its logs is not an object", log)
            continue
        fields = shape.fold_keys(log)
        category, group = fields.get("category"), fields.get("categorygroup")
        named = category or group
        if not isinstance(named, str) or not isinstance(fields.get("enabled"), bool):
            yield shape.Unusable("one of its logs lacks its category or `enabled`", log)
            continue
        yield {
            "scope": scope,
            "name": name,
            "category": fold(named),
            "is_group": not category,
            "enabled": fields["enabled"],
        }


RESOURCE_SHAPES = (
    shape.ObjectShape(
        "diagnostic_settings",
        "diagnostic_settings",
        _is_diagnostic_setting,
        "diagnostic_settings",
        _read_diagnostic_setting,
    ),
    ResourceShape(),
)
