"""Read the role definitions of Terraform files (`.tf`, `.tf.json`) with the variables, locals and files beside them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from rightsize.model.code_hcl import Block, read_hcl, read_hcl_json
from rightsize.model.errors import InputError
from rightsize.model.expression_scope import Unknown, Work
from rightsize.model.expression_tree import Node
from rightsize.model.expression_values import evaluate, pairs_of
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import load_json
from rightsize.model.role_templates import (
    NOTHING_BESIDE,
    Beside,
    UnknownValueError,
    items_of_loop,
    make_role,
    roles_of_all_sides,
)
from rightsize.model.role_terraform_state import TERRAFORM_TYPE, terraform_fields
from rightsize.model.terraform_values import Given, TerraformModule

MOST_INSTANCES = 1_000
DEEPEST = 20
"""The most modules within one another."""
_ENDINGS = (".tf", ".tf.json")


def terraform_roles(text: str, beside: Beside = NOTHING_BESIDE) -> Iterator[RoleDefinition]:
    """Yield the roles of a Terraform file, and of the modules in folders beside it that it calls.

    Raises:
        InputError: It is no Terraform, or the permissions of a role are known only at its deployment.
    """
    return _roles(read_hcl(text), beside)


def terraform_json_roles(document: Mapping[str, Any], beside: Beside) -> Iterator[RoleDefinition]:
    """Yield the roles of Terraform's JSON."""
    return _roles(read_hcl_json(document), beside)


def _roles(file: Block, beside: Beside) -> Iterator[RoleDefinition]:
    made = _making(file)
    if not made:
        return
    # The file itself stands last, so that it wins where it is also one of those beside it.
    module = TerraformModule([*_files(beside), file], _given(beside), beside, Work())
    for block in made:
        yield from roles_of_all_sides(module.work, partial(_of_block, block, module, 0))


def _making(file: Block) -> list[Block]:
    """Return the resources that may be roles, and the calls of modules."""
    for block in file.inner("resource"):
        if len(block.labels) != 2:
            raise InputError(f"not valid Terraform: a resource {''.join(block.labels[:1])} has no name")
    resources = [one for one in file.inner("resource") if _may_be_role(one.labels[0])]
    return [*resources, *file.inner("module")]


def _may_be_role(kind: str) -> bool:
    return kind == TERRAFORM_TYPE or kind.startswith("azapi_")


def _of_block(block: Block, module: TerraformModule, depth: int) -> Iterator[RoleDefinition]:
    if block.kind == "module":
        yield from _of_module(block, module, depth)
        return
    for names in _instances(block, module):
        yield from _role(block, module, names)


def _of_module(call: Block, module: TerraformModule, depth: int) -> Iterator[RoleDefinition]:
    """Yield the roles of a module in another folder; one of a registry or a repository is not read."""
    source = call.attributes.get("source")
    folder = source.parts[0] if source is not None and source.kind == "value" else None
    if not isinstance(folder, str) or not folder.startswith("."):
        return
    folder = posixpath.normpath(folder)
    if depth >= DEEPEST:
        raise InputError("modules call one another more often than any deployment")
    within = module.beside.within(folder)
    if not any(name.endswith(_ENDINGS) for name in within.names(".")):
        if module.beside is NOTHING_BESIDE:
            return
        place = f"the module `{''.join(call.labels[:1])}`"
        raise UnknownValueError(place, folder, "for a folder that is not here")
    files = [read for name in _names(within) if (read := _readable(name, within, must_be_read=True)) is not None]
    made = [block for file in files for block in _making(file)]
    if not made:
        return
    for name in _names(within):
        module.beside.calls(f"{folder}/{name}")
    for names in _instances(call, module):
        given = {name: Given(node, module, names) for name, node in call.attributes.items()}
        inner = TerraformModule(files, given, within, module.work, is_called=True)
        for block in made:
            yield from _of_block(block, inner, depth + 1)


def _role(block: Block, module: TerraformModule, names: Mapping[str, object]) -> Iterator[RoleDefinition]:
    kind = block.labels[0]
    with module.work.by_default():
        if terraform_fields(kind, _attributes(block, module, names, True)) is None:
            return

    def fields(uses_defaults: bool) -> dict[str, Any]:
        granted = terraform_fields(kind, _attributes(block, module, names, uses_defaults)) or {}
        with module.work.by_default():
            found = terraform_fields(kind, _attributes(block, module, names, uses_defaults)) or {}
        label, each = found.get("name"), names.get("each") or names.get("count")
        if isinstance(label, Unknown) and isinstance(each, Mapping):
            found["name"] = Unknown(label.cause, f"{label.shown} [{next(iter(each.values()))}]")
        return {**found, "permissions": granted.get("permissions")}

    yield make_role(fields)


