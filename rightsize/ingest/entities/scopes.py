"""Read management groups, subscriptions, Azure Policy, registered providers, and the operation catalogue.

The id of a node decides its kind, because each listing spells the `type` of a subscription differently.
Source: Microsoft Learn, REST reference of Microsoft.Management and of subscriptions.

Resource Manager and Resource Graph have the fields in `properties`, the Azure CLI beside the id. A definition names the
roles of its remediation identity in `policyRule.then.details.roleDefinitionIds`; a set contains definitions.
Source: Microsoft Learn, REST reference of policyAssignments, policyDefinitions and policySetDefinitions; "Remediate
noncompliant resources with Azure Policy".

A record of registered providers names the subscription in its `id`. Without one, the manifest of its file does, else a
GUID in the file's name.
Source: Microsoft Learn, REST reference of Microsoft.Resources, "Providers - List".

Of an operation, provider, resource type and verb follow from the name, and are not read.
Source: Microsoft Learn, REST reference "Provider Operations Metadata".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from rightsize.ingest.entities import shape
from rightsize.ingest.entities.azure_roles import dashed, text_of
from rightsize.ingest.entities.resources import GROUP, read_tags
from rightsize.ingest.files.records import MAX_RAW_CHARACTERS
from rightsize.model.errors import InputError
from rightsize.model.text import GUID, GUID_FORM, fold
from rightsize.store.sql import folded, literal

_MANAGEMENT_GROUP = re.compile(r"/providers/microsoft\.management/managementgroups/[^/]+")
_SUBSCRIPTION = re.compile(r"/subscriptions/[^/]+")
_NODE_TYPES = frozenset(
    {
        "microsoft.management/managementgroups",
        "/providers/microsoft.management/managementgroups",
        "microsoft.management/managementgroups/subscriptions",
        "/subscriptions",
    }
)


def _kind_of(scope: str) -> str | None:
    folded = fold(scope)
    if _MANAGEMENT_GROUP.fullmatch(folded):
        return "management_group"
    return "subscription" if _SUBSCRIPTION.fullmatch(folded) else None


def _is_management_group(look: shape.Look) -> bool:
    if look.type:
        return look.type in _NODE_TYPES
    return bool(_MANAGEMENT_GROUP.fullmatch(look.text("id").rstrip("/")))


def _read_management_group(record: Mapping[str, Any]) -> Iterator[shape.Row]:
    waiting: list[tuple[Mapping[str, Any], str | None]] = [(record, None)]
    while waiting:
        document, above = waiting.pop()
        look = shape.look_at(document)
        scope = text_of(look.outer, "id").strip(" ").rstrip("/")
        kind = _kind_of(scope)
        if kind is None:
            raise InputError("the `id` of one of its nodes is not a management group or subscription")
        fields = {**look.outer, **look.inner}
        yield {
            "scope": scope,
            "kind": kind,
            "parent_scope": above or _parent_of(look),
            "display_name": text_of(fields, "displayname"),
        }
        children = look.value("children")
        if children is None:
            continue
        if not isinstance(children, list) or not all(isinstance(child, Mapping) for child in children):
            raise InputError("`children` is not a list of nodes")
        waiting.extend((child, scope) for child in children)


def _parent_of(look: shape.Look) -> str | None:
    """Return the parent that a node names: `parent` itself, or the one in its `details`."""
    details = look.value("details")
    places = (look.value("parent"), shape.fold_keys(details).get("parent") if isinstance(details, Mapping) else None)
    for parent in places:
        if isinstance(parent, Mapping):
            scope = text_of(shape.fold_keys(parent), "id").strip(" ").rstrip("/")
            if scope and _kind_of(scope) != "management_group":
                raise InputError("its `parent` is not a management group")
            if scope:
                return scope
    return None


def _is_subscription(look: shape.Look) -> bool:
    if look.type and look.type not in {"microsoft.resources/subscriptions", "user"}:
        return False
    if _SUBSCRIPTION.fullmatch(look.text("id").rstrip("/")):
        return look.has("subscriptionid")
    is_guid = bool(GUID_FORM.fullmatch(look.text("id")))
    return is_guid and look.has("tenantid", "name", "state") and (look.has("isdefault") or look.has("cloudname"))


def _read_subscription(record: Mapping[str, Any]) -> Iterator[shape.Row | shape.Beside | shape.Unusable]:
    fields = shape.fold_keys(record)
    identifier = text_of(fields, "id").strip(" ").rstrip("/")
    scope = identifier if identifier.startswith("/") else f"/subscriptions/{identifier}"
    if GROUP.fullmatch(fold(identifier)):
        # Resource Graph lists subscriptions and resource groups together.
        yield from read_tags(scope, fields.get("tags"))
    elif not identifier or _kind_of(scope) != "subscription":
        yield shape.Unusable("its `id` is not a subscription" if identifier else "it has no `id`")
    elif "displayname" not in fields and fold(identifier) == fold(text_of(fields, "tenantid")):
        # `az account list` shows a tenant without subscriptions as if it were a subscription.
        yield shape.Unusable("it is a tenant without subscriptions, not a subscription")
    else:
        yield {
            "scope": scope,
            "kind": "subscription",
            "display_name": text_of(fields, "displayname" if "displayname" in fields else "name"),
        }
        yield from read_tags(scope, fields.get("tags"))


SCOPE_SHAPES = (
    shape.ObjectShape(
        "management_groups", "management_groups", _is_management_group, "scope_listings", _read_management_group
    ),
    shape.ObjectShape("subscriptions", "subscriptions", _is_subscription, "scope_listings", _read_subscription),
)


_AUTHORIZATION = "microsoft.authorization/"
_ASSIGNMENTS, _DEFINITIONS, _SETS = "policyassignments", "policydefinitions", "policysetdefinitions"


def _is_of(kind: str, look: shape.Look) -> bool:
    if look.type:
        return look.type == _AUTHORIZATION + kind
    return f"/providers/{_AUTHORIZATION}{kind}/" in look.text("id")


def _read_assignment(record: Mapping[str, Any]) -> Iterator[shape.Row]:
    look = shape.look_at(record)
    fields = {**look.outer, **look.inner}
    own = _own_id(look, _ASSIGNMENTS)
    definition = _id_of(text_of(fields, "policydefinitionid"))
    if not definition:
        raise InputError("it has no `policyDefinitionId`")
    # A listing without it does not show who remediates, and must not make older data look newer.
    is_said = look.has("identity")
    yield {
        "policy_assignment_id": own,
        "scope": text_of(fields, "scope").strip(" ") or own.split(f"/providers/{_AUTHORIZATION}", 1)[0] or "/",
        "display_name": _name(fields, own),
        "policy_definition_id": definition,
        "definition_version": text_of(fields, "definitionversion") or None,
        "principal_ids": _identities(look.value("identity")) if is_said else None,
        "updated_on": _updated_on(look) if is_said else "",
    }


def _read_definition(record: Mapping[str, Any]) -> Iterator[shape.Row]:
    look = shape.look_at(record)
    fields = {**look.outer, **look.inner}
    own = _own_id(look, _DEFINITIONS)
    rule = fields.get("policyrule")
    yield {
        "policy_definition_id": own,
        "is_set": False if rule is not None else None,
        "display_name": _name(fields, own),
        "version": text_of(fields, "version") or None,
        "role_definition_ids": _roles(rule) if rule is not None else None,
        "updated_on": _updated_on(look) if rule is not None else "",
    }


def _read_set(record: Mapping[str, Any]) -> Iterator[shape.Row]:
    look = shape.look_at(record)
    fields = {**look.outer, **look.inner}
    own = _own_id(look, _SETS)
    held = fields.get("policydefinitions")
    if not isinstance(held, list) or not all(isinstance(one, Mapping) for one in held):
        raise InputError("`policyDefinitions` is not a list of definitions")
    members = {
        (_id_of(text_of(one, "policydefinitionid")), text_of(one, "definitionversion"))
        for one in map(shape.fold_keys, held)
    }
    if any(not id_ for id_, _ in members):
        raise InputError("`policyDefinitions` has one without a `policyDefinitionId`")
    yield {
        "policy_definition_id": own,
        "is_set": True,
        "display_name": _name(fields, own),
        "version": text_of(fields, "version") or None,
        "member_ids": [id_ for id_, _ in sorted(members)],
        "member_versions": [version for _, version in sorted(members)],
        "updated_on": _updated_on(look),
    }


def _own_id(look: shape.Look, kind: str) -> str:
    own = _id_of(text_of(look.outer, "id"))
    if f"/providers/{_AUTHORIZATION}{kind}/" not in own:
        raise InputError("`id` is not its resource id" if own else "it has no `id`")
    return own


def _id_of(text: str) -> str:
    return fold(text).strip(" ").rstrip("/")


def _name(fields: Mapping[str, Any], own: str) -> str:
    return text_of(fields, "displayname") or text_of(fields, "name") or own.rsplit("/", 1)[-1]


def _identities(identity: object) -> list[str]:
    """Return the identities that remediate: the assignment's own one, and user-assigned ones."""
    if identity is None:
        return []
    if not isinstance(identity, Mapping):
        raise InputError("`identity` is not an object")
    held = shape.fold_keys(identity)
    given = held.get("userassignedidentities")
    if given is not None and not isinstance(given, Mapping):
        raise InputError("`userAssignedIdentities` is not an object")
    everyone = [held, *(shape.fold_keys(one) for one in (given or {}).values() if isinstance(one, Mapping))]
    return sorted({dashed(text_of(one, "principalid")) for one in everyone} - {""})


