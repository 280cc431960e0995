"""Read the role definitions of Terraform files (`.tf`, `.tf.json`) with the variables, locals and files beside them."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from rightsize.model.errors import InputError, UsageError, install_extra
from rightsize.model.expression_functions import TERRAFORM_FUNCTIONS, TERRAFORM_STRUCTURAL
from rightsize.model.expression_tokens import Language, Node
from rightsize.model.expression_values import Evaluated, Names, Scope, Unknown, Work, evaluate, pairs_of
from rightsize.model.expressions import parse_expression, parse_template
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import load_json
from rightsize.model.role_templates import NOTHING_BESIDE, Beside, UnknownValueError, items_of_loop, make_role
from rightsize.model.role_terraform_state import TERRAFORM_TYPE, terraform_fields

MOST_INSTANCES = 1_000


def terraform_roles(text: str, beside: Beside = NOTHING_BESIDE) -> Iterator[RoleDefinition]:
    """Yield the roles of a Terraform file.

    Raises:
        InputError: It is no Terraform, or the permissions of a role are known only at its deployment.
        UsageError: The package that reads Terraform is not installed.
    """
    yield from _roles(_parsed(text), beside)


def terraform_json_roles(document: Mapping[str, Any], beside: Beside) -> Iterator[RoleDefinition]:
    """Yield the roles of Terraform's JSON."""
    yield from _roles(_plain(document), beside)


@dataclass(frozen=True, slots=True)
class _Template:
    """A string of Terraform's JSON, which is a template; strings of the native syntax are expressions."""

    text: str


