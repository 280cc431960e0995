"""Read the role definitions of a Terraform state, and of `terraform show -json` of a plan or a state.

Source: developer.hashicorp.com, "JSON Output Format" of Terraform; the state has format version 4 since Terraform 0.12.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rightsize.iac.expressions import Unknown
from rightsize.iac.templates import ROLE_TYPE, UnknownValueError, make_role
from rightsize.model.errors import InputError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import load_json

TERRAFORM_TYPE = "azurerm_role_definition"


def state_roles(document: Mapping[str, Any]) -> Iterator[RoleDefinition] | None:
    """Return the roles of a state, or of what `terraform show -json` prints; None where the document is neither.

    Raises:
        InputError: The state is of an old version, or a role is known only after the plan is applied.
    """
    if "terraform_version" in document and isinstance(document.get("resources"), list):
        return _of_state(document)
    if "terraform_version" in document and isinstance(document.get("modules"), list):
        raise InputError("the state has a version before 4", hint="Terraform 0.12 or later writes it anew")
    if "format_version" in document and ("values" in document or "planned_values" in document):
        return _of_show(document)
    return None


def terraform_fields(kind: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the fields of a role out of the attributes of a resource, or None where the resource is no role."""
    if kind == TERRAFORM_TYPE:
        return {
            "name": body.get("name"),
            "id": body.get("role_definition_id"),
            "description": body.get("description"),
            "scopes": body.get("assignable_scopes"),
            "permissions": body.get("permissions") if body.get("permissions") is not None else [],
        }
    stated, content = body.get("type", ""), body.get("body")
    shown = stated.shown if isinstance(stated, Unknown) else stated  # its version alone may be unknown
    if not kind.startswith("azapi_") or str(shown).lower().split("@")[0] != ROLE_TYPE:
        inner = content.get("properties") if isinstance(content, Mapping) else None
        lists = inner.get("permissions") if isinstance(inner, Mapping) else None
        if isinstance(stated, Unknown) and isinstance(lists, list):
            raise UnknownValueError(f"`type` of a resource `{kind}` with permissions", stated.cause)
        return None
    if isinstance(content, Mapping) and set(content) == {"value", "type"}:
        content = content["value"]
    content = load_json(content) if isinstance(content, str) else content
    if (
        kind != "azapi_resource"
        or not isinstance(content, Mapping)
        or not isinstance(content.get("properties"), Mapping)
    ):
        raise UnknownValueError(f"a role definition of `{kind}`", "body")
    properties = content["properties"]
    return {
        "name": properties.get("roleName"),
        "id": body.get("name"),
        "description": properties.get("description"),
        "scopes": properties.get("assignableScopes"),
        "permissions": properties.get("permissions"),
    }


def _of_state(state: Mapping[str, Any]) -> Iterator[RoleDefinition]:
    for resource in state["resources"]:
        if not isinstance(resource, Mapping) or resource.get("mode") != "managed":
            continue
        for instance in _list(resource.get("instances")):
            attributes = instance.get("attributes") if isinstance(instance, Mapping) else None
            if isinstance(attributes, Mapping) and "deposed" not in instance:
                yield from _role(str(resource.get("type")), attributes)


def _of_show(shown: Mapping[str, Any]) -> Iterator[RoleDefinition]:
    unknown: dict[str, object] = {}
    for change in _list(shown.get("resource_changes")):
        if isinstance(change, Mapping) and isinstance(change.get("change"), Mapping):
            unknown[str(change.get("address"))] = change["change"].get("after_unknown")
    values = shown.get("planned_values", shown.get("values"))
    for resource in _resources(values.get("root_module") if isinstance(values, Mapping) else None, 0):
        body = resource.get("values")
        if resource.get("mode") != "managed" or not isinstance(body, Mapping):
            continue
        after = unknown.get(str(resource.get("address")))
        later = _truths(after, "") if isinstance(after, Mapping) else []
        place = next((one for one in later if one.startswith(("permissions", "body"))), None)
        if place is not None and terraform_fields(str(resource.get("type")), {**body, "body": {"properties": {}}}):
            raise UnknownValueError(f"`{resource.get('address')}`", place, "that is known after apply")
        yield from _role(str(resource.get("type")), body)


def _resources(module: object, depth: int) -> Iterator[Mapping[str, Any]]:
    if not isinstance(module, Mapping):
        return
    if depth > 100:
        raise InputError("modules are nested deeper than any configuration")
    yield from (one for one in _list(module.get("resources")) if isinstance(one, Mapping))
    for child in _list(module.get("child_modules")):
        yield from _resources(child, depth + 1)


def _truths(after_unknown: object, place: str) -> list[str]:
    """Return the places of `after_unknown` that are true."""
    if after_unknown is True:
        return [place]
    pairs: list[tuple[str, object]] = []
    if isinstance(after_unknown, Mapping):
        pairs = [(f"{place}.{key}" if place else str(key), value) for key, value in after_unknown.items()]
    elif isinstance(after_unknown, list):
        pairs = [(f"{place}[{index}]", value) for index, value in enumerate(after_unknown)]
    return [found for inner, value in pairs for found in _truths(value, inner)]


def _role(kind: str, body: Mapping[str, Any]) -> Iterator[RoleDefinition]:
    fields = terraform_fields(kind, body)
    if fields is not None:
        yield make_role(lambda _: fields)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
