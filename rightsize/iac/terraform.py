"""Read the role definitions of Terraform files (`.tf`, `.tf.json`) with the variables, locals and files beside them.

Functions that read a file, YAML among them, read those beside the module only.

Tell what a JSON document with role definitions is: a template, a state, or Terraform's JSON; and read its roles.
"""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rightsize.iac import templates
from rightsize.iac.arm import arm_roles
from rightsize.iac.evaluation import evaluate, pairs_of
from rightsize.iac.expressions import Evaluated, Language, Names, Node, Scope, Unknown, Work
from rightsize.iac.functions import TERRAFORM_FUNCTIONS, TERRAFORM_STRUCTURAL
from rightsize.iac.hcl_syntax import Block, read_expression, read_hcl, read_hcl_json, read_template
from rightsize.model.errors import InputError, UsageError, install_extra
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import load_json


def read_yaml(text: str) -> object:
    """Return the value of a YAML text.

    Raises:
        InputError: It is no YAML.
        UsageError: The package that reads YAML is not installed.
    """
    try:
        import yaml  # noqa: PLC0415  an extra
    except ImportError:
        hint = f"install the extra that reads it: `{install_extra('iac')}`"
        raise UsageError("YAML is not read by this installation", hint=hint) from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"not valid YAML: {str(error).splitlines()[0][:200]}") from None


@dataclass(frozen=True, slots=True)
class Given:
    """A value that a variable is given: by the call of a module, or by a file of variables, which uses no names."""

    node: Node
    caller: TerraformModule | None = None
    names: Mapping[str, object] = field(default_factory=dict)

    def value(self, uses_defaults: bool, module: TerraformModule) -> object:
        """Return the value, with the defaults of the caller's variables or without."""
        return evaluate(self.node, (self.caller or module).scope(self.names, uses_defaults))