def _plain(value: Any) -> Any:
    """Return a value of Terraform's JSON in which each string is told from an expression."""
    if isinstance(value, str):
        return _Template(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value


@lru_cache(maxsize=64)
def _parsed(text: str) -> Mapping[str, Any]:
    """Return the blocks of a file, in which each string is the text of an expression."""
    try:
        import hcl2  # noqa: PLC0415  an extra

        options = hcl2.SerializationOptions(with_comments=False, preserve_heredocs=False)
        found: Mapping[str, Any] = hcl2.loads(text, serialization_options=options)
    except ImportError:
        hint = f"install the extra that reads it: `{install_extra('iac')}`"
        raise UsageError("Terraform is not read by this installation", hint=hint) from None
    except Exception as error:
        said = (str(error).strip().split("\n")[0] or type(error).__name__)[:200]
        raise InputError(f"not valid Terraform: {said}") from error
    return found


def _document(name: str, content: bytes) -> Any:
    """Return the content of a file beside the roles: of Terraform's JSON or, by its ending, of the native syntax."""
    text = content.decode("utf-8-sig")
    return _plain(load_json(text)) if name.endswith(".json") else _parsed(text)


@dataclass(slots=True)
class _Module:
    """The values of a module: of its variables and locals, in all files of the folder."""

    locals: dict[str, Any]
    variables: dict[str, Mapping[str, Any]]
    given: Mapping[str, Any]
    beside: Beside
    uses_defaults: bool
    work: Work
    evaluated: Evaluated = field(default_factory=Evaluated)

    def value(self, raw: Any, names: Mapping[str, object]) -> Any:
        """Return the value of what the parser gives: expressions are evaluated, with the names of loops around."""
        if isinstance(raw, _Template):
            return evaluate(parse_template(raw.text), self._scope(names))
        if isinstance(raw, str):
            text = raw[2:-1] if raw.startswith("${") and raw.endswith("}") else raw
            return evaluate(parse_expression(text, Language.TERRAFORM), self._scope(names))
        if isinstance(raw, list):
            return [self.value(item, names) for item in raw]
        if not isinstance(raw, Mapping):
            return raw
        made: dict[str, object] = {}
        for key, item in raw.items():
            if key.startswith("__") and key.endswith("__"):
                continue
            name = self.value(key, names) if key.startswith(('"', "${")) else key
            if isinstance(name, Unknown):
                return name
            made[str(name)] = self.value(item, names)
        return made

    def _scope(self, names: Mapping[str, object]) -> Scope:
        files: dict[str, Callable[..., object]] = {
            "file": self._file,
            "fileset": self._fileset,
            "yamldecode": read_yaml,
            "templatefile": self._template_file,
        }
        functions: dict[str, Callable[..., object]] = {**TERRAFORM_FUNCTIONS, **files}
        return Scope(Language.TERRAFORM, self._named, functions, TERRAFORM_STRUCTURAL, self.work, names)

    def _named(self, name: str) -> object:
        if name == "path":
            return {"module": ".", "root": ".", "cwd": "."}
        readers = {"local": self._local, "var": self._variable}
        return Names(readers[name]) if name in readers else Unknown(name, f"${{{name}}}")

    def _local(self, name: str) -> object:
        if name not in self.locals:
            return Unknown(f"local.{name}", f"${{local.{name}}}")
        return self.evaluated.once(f"local.{name}", lambda: self.value(self.locals[name], {}))

    def _variable(self, name: str) -> object:
        unknown = Unknown(f"var.{name}", f"${{var.{name}}}")
        declared = self.variables.get(name)
        if declared is None or not self.uses_defaults:
            return unknown
        raw = self.given[name] if name in self.given else declared.get("default", unknown)
        if isinstance(raw, Unknown):
            return raw

        def read() -> object:
            kind = declared.get("type")
            kind = kind.text if isinstance(kind, _Template) else kind
            value = self.value(raw, {})
            if not isinstance(kind, str):
                return value
            text = kind[2:-1] if kind.startswith("${") else kind
            return self._typed(value, parse_expression(text, Language.TERRAFORM))

        return self.evaluated.once(f"var.{name}", read)

    def _typed(self, value: Any, kind: Node) -> Any:
        """Return a value with the members that its type makes optional."""
        if kind.kind != "call" or value is None or isinstance(value, Unknown):
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
                made[attribute] = self._typed(evaluate(rest[0], self._scope({})), member) if rest else None
        return made

    def _file(self, path: str) -> object:
        content = self.beside.read(posixpath.normpath(path))
        return Unknown(f'file("{path}")', path) if content is None else content.decode("utf-8-sig")

    def _fileset(self, folder: str, pattern: str) -> object:
        if "**" in pattern or "/" in pattern or "{" in pattern:
            return Unknown(f'fileset("{folder}", "{pattern}")', folder)
        return sorted(fnmatch.filter(self.beside.names(posixpath.normpath(folder)), pattern))

    def _template_file(self, path: str, values: Mapping[str, object]) -> object:
        text = self._file(path)
        return text if isinstance(text, Unknown) else evaluate(parse_template(str(text)), self._scope(values))


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


def _roles(document: Mapping[str, Any], beside: Beside) -> Iterator[RoleDefinition]:
    _refuse_modules(document, beside)
    made = list(_resources(document))
    if not made:
        return
    work = Work()
    # The file itself stands last, so that it wins where it is also one of those beside it.
    declared = _declarations([*_siblings(beside), document])
    given = _given(beside)
    values = {uses: _Module(*declared, given, beside, uses, work) for uses in (True, False)}
    for kind, body in made:
        for names in _instances(kind, body, values):
            yield from _role(kind, body, values, names)


def _refuse_modules(document: Mapping[str, Any], beside: Beside) -> None:
    """Refuse a call of a module of this repository that makes roles: its values lie in two files."""
    for calls in _blocks(document, "module"):
        for name, call in calls.items():
            for one in call if isinstance(call, list) else [call]:
                source = one.get("source") if isinstance(one, Mapping) else None
                folder = (source.text if isinstance(source, _Template) else str(source)).strip('"')
                if not folder.startswith("."):
                    continue
                files = [file for file in beside.names(folder) if file.endswith((".tf", ".tf.json"))]
                contents = ((beside.read(f"{folder}/{file}") or b"").lower() for file in files)
                if any(b"roledefinitions@" in text or TERRAFORM_TYPE.encode() in text for text in contents):
                    place = f"the module `{name.strip(chr(34))}`"
                    raise UnknownValueError(place, folder, "for roles of another folder")


def _resources(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the resources that may be roles, with their type."""
    for kinds in _blocks(document, "resource"):
        for kind, named in kinds.items():
            plain = kind.strip('"')
            if plain != TERRAFORM_TYPE and not plain.startswith("azapi_"):
                continue
            for one in named if isinstance(named, list) else [named]:
                if not isinstance(one, Mapping):
                    raise InputError(f"not valid Terraform: a resource {plain} has no name")
                for name, bodies in one.items():
                    if name.startswith("__"):
                        continue
                    for body in bodies if isinstance(bodies, list) else [bodies]:
                        if not isinstance(body, Mapping):
                            raise InputError(f"not valid Terraform: a resource {plain} has no name")
                        yield plain, body


def _role(
    kind: str, body: Mapping[str, Any], values: Mapping[bool, _Module], names: Mapping[str, object]
) -> Iterator[RoleDefinition]:
    said = terraform_fields(kind, _attributes(body, values[True], names, kind))
    if said is None:
        return

    def fields(uses_defaults: bool) -> dict[str, Any]:
        found = terraform_fields(kind, _attributes(body, values[uses_defaults], names, kind)) or {}
        label, each = found.get("name"), names.get("each") or names.get("count")
        if isinstance(label, Unknown) and isinstance(each, Mapping):
            found["name"] = Unknown(label.cause, f"{label.shown} [{next(iter(each.values()))}]")
        return found

    yield make_role(fields)


def _attributes(body: Mapping[str, Any], module: _Module, names: Mapping[str, object], kind: str) -> dict[str, Any]:
    """Return the attributes of a resource that a role is made of; its blocks may be dynamic."""
    wanted = ("name", "role_definition_id", "description", "assignable_scopes", "type", "body")
    made = {key: module.value(body[key], names) for key in wanted if key in body}
    if isinstance(made.get("body"), Unknown):
        made["body"] = {"properties": {"permissions": made["body"]}}
    if kind != TERRAFORM_TYPE:
        return made
    permissions: list[object] = []
    raw = body.get("permissions", [])
    for one in raw if isinstance(raw, list) else [raw]:
        block = module.value(one, names)
        permissions.extend(block if isinstance(block, list) else [block])
    for dynamics in _blocks(body, "dynamic"):
        for label, blocks in dynamics.items():
            if label.strip('"') == "permissions":
                for block in blocks if isinstance(blocks, list) else [blocks]:
                    permissions.extend(_dynamic(block, module, names))
    made["permissions"] = permissions
    return made


def _dynamic(block: Mapping[str, Any], module: _Module, names: Mapping[str, object]) -> Iterator[object]:
    over = module.value(block.get("for_each"), names)
    pairs = pairs_of(over)
    if isinstance(over, Unknown) or pairs is None:
        yield over if isinstance(over, Unknown) else Unknown("for_each", "")
        return
    iterator = block.get("iterator", "permissions")
    iterator = iterator.text if isinstance(iterator, _Template) else str(iterator)
    iterator = iterator.removeprefix("${").removesuffix("}").strip('"')
    for key, value in pairs:
        turn = {**names, iterator: {"key": key, "value": value}}
        for content in _blocks(block, "content"):
            yield module.value(content, turn)


def _instances(kind: str, body: Mapping[str, Any], values: Mapping[bool, _Module]) -> Iterator[Mapping[str, object]]:
    """Yield the names that each instance of a resource has."""
    place = f"a resource `{kind}`"
    if "for_each" in body:
        over = items_of_loop(lambda uses: values[uses].value(body["for_each"], {}), f"`for_each` of {place}")
        is_set = isinstance(values[True].value(body["for_each"], {}), list)
        for key, value in over:
            yield {"each": {"key": value if is_set else key, "value": value}}
        return
    if "count" not in body:
        yield {}
        return
    count = values[True].value(body["count"], {})
    if isinstance(count, Unknown):
        yield {"count": {"index": Unknown("count.index", "${count.index}")}}
        return
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST_INSTANCES:
        raise InputError(f"`count` of {place} is not a number up to {MOST_INSTANCES}")
    # A role that a variable leaves out by default is one all the same: another value makes it.
    is_left_out = count == 0 and values[False].value(body["count"], {}) != 0
    for index in range(1 if is_left_out else count):
        yield {"count": {"index": index}}


def _declarations(documents: list[Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, Mapping[str, Any]]]:
    """Return the locals and the variables of the files of a module; the last file that has a name wins."""
    locals_: dict[str, Any] = {}
    variables: dict[str, Mapping[str, Any]] = {}
    for document in documents:
        for group in _blocks(document, "locals"):
            locals_.update(group)
        for group in _blocks(document, "variable"):
            for name, declared in group.items():
                one = declared[0] if isinstance(declared, list) and declared else declared
                if isinstance(one, Mapping):
                    variables[name.strip('"')] = one
    return locals_, variables


def _given(beside: Beside) -> dict[str, Any]:
    """Return the values of variables from the files that Terraform reads by itself; the last one wins."""
    given: dict[str, Any] = {}
    names = beside.names(".")
    automatic = [name for name in sorted(names) if name.endswith((".auto.tfvars", ".auto.tfvars.json"))]
    for name in ("terraform.tfvars", "terraform.tfvars.json", *automatic):
        content = beside.read(name) if name in names else None
        if content is not None:
            given.update(_document(name, content))
    return given


def _siblings(beside: Beside) -> Iterator[Mapping[str, Any]]:
    """Yield the other files of the module that can be read; a name that only a broken one has is unknown."""
    for name in sorted(beside.names(".")):
        if not name.endswith((".tf", ".tf.json")):
            continue
        try:
            document = _document(name, beside.read(name) or b"")
        except (InputError, UnicodeDecodeError):
            continue
        if isinstance(document, Mapping):
            yield document


def _blocks(document: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the blocks of one name, which may also stand as a value where blocks belong."""
    found = document.get(name, [])
    for one in found if isinstance(found, list) else [found]:
        if not isinstance(one, Mapping):
            raise InputError(f"not valid Terraform: `{name}` is not a block")
        yield one
