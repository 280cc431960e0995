"""Write the roles and assignments of a plan as Terraform (`.tf`) for the azurerm provider.

There is a file for each role with its assignments, `variables.tf` with the ids of the tenant, `existing.tf` with what
Azure has already, and `take-out.md` with what older code should no longer make. The layout is that of
`terraform fmt`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from rightsize.iac.terraform import terraform_roles
from rightsize.model.errors import InputError
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.rbac.assignments import role_path
from rightsize.render.deploy.code_names import CodeNames, Variable, code_names, snake
from rightsize.render.deploy.contents import TAKE_OUT, DeployContents, Made, RoleFormat, take_out_page
from rightsize.render.escape import for_terminal, for_terraform

_ROLE, _ASSIGNMENT = "azurerm_role_definition", "azurerm_role_assignment"
_VARIABLES, _EXISTING = "variables", "existing"
_NAMELESS = CodeNames({}, {}, {}, {})


def role_terraform(role: RoleDefinition) -> str:
    """Return a file that makes a role.

    Raises:
        InputError: A block has a condition, which `azurerm_role_definition` cannot express.
    """
    word = snake(role.role_name) or "role"
    return _role(role, word if word[0].isalpha() else f"role_{word}", _NAMELESS)


def plan_terraform(contents: DeployContents) -> dict[str, str]:
    """Return the files of a plan by name; they stand beside the provider block of azurerm.

    Raises:
        InputError: A role has a condition within it.
    """
    names = code_names(contents, (_VARIABLES, _EXISTING))
    new: dict[str, RoleDefinition] = {role.definition.role_definition_id: role.definition for role in contents.roles}
    made: dict[str, list[Made]] = defaultdict(list)
    for one in contents.assignments:
        made[one.role].append(one)
    files = {}
    for role, file in names.files.items():
        blocks = [_role(new[role], names.roles[role], names)] if role in new else []
        blocks += [_assignment(one, contents, names, is_new=role in new) for one in made[role]]
        if blocks:
            files[f"{file}.tf"] = "\n".join(blocks)
    variables = list(names.variables.values())
    if variables:
        files[f"{_VARIABLES}.tf"] = "\n".join(_variable(one) for one in variables)
    if imports := list(_imports(contents, names)):
        files[f"{_EXISTING}.tf"] = "\n".join(imports)
    if contents.replaced:
        how = (
            "After `terraform apply`, `terraform state list -id=ID` says at which address your code makes one of them. "
            "Delete that block and apply again."
        )
        files[TAKE_OUT] = take_out_page(contents, how)
    return files


def _role(role: RoleDefinition, label: str, names: CodeNames) -> str:
    if any(block.condition is not None or block.condition_version is not None for block in role.permissions):
        raise InputError(f"role `{role.role_name}` has a condition within it, which Terraform's azurerm cannot express")
    values = {
        "name": _text(role.role_name),
        "role_definition_id": _text(role.role_definition_id) if role.role_definition_id else "",
        "scope": _scope(role.assignable_scopes[0], names) if role.assignable_scopes else "",
        "description": _text(role.description) if role.description else "",
    }
    parts = ["\n".join(_aligned({name: value for name, value in values.items() if value}, "  "))]
    parts += ["\n".join(_permissions(block)) for block in role.permissions]
    if role.assignable_scopes:
        parts.append(
            "\n".join(_list("assignable_scopes", (_scope(one, names) for one in role.assignable_scopes), "  "))
        )
    body = "\n\n".join(parts)
    return f'resource "{_ROLE}" "{label}" {{\n{body}\n}}\n'


def _permissions(block: PermissionBlock) -> Iterator[str]:
    lists = {
        "actions": block.actions,
        "not_actions": block.not_actions,
        "data_actions": block.data_actions,
        "not_data_actions": block.not_data_actions,
    }
    lines = [line for name, texts in lists.items() if texts for line in _list(name, map(_text, texts), "    ")]
    yield from ("  permissions {", *lines, "  }") if lines else ("  permissions {}",)


def _assignment(one: Made, contents: DeployContents, names: CodeNames, *, is_new: bool) -> str:
    role = f"{_ROLE}.{names.roles[one.role]}.role_definition_resource_id"
    values = {
        "name": _text(one.id),
        "scope": _scope(one.scope, names),
        "role_definition_id": role if is_new else _scope(one.role_path, names),
        "principal_id": f"var.{names.variables[one.principal_id].name}",
        "principal_type": _text(one.principal_type),
        "description": _text(one.description),
    }
    if one.condition:
        values |= {"condition": _text(one.condition), "condition_version": '"2.0"'}
    body = "\n".join(_aligned(values, "  "))
    said = f"# {for_terminal(contents.said(one))}\n"
    return f'{said}resource "{_ASSIGNMENT}" "{names.assignments[one.id]}" {{\n{body}\n}}\n'


def _variable(one: Variable) -> str:
    values = {"description": _text(one.description), "type": "string", "default": _text(one.value)}
    return f'variable "{one.name}" {{\n' + "\n".join(_aligned(values, "  ")) + "\n}\n"


def _imports(contents: DeployContents, names: CodeNames) -> Iterator[str]:
    """Yield what takes over the roles and assignments that Azure has, also under their names in `.tf.json` files.

    Source: the pages of `azurerm_role_definition` and `azurerm_role_assignment`, "Import".
    """
    found: list[tuple[str, str, str, str]] = []
    for role in contents.roles:
        id_ = role.definition.role_definition_id
        if id_ in contents.existing:
            scope = role.definition.assignable_scopes[0]
            found.append((_ROLE, "role", names.roles[id_], f"{role_path(scope, id_)}|{scope}"))
    found += [
        (_ASSIGNMENT, "assignment", names.assignments[one.id], one.path)
        for one in contents.assignments
        if one.id in contents.existing
    ]
    for kind, word, label, path in found:
        was_called = path.partition("|")[0].rsplit("/", 1)[-1].replace("-", "_")
        was, is_ = f"{kind}.rightsize_{word}_{was_called}", f"{kind}.{label}"
        yield "moved {\n" + "\n".join(_aligned({"from": was, "to": is_}, "  ")) + "\n}\n"
        yield "import {\n" + "\n".join(_aligned({"to": is_, "id": _text(path)}, "  ")) + "\n}\n"


def _scope(scope: str, names: CodeNames) -> str:
    before, variable, after = names.of_scope(scope)
    middle = f"${{var.{variable.name}}}" if variable is not None else ""
    return f'"{for_terraform(before)}{middle}{for_terraform(after)}"'


def _text(text: str) -> str:
    return f'"{for_terraform(text)}"'


def _list(name: str, values: Iterable[str], indent: str) -> Iterator[str]:
    yield from (f"{indent}{name} = [", *(f"{indent}  {value}," for value in values), f"{indent}]")


def _aligned(values: dict[str, str], indent: str) -> Sequence[str]:
    width = max(map(len, values))
    return [f"{indent}{name:<{width}} = {value}" for name, value in values.items()]


TERRAFORM = RoleFormat(
    "terraform", write_role=role_terraform, write_plan=plan_terraform, readers={".tf": terraform_roles}
)
