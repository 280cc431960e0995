"""Read the role assignments of a Terraform configuration with its state: each instance with its address and its grant.

A value that the code alone does not decide comes from the state: of resources and data it refers to, or of the
assignment itself. What the state has for an expression is remembered, so that the same expression in edited code has
the same value.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rightsize.iac.evaluation import evaluate, pairs_of
from rightsize.iac.expressions import STEPS, Names, Node, Unknown, Work
from rightsize.iac.hcl_syntax import Block
from rightsize.iac.patch.grants import Code, Grant, Roles
from rightsize.iac.templates import Beside
from rightsize.iac.terraform import DEEPEST, MOST_INSTANCES, Given, TerraformModule
from rightsize.model.errors import InputError
from rightsize.model.text import fold
from rightsize.rules.vaults import VAULT

ASSIGNMENT, ELIGIBLE = "azurerm_role_assignment", "azurerm_pim_eligible_role_assignment"
KINDS = {ASSIGNMENT: "active", ELIGIBLE: "eligible"}
DEFINITION = "azurerm_role_definition"
ENTRIES = "role_assignments"
"""The argument of every Azure Verified Module that takes assignments by a key: a published interface."""
_ENTRY_ROLE = "role_definition_id_or_name"
_ROLE = ("role_definition_id", "role_definition_name", _ENTRY_ROLE)
_NAMES_ROLE = _ROLE[1:]
Key = str | int | None


@dataclass(frozen=True, slots=True)
class Held:
    """A resource of a state: where it is, and its values."""

    module: str
    mode: str
    kind: str
    name: str
    key: Key
    values: Mapping[str, Any]

    @property
    def address(self) -> str:
        """Its address in Terraform."""
        return address_of(self.module, self.kind, self.name, self.key)


@dataclass(frozen=True, slots=True)
class Environment:
    """A configuration with its values: the folder of the code, its files of variables, and its state.

    Attributes:
        folder: The folder of the root module.
        variables: Paths of files of variables beside those that Terraform reads by itself.
        state: The resources of the state by address, but for data.
        known: Their values as expressions name them, by the address of the module, the type and the name.
        name: The file of the state, for people.
    """

    folder: str
    variables: tuple[str, ...]
    state: Mapping[str, Held]
    known: Mapping[str, Mapping[str, Any]]
    name: str


@dataclass(frozen=True, slots=True)
class Instance:
    """A role assignment that code makes.

    Attributes:
        address: Its address in Terraform.
        path: The file of its block.
        block: The resource, or the call of a module with the entry that makes it.
        key: Its key, which knows its place where it is written out.
        role: The value that names its role, which likewise knows its place.
        values: All of its attributes, evaluated.
        grant: What it grants; None where a part of it has no value.
    """

    address: str
    path: str
    block: Block
    key: Key
    role: object
    values: Mapping[str, object]
    grant: Grant | None


@dataclass(slots=True)
class Memory:
    """The values that a state has for expressions, and the keys of loops, both by the module and the text."""

    values: dict[tuple[str, str, Key, str], str] = field(default_factory=dict)
    keys: dict[tuple[str, str], list[Key]] = field(default_factory=dict)


def address_of(module: str, kind: str, name: str, key: Key) -> str:
    """Return the address of an instance; the module is empty for the outermost one."""
    index = "" if key is None else f"[{json.dumps(key, ensure_ascii=False)}]"
    return f"{module}.{kind}.{name}{index}" if module else f"{kind}.{name}{index}"


def is_among(only: Collection[tuple[str, str]] | None, path: str, label: str) -> bool:
    """Return whether a block is one of those that are read, or a copy of one, whose label begins with that one's."""
    return only is None or any(
        path == where and (label == name or label.startswith(f"{name}_")) for where, name in only
    )


