"""Find which role assignments of a tenant a Bicep file makes, as resources and as entries of modules.

A Bicep file has no state, so the name of an assignment is the only sign of it. Each loaded assignment is tried: its
scope is the target of the deployment, its holder stands where the file has none, and its whole name must come out.
Source: learn.microsoft.com, "String functions for Bicep", `guid`: a name-based GUID of the texts joined by a hyphen,
in the namespace that every deployment of Azure uses.

Calls of Azure Verified Modules take entries of `roleAssignments`: a published interface of them all. The module itself
is in a registry and names an assignment in the same way. A new entry is a copy with another role.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID, uuid5

from rightsize.iac.bicep import BicepFile
from rightsize.iac.bicep_syntax import read_bicep
from rightsize.iac.evaluation import as_text, evaluate, scopes_of_loop
from rightsize.iac.expressions import STEPS, Node, Scope, Unknown, Work
from rightsize.iac.patch import grants
from rightsize.iac.syntax_trees import Statement
from rightsize.iac.templates import NOTHING_BESIDE, Beside
from rightsize.model.errors import InputError
from rightsize.model.role_forms import load_relaxed_json
from rightsize.model.text import fold
from rightsize.rbac.scopes import parse_scope

ASSIGNMENT = "microsoft.authorization/roleassignments"
NAMESPACE = UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830")
_VALUE = re.compile(r"^[ \t]*param(\s+\w+\s*=)", re.MULTILINE)
_USING = re.compile(r"^\s*using\s+'([^'\n]+)'", re.MULTILINE)
_ROLES = "/providers/Microsoft.Authorization/roleDefinitions/"


@dataclass(frozen=True, slots=True)
class Loaded:
    """An assignment of the tenant: its folded GUID, what it grants, and its scope as Azure spells it."""

    id: str
    grant: grants.Grant
    scope: str


@dataclass(frozen=True, slots=True)
class Made:
    """An assignment that a statement makes.

    Attributes:
        path: The file.
        statement: The resource.
        turn: The number of the turn of its loop; 0 without a loop.
        loaded: The assignment.
        number: The place of the values of parameters with which it makes it.
    """

    path: str
    statement: Statement
    turn: int
    loaded: Loaded
    number: int = 0


@dataclass(frozen=True, slots=True)
class BicepParts:
    """The expressions of an assignment: its name, its role, its holder and its scope."""

    name: Node
    role: Node
    principal: Node
    scope: Node | None


def parts_of_assignment(statement: Statement) -> BicepParts | None:
    """Return the expressions of a statement that makes an assignment, or None for another one."""
    kind = statement.kind.parts[0] if statement.kind is not None and statement.kind.kind == "value" else ""
    body = statement.value
    if statement.keyword != "resource" or statement.is_existing or body is None or body.kind != "object":
        return None
    if str(kind).lower().split("@")[0] != ASSIGNMENT or statement.refusal is not None:
        return None
    fields = members(body)
    inner = fields.get("properties")
    properties = members(inner) if inner is not None and inner.kind == "object" else {}
    name, role, principal = fields.get("name"), properties.get("roleDefinitionId"), properties.get("principalId")
    if name is None or role is None or principal is None:
        return None
    return BicepParts(name, role, principal, fields.get("scope"))


def members(node: Node) -> dict[str, Node]:
    """Return the members of an object that is written out, by name."""
    return {str(key.parts[0]): value for key, value in node.parts[0] if key is not None and key.kind == "value"}


class BicepReader:
    """Reads one file for many targets of its deployment.

    Args:
        path: The file.
        files: The files of the repository.
        parameters: Values of parameters of files of parameters, each tried by itself.
    """

    def __init__(
        self, path: str, files: Mapping[str, bytes], parameters: Sequence[Mapping[str, object]] = ({},)
    ) -> None:
        self.path, self.parameters = path, parameters
        folder = posixpath.dirname(path)
        self.beside = Beside(lambda name: files.get(posixpath.normpath(posixpath.join(folder, name))), lambda _: [])
        self.text = grants.plain(files[path]).decode()
        self._files: dict[tuple[str, int], BicepFile] = {}
        self.statements = BicepFile(self.text, self.beside, Work()).made

    def file(self, target: str, number: int = 0) -> BicepFile:
        """Return the file as it is deployed at the subscription or resource group of a scope."""
        target = _target(target)
        if (target, number) not in self._files:
            given = self.parameters[number]
            file = BicepFile(
                self.text, self.beside, Work(), {True: given, False: given} if given else None, _functions(target)
            )
            existing = {one.name: one for one in file.made}
            file.symbols = lambda name: _symbol(existing.get(name), file, target, name)
            self._files[target, number] = file
        self._files[target, number].work.steps = STEPS
        return self._files[target, number]

    def turns(self, statement: Statement, file: BicepFile) -> list[Scope]:
        """Return the scope of each turn of the loop of a statement; one without a loop, none where it is unknown."""
        if statement.loop is None:
            return [file.scope]
        over = evaluate(statement.loop.over, file.scope)
        return list(scopes_of_loop(statement.loop.names, over, file.scope)) if isinstance(over, (list, Mapping)) else []

    def scope_of(self, statement: Statement, made: Made) -> Scope | None:
        """Return where a statement stands for an assignment that it makes; None where it has no such turn."""
        turns = self.turns(statement, self.file(made.loaded.scope, made.number))
        return turns[made.turn] if made.turn < len(turns) else None

    def name_and_role(self, parts: BicepParts, scope: Scope, loaded: Loaded) -> tuple[object, str | None]:
        """Return the name and the role of an assignment; a loaded one gives the holder and scope that it lacks."""
        principal = evaluate(parts.principal, scope)
        swaps = {parts.principal.text: loaded.grant.principal_id} if isinstance(principal, Unknown) else {}
        if not swaps and fold(str(principal)) != loaded.grant.principal_id:
            return None, None
        if parts.scope is not None:
            place = evaluate(Node("member", (parts.scope, "id", False), f"{parts.scope.text}.id"), scope)
            if isinstance(place, Unknown):
                swaps[f"{parts.scope.text}.id"] = loaded.scope
            elif fold(str(place)) != loaded.grant.scope:
                return None, None
        elif fold(_target(loaded.scope)) != loaded.grant.scope:
            return None, None
        role = evaluate(_swapped(parts.role, swaps), scope)
        return evaluate(_swapped(parts.name, swaps), scope), role if isinstance(role, str) else None

    def made(self, loaded: Mapping[str, Sequence[Loaded]], roles: grants.Roles) -> Iterator[Made]:
        """Yield the assignments that the file makes.

        Args:
            loaded: The assignments of the tenant by the folded GUID of their role.
            roles: The roles of the tenant.
        """
        for statement in self.statements:
            parts = parts_of_assignment(statement)
            if parts is None:
                continue
            found: dict[tuple[int, str], Made] = {}
            for number in range(len(self.parameters)):
                for turn, role in self._roles(statement, parts, roles, number):
                    every = [one for some in loaded.values() for one in some]
                    for one in loaded.get(role, ()) if role else every:
                        if self._is_it(statement, parts, turn, one, number):
                            found[turn, one.id] = Made(self.path, statement, turn, one, number)
            yield from found.values()

    def _roles(
        self, statement: Statement, parts: BicepParts, roles: grants.Roles, number: int
    ) -> Iterator[tuple[int, str | None]]:
        """Yield the turns of a statement, each with its role where the file decides it."""
        for turn, scope in enumerate(self.turns(statement, self.file("/subscriptions/0/resourceGroups/0", number))):
            value = evaluate(parts.role, scope)
            yield turn, roles.role_of(value, by_name=False) if isinstance(value, str) else None

    def _is_it(self, statement: Statement, parts: BicepParts, turn: int, loaded: Loaded, number: int) -> bool:
        turns = self.turns(statement, self.file(loaded.scope, number))
        if turn >= len(turns):
            return False
        scope, spellings = turns[turn], [loaded.grant.role]
        role = evaluate(parts.role, scope)
        if isinstance(role, Unknown):
            spellings = [loaded.grant.role, f"{subscription_of(loaded.scope)}{_ROLES}{loaded.grant.role}"]
        for spelling in spellings:
            swapped = (
                parts
                if not isinstance(role, Unknown)
                else replace(parts, name=_swapped(parts.name, {role.cause: spelling}))
            )
            name, _ = self.name_and_role(swapped, scope, loaded)
            if isinstance(name, str) and fold(name) == loaded.id:
                return True
        return False


def _swapped(node: Node, swaps: Mapping[str, str]) -> Node:
    """Return an expression in which parts have given values, by their text."""
    if node.text in swaps and node.kind not in ("value",):
        return Node("given", (swaps[node.text],), node.text)
    if not swaps:
        return node

    def swap(part: Any) -> Any:
        if isinstance(part, Node):
            return _swapped(part, swaps)
        return tuple(map(swap, part)) if isinstance(part, tuple) else part

    return replace(node, parts=tuple(map(swap, node.parts)))


def _target(scope: str) -> str:
    """Return the subscription or the resource group that a scope is in; another scope is its own target."""
    try:
        found = parse_scope(scope)
    except InputError:
        return scope
    if found.subscription_id is None:
        return scope
    return "/".join(scope.split("/")[: 5 if found.resource_group else 3])


def subscription_of(scope: str) -> str:
    """Return the subscription that a scope is in; empty where it is in none."""
    return "/".join(scope.split("/")[:3]) if fold(scope).startswith("/subscriptions/") else ""


def _functions(target: str) -> dict[str, Callable[..., object]]:
    """Return the functions whose value a target decides."""
    subscription = subscription_of(target)
    id_ = subscription.rpartition("/")[2]

    def resource(home: str, kind: str, *names: str) -> str:
        provider, *types = kind.split("/")
        pairs = "/".join(f"{one}/{name}" for one, name in zip(types, names, strict=True))
        return f"{home}/providers/{provider}/{pairs}"

    made: dict[str, Callable[..., object]] = {
        "guid": lambda *texts: str(uuid5(NAMESPACE, "-".join(map(as_text, texts)))),
        "tenantresourceid": partial(resource, ""),
        "extensionresourceid": resource,
    }
    if subscription:
        made["subscription"] = lambda: {"id": subscription, "subscriptionId": id_}
        made["subscriptionresourceid"] = lambda kind, *names: _subscription_resource(
            resource, subscription, kind, names
        )
    if target != subscription and subscription:
        made["resourcegroup"] = lambda: {"id": target, "name": target.rpartition("/")[2]}
        made["resourceid"] = partial(resource, target)
    return made


def _subscription_resource(resource: Callable[..., str], subscription: str, kind: str, names: Sequence[str]) -> str:
    """Return the id of a resource of a subscription, which may be named first."""
    if "/" not in kind:
        subscription, kind, names = f"/subscriptions/{kind}", names[0], names[1:]
    return resource(subscription, kind, *names)


def _symbol(statement: Statement | None, file: BicepFile, target: str, name: str) -> object:
    """Return what the file itself says of a resource: its id and its name; the rest is unknown."""
    unknown = Unknown(name, f"${{{name}}}")
    if statement is None or statement.loop is not None or statement.value is None or statement.keyword != "resource":
        return unknown
    kind = str(statement.kind.parts[0]).split("@")[0] if statement.kind is not None and statement.kind.parts else ""
    fields = members(statement.value) if statement.value.kind == "object" else {}
    called = evaluate(fields["name"], file.scope) if "name" in fields else unknown
    if not isinstance(called, str) or "/" not in kind:
        return unknown
    home: object = target
    if "parent" in fields or "scope" in fields:
        text = "subscription()" if "scope" in fields and fields["scope"].text == "subscription()" else None
        home = subscription_of(target) if text else unknown
    if kind.lower() == "microsoft.authorization/roledefinitions":
        home = subscription_of(target) if "scope" not in fields or isinstance(home, str) else home
    if isinstance(home, Unknown):
        return {"name": called, "id": Unknown(f"{name}.id", f"${{{name}.id}}")}
    provider, *types = kind.split("/")
    names = called.split("/")
    if len(types) != len(names):
        return unknown
    pairs = "/".join(f"{one}/{own}" for one, own in zip(types, names, strict=True))
    return {"name": called, "id": f"{home}/providers/{provider}/{pairs}"}


def parameters_of(path: str, code: grants.Code, deployments: Sequence[object]) -> list[Mapping[str, object]]:
    """Return the values that files of parameters and deployments give, each by itself, and no values."""
    declared = {one.name for one in read_bicep(grants.plain(code.files[path]).decode()) if one.keyword == "param"}
    found: list[Mapping[str, object]] = [{}]
    for name in code.names(posixpath.dirname(path)):
        text = code.files[name]
        if name.endswith(".bicepparam"):
            used = _USING.search(grants.plain(text).decode())
            if used and posixpath.normpath(posixpath.join(posixpath.dirname(name), used[1])) == path:
                # The grammar knows no values of parameters there; a variable has the same form.
                file = BicepFile(_VALUE.sub(r"var\1", grants.plain(text).decode()), NOTHING_BESIDE, Work())
                found.append({key: evaluate(node, file.scope) for key, node in file.variables.items() if node})
        elif name.endswith(".json") and b"deploymentParameters" in text:
            document = load_relaxed_json(text)
            given = document.get("parameters") if isinstance(document, Mapping) else None
            found.append(values_in(given))
    for one in deployments:
        properties = one.get("properties") if isinstance(one, Mapping) else None
        found.append(values_in(properties.get("parameters")) if isinstance(properties, Mapping) else {})
    return [one for one in found if one.keys() <= declared]


def values_in(given: object) -> dict[str, object]:
    """Return the values of parameters or outputs, as Resource Manager lists them."""
    pairs = given.items() if isinstance(given, Mapping) else ()
    return {str(key): one["value"] for key, one in pairs if isinstance(one, Mapping) and "value" in one}


def by_role(loaded: Sequence[Loaded]) -> dict[str, list[Loaded]]:
    """Return loaded assignments by the GUID of their role."""
    found: dict[str, list[Loaded]] = defaultdict(list)
    for one in loaded:
        found[one.grant.role].append(one)
    return dict(found)


def word_in(text: str, word: str) -> int:
    """Return how often a name stands in code."""
    return len(re.findall(rf"(?<![\w.]){re.escape(word)}(?!\w)", text))


_AVM = re.compile(r"br(?:/public:avm|:mcr\.microsoft\.com/bicep/avm)/")
_ENTRIES, _ROLE, _HOLDER = "roleAssignments", "roleDefinitionIdOrName", "principalId"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry that makes a loaded assignment: the call of the module, the entry, and the assignment."""

    path: str
    statement: Statement
    node: Node
    loaded: Loaded


