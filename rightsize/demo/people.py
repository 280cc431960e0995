"""Read the demo's data: the hospital group's sixty principals, their assignments and habits, and a small catalogue.

The data files abbreviate scopes: `portal` is a subscription, `portal:rg-web` a resource group, `mg:avh` a management
group, `/` the root; `//` precedes each provider, as in `portal:rg-web//Microsoft.Web/sites/x`.

The catalogue of Azure operations and built-in roles has the Azure CLI's shapes. The facts are from Microsoft's pages on
provider operations and built-in roles. `data/operations.txt` has one resource type a line: its control-plane
operations, then a bar, then its data actions.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, cast

from rightsize.demo import tenant
from rightsize.demo.writing import below, guid
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.role_forms import read_permission_blocks, strings_of
from rightsize.model.text import Folded

_DATA = files("rightsize.demo") / "data"
_VERBS = {"read": "Read", "write": "Create or update", "delete": "Delete"}


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of a resource type."""

    name: str
    resource_type: str
    is_data_action: bool


def read_data(name: str) -> str:
    """Return the text of a data file of the demo."""
    return (_DATA / name).read_text(encoding="utf-8")


def record_form(name: str) -> dict[str, Any]:
    """Return the form of a record, with the slots of `writing.Template`."""
    form: dict[str, Any] = json.loads(read_data("records.json"))[name]
    return form


@cache
def operations() -> tuple[Operation, ...]:
    """Return the operations, in the file's order."""
    return tuple(_parse_operations(read_data("operations.txt")))


@cache
def built_in_roles() -> tuple[RoleDefinition, ...]:
    """Return the built-in roles, in the file's order."""
    return tuple(
        RoleDefinition(
            role["id"],
            role["role_name"],
            read_permission_blocks([{name: found for name, found in role.items() if isinstance(found, list)}]),
            "BuiltInRole",
            role["description"],
            ("/",),
        )
        for role in json.loads(read_data("roles.json"))
    )


def provider_operations() -> list[dict[str, Any]]:
    """Return the catalogue as `az provider operation list` prints it."""
    providers: dict[str, dict[str, Any]] = {}
    for operation in operations():
        provider, _, type_name = operation.resource_type.partition("/")
        entry = providers.setdefault(provider.casefold(), _provider(provider))
        listing = entry["operations"] if not type_name else _type_entry(entry, type_name)["operations"]
        listing.append(_operation(operation, type_name or provider))
    return list(providers.values())


def role_definition(role: RoleDefinition) -> dict[str, Any]:
    """Return a role as `az role definition list` prints it."""
    scope = "" if role.assignable_scopes == ("/",) else role.assignable_scopes[0]
    return {
        "assignableScopes": list(role.assignable_scopes),
        "createdBy": None,
        "createdOn": "2015-02-02T21:55:09.880642+00:00",
        "description": role.description,
        "id": f"{scope}/providers/Microsoft.Authorization/roleDefinitions/{role.role_definition_id}",
        "name": role.role_definition_id,
        "permissions": [
            dict(sorted({**strings_of(block), "condition": None, "conditionVersion": None}.items()))
            for block in role.permissions
        ],
        "roleName": role.role_name,
        "roleType": role.role_type,
        "type": "Microsoft.Authorization/roleDefinitions",
        "updatedBy": None,
        "updatedOn": "2024-06-18T15:11:17.317016+00:00",
    }


def _parse_operations(text: str) -> Iterator[Operation]:
    for line in text.splitlines():
        resource_type, *verbs = line.split()
        is_data_action = False
        for verb in verbs:
            if verb == "|":
                is_data_action = True
            else:
                yield Operation(f"{resource_type}/{verb}", resource_type, is_data_action)


def _provider(name: str) -> dict[str, Any]:
    return {
        "displayName": name.replace(".", " "),
        "id": f"/providers/Microsoft.Authorization/providerOperations/{name}",
        "name": name,
        "operations": [],
        "resourceTypes": [],
        "type": "Microsoft.Authorization/providerOperations",
    }


def _type_entry(provider: dict[str, Any], type_name: str) -> dict[str, Any]:
    entry: dict[str, Any]
    for entry in provider["resourceTypes"]:
        if entry["name"] == type_name:
            return entry
    entry = {"displayName": type_name.rsplit("/", 1)[-1], "name": type_name, "operations": []}
    provider["resourceTypes"].append(entry)
    return entry


def _operation(operation: Operation, type_name: str) -> dict[str, Any]:
    verb = operation.name[len(operation.resource_type) + 1 :].removesuffix("/action").removesuffix("/Action")
    label = f"{_VERBS.get(verb.lower(), verb)} {type_name.rsplit('/', 1)[-1]}"
    return {
        "description": f"{label}.",
        "displayName": label,
        "isDataAction": operation.is_data_action,
        "name": operation.name,
        "origin": "user,system",
        "properties": None,
    }


