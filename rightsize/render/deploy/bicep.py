"""Write Bicep: one file a role, one a target of assignments, and `main.bicep`, which deploys them in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rightsize.iac.bicep import bicep_roles
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.render.deploy.contents import (
    API,
    DeployContents,
    Made,
    Target,
    by_target,
    home_of,
    outer_level,
    target_of,
)
from rightsize.render.deploy.formats import RoleFormat
from rightsize.render.escape import for_bicep, for_terminal

# Bicep requires an API version for an existing resource, but sends no request with it: only the id is used.
_EXISTING = "2021-04-01"


def role_bicep(role: RoleDefinition) -> str:
    """Return a file that makes a role, for a deployment at its first assignable scope."""
    level = target_of(role.assignable_scopes[0])[0].level if role.assignable_scopes else "subscription"
    blocks = "".join(_block(block) for block in role.permissions)
    name = f"  name: {for_bicep(role.role_definition_id)}\n" if role.role_definition_id else ""
    return (
        f"targetScope = '{level}'\n\n"
        f"resource role 'Microsoft.Authorization/roleDefinitions@{API}' = {{\n{name}"
        "  properties: {\n"
        f"    roleName: {for_bicep(role.role_name)}\n"
        f"    description: {for_bicep(role.description)}\n"
        f"    type: {for_bicep(role.role_type)}\n"
        f"    permissions: {_listed(blocks, 4)}\n"
        f"    assignableScopes: {_strings(role.assignable_scopes, 4)}\n"
        "  }\n}\n"
    )


def plan_bicep(contents: DeployContents) -> dict[str, str]:
    """Return the files of a plan by name; `main.bicep` is the one to deploy."""
    files = {f"{role.slug}.bicep": role_bicep(role.definition) for role in contents.roles}
    places = by_target(contents)
    files |= {f"{target.slug}.bicep": _place(target, made) for target, made in places.items()}
    return files | {"main.bicep": "\n".join(_main(contents, places))}


def _main(contents: DeployContents, places: dict[Target, list[Made]]) -> Iterator[str]:
    yield f"targetScope = '{outer_level(contents)}'\n"
    symbols: dict[str, str] = {}
    for role in contents.roles:
        identifier = role.definition.role_definition_id
        symbols[identifier] = f"role_{identifier.replace('-', '_')}"
        yield _module(symbols[identifier], f"{role.slug}.bicep", f"rightsize-role-{identifier}", home_of(role), ())
    for target, made in places.items():
        after = sorted({symbols[one.role] for one in made if one.role in symbols})
        yield _module(target.slug.replace("-", "_"), f"{target.slug}.bicep", f"rightsize-{target.slug}", target, after)


def _module(symbol: str, file: str, name: str, target: Target, after: Sequence[str]) -> str:
    lines = "".join(f"    {one}\n" for one in after)
    waits = f"  dependsOn: {_listed(lines, 2)}\n" if after else ""
    return f"module {symbol} {for_bicep(file)} = {{\n  name: {for_bicep(name)}\n  scope: {_scope(target)}\n{waits}}}\n"


def _scope(target: Target) -> str:
    arguments = (target.group, target.subscription, target.resource_group)
    return f"{target.level}({', '.join(for_bicep(one) for one in arguments if one)})"


def _place(target: Target, made: Sequence[Made]) -> str:
    parts = [f"// {for_terminal(target.path or '/')}\ntargetScope = '{target.level}'\n"]
    symbols: dict[tuple[tuple[str, str], ...], str] = {}
    for one in made:
        way = tuple(target_of(one.scope)[1])
        for length in range(1, len(way) + 1):
            if way[:length] not in symbols:
                symbols[way[:length]] = f"resource_{len(symbols) + 1}"
                parts.append(_existing(way[:length], symbols))
        parts.append(_assignment(one, symbols.get(way)))
    return "\n".join(parts)


def _existing(way: tuple[tuple[str, str], ...], symbols: dict[tuple[tuple[str, str], ...], str]) -> str:
    kind, name = way[-1]
    scope = f"  scope: {symbols[way[:-1]]}\n" if len(way) > 1 else ""
    resource = for_bicep(f"{kind}@{_EXISTING}")
    return f"resource {symbols[way]} {resource} existing = {{\n  name: {for_bicep(name)}\n{scope}}}\n"


def _assignment(one: Made, resource: str | None) -> str:
    scope = f"  scope: {resource}\n" if resource else ""
    lines = "".join(f"    {name}: {for_bicep(text)}\n" for name, text in one.properties().items())
    return (
        f"resource assignment_{one.id.replace('-', '_')} 'Microsoft.Authorization/roleAssignments@{API}' = {{\n"
        f"  name: {for_bicep(one.id)}\n{scope}  properties: {{\n{lines}  }}\n}}\n"
    )


def _block(block: PermissionBlock) -> str:
    texts = {
        "actions": block.actions,
        "notActions": block.not_actions,
        "dataActions": block.data_actions,
        "notDataActions": block.not_data_actions,
    }
    lines = [f"        {name}: {_strings(found, 8)}\n" for name, found in texts.items()]
    for name, text in (("condition", block.condition), ("conditionVersion", block.condition_version)):
        if text is not None:
            lines.append(f"        {name}: {for_bicep(text)}\n")
    return "      {\n" + "".join(lines) + "      }\n"


def _strings(texts: Iterable[str], indent: int) -> str:
    return _listed("".join(" " * (indent + 2) + for_bicep(text) + "\n" for text in texts), indent)


def _listed(lines: str, indent: int) -> str:
    return f"[\n{lines}{' ' * indent}]" if lines else "[]"


BICEP = RoleFormat("bicep", write_role=role_bicep, write_plan=plan_bicep, readers={".bicep": bicep_roles})