def _roles(rule: object) -> list[str] | None:
    """Return the roles that a rule names; None if it names something other than roles."""
    if not isinstance(rule, Mapping):
        raise InputError("`policyRule` is not an object")
    then = shape.fold_keys(rule).get("then")
    details = shape.fold_keys(then).get("details") if isinstance(then, Mapping) else None
    named = shape.fold_keys(details).get("roledefinitionids") if isinstance(details, Mapping) else None
    if named is None:
        return []
    if not isinstance(named, list) or not all(isinstance(text, str) for text in named):
        return None
    found = sorted({dashed(text) for text in named})
    return found if all(GUID_FORM.fullmatch(id_) for id_ in found) else None


def _updated_on(look: shape.Look) -> str:
    """Return the time of the last change, from Resource Manager or its metadata, else the time of creation."""
    parts = [
        shape.fold_keys(value) for key in ("systemdata", "metadata") if isinstance(value := look.value(key), Mapping)
    ]
    keys = ("lastmodifiedat", "updatedon", "createdat", "createdon")
    texts = (part[key] for key in keys for part in parts if isinstance(part.get(key), str))
    return next(texts, "")


RESOURCE_POLICY_SHAPES = tuple(
    shape.ObjectShape(f"policy_{name}", f"policy_{name}", lambda look, kind=kind: _is_of(kind, look), table, reader)  # type: ignore[misc]
    for name, kind, table, reader in (
        ("assignments", _ASSIGNMENTS, "policy_assignments", _read_assignment),
        ("definitions", _DEFINITIONS, "policy_definitions", _read_definition),
        ("set_definitions", _SETS, "policy_definitions", _read_set),
    )
)