DOMAIN = "aldervalley.example"
_GUEST_DOMAIN = "fjordby.example"
MICROSOFT_SERVICES = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
# Application ids of Microsoft's own services are the same in every tenant.
_FIRST_PARTY_APPS = {
    "Backup Management Service": "262044b1-e2ce-469f-a196-69ab7ada62d3",
    "MS-PIM": "01fc33a7-78ba-4d2f-a4b7-768e336e890e",
}
LOGGED_ACCOUNT = "records:rg-records-data//Microsoft.Storage/storageAccounts/strecordsarchive"
SILENT_SUBSCRIPTION = "sandbox"
SILENT_AGO = (59, 39)
# In the form of the portal's condition editor: reads and writes of blobs in one container only.
_CONTAINER_CONDITION = (
    "((!(ActionMatches{'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'}) AND "
    "!(ActionMatches{'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write'})) OR "
    "(@Resource[Microsoft.Storage/storageAccounts/blobServices/containers:name] StringEquals '%s'))"
)


@dataclass(frozen=True, slots=True)
class Places:
    """Expands abbreviated scopes into full resource ids."""

    bases: Mapping[str, str]

    def full(self, short: str) -> str:
        """Return the resource id of an abbreviated scope."""
        place, *providers = short.split("//") if short != "/" else ["/"]
        key, _, group = place.partition(":") if not place.startswith("mg:") else (place, "", "")
        base = self.bases[key] + (f"/resourceGroups/{group}" if group else "")
        return base + "".join(f"/providers/{provider}" for provider in providers)


@dataclass(frozen=True, slots=True)
class Cast:
    """The contents of the data files, with full ids."""

    tenant_id: str
    places: Places
    scopes: tuple[tenant.SampleScope, ...]
    principals: tuple[tenant.Principal, ...]
    members: dict[str, tuple[str, ...]]
    roles: tuple[RoleDefinition, ...]
    grants: tuple[tenant.SampleGrant, ...]
    habits: tuple[tenant.Habit, ...]


def read_cast(spec: tenant.TenantSpec) -> Cast:
    """Return the cast, its ids chosen by the seed."""
    tenant_id = guid(spec.seed, "tenant")
    scopes, bases = _scopes(spec, tenant_id)
    places = Places(bases)
    people = {row["key"]: _principal(spec, places, row) for row in _rows("principals.csv")}
    members = {
        people[row["group"]].principal_id: tuple(people[key].principal_id for key in row["members"].split())
        for row in _rows("members.csv")
    }
    roles = (*built_in_roles(), operator_role(spec, places))
    grants = {row["key"]: _grant(spec, places, people, roles, row) for row in _rows("assignments.csv")}
    grants |= {
        row["key"]: replace(grants[row["key"]], duplicate_of=grants[_option(row["options"], "duplicate_of")].grant_id)
        for row in _rows("assignments.csv")
        if _option(row["options"], "duplicate_of")
    }
    active = _current_activation(spec, grants["priya-owner"])
    return Cast(
        tenant_id,
        places,
        scopes,
        tuple(people.values()),
        members,
        roles,
        (*grants.values(), active),
        tuple(_habits(spec, places, people, grants)),
    )


def operator_role(spec: tenant.TenantSpec, places: Places) -> RoleDefinition:
    """Return the one custom role that the tenant has."""
    actions = (
        "Microsoft.Compute/virtualMachines/read",
        "Microsoft.Compute/virtualMachines/instanceView/read",
        "Microsoft.Compute/virtualMachines/start/action",
        "Microsoft.Compute/virtualMachines/restart/action",
        "Microsoft.Compute/virtualMachines/powerOff/action",
        "Microsoft.Compute/virtualMachines/deallocate/action",
        "Microsoft.Resources/subscriptions/resourceGroups/read",
    )
    return RoleDefinition(
        Folded(guid(spec.seed, "role", "operator")),
        "AVH Virtual Machine Operator",
        (PermissionBlock(actions),),
        description="Start, stop and restart virtual machines of the clinical systems.",
        assignable_scopes=(places.full("records"), places.full("imaging")),
    )


def _rows(name: str) -> Iterator[dict[str, str]]:
    return iter(csv.DictReader(read_data(name).splitlines()))


def _scopes(spec: tenant.TenantSpec, tenant_id: str) -> tuple[tuple[tenant.SampleScope, ...], dict[str, str]]:
    bases = {"/": ""}
    found = []
    for row in _rows("scopes.csv"):
        parent = bases[f"mg:{row['parent']}"] if row["parent"] else ""
        if row["kind"] == "management_group":
            # The root management group is named after the tenant.
            name = tenant_id if not parent else row["key"]
            scope = f"/providers/Microsoft.Management/managementGroups/{name}"
            bases[f"mg:{row['key']}"] = scope
            found.append(tenant.SampleScope("management_group", scope, row["name"], parent))
        else:
            scope = bases[row["key"]] = f"/subscriptions/{guid(spec.seed, 'subscription', row['key'])}"
            found.append(tenant.SampleScope("subscription", scope, row["name"], parent))
    return tuple(found), bases


