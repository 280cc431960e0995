"""Read role definitions from ARM templates and Terraform JSON that a parser has already read.

The template must state what a role grants. An expression that only a deployment knows (a parameter, a function, an
interpolation) in a list of actions is an error, since nobody can say what such a role grants. Names and assignable
scopes may be expressions, and stay as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rightsize.model.errors import InputError, UsageError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import read_role_definitions

ROLE_TYPE = "microsoft.authorization/roledefinitions"
TERRAFORM_TYPE = "azurerm_role_definition"
_FIELDS = ("actions", "notActions", "dataActions", "notDataActions")
_SNAKE = dict(zip(("actions", "not_actions", "data_actions", "not_data_actions"), _FIELDS, strict=True))
_VARIABLE = re.compile(r"\[variables\('([^']+)'\)\]", re.IGNORECASE)
TERRAFORM_EXPRESSION = re.compile(r"(?<!\$)\$\{|(?<!%)%\{")
MOST_REFERENCES = 50
"""The most templates within templates, and the most names that lead to one value."""

Resolve = Callable[[object, str], object]
"""Returns the value of an expression, or raises InputError; any other value is returned as it is."""


def template_roles(document: object) -> tuple[RoleDefinition, ...] | None:
    """Return the roles that a template defines, or None where the document is no template.

    Raises:
        InputError: What a role grants cannot be known before its deployment; the message names the place.
    """
    if not isinstance(document, Mapping):
        return None
    if isinstance(document.get("resources"), (list, Mapping)) and "$schema" in document:
        return tuple(_arm_roles(document, 0))
    kinds = document.get("resource")
    if isinstance(kinds, (list, Mapping)):
        return tuple(_terraform_json_roles(kinds))
    return None


def make_role(
    name: object,
    identifier: object,
    permissions: object,
    scopes: object,
    resolve: Resolve,
    description: object = None,
) -> RoleDefinition:
    """Return the role that the fields of a template define.

    Args:
        name: The display name, perhaps an expression.
        identifier: The name of the resource, kept where it is a text.
        permissions: The list of permission blocks, or an expression for it.
        scopes: The assignable scopes; those that are no texts are left out.
        resolve: Resolves expressions to values.
        description: Its description, kept where it is a text.

    Raises:
        InputError: A list of actions is not known.
    """
    label = name if isinstance(name, str) and name else "without a name"
    where = f"role `{label}`"
    blocks = resolve(permissions, f"`permissions` of {where}")
    if isinstance(blocks, Mapping):
        blocks = [blocks]
    if not isinstance(blocks, list):
        raise InputError(f"`permissions` of {where} is not a list of permission blocks")
    made = {
        "name": identifier if isinstance(identifier, str) else "",
        "properties": {
            "roleName": label,
            "description": description if isinstance(description, str) else "",
            "type": "CustomRole",
            "permissions": [_block(resolve(block, where), where, resolve) for block in blocks],
            "assignableScopes": [scope for scope in scopes if isinstance(scope, str)]
            if isinstance(scopes, list)
            else [],
        },
    }
    return read_role_definitions(made)[0]


def _block(block: object, where: str, resolve: Resolve) -> dict[str, Any]:
    if not isinstance(block, Mapping):
        raise InputError(f"a permission block of {where} is not an object")
    made: dict[str, Any] = {}
    for key, value in block.items():
        name = next((one for one in _FIELDS if one.lower() == str(key).lower()), _SNAKE.get(str(key)))
        if name is None:
            if str(key).lower() in ("condition", "conditionversion"):
                made[str(key)] = resolve(value, f"`{key}` of {where}")
            continue
        place = f"`{name}` of {where}"
        items = resolve(value, place)
        if items is None:
            continue
        if not isinstance(items, list):
            raise InputError(f"{place} is not a list of strings")
        made[name] = list(_strings(items, place, resolve))
    return made


def _strings(items: list[object], place: str, resolve: Resolve) -> Iterator[object]:
    for item in items:
        value = resolve(item, place)
        if not isinstance(value, str):
            raise unknown_value(place, value)
        yield value


def unknown_value(place: str, value: object) -> InputError:
    """Return the error for an expression that only a deployment knows."""
    return InputError(
        f"{place} has an expression whose value only a deployment knows: `{str(value)[:80]}`",
        hint="write the actions out, or give the compiled template",
    )


def parsed(language: str, parse: Callable[[str], Mapping[str, Any]], text: str) -> Mapping[str, Any]:
    """Return what a parser makes of a text; the parser imports its package, an extra, when it is called.

    Raises:
        InputError: The text is not valid in this language.
        UsageError: The package is not installed.
    """
    try:
        return parse(text)
    except ImportError:
        hint = "install the extra that reads it: `pip install 'rightsize[iac]'`"
        raise UsageError(f"{language} is not read by this installation", hint=hint) from None
    except Exception as error:
        said = (str(error).strip().split("\n")[0] or type(error).__name__)[:200]
        raise InputError(f"not valid {language}: {said}") from error


def _arm_roles(template: Mapping[str, Any], depth: int) -> Iterator[RoleDefinition]:
    if depth > MOST_REFERENCES:
        raise InputError("templates are nested deeper than any deployment")
    variables = template.get("variables") if isinstance(template.get("variables"), Mapping) else {}

    def resolve(value: object, place: str) -> object:
        for _ in range(MOST_REFERENCES):
            if not (isinstance(value, str) and value.startswith("[") and value.endswith("]")) or value[1] == "[":
                break
            match = _VARIABLE.fullmatch(value)
            known = {str(name).lower(): one for name, one in variables.items()} if variables else {}
            if match is None or match[1].lower() not in known:
                raise unknown_value(place, value)
            value = known[match[1].lower()]
        return _arm_text(value)

    resources = template.get("resources") or []
    for resource in resources.values() if isinstance(resources, Mapping) else resources:
        if not isinstance(resource, Mapping) or resource.get("existing") is True:
            continue
        properties = resource.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        kind = str(resource.get("type", "")).lower()
        if kind == ROLE_TYPE:
            scopes = properties.get("assignableScopes")
            yield make_role(
                _arm_text(properties.get("roleName")),
                _arm_text(resource.get("name")),
                properties.get("permissions"),
                list(map(_arm_text, scopes)) if isinstance(scopes, list) else scopes,
                resolve,
                _arm_text(properties.get("description")),
            )
        elif kind == "microsoft.resources/deployments" and isinstance(properties.get("template"), Mapping):
            yield from _arm_roles(properties["template"], depth + 1)


def _arm_text(value: object) -> object:
    """Return the text that a template string means: a leading `[[` stands for `[` where it ends with `]`."""
    is_doubled = isinstance(value, str) and value.startswith("[[") and value.endswith("]")
    return value[1:] if is_doubled and isinstance(value, str) else value


def _terraform_json_roles(kinds: object) -> Iterator[RoleDefinition]:
    def resolve(value: object, place: str) -> object:
        if not isinstance(value, str):
            return value
        if TERRAFORM_EXPRESSION.search(value):
            raise unknown_value(place, value)
        return terraform_text(value)

    for group in kinds if isinstance(kinds, list) else [kinds]:
        roles = group.get(TERRAFORM_TYPE) if isinstance(group, Mapping) else None
        for named in roles if isinstance(roles, list) else [roles]:
            for body in named.values() if isinstance(named, Mapping) else ():
                for one in body if isinstance(body, list) else [body]:
                    yield terraform_role(one, resolve)


def terraform_role(body: object, resolve: Resolve) -> RoleDefinition:
    """Return the role of an `azurerm_role_definition`, or raise InputError."""
    if not isinstance(body, Mapping):
        raise InputError(f"an `{TERRAFORM_TYPE}` is not a block")
    if "dynamic" in body:
        raise unknown_value(f"`permissions` of role `{body.get('name')}`", "dynamic")
    scopes = body.get("assignable_scopes")
    return make_role(
        _shown(body.get("name")),
        _shown(body.get("role_definition_id")),
        body.get("permissions", []),
        list(map(_shown, scopes)) if isinstance(scopes, list) else scopes,
        resolve,
        _shown(body.get("description")),
    )


def terraform_text(text: str) -> str:
    """Return the text that a Terraform string without expressions means."""
    return text.replace("$${", "${").replace("%%{", "%{")


def _shown(value: object) -> object:
    is_literal = isinstance(value, str) and not TERRAFORM_EXPRESSION.search(value)
    return terraform_text(value) if is_literal and isinstance(value, str) else value
