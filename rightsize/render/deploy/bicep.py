"""Write a plan as Bicep: one file a role, one a target of assignments, and `main.bicep`, which deploys them in order.

Ids of the tenant are parameters. `main.bicep` has all of them and hands them to the modules, each of which has the same
defaults, so that it can be deployed and read by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rightsize.iac.bicep import bicep_roles
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.role_forms import strings_of
from rightsize.model.text import fold
from rightsize.render.deploy.code_names import CodeNames, Variable, code_names
from rightsize.render.deploy.contents import (
    API,
    TAKE_OUT,
    DeployContents,
    Made,
    RoleFormat,
    Target,
    by_target,
    home_of,
    outer_level,
    take_out_page,
    target_of,
)
from rightsize.render.escape import for_bicep, for_terminal

# Bicep requires an API version for an existing resource, but sends no request with it: only the id is used.
_EXISTING = "2021-04-01"
_MAIN = "main"
_MOST_PARAMETERS = 256
"""Parameters of a template (Microsoft Learn, "ARM template best practices"); with more ids, files have the ids."""
_NAMELESS = CodeNames({}, {}, {}, {})


def role_bicep(role: RoleDefinition) -> str:
    """Return a file that makes a role, for a deployment at its first assignable scope."""
    return _role(role, _NAMELESS)


def plan_bicep(contents: DeployContents) -> dict[str, str]:
    """Return the files of a plan by name; `main.bicep` is the one to deploy."""
    places = by_target(contents)
    names = code_names(contents, (_MAIN, *(target.slug for target in places)))
    if len(names.variables) > _MOST_PARAMETERS:
        names = replace(names, variables={})
    modules = [*_role_modules(contents, names), *_place_modules(contents, names, places)]
    files = {f"{one.file}.bicep": one.text for one in modules}
    files[f"{_MAIN}.bicep"] = "\n".join(_main(contents, names, modules))
    if contents.replaced:
        how = (
            "Find each by its role, place and holder in your code, and delete it there. A deployment deletes nothing "
            "that left a file: then run `az role assignment delete --ids ID`."
        )
        files[TAKE_OUT] = take_out_page(contents, how)
    return files


@dataclass(frozen=True, slots=True)
class _Module:
    """A file and its call: its symbol and the name of its deployment, its target, and the modules it waits for."""

    file: str
    text: str
    symbol: str
    name: str
    target: Target
    parameters: Sequence[Variable]
    after: Sequence[str] = ()


def _role_modules(contents: DeployContents, names: CodeNames) -> Iterator[_Module]:
    for role in contents.roles:
        id_ = role.definition.role_definition_id
        yield _Module(
            names.files[id_],
            _role(role.definition, names),
            _role_symbol(names, id_),
            f"rightsize-role-{id_}",
            home_of(role),
            names.used_in(role.definition.assignable_scopes),
        )


def _role_symbol(names: CodeNames, role: str) -> str:
    return f"role_{names.roles[role].removeprefix('role_')}"


def _place_modules(
    contents: DeployContents, names: CodeNames, places: Mapping[Target, Sequence[Made]]
) -> Iterator[_Module]:
    new = {role.definition.role_definition_id for role in contents.roles}
    for target, made in places.items():
        used = names.used_in([one.role_path for one in made], [one.principal_id for one in made])
        yield _Module(
            target.slug,
            _place(target, made, contents, names, used),
            target.slug.replace("-", "_"),
            f"rightsize-{target.slug}",
            target,
            used,
            sorted({_role_symbol(names, one.role) for one in made if one.role in new}),
        )


def _main(contents: DeployContents, names: CodeNames, modules: Sequence[_Module]) -> Iterator[str]:
    yield f"targetScope = '{outer_level(contents)}'\n"
    yield from map(_parameter, names.variables.values())
    for one in modules:
        given = "".join(f"    {name.name}: {name.name}\n" for name in one.parameters)
        lines = "".join(f"    {symbol}\n" for symbol in one.after)
        yield (
            f"module {one.symbol} {for_bicep(f'{one.file}.bicep')} = {{\n  name: {for_bicep(one.name)}\n"
            f"  scope: {_scope(one.target, names)}\n"
            + (f"  params: {{\n{given}  }}\n" if given else "")
            + (f"  dependsOn: {_listed(lines, 2)}\n" if lines else "")
            + "}\n"
        )


def _parameter(one: Variable) -> str:
    return f"@description({for_bicep(one.description)})\nparam {one.name} string = {for_bicep(one.value)}\n"


def _scope(target: Target, names: CodeNames) -> str:
    arguments = [_named(one, names) for one in (target.group, target.subscription) if one]
    arguments += [for_bicep(target.resource_group)] if target.resource_group else []
    return f"{target.level}({', '.join(arguments)})"


def _named(id_: str, names: CodeNames) -> str:
    variable = names.variables.get(fold(id_))
    return for_bicep(id_) if variable is None else variable.name


def _id(text: str, names: CodeNames) -> str:
    """Return an id as a Bicep string, with the parameter of its subscription or management group."""
    before, variable, after = names.of_scope(text)
    middle = f"${{{variable.name}}}" if variable is not None else ""
    return f"'{for_bicep(before)[1:-1]}{middle}{for_bicep(after)[1:-1]}'"


def _role(role: RoleDefinition, names: CodeNames) -> str:
    level = target_of(role.assignable_scopes[0])[0].level if role.assignable_scopes else "subscription"
    parameters = "".join(f"{_parameter(one)}\n" for one in names.used_in(role.assignable_scopes))
    blocks = "".join(_block(block) for block in role.permissions)
    name = f"  name: {for_bicep(role.role_definition_id)}\n" if role.role_definition_id else ""
    return (
        f"targetScope = '{level}'\n\n{parameters}"
        f"resource role 'Microsoft.Authorization/roleDefinitions@{API}' = {{\n{name}"
        "  properties: {\n"
        f"    roleName: {for_bicep(role.role_name)}\n"
        f"    description: {for_bicep(role.description)}\n"
        f"    type: {for_bicep(role.role_type)}\n"
        f"    permissions: {_listed(blocks, 4)}\n"
        f"    assignableScopes: {_items((_id(scope, names) for scope in role.assignable_scopes), 4)}\n"
        "  }\n}\n"
    )


def _place(
    target: Target, made: Sequence[Made], contents: DeployContents, names: CodeNames, used: Sequence[Variable]
) -> str:
    parts = [f"// {for_terminal(target.path or '/')}\ntargetScope = '{target.level}'\n", *map(_parameter, used)]
    symbols: dict[tuple[tuple[str, str], ...], str] = {}
    for one in made:
        way = tuple(target_of(one.scope)[1])
        for length in range(1, len(way) + 1):
            if way[:length] not in symbols:
                symbols[way[:length]] = f"resource_{len(symbols) + 1}"
                parts.append(_existing(way[:length], symbols))
        parts.append(_assignment(one, symbols.get(way), contents, names))
    return "\n".join(parts)


def _existing(way: tuple[tuple[str, str], ...], symbols: dict[tuple[tuple[str, str], ...], str]) -> str:
    kind, name = way[-1]
    scope = f"  scope: {symbols[way[:-1]]}\n" if len(way) > 1 else ""
    resource = for_bicep(f"{kind}@{_EXISTING}")
    return f"resource {symbols[way]} {resource} existing = {{\n  name: {for_bicep(name)}\n{scope}}}\n"


def _assignment(one: Made, resource: str | None, contents: DeployContents, names: CodeNames) -> str:
    scope = f"  scope: {resource}\n" if resource else ""
    values = {name: for_bicep(text) for name, text in one.properties().items()} | {
        "roleDefinitionId": _id(one.role_path, names),
        "principalId": _named(one.principal_id, names),
    }
    lines = "".join(f"    {name}: {value}\n" for name, value in values.items())
    symbol = f"assign_{names.assignments[one.id]}"
    return (
        f"// {for_terminal(contents.said(one))}\n"
        f"resource {symbol} 'Microsoft.Authorization/roleAssignments@{API}' = {{\n"
        f"  name: {for_bicep(one.id)}\n{scope}  properties: {{\n{lines}  }}\n}}\n"
    )


def _block(block: PermissionBlock) -> str:
    lines = [f"        {name}: {_items(map(for_bicep, found), 8)}\n" for name, found in strings_of(block).items()]
    for name, text in (("condition", block.condition), ("conditionVersion", block.condition_version)):
        if text is not None:
            lines.append(f"        {name}: {for_bicep(text)}\n")
    return "      {\n" + "".join(lines) + "      }\n"


def _items(values: Iterable[str], indent: int) -> str:
    return _listed("".join(f"{' ' * (indent + 2)}{value}\n" for value in values), indent)


def _listed(lines: str, indent: int) -> str:
    return f"[\n{lines}{' ' * indent}]" if lines else "[]"


BICEP = RoleFormat("bicep", write_role=role_bicep, write_plan=plan_bicep, readers={".bicep": bicep_roles})
