"""Make role definitions out of what a template says of them, as far as the template itself decides it.

A template must state what a role grants. An expression that only a deployment knows in a list of actions is an error
that names it, since nobody can say what such a role grants. Names and assignable scopes may be unknown, and stay as
they are written. A parameter has its default. Where a role grants nothing, or a loop makes no role, by a default alone,
the values come from a caller, and that is an error, too: a module of roles is not a role.

A condition that a parameter or a deployment decides counts as both: the role has the blocks of both sides.

Read the role definitions of a Terraform state, and of `terraform show -json` of a plan or a state.

Source: developer.hashicorp.com, "JSON Output Format" of Terraform; the state has format version 4 since Terraform 0.12.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rightsize.iac.evaluation import pairs_of, unknown_in
from rightsize.iac.expressions import Unknown, Work
from rightsize.model.errors import InputError
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.role_forms import load_json, read_role_definitions

ROLE_TYPE = "microsoft.authorization/roledefinitions"
_FIELDS = ("actions", "notActions", "dataActions", "notDataActions")
_SNAKE = dict(zip(("actions", "not_actions", "data_actions", "not_data_actions"), _FIELDS, strict=True))
_HINT = "write the actions out, or give the compiled template or the plan"


class UnknownValueError(InputError):
    """An expression that a role depends on has no value in the file."""

    def __init__(self, place: str, expression: str, said: str = "whose value only a deployment knows") -> None:
        super().__init__(f"{place} has an expression {said}: `{expression[:80]}`", hint=_HINT)
        self.expression = expression


def _untold(_: str) -> None:
    """Do nothing with a name."""


@dataclass(frozen=True, slots=True)
class Beside:
    """The files beside a file, by their path from its folder.

    Attributes:
        read: Returns the content of a file, or None where there is none.
        names: Returns the names of the files of a folder.
        calls: Is told each file whose roles are read as those of a module.
        variables: The names and contents of further files of variables of Terraform; the last one wins.
    """

    read: Callable[[str], bytes | None]
    names: Callable[[str], list[str]]
    calls: Callable[[str], None] = _untold
    variables: tuple[tuple[str, bytes], ...] = ()

    def within(self, folder: str) -> Beside:
        """Return the files beside a file of a module in another folder, which has no further files of variables."""

        def place(name: str) -> str:
            return f"{folder}/{name}" if folder else name

        return Beside(
            lambda name: self.read(place(name)),
            lambda name: self.names(place(name)),
            lambda name: self.calls(place(name)),
        )


NOTHING_BESIDE = Beside(lambda _: None, lambda _: [])

Evaluate = Callable[[bool], Any]
"""Returns the value of an expression, with the defaults of parameters or, if False, with parameters unknown."""


def make_role(fields: Evaluate) -> RoleDefinition:
    """Return the role that the fields of a template define.

    Args:
        fields: Returns the fields `name`, `id`, `description`, `scopes` and `permissions`, with or without defaults.

    Raises:
        InputError: A list of actions is not known.
    """
    said = fields(True)
    label = _shown(said.get("name")) or "without a name"
    where = f"role `{label}`"
    permissions = said.get("permissions")
    blocks = [permissions] if isinstance(permissions, Mapping) else permissions
    if isinstance(blocks, Unknown):
        raise UnknownValueError(f"`permissions` of {where}", blocks.cause)
    if not isinstance(blocks, list):
        raise InputError(f"`permissions` of {where} is not a list of permission blocks")
    made = {
        "name": said["id"] if isinstance(said.get("id"), str) else "",
        "properties": {
            "roleName": label,
            "description": _shown(said.get("description")),
            "type": "CustomRole",
            "permissions": [_block(block, where) for block in blocks],
            "assignableScopes": _scopes(said.get("scopes")),
        },
    }
    role = read_role_definitions(made)[0]
    if not any(block.actions or block.data_actions for block in role.permissions):
        by_default = unknown_in(fields(False).get("permissions"))
        if by_default is not None:
            place = f"{where} grants nothing by default: it"
            raise UnknownValueError(place, by_default.cause, "whose value comes from outside")
    return role


def items_of_loop(evaluate: Evaluate, place: str) -> list[tuple[Any, Any]]:
    """Return the keys and values that a loop of roles goes over: positions for a list.

    Raises:
        InputError: They are not known, or are none by default.
    """
    value = evaluate(True)
    if isinstance(value, Unknown):
        raise UnknownValueError(place, value.cause)
    pairs = pairs_of(value)
    if pairs is None:
        raise InputError(f"{place} is not a list or an object")
    without = None if pairs else evaluate(False)
    if isinstance(without, Unknown):
        raise UnknownValueError(f"{place} is empty by default: it", without.cause, "whose value comes from outside")
    return pairs


def roles_of_all_sides(work: Work, make: Callable[[], Iterable[RoleDefinition]]) -> Iterator[RoleDefinition]:
    """Yield the roles that a part of a template makes, whatever its undecided conditions are.

    A role that several combinations of sides make has the permission blocks of all of them.

    Raises:
        InputError: Of one side it is not known what a role grants, or there are too many conditions.
    """
    found: dict[tuple[str, str, int], RoleDefinition] = {}
    for roles in work.each_side(lambda: list(make())):
        seen: Counter[tuple[str, str]] = Counter()
        for role in roles:
            name = (role.role_definition_id, role.role_name)
            seen[name] += 1
            place = (*name, seen[name])
            known = found.setdefault(place, role)
            if known.permissions != role.permissions:
                found[place] = replace(known, permissions=(*known.permissions, *role.permissions), is_decided=False)
    for role in found.values():
        yield role if role.is_decided else replace(role, permissions=_widest(role.permissions))


def _widest(blocks: Iterable[PermissionBlock]) -> tuple[PermissionBlock, ...]:
    """Return permission blocks without those that another one contains string by string."""
    distinct = list(dict.fromkeys(blocks))
    return tuple(block for block in distinct if not any(_within(block, other) for other in distinct if other != block))


def _within(block: PermissionBlock, other: PermissionBlock) -> bool:
    grants = [(block.actions, other.actions), (block.data_actions, other.data_actions)]
    limits = [(other.not_actions, block.not_actions), (other.not_data_actions, block.not_data_actions)]
    is_within = all(set(small) <= set(big) for small, big in (*grants, *limits))
    same_condition = (block.condition, block.condition_version) == (other.condition, other.condition_version)
    return is_within and same_condition and not _is_within_both(block, other)


def _is_within_both(block: PermissionBlock, other: PermissionBlock) -> bool:
    """Return whether two blocks differ in the order of their strings alone; the one that sorts first stays."""
    names = ("actions", "not_actions", "data_actions", "not_data_actions")
    alike = all(set(getattr(block, name)) == set(getattr(other, name)) for name in names)
    return alike and repr(block) < repr(other)


def _scopes(scopes: object) -> list[str]:
    if isinstance(scopes, Unknown):
        return [scopes.shown]
    return [_shown(scope) for scope in scopes if isinstance(scope, (str, Unknown))] if isinstance(scopes, list) else []


def _shown(value: object) -> str:
    if isinstance(value, Unknown):
        return value.shown
    return value if isinstance(value, str) else ""


def _block(block: object, where: str) -> dict[str, Any]:
    if isinstance(block, Unknown):
        raise UnknownValueError(f"`permissions` of {where}", block.cause)
    if not isinstance(block, Mapping):
        raise InputError(f"a permission block of {where} is not an object")
    made: dict[str, Any] = {}
    for key, value in block.items():
        name = next((one for one in _FIELDS if one.lower() == str(key).lower()), _SNAKE.get(str(key)))
        place = f"`{name or key}` of {where}"
        if name is None and str(key).lower() not in ("condition", "conditionversion"):
            continue
        unknown = unknown_in(value)
        if unknown is not None:
            raise UnknownValueError(place, unknown.cause)
        if value is None:
            continue
        if name is None:
            made[str(key)] = value
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            if name in made:
                raise InputError(f"{place} stands twice")
            made[name] = value
        else:
            raise InputError(f"{place} is not a list of strings")
    return made


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