class Reader:
    """Reads the assignments of one environment.

    Args:
        code: The files.
        environment: The configuration and its state.
        roles: The roles of the tenant.
        memory: What the reading of today's code remembered; None reads today's code.
        only: Files and labels of the blocks that are read; None reads all.
        touched: The changed names that a block uses, by its file and label; what depends on them is not remembered.
    """

    def __init__(
        self,
        code: Code,
        environment: Environment,
        roles: Roles,
        memory: Memory | None = None,
        only: Collection[tuple[str, str]] | None = None,
        touched: Mapping[tuple[str, str], Collection[str]] | None = None,
    ) -> None:
        self.code, self.environment, self.roles = code, environment, roles
        self.memory = memory if memory is not None else Memory()
        self.is_today = memory is None
        self.only, self.touched = only, touched or {}
        self.work = Work()
        self.opaque: set[str] = set()
        self._may_assign: dict[str, bool] = {}

    def instances(self) -> Iterator[Instance]:
        """Yield the assignments; raise InputError where the code cannot be read."""
        folder = self.environment.folder
        given: dict[str, Given] = {}
        automatic = [one for one in self.code.names(folder) if one.endswith((".auto.tfvars", ".auto.tfvars.json"))]
        own = [f"{folder}/{name}".lstrip("/") for name in ("terraform.tfvars", "terraform.tfvars.json")]
        for path in [*own, *automatic, *self.environment.variables]:
            if path in self.code.files:
                given |= {
                    name: value if isinstance(value, Given) else Given(value)
                    for name, value in self.code.variables(path).items()
                }
        yield from self._of_module(self._module(folder, "", given), folder, "", 0)

    def _module(self, folder: str, address: str, given: Mapping[str, Given]) -> TerraformModule:
        files = [self.code.parsed(path) for path in terraform_files(self.code, folder)]
        beside = Beside(
            lambda name: self.code.files.get(posixpath.normpath(posixpath.join(folder, name))),
            lambda name: [
                path.rpartition("/")[2] for path in self.code.names(posixpath.normpath(posixpath.join(folder, name)))
            ],
        )
        module = TerraformModule(files, given, beside, self.work, is_called=bool(address))
        calls = {block.labels[0]: block for file in files for block in file.inner("module") if block.labels}
        made = {
            block.labels[1]: block
            for file in files
            for block in file.inner("resource")
            if block.labels[0] == DEFINITION
        }
        held = self.environment.known.get(address, {})

        def output(name: str) -> object:
            call = calls.get(name)
            return (
                Unknown(f"module.{name}", f"${{module.{name}}}")
                if call is None
                else self._outputs(call, module, folder, address)
            )

        def definition(name: str) -> object:
            known = held.get(DEFINITION, {}).get(name)
            return known if known is not None or name not in made else self._definition(made[name], module)

        module.known = {**held, "module": Names(output), DEFINITION: Names(definition)}
        return module

    def _definition(self, block: Block, module: TerraformModule) -> object:
        """Return the values of a role that is not made yet, as far as its block has them."""
        scope = module.scope({})
        made = {name: evaluate(node, scope) for name, node in block.attributes.items()}
        id_ = made.get("role_definition_id")
        if isinstance(id_, str):
            made["role_definition_resource_id"] = f"/providers/Microsoft.Authorization/roleDefinitions/{id_}"
        return made

    def _outputs(self, call: Block, module: TerraformModule, folder: str, address: str) -> object:
        """Return the outputs of a module of this repository that is called once."""
        inner = _folder_of(call, folder)
        if inner is None or "for_each" in call.attributes or "count" in call.attributes or address.count("module.") > 3:
            return Unknown(f"module.{call.labels[0]}", f"${{module.{call.labels[0]}}}")
        below = f"{address}.module.{call.labels[0]}".lstrip(".")
        called = self._module(inner, below, self._given(call, module, {}))
        outputs = {
            block.labels[0]: block.attributes.get("value") for file in called.files for block in file.inner("output")
        }

        def read(name: str) -> object:
            node = outputs.get(name)
            shown = f"module.{call.labels[0]}.{name}"
            return Unknown(shown, f"${{{shown}}}") if node is None else evaluate(node, called.scope({}))

        return Names(read)

    @staticmethod
    def _given(call: Block, module: TerraformModule, names: Mapping[str, object]) -> dict[str, Given]:
        return {name: Given(node, module, names) for name, node in call.attributes.items()}

    def _of_module(self, module: TerraformModule, folder: str, address: str, depth: int) -> Iterator[Instance]:
        if depth > DEEPEST:
            raise InputError("modules call one another more often than any deployment")
        for path in terraform_files(self.code, folder):
            for block in self.code.parsed(path).blocks:
                self.work.steps = STEPS
                if block.kind == "resource" and len(block.labels) == 2 and block.labels[0] in KINDS:
                    if is_among(self.only, path, block.labels[1]):
                        yield from self._of_resource(block, path, module, address)
                elif block.kind == "module" and block.labels:
                    yield from self._of_call(block, path, module, folder, address, depth)

    def _of_call(
        self, call: Block, path: str, module: TerraformModule, folder: str, address: str, depth: int
    ) -> Iterator[Instance]:
        inner = _folder_of(call, folder)
        if inner is None:
            self.opaque.add(f"{address}.module.{call.labels[0]}".lstrip("."))
            if ENTRIES in call.attributes and is_among(self.only, path, call.labels[0]):
                yield from self._of_entries(call, path, module, address)
            return
        if not self._assigns(inner, set()):
            return
        below = f"{address}.module.{call.labels[0]}".lstrip(".")
        for key, names in self._keys(call, module, address, below):
            at = below if key is None else f"{below}[{json.dumps(key, ensure_ascii=False)}]"
            yield from self._of_module(self._module(inner, at, self._given(call, module, names)), inner, at, depth + 1)

    def _assigns(self, folder: str, seen: set[str]) -> bool:
        """Return whether a module makes assignments, by itself or by modules that it calls."""
        if folder not in self._may_assign and folder not in seen:
            blocks = [one for path in terraform_files(self.code, folder) for one in self.code.parsed(path).blocks]
            inner = [_folder_of(one, folder) for one in blocks if one.kind == "module"]
            self._may_assign[folder] = any(
                (one.kind == "resource" and one.labels[:1] and one.labels[0] in KINDS) or ENTRIES in one.attributes
                for one in blocks
            ) or any(one is not None and self._assigns(one, {*seen, folder}) for one in inner)
        return self._may_assign.get(folder, False)

    def _keys(
        self, block: Block, module: TerraformModule, address: str, own: str
    ) -> Iterator[tuple[Key, Mapping[str, object]]]:
        """Yield the key of each instance of a block, and what its expressions call it."""
        node = block.attributes.get("for_each") or block.attributes.get("count")
        if node is None:
            yield None, {}
            return
        value = evaluate(node, module.scope({}))
        is_count = "for_each" not in block.attributes
        if is_count and isinstance(value, int):
            keys: list[Key] = list(range(min(int(value), MOST_INSTANCES)))
        elif not is_count and pairs_of(value) is not None:
            yield from self._each(value)
            return
        else:
            keys = self._remembered_keys(node, address, own)
        for key in keys:
            name, member = ("count", "index") if is_count else ("each", "key")
            yield key, {name: {member: key}}

    @staticmethod
    def _each(value: object) -> Iterator[tuple[Key, Mapping[str, object]]]:
        is_set = isinstance(value, list)
        for key, item in pairs_of(value) or ():
            name = item if is_set else key
            if not isinstance(name, str):
                raise InputError("`for_each` of an assignment has a key without a value")
            yield name, {"each": {"key": name, "value": item}}

    def _remembered_keys(self, node: Node, address: str, own: str) -> list[Key]:
        """Return the keys that the state has where the code does not decide them."""
        if self.is_today:
            known: list[Key] = [
                one.key
                for one in self.environment.state.values()
                if address_of(one.module, one.kind, one.name, None) == own
            ]
            self.memory.keys[address, node.text] = known
        return self.memory.keys.get((address, node.text), [])

    def _of_resource(self, block: Block, path: str, module: TerraformModule, address: str) -> Iterator[Instance]:
        kind, name = block.labels
        for key, names in self._keys(block, module, address, address_of(address, kind, name, None)):
            scope = module.scope(names)
            values = {
                one: evaluate(node, scope) for one, node in block.attributes.items() if one not in ("for_each", "count")
            }
            values |= {f"{inner.kind} {place}": texts_of(inner) for place, inner in enumerate(block.blocks)}
            at = address_of(address, kind, name, key)
            yield self._instance(at, path, block, key, values, KINDS[kind], address)

    def _of_entries(self, call: Block, path: str, module: TerraformModule, address: str) -> Iterator[Instance]:
        """Yield the assignments of an Azure Verified Module: one for each entry; the scope is in the state alone."""
        value = evaluate(call.attributes[ENTRIES], module.scope({}))
        below = f"{address}.module.{call.labels[0]}".lstrip(".")
        held = dict(self._entries_of_state(below))
        scopes = {str(one.values.get("scope")) for one in held.values()}
        for key, entry in pairs_of(value) or () if isinstance(value, Mapping) else ():
            if isinstance(entry, Mapping) and (not self.is_today or str(key) in held):
                at = held[str(key)].address if str(key) in held else address_of(below, ASSIGNMENT, "this", str(key))
                values = {**entry, "scope": next(iter(scopes)) if len(scopes) == 1 else Unknown("scope", "${scope}")}
                yield self._instance(at, path, call, key if isinstance(key, str) else None, values, "active", below)

    def _entries_of_state(self, module: str) -> Iterator[tuple[str, Held]]:
        for one in self.environment.state.values():
            if one.module == module and one.kind == ASSIGNMENT and isinstance(one.key, str):
                yield one.key, one

    def _instance(
        self, address: str, path: str, block: Block, key: Key, values: Mapping[str, object], state: str, module: str
    ) -> Instance:
        held = self.environment.state.get(address)
        loop = block.attributes.get("for_each") or block.attributes.get("count")
        changed = self.touched.get((path, block.labels[-1]))
        named = next((one for one in _ROLE if values.get(one) is not None), _ROLE[0])
        role = values.get(named)
        known = None if held is None else held.values
        read = partial(self._text, module=module, key=key, loop="" if loop is None else loop.text, changed=changed)
        found = (
            read(values.get("scope"), known and known.get("scope")),
            read(values.get("principal_id"), known and known.get("principal_id")),
            self._role(read(role, known and known.get("role_definition_id")), named, role),
            read(values.get("condition", ""), known and known.get("condition")),
        )
        grant = None
        if found[0] and found[1] and found[2]:
            scope = fold(found[0].rstrip("/") or "/")
            grant = Grant(
                scope, found[2], fold(found[1]), found[3] or "", state, _end_of(block) if state == "eligible" else ""
            )
        return Instance(address, path, block, key, role, values, grant)

    def _role(self, text: str | None, named: str, value: object) -> str | None:
        """Return the role that an attribute names; what a state says is an id, whatever the attribute."""
        is_told = isinstance(value, Unknown)
        return self.roles.role_of(
            text, by_name=named in _NAMES_ROLE and not is_told, by_id=named != _ROLE[1] or is_told
        )

    def _text(
        self, value: object, held: object, *, module: str, key: Key, loop: str, changed: Collection[str] | None
    ) -> str | None:
        """Return a value; one that the code does not decide comes from the state, or from what it was before."""
        if not isinstance(value, Unknown):
            return value if isinstance(value, str) else ""
        depends = "each." in value.shown or "count." in value.shown
        if changed is not None and (depends or any(name in value.shown for name in changed)):
            return None
        place = (module, value.shown, key if depends else None, loop if depends else "")
        if self.is_today and isinstance(held, str):
            self.memory.values[place] = held
        return self.memory.values.get(place)