def entries_of(reader: BicepReader, loaded: Mapping[str, Sequence[Loaded]], roles: grants.Roles) -> Iterator[Entry]:
    """Yield the entries that make loaded assignments, which are given by the GUID of their role."""
    for statement in reader.statements:
        for node in entries_in(statement):
            fields = members(node)
            role = evaluate(fields[_ROLE], reader.file("/").scope)
            guid = roles.role_of(role) if isinstance(role, str) else None
            for one in loaded.get(guid or "", ()):
                if is_name_of(one, fields, reader):
                    yield Entry(reader.path, statement, node, one)


def entries_in(statement: Statement) -> list[Node]:
    """Return the entries of a call of an Azure Verified Module that are written out."""
    kind = statement.kind.text if statement.kind is not None else ""
    body = statement.value
    if statement.keyword != "module" or not _AVM.search(kind) or body is None or body.kind != "object":
        return []
    params = members(body).get("params")
    listed = members(params).get(_ENTRIES) if params is not None and params.kind == "object" else None
    if listed is None or listed.kind != "list":
        return []
    found = [node for is_spread, node in listed.parts[0] if not is_spread and node.kind == "object"]
    return [node for node in found if {_ROLE, _HOLDER} <= members(node).keys() and "name" not in members(node)]


def is_name_of(loaded: Loaded, fields: Mapping[str, Node], reader: BicepReader) -> bool:
    """Return whether an entry with the role of a loaded assignment gives its name at its scope."""
    holder = evaluate(fields[_HOLDER], reader.file(loaded.scope).scope)
    if not isinstance(holder, Unknown) and fold(str(holder)) != loaded.grant.principal_id:
        return False
    spelled = holder if isinstance(holder, str) else loaded.grant.principal_id
    paths = [f"{home}{_ROLES}{loaded.grant.role}" for home in (subscription_of(loaded.scope), "")]
    return any(str(uuid5(NAMESPACE, "-".join((loaded.scope, spelled, path)))) == loaded.id for path in paths)