@dataclass(slots=True)
class TerraformModule:
    """The values of a module: of its variables and locals, in all files of the folder.

    Attributes:
        files: The files; the last one that has a name wins.
        given: The values that variables are given.
        beside: The files beside it.
        work: The work left.
        is_called: Whether another module calls it, so that the call decides its variables.
        known: Values of resources, data and modules by the first word of their names, as a state has them.
    """

    files: Sequence[Block]
    given: Mapping[str, Given]
    beside: templates.Beside
    work: Work
    is_called: bool = False
    known: Mapping[str, object] = field(default_factory=dict)
    _locals: dict[str, Node] = field(default_factory=dict)
    _variables: dict[str, Block] = field(default_factory=dict)
    _evaluated: dict[bool, Evaluated] = field(default_factory=lambda: {True: Evaluated(), False: Evaluated()})

    def __post_init__(self) -> None:
        for file in self.files:
            for block in file.inner("locals"):
                self._locals.update(block.attributes)
            self._variables.update({"".join(block.labels[:1]): block for block in file.inner("variable")})

    def scope(self, names: Mapping[str, object], uses_defaults: bool = True) -> Scope:
        """Return where an expression stands, with the names of loops around it.

        Args:
            names: The names of loops.
            uses_defaults: Whether variables have their defaults or are unknown.
        """
        files: dict[str, Callable[..., object]] = {
            "file": self._file,
            "fileset": self._fileset,
            "yamldecode": read_yaml,
            "templatefile": partial(self._template_file, uses_defaults),
        }
        return Scope(
            Language.TERRAFORM,
            partial(self._named, uses_defaults),
            {**TERRAFORM_FUNCTIONS, **files},
            TERRAFORM_STRUCTURAL,
            self.work,
            names,
            self.scope(names, False) if uses_defaults else None,
        )

    def _named(self, uses_defaults: bool, name: str) -> object:
        if name == "path":
            return {"module": ".", "root": ".", "cwd": "."}
        if name in self.known:
            return self.known[name]
        readers = {"local": self._local, "var": self._variable}
        return Names(partial(readers[name], uses_defaults)) if name in readers else Unknown(name, f"${{{name}}}")

    def _local(self, uses_defaults: bool, name: str) -> object:
        node = self._locals.get(name)
        if node is None:
            return Unknown(f"local.{name}", f"${{local.{name}}}")
        return self._once(f"local.{name}", uses_defaults, lambda: evaluate(node, self.scope({}, uses_defaults)))

    def _variable(self, uses_defaults: bool, name: str) -> object:
        declared = self._variables.get(name)
        default = declared.attributes.get("default") if declared is not None else None
        given = self.given.get(name)
        if declared is None or (given is None and (default is None or not (uses_defaults or self.is_called))):
            return Unknown(f"var.{name}", f"${{var.{name}}}")

        def read() -> object:
            kind = declared.attributes.get("type")
            scope = self.scope({}, uses_defaults)
            value = given.value(uses_defaults, self) if given is not None else default and evaluate(default, scope)
            if kind is not None and kind.kind == "value" and isinstance(kind.parts[0], str):
                kind = read_expression(kind.parts[0])  # in Terraform's JSON a type is a text
            return value if kind is None else self._typed(value, kind)

        return self._once(f"var.{name}", uses_defaults, read)

    def _once(self, key: str, uses_defaults: bool, read: Callable[[], object]) -> object:
        return self._evaluated[uses_defaults].once(key, self.work, read)

    def _typed(self, value: Any, kind: Node) -> Any:
        """Return a value with the members that its type makes optional."""
        if kind.kind != "call" or value is None or isinstance(value, Unknown) or not kind.parts[1]:
            return value
        name, (inner, *_), _ = kind.parts
        if name in ("list", "set", "map") and isinstance(value, list):
            return [self._typed(item, inner) for item in value]
        if name == "map" and isinstance(value, Mapping):
            return {key: self._typed(item, inner) for key, item in value.items()}
        if name == "optional":
            return self._typed(value, inner)
        if name != "object" or not isinstance(value, Mapping) or inner.kind != "object":
            return value
        made = {}
        for key, member in inner.parts[0]:
            attribute = key.parts[0]
            if attribute in value:
                made[attribute] = self._typed(value[attribute], member)
            if member.kind == "call" and member.parts[0] == "optional" and made.get(attribute) is None:
                rest = member.parts[1][1:]
                made[attribute] = self._typed(evaluate(rest[0], self.scope({})), member) if rest else None
        return made

    def _file(self, path: str) -> object:
        content = self.beside.read(posixpath.normpath(path))
        return Unknown(f'file("{path}")', path) if content is None else content.decode("utf-8-sig")

    def _fileset(self, folder: str, pattern: str) -> object:
        if "**" in pattern or "/" in pattern or "{" in pattern:
            return Unknown(f'fileset("{folder}", "{pattern}")', folder)
        return sorted(fnmatch.filter(self.beside.names(posixpath.normpath(folder)), pattern))

    def _template_file(self, uses_defaults: bool, path: str, values: Mapping[str, object]) -> object:
        text = self._file(path)
        return (
            text if isinstance(text, Unknown) else evaluate(read_template(str(text)), self.scope(values, uses_defaults))
        )


MOST_INSTANCES = 1_000
DEEPEST = 20
"""The most modules within one another."""
_ENDINGS = (".tf", ".tf.json")


def terraform_roles(text: str, beside: templates.Beside = templates.NOTHING_BESIDE) -> Iterator[RoleDefinition]:
    """Yield the roles of a Terraform file, and of the modules in folders beside it that it calls.

    Raises:
        InputError: It is no Terraform, or the permissions of a role are known only at its deployment.
    """
    return _roles(read_hcl(text), beside)


def terraform_json_roles(document: Mapping[str, Any], beside: templates.Beside) -> Iterator[RoleDefinition]:
    """Yield the roles of Terraform's JSON."""
    return _roles(read_hcl_json(document), beside)


def _roles(file: Block, beside: templates.Beside) -> Iterator[RoleDefinition]:
    made = _making(file)
    if not made:
        return
    # The file itself stands last, so that it wins where it is also one of those beside it.
    module = TerraformModule([*_files(beside), file], _given(beside), beside, Work())
    for block in made:
        yield from templates.roles_of_all_sides(module.work, partial(_of_block, block, module, 0))