def texts_of(block: Block) -> dict[str, object]:
    """Return the attributes of a block as they are written, and those of the blocks in it."""
    inner = {f"{one.kind} {place}": texts_of(one) for place, one in enumerate(block.blocks)}
    return {**{name: node.text for name, node in block.attributes.items()}, **inner}


def _end_of(block: Block) -> str:
    for schedule in block.inner("schedule"):
        for expiration in schedule.inner("expiration"):
            node = expiration.attributes.get("end_date_time")
            return str(node.parts[0]) if node is not None and node.kind == "value" else "unknown"
    return ""


def terraform_files(code: Code, folder: str) -> list[str]:
    """Return the paths of the Terraform files of a folder that are not JSON."""
    return [path for path in code.names(folder) if path.endswith(".tf")]


def _folder_of(call: Block, folder: str) -> str | None:
    """Return the folder of the module that is called, or None where it is of a registry or another repository."""
    source = call.attributes.get("source")
    text = source.parts[0] if source is not None and source.kind == "value" else None
    if not isinstance(text, str) or not text.startswith("."):
        return None
    found = posixpath.normpath(posixpath.join(folder, text))
    return "" if found == "." else found


called_folder = _folder_of


def is_vault(held: Held) -> bool:
    """Return whether a resource of a state is a key vault."""
    kind = str(held.values.get("type", "")) if held.kind == "azapi_resource" else ""
    return held.kind == "azurerm_key_vault" or fold(kind).startswith(f"{VAULT}@")


def vault_block(code: Code, folder: str, held: Held) -> tuple[str, Block] | None:
    """Return the file and the block that make a resource of a state; None where no file of the repository does.

    A name that the block writes out has to be that of the state.
    """
    for name in re.findall(r"module\.([\w-]+)", held.module):
        calls = [one for path in terraform_files(code, folder) for one in code.parsed(path).inner("module", name)]
        inner = _folder_of(calls[0], folder) if len(calls) == 1 else None
        if inner is None:
            return None
        folder = inner
    for path in terraform_files(code, folder):
        for block in code.parsed(path).inner("resource", held.kind):
            node = block.attributes.get("name")
            known = node.parts[0] if node is not None and node.kind == "value" else None
            if block.labels[1:] == (held.name,) and (known is None or known == held.values.get("name")):
                return path, block
    return None