def entry_offer(
    entry: Entry, change: grants.Change, code: grants.Code, quoted: Mapping[str, str]
) -> grants.Offer | str:
    """Return the edits of an entry, or why there are none.

    Args:
        entry: The entry.
        change: The change of its assignment.
        code: The files.
        quoted: The Bicep text of the name, or of the id, of each new role by its GUID.
    """
    content = code.files[entry.path]
    role = members(entry.node)[_ROLE]
    element = grants.Element(entry.node.start, entry.node.end, None)
    for wanted in change.wanted:
        if _is_elsewhere(wanted, change):
            return "the new assignment has another scope, holder or condition, or is eligible"
    if not change.wanted:
        return grants.Offer((change,), (), (grants.delete_element(entry.path, content, element),))
    texts = [
        content[element.start : role.start].decode() + quoted[one.grant.role] + content[role.end : element.end].decode()
        for one in change.wanted
    ]
    add, both = grants.write_beside(entry.path, content, element, texts, comma=False)
    return grants.Offer((change,), (add,), (both,))


def _is_elsewhere(wanted: grants.Wanted, change: grants.Change) -> bool:
    today, new = change.today, wanted.grant
    return (new.scope, new.principal_id, new.condition, new.state) != (
        today.scope, today.principal_id, today.condition, "active",
    )  # fmt: skip