_STATES = ("Registered", "NotRegistered", "Registering", "Unregistering")
_POLICIES = ("RegistrationRequired", "RegistrationFree")
_FIELDS = (
    shape.field("id", "id"),
    shape.field("namespace", "namespace", mandatory=True),
    shape.field("state", "registrationState", mandatory=True, words=tuple(state.lower() for state in _STATES)),
    shape.field("policy", "registrationPolicy", words=tuple(policy.lower() for policy in _POLICIES)),
)
_ID = re.compile(r"(/subscriptions/[^/]+)?/providers/[^/]+")
_NAMESPACE = "[a-z0-9]+([.-][a-z0-9]+)*"
_NO_SUBSCRIPTION = (
    "the subscription of this provider is unknown: name the file after its id, or load it with its manifest"
)

# The name of a file decides only if it has one GUID.
_JUDGE = f"""
CREATE OR REPLACE TEMP TABLE entity_providers AS
SELECT file_id, line, {folded("namespace")} AS namespace, {folded("state")} AS state, {folded("policy")} AS policy,
    coalesce(
        nullif(regexp_extract({folded("id")}, '^/subscriptions/({GUID})/providers/', 1), ''),
        said.subscription,
        CASE WHEN len(named.ids) = 1 THEN named.ids[1] END
    ) AS subscription
FROM {shape.ROWS} LEFT JOIN (
    SELECT file_id, any_value(subscriptions[1]) AS subscription FROM stage_vouched
    WHERE len(subscriptions) = 1 GROUP BY file_id HAVING count(DISTINCT subscriptions[1]) = 1
) AS said USING (file_id)
LEFT JOIN (
    SELECT file_id,
        list_distinct(regexp_extract_all({folded("string_split(place, '/')[-1]")}, '{GUID}')) AS ids
    FROM stage_names
) AS named USING (file_id)"""
_REASON = f"""CASE
    WHEN NOT regexp_full_match(namespace, '{_NAMESPACE}') THEN '`namespace` is not the name of a provider'
    WHEN subscription IS NULL THEN {literal(_NO_SUBSCRIPTION)} END"""


def _spelt(column: str, words: tuple[str, ...]) -> str:
    branches = " ".join(f"WHEN {literal(word.lower())} THEN {literal(word)}" for word in words)
    return f"CASE {column} {branches} END"