def id_of(spec: tenant.TenantSpec, key: str) -> str:
    """Return the object id of a principal of the cast, whatever it is called."""
    return guid(spec.seed, "principal", key)


def _principal(spec: tenant.TenantSpec, places: Places, row: Mapping[str, str]) -> tenant.Principal:
    kind = cast(tenant.PrincipalKind, row["kind"])
    upn = ""
    if kind in ("user", "guest"):
        local = row["key"] if row["key"].startswith("emergency") else _local_part(row["name"])
        upn = f"{local}@{DOMAIN}"
        if kind == "guest":
            upn = f"{local}_{_GUEST_DOMAIN}#EXT#@aldervalley.onmicrosoft.example"
    is_app = kind in ("app", "identity")
    young = "young" in row["options"]
    return tenant.Principal(
        id_of(spec, row["key"]),
        kind,
        row["name"],
        upn,
        row["title"],
        _FIRST_PARTY_APPS.get(row["name"], guid(spec.seed, "app", row["key"])) if is_app else "",
        places.full(row["resource"]) if row["resource"] else "",
        spec.day_ago(12 if young else 950 + below(500, spec.seed, row["key"])),
        frozenset(row["options"].split()),
    )


def _local_part(name: str) -> str:
    plain = name.removeprefix("Dr ").lower().translate(str.maketrans("áéíóú ", "aeiou."))
    return "".join(letter for letter in plain if letter.isascii() and (letter.isalnum() or letter in ".-"))


def _grant(
    spec: tenant.TenantSpec,
    places: Places,
    people: Mapping[str, tenant.Principal],
    roles: tuple[RoleDefinition, ...],
    row: Mapping[str, str],
) -> tenant.SampleGrant:
    scope = places.full(row["scope"]) or "/"
    condition = _option(row["options"], "condition")
    return tenant.SampleGrant(
        guid(spec.seed, "assignment", row["key"]),
        people[row["holder"]].principal_id,
        next(role for role in roles if role.role_name == row["role"]),
        scope,
        spec.day_ago(int(row["days_old"])),
        _CONTAINER_CONDITION % condition if condition else None,
        options=frozenset(word for word in row["options"].split() if "=" not in word),
    )


def _option(options: str, name: str) -> str:
    return next((word.partition("=")[2] for word in options.split() if word.startswith(f"{name}=")), "")


def _current_activation(spec: tenant.TenantSpec, eligibility: tenant.SampleGrant) -> tenant.SampleGrant:
    return replace(
        eligibility,
        grant_id=guid(spec.seed, "activation", eligibility.grant_id, "now"),
        created_on=spec.end_day,
        eligibility_id=eligibility.grant_id,
        options=frozenset({"activated"}),
    )


def _habits(
    spec: tenant.TenantSpec,
    places: Places,
    people: Mapping[str, tenant.Principal],
    grants: Mapping[str, tenant.SampleGrant],
) -> Iterator[tenant.Habit]:
    for index, row in enumerate(_rows("habits.csv")):
        grant = grants[row["assignment"]] if row["assignment"] else None
        credited = grant.grant_id if grant and grant.listed else ""
        outcome = row["outcome"]
        if grant and outcome == "activation":
            # An activation has an assignment id of its own, which leaves the listings when it ends.
            grant = replace(grant, grant_id=guid(spec.seed, "activation", credited, row["from_ago"]))
        names = {"guid": guid(spec.seed, "made", index), "samuel-portal": grants["samuel-portal"].grant_id}
        scope = places.full(row["scope"])
        for name, value in names.items():
            scope = scope.replace("{" + name + "}", value)
        yield tenant.Habit(
            people[row["actor"]].principal_id,
            row["operation"],
            scope,
            cast(tenant.HabitKind, row["kind"]),
            row["cadence"],
            float(row["rate"]),
            grant,
            credited,
            cast(tenant.Outcome, "" if outcome == "activation" else outcome),
            row["bundle"],
            int(row["from_ago"] or 10_000),
            int(row["to_ago"] or 0),
            row["linked_operation"],
            places.full(row["linked_scope"]) if row["linked_scope"] else "",
            _assigned(row["assigned"]),
        )


def _assigned(text: str) -> tuple[str, str] | None:
    """Return role id and principal type of a text `Role name:Type`, or None for an empty text."""
    name, _, kind = text.partition(":")
    ids = {role.role_name: role.role_definition_id for role in built_in_roles()}
    return (ids[name], kind) if name else None


def silent_days(spec: tenant.TenantSpec) -> tuple[dt.date, dt.date]:
    """Return the first and last missing day in the log of the silent subscription."""
    return spec.day_ago(SILENT_AGO[0]), spec.day_ago(SILENT_AGO[1])
