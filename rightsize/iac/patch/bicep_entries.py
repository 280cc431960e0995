"""Edit the entries of `roleAssignments` that calls of Azure Verified Modules take: a published interface of them all.

The module itself is in a registry. It names an assignment by the `guid()` of its scope, holder and role, so an entry
makes a loaded assignment where that name comes out of its scope. A new entry is a copy with another role.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid5

from rightsize.iac.evaluation import evaluate
from rightsize.iac.expressions import Node, Unknown
from rightsize.iac.patch.bicep_assignments import NAMESPACE, BicepReader, Loaded, members, subscription_of
from rightsize.iac.patch.code_edits import Element, delete_element, write_beside
from rightsize.iac.patch.grants import Change, Code, Offer, Roles, Wanted
from rightsize.iac.syntax_trees import Statement
from rightsize.rbac.text import fold

_AVM = re.compile(r"br(?:/public:avm|:mcr\.microsoft\.com/bicep/avm)/")
_ENTRIES, _ROLE, _HOLDER = "roleAssignments", "roleDefinitionIdOrName", "principalId"
_PATH = "/providers/Microsoft.Authorization/roleDefinitions/"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry that makes a loaded assignment: the call of the module, the entry, and the assignment."""

    path: str
    statement: Statement
    node: Node
    loaded: Loaded


def entries_of(reader: BicepReader, loaded: Mapping[str, Sequence[Loaded]], roles: Roles) -> Iterator[Entry]:
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
    paths = [f"{home}{_PATH}{loaded.grant.role}" for home in (subscription_of(loaded.scope), "")]
    return any(str(uuid5(NAMESPACE, "-".join((loaded.scope, spelled, path)))) == loaded.id for path in paths)


def entry_offer(entry: Entry, change: Change, code: Code, quoted: Mapping[str, str]) -> Offer | str:
    """Return the edits of an entry, or why there are none.

    Args:
        entry: The entry.
        change: The change of its assignment.
        code: The files.
        quoted: The Bicep text of the name, or of the id, of each new role by its GUID.
    """
    content = code.files[entry.path]
    role = members(entry.node)[_ROLE]
    element = Element(entry.node.start, entry.node.end, None)
    for wanted in change.wanted:
        if _is_elsewhere(wanted, change):
            return "the new assignment has another scope, holder or condition, or is eligible"
    if not change.wanted:
        return Offer((change,), (), (delete_element(entry.path, content, element),))
    texts = [
        content[element.start : role.start].decode() + quoted[one.grant.role] + content[role.end : element.end].decode()
        for one in change.wanted
    ]
    add, both = write_beside(entry.path, content, element, texts, comma=False)
    return Offer((change,), (add,), (both,))


def _is_elsewhere(wanted: Wanted, change: Change) -> bool:
    today, new = change.today, wanted.grant
    return (new.scope, new.principal_id, new.condition, new.state) != (
        today.scope, today.principal_id, today.condition, "active",
    )  # fmt: skip


def entry_refuted(entry: Entry, offer: Offer, code: Code, roles: Roles) -> str | None:
    """Return why edits of an entry do not do what the plan says, or None: the entries are read back in both phases."""
    change = offer.changes[0]
    before = [_row(node, roles) for node in entries_in(entry.statement)]
    own = _row(entry.node, roles)
    wanted = [(one.grant.role, own[1]) for one in change.wanted]
    for edits, expected in (
        (offer.add, [*before, *wanted]),
        (offer.both, [one for one in before if one != own] + wanted),
    ):
        reader = BicepReader(entry.path, code.edited(edits).files)
        statement = next((one for one in reader.statements if one.name == entry.statement.name), None)
        after = [] if statement is None else [_row(node, roles) for node in entries_in(statement)]
        if sorted(after) != sorted(expected) or len(set(before)) != len(before):
            return "the edited entries do not grant what the plan says"
    return None


def _row(node: Node, roles: Roles) -> tuple[str, str]:
    """Return the role of an entry, and the text of all else in it."""
    fields = members(node)
    role = fields[_ROLE]
    said = roles.role_of(role.parts[0]) if role.kind == "value" else None
    rest = " ".join(f"{name}={value.text}" for name, value in fields.items() if name != _ROLE)
    return said or role.text, rest