def _making(file: Block) -> list[Block]:
    """Return the resources that may be roles, and the calls of modules."""
    for block in file.inner("resource"):
        if len(block.labels) != 2:
            raise InputError(f"not valid Terraform: a resource {''.join(block.labels[:1])} has no name")
    resources = [one for one in file.inner("resource") if _may_be_role(one.labels[0])]
    return [*resources, *file.inner("module")]


def _may_be_role(kind: str) -> bool:
    return kind == templates.TERRAFORM_TYPE or kind.startswith("azapi_")


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
        if module.beside is templates.NOTHING_BESIDE:
            return
        place = f"the module `{''.join(call.labels[:1])}`"
        raise templates.UnknownValueError(place, folder, "for a folder that is not here")
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
        if templates.terraform_fields(kind, _attributes(block, module, names, True)) is None:
            return

    def fields(uses_defaults: bool) -> dict[str, Any]:
        granted = templates.terraform_fields(kind, _attributes(block, module, names, uses_defaults)) or {}
        with module.work.by_default():
            found = templates.terraform_fields(kind, _attributes(block, module, names, uses_defaults)) or {}
        label, each = found.get("name"), names.get("each") or names.get("count")
        if isinstance(label, Unknown) and isinstance(each, Mapping):
            found["name"] = Unknown(label.cause, f"{label.shown} [{next(iter(each.values()))}]")
        return {**found, "permissions": granted.get("permissions")}

    yield templates.make_role(fields)


def _attributes(
    block: Block, module: TerraformModule, names: Mapping[str, object], uses_defaults: bool
) -> dict[str, Any]:
    """Return the attributes of a resource that a role is made of; its blocks may be dynamic."""
    scope = module.scope(names, uses_defaults)
    wanted = ("name", "role_definition_id", "description", "assignable_scopes", "type", "body")
    made = {key: evaluate(block.attributes[key], scope) for key in wanted if key in block.attributes}
    if isinstance(made.get("body"), Unknown):
        made["body"] = {"properties": {"permissions": made["body"]}}
    if block.labels[0] != templates.TERRAFORM_TYPE:
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
        over = templates.items_of_loop(partial(value, "for_each"), f"`for_each` of {place}")
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


def _given(beside: templates.Beside) -> dict[str, Given]:
    """Return the values of variables from the files that Terraform reads by itself, and from further ones."""
    names = beside.names(".")
    automatic = [name for name in sorted(names) if name.endswith((".auto.tfvars", ".auto.tfvars.json"))]
    own = [name for name in ("terraform.tfvars", "terraform.tfvars.json", *automatic) if name in names]
    given: dict[str, Given] = {}
    for name, content in [*((name, beside.read(name)) for name in own), *beside.variables]:
        given.update(variables_of(name, content or b""))
    return given


def _names(beside: templates.Beside) -> list[str]:
    return [name for name in sorted(beside.names(".")) if name.endswith(_ENDINGS)]


def _files(beside: templates.Beside) -> list[Block]:
    """Return the files of the module that can be read; a name that only a broken one has is unknown."""
    return [file for name in _names(beside) if (file := _readable(name, beside)) is not None]


def _readable(name: str, beside: templates.Beside, *, must_be_read: bool = False) -> Block | None:
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


def template_roles(
    document: object, beside: templates.Beside = templates.NOTHING_BESIDE
) -> tuple[RoleDefinition, ...] | None:
    """Return the roles that a JSON template, plan or state defines, or None where the document is none of these.

    Raises:
        InputError: What a role grants cannot be known before its deployment; the message names the place.
    """
    if not isinstance(document, Mapping):
        return None
    found: Iterator[RoleDefinition] | None = templates.state_roles(document)
    if found is None and isinstance(document.get("resources"), (list, Mapping)) and "$schema" in document:
        found = arm_roles(document)
    if found is None and isinstance(document.get("resource"), (list, Mapping)):
        found = terraform_json_roles(document, beside)
    return None if found is None else tuple(found)