@dataclass(frozen=True, slots=True)
class ProviderShape:
    """A listing of the resource providers of a subscription."""

    name: str = "providers"
    source: str = "providers"

    def recognises(self, look: shape.Look, context: shape.Context) -> bool:  # noqa: ARG002  the record says it all
        """Return whether a record has this shape: a namespace and its state."""
        has_id = "id" not in look.outer or look.outer["id"] is None or bool(_ID.fullmatch(look.text("id")))
        return has_id and bool(look.text("namespace")) and "registrationstate" in look.outer

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the records of `relation` into the staging tables."""
        shape.read_fields(con, relation, _FIELDS)
        con.execute(_JUDGE)
        con.execute(
            "INSERT INTO stage_rejects (file_id, line, reason, raw) "
            f"SELECT file_id, line, {_REASON} AS reason, CAST(record AS VARCHAR)[:{MAX_RAW_CHARACTERS}] "
            f"FROM entity_providers JOIN {relation} USING (file_id, line) WHERE reason IS NOT NULL"
        )
        con.execute(
            "INSERT INTO stage_provider_registrations (file_id, line, scope, namespace, state, policy) "
            f"SELECT file_id, line, '/subscriptions/' || subscription, namespace, {_spelt('state', _STATES)}, "
            f"{_spelt('policy', _POLICIES)} FROM entity_providers WHERE {_REASON} IS NULL"
        )
        con.execute("DROP TABLE entity_providers")


PROVIDER_SHAPES = (ProviderShape(),)


FROM_PROVIDER = "provider-operations"
"""The value of `is_data_action_source` for Azure's own answer."""

GUESSES = ("arm-api-map", "sibling-inferred")
"""Sources of `is_data_action` that infer it, from the path of a request or from a neighbour in the catalogue."""

_SOURCE = "operations"


def _is_provider(look: shape.Look) -> bool:
    if look.type:
        return look.type == "microsoft.authorization/provideroperations"
    return isinstance(look.outer.get("operations"), list) and isinstance(look.outer.get("resourcetypes"), list)


def _read_provider(record: Mapping[str, Any]) -> Iterator[shape.Row | shape.Unusable]:
    fields = shape.fold_keys(record)
    yield from _read_list(fields)
    for entry in _objects(fields, "resourcetypes"):
        yield from _read_list(shape.fold_keys(entry))


def _read_list(fields: Mapping[str, Any]) -> Iterator[shape.Row | shape.Unusable]:
    for operation in _objects(fields, "operations"):
        try:
            yield _read_operation(shape.fold_keys(operation))
        except InputError as error:
            yield shape.Unusable(error.message, operation)


def _objects(fields: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = fields.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise InputError(f"`{key}` is not a list of objects")
    return value


def _read_operation(fields: Mapping[str, Any]) -> shape.Row:
    name = text_of(fields, "name").strip(" ")
    is_data_action = fields.get("isdataaction")
    if not name:
        raise InputError("an operation has no `name`")
    if is_data_action is not None and not isinstance(is_data_action, bool):
        raise InputError("`isDataAction` is not true or false")
    return {
        "operation": name,
        "is_data_action": is_data_action,
        "is_data_action_source": FROM_PROVIDER if is_data_action is not None else None,
        "is_guess": False,
        "description": text_of(fields, "description") or None,
        "display_name": text_of(fields, "displayname") or None,
    }


def _is_table(look: shape.Look) -> bool:
    return {"operation", "is_data_action"} <= look.outer.keys()


_INSERT_TABLE = f"""
INSERT INTO stage_operations (file_id, line, operation, is_data_action, is_data_action_source, is_guess, description,
    display_name)
SELECT file_id, line, trim(operation), is_data_action,
    CASE WHEN is_data_action IS NOT NULL THEN nullif(trim(origin), '') END,
    is_data_action IS NOT NULL AND {folded("coalesce(origin, '')")} IN {GUESSES},
    nullif(trim(description), ''), nullif(trim(display_name), '')
FROM entity_rows
"""

OPERATION_SHAPES = (
    shape.ObjectShape("provider_operations", _SOURCE, _is_provider, "operations", _read_provider),
    shape.ColumnShape(
        "operation_table",
        _SOURCE,
        _is_table,
        (
            shape.field("operation", "operation", mandatory=True),
            shape.field("is_data_action", "is_data_action", kind="bool"),
            shape.field("origin", "is_data_action_source"),
            shape.field("description", "description"),
            shape.field("display_name", "display_name"),
        ),
        _INSERT_TABLE,
    ),
)