def _attributes(
    block: Block, module: TerraformModule, names: Mapping[str, object], uses_defaults: bool
) -> dict[str, Any]:
    """Return the attributes of a resource that a role is made of; its blocks may be dynamic."""
    scope = module.scope(names, uses_defaults)
    wanted = ("name", "role_definition_id", "description", "assignable_scopes", "type", "body")
    made = {key: evaluate(block.attributes[key], scope) for key in wanted if key in block.attributes}
    if isinstance(made.get("body"), Unknown):
        made["body"] = {"properties": {"permissions": made["body"]}}
    if block.labels[0] != TERRAFORM_TYPE:
        return made
    permissions: list[object] = []
    if "permissions" in block.attributes:
        value = evaluate(block.attributes["permissions"], scope)
        permissions.extend(value if isinstance(value, list) else [value])
    for inner in block.inner("permissions"):
        permissions.append({key: evaluate(node, scope) for key, node in inner.attributes.items()})
    for inner in block.inner("dynamic", "permissions"):
        permissions.extend(_dynamic(inner, module, names, uses_defaults))
    made["permissions"] = permissions
    return made


def _dynamic(
    block: Block, module: TerraformModule, names: Mapping[str, object], uses_defaults: bool
) -> Iterator[object]:
    each = block.attributes.get("for_each", Node("unread", (), "for_each"))
    over = evaluate(each, module.scope(names, uses_defaults))
    pairs = pairs_of(over)
    if isinstance(over, Unknown) or pairs is None:
        yield over if isinstance(over, Unknown) else Unknown("for_each", "")
        return
    named = block.attributes.get("iterator")
    iterator = "permissions" if named is None else str(named.parts[0]) if named.parts else named.text
    for key, value in pairs:
        scope = module.scope({**names, iterator: {"key": key, "value": value}}, uses_defaults)
        for content in block.inner("content"):
            yield {name: evaluate(node, scope) for name, node in content.attributes.items()}


def _instances(block: Block, module: TerraformModule) -> Iterator[Mapping[str, object]]:
    """Yield the names that each instance of a resource or a module has."""
    place = f"a resource `{block.labels[0]}`" if block.kind == "resource" else f"the module `{''.join(block.labels)}`"

    def value(name: str, uses_defaults: bool) -> Any:
        return evaluate(block.attributes[name], module.scope({}, uses_defaults))

    if "for_each" in block.attributes:
        over = items_of_loop(partial(value, "for_each"), f"`for_each` of {place}")
        is_set = isinstance(value("for_each", True), list)
        for key, item in over:
            yield {"each": {"key": item if is_set else key, "value": item}}
        return
    if "count" not in block.attributes:
        yield {}
        return
    count = value("count", True)
    if isinstance(count, Unknown):
        yield {"count": {"index": Unknown("count.index", "${count.index}")}}
        return
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST_INSTANCES:
        raise InputError(f"`count` of {place} is not a number up to {MOST_INSTANCES}")
    # A role that a variable leaves out by default is one all the same: another value makes it.
    is_left_out = count == 0 and value("count", False) != 0
    for index in range(1 if is_left_out else count):
        yield {"count": {"index": index}}


def variables_of(name: str, content: bytes) -> dict[str, Given]:
    """Return the values of a file of variables; raise InputError or UnicodeDecodeError where it is none."""
    return {key: Given(node) for key, node in _file(name, content).attributes.items()}


def _given(beside: Beside) -> dict[str, Given]:
    """Return the values of variables from the files that Terraform reads by itself, and from further ones."""
    names = beside.names(".")
    automatic = [name for name in sorted(names) if name.endswith((".auto.tfvars", ".auto.tfvars.json"))]
    own = [name for name in ("terraform.tfvars", "terraform.tfvars.json", *automatic) if name in names]
    given: dict[str, Given] = {}
    for name, content in [*((name, beside.read(name)) for name in own), *beside.variables]:
        given.update(variables_of(name, content or b""))
    return given


def _names(beside: Beside) -> list[str]:
    return [name for name in sorted(beside.names(".")) if name.endswith(_ENDINGS)]


def _files(beside: Beside) -> list[Block]:
    """Return the files of the module that can be read; a name that only a broken one has is unknown."""
    return [file for name in _names(beside) if (file := _readable(name, beside)) is not None]


def _readable(name: str, beside: Beside, *, must_be_read: bool = False) -> Block | None:
    try:
        return _file(name, beside.read(name) or b"")
    except (InputError, UnicodeDecodeError) as error:
        if must_be_read:
            raise InputError(f"`{name}` of a module: {error}") from None
        return None


def _file(name: str, content: bytes) -> Block:
    """Return the content of a file: of Terraform's JSON or, by its ending, of the native syntax."""
    text = content.decode("utf-8-sig")
    return read_hcl_json(load_json(text)) if name.endswith(".json") else read_hcl(text)
