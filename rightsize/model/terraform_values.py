"""Evaluate the variables and locals of a Terraform module, and the functions that read files beside it."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rightsize.model.code_hcl import Block, read_expression, read_template
from rightsize.model.expression_functions import TERRAFORM_FUNCTIONS, TERRAFORM_STRUCTURAL
from rightsize.model.expression_scope import Evaluated, Names, Scope, Unknown, Work
from rightsize.model.expression_tree import Language, Node
from rightsize.model.expression_values import evaluate
from rightsize.model.role_templates import Beside
from rightsize.model.yaml_text import read_yaml


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
    """

    files: Sequence[Block]
    given: Mapping[str, Given]
    beside: Beside
    work: Work
    is_called: bool = False
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