def entry_refuted(entry: Entry, offer: grants.Offer, code: grants.Code, roles: grants.Roles) -> str | None:
    """Return why edits of an entry do not do what the plan says, or None: the entries are read back in both phases."""
    change = offer.changes[0]
    before = [_row(node, roles) for node in entries_in(entry.statement)]
    own = _row(entry.node, roles)
    wanted = [(one.grant.role, own[1]) for one in change.wanted]
    rest = [one for one in before if one != own]
    for edits, expected in ((offer.add, before + wanted), (offer.both, rest + wanted)):
        reader = BicepReader(entry.path, code.edited(edits).files)
        statement = next((one for one in reader.statements if one.name == entry.statement.name), None)
        after = [] if statement is None else [_row(node, roles) for node in entries_in(statement)]
        if sorted(after) != sorted(expected) or len(set(before)) != len(before):
            return "the edited entries do not grant what the plan says"
    return None


def _row(node: Node, roles: grants.Roles) -> tuple[str, str]:
    """Return the role of an entry, and the text of all else in it."""
    fields = members(node)
    role = fields[_ROLE]
    said = roles.role_of(role.parts[0]) if role.kind == "value" else None
    rest = " ".join(f"{name}={value.text}" for name, value in fields.items() if name != _ROLE)
    return said or role.text, rest
