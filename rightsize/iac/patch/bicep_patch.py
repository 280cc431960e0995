"""Return proved edits of Bicep: a resource beside today's with the new role, and then in its place.

The role is a literal, a variable of the file or a member of one. The new resource gets a variable of its own, so that
nothing else which uses today's is narrowed. What a module takes from its callers is not guessed.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rightsize.iac.bicep_syntax import read_bicep
from rightsize.iac.evaluation import evaluate
from rightsize.iac.expressions import Node, Unknown
from rightsize.iac.patch.bicep_assignments import (
    BicepParts,
    BicepReader,
    Entry,
    Loaded,
    Made,
    by_role,
    entries_of,
    entry_offer,
    entry_refuted,
    parameters_of,
    parts_of_assignment,
    values_in,
    word_in,
)
from rightsize.iac.patch.grants import (
    Change,
    Code,
    Edit,
    Offer,
    Quote,
    Refused,
    Roles,
    Wanted,
    comment_above,
    delete_block,
    new_roles,
    overlap,
    plain,
)
from rightsize.iac.patch.terraform_patch import Patch
from rightsize.iac.syntax_trees import Statement
from rightsize.model.errors import InputError, UsageError, install_extra

_ROLE_TYPE = "'Microsoft.Authorization/roleDefinitions'"
_OUTPUT = re.compile(r"^output\s+(\w+)\s+\w+\s*=\s*(\w+)\.(?:id|name)[ \t]*$", re.MULTILINE)


def second_bicep_reader() -> Any:
    """Return pycep's parser, or raise UsageError with how to install it."""
    try:
        import pycep  # noqa: PLC0415  an extra
    except ImportError:
        hint = f"install the extra that reads it: `{install_extra('iac')}`"
        raise UsageError("edited Bicep is read by a second parser, which is not installed", hint=hint) from None
    return pycep.BicepParser()


@dataclass(frozen=True, slots=True)
class _Subject:
    """The code, the assignments and the roles of the tenant, the files of new roles, and how a text is quoted."""

    code: Code
    loaded: Sequence[Loaded]
    roles: Roles
    role_files: Mapping[str, str]
    quote: Quote


def patch_bicep(
    code: Code,
    changes: Sequence[Change],
    loaded: Sequence[Loaded],
    roles: Roles,
    role_files: Mapping[str, str],
    deployments: Sequence[object],
    quote: Quote,
) -> Patch:
    """Return the proved edits of the Bicep of a repository.

    Args:
        code: Its files.
        changes: The changes of the plan.
        loaded: Every active assignment of the tenant.
        roles: The roles of the tenant and the plan.
        role_files: A Bicep file for each new role, by its GUID.
        deployments: What `az deployment show` prints.
        quote: Returns a text as a Bicep string, with its quotes.
    """
    subject = _Subject(code, loaded, roles, role_files, quote)
    patch = Patch()
    made, entries = _makers(subject, deployments, patch)
    by_id = {change.old: change for change in changes}
    places: dict[str, set[tuple[str, str]]] = defaultdict(set)
    blocks: dict[tuple[str, str], list[tuple[BicepReader, Made]]] = defaultdict(list)
    for reader, one in made:
        places[one.loaded.id].add((one.path, one.statement.name))
        blocks[one.path, one.statement.name].append((reader, one))
    for entry in entries:
        places[entry.loaded.id].add((entry.path, f"{entry.statement.name} {entry.node.start}"))
    patch.missing = [change for change in changes if change.old not in places]
    for (path, _), sites in sorted(blocks.items()):
        wanted = [by_id[one.loaded.id] for _, one in sites if one.loaded.id in by_id]
        if wanted:
            why = _ambiguous(sites, places) or _not_alike(sites, by_id)
            offer = why or _offer(sites, wanted, subject)
            if isinstance(offer, Offer) and _collides([*patch.offers, offer], path, code):
                offer = "another edit changes the same place, or takes the same name"
            if isinstance(offer, Offer):
                patch.offers.append(offer)
                patch.notes += role_notes(offer, path)
            else:
                line = code.line(path, sites[0][1].statement.start)
                patch.refused += [Refused(change, offer, path, line) for change in dict.fromkeys(wanted)]
    for entry in entries:
        if entry.loaded.id in by_id:
            _take_entry(entry, by_id[entry.loaded.id], len(places[entry.loaded.id]) > 1, subject, patch)
    return patch


def _makers(
    subject: _Subject, deployments: Sequence[object], patch: Patch
) -> tuple[list[tuple[BicepReader, Made]], list[Entry]]:
    """Return the resources and the entries that make loaded assignments; a file that is not read is a note."""
    code = subject.code
    made: list[tuple[BicepReader, Made]] = []
    entries: list[Entry] = []
    index = by_role(subject.loaded)
    for path in sorted(code.files):
        if path.endswith(".bicep") and b"roleassignments" in code.files[path].lower():
            try:
                reader = BicepReader(path, code.files, parameters_of(path, code, deployments))
                own = {(one.statement.name, one.turn, one.loaded.id): one for one in reader.made(index, subject.roles)}
                own |= _by_output(reader, path, deployments, subject.loaded)
                made += [(reader, one) for one in own.values()]
                entries += entries_of(reader, index, subject.roles)
            except (InputError, UnicodeDecodeError) as error:
                patch.notes.append(f"`{path}` is not read: {error}")
    return made, entries


def _take_entry(entry: Entry, change: Change, is_ambiguous: bool, subject: _Subject, patch: Patch) -> None:
    """Add the edits of an entry of a module's call to a patch, or why there are none."""
    quoted = {one.grant.role: subject.quote(one.role_path if one.is_new else one.role_name) for one in change.wanted}
    offer = "it could be several entries" if is_ambiguous else entry_offer(entry, change, subject.code, quoted)
    if isinstance(offer, Offer):
        offer = (
            entry_refuted(entry, offer, subject.code, subject.roles)
            or _entry_read_again(entry, offer, subject)
            or offer
        )
    if isinstance(offer, Offer) and _collides([*patch.offers, offer], entry.path, subject.code):
        offer = "another edit changes the same place"
    if isinstance(offer, Offer):
        patch.offers.append(offer)
        patch.notes += role_notes(offer, entry.path)
    else:
        patch.refused.append(Refused(change, offer, entry.path, subject.code.line(entry.path, entry.node.start)))


def _entry_read_again(entry: Entry, offer: Offer, subject: _Subject) -> str | None:
    """Return why pycep does not read the edited call of a module, or None."""
    parser, key = second_bicep_reader(), f"module {entry.statement.name}"
    others = {name: text for name, text in texts_in(subject.code, entry.path).items() if name != key}
    try:
        for edits in (offer.add, offer.both):
            texts = texts_in(subject.code.edited(edits), entry.path)
            parser.parse(text=texts.pop(key).decode() + "\n")
            if texts != others:
                return "something else has changed"
    except Exception as error:  # whatever a foreign parser raises means that it does not read it
        return f"pycep cannot read the edit: {(str(error).strip().splitlines() or [type(error).__name__])[0]}"
    return None


def _collides(offers: Sequence[Offer], path: str, code: Code) -> bool:
    """Return whether edits touch the same bytes, or declare a name twice."""
    if overlap([edit for one in offers for edit in one.both]) or overlap([edit for one in offers for edit in one.add]):
        return True
    edited = code.edited(edit for one in offers for edit in one.add).files[path]
    names = [one.name for one in read_bicep(plain(edited).decode())]
    return len(names) != len(set(names))


def role_notes(offer: Offer, path: str) -> Iterator[str]:
    """Yield which files of new roles have to be deployed before a file that assigns these."""
    for wanted in new_roles(offer.changes).values():
        yield f"deploy `{role_file(path, wanted)}` before `{path}`, which assigns the role by its id"


def _by_output(
    reader: BicepReader, path: str, deployments: Sequence[object], loaded: Sequence[Loaded]
) -> dict[tuple[str, int, str], Made]:
    """Return the assignments whose id a deployment gave out under a name that the file gives to the resource."""
    named = dict(_OUTPUT.findall(reader.text))
    by_id = {one.id: one for one in loaded}
    found = {}
    for deployment in deployments:
        properties = deployment.get("properties") if isinstance(deployment, Mapping) else None
        outputs = values_in(properties.get("outputs")) if isinstance(properties, Mapping) else {}
        for statement in reader.statements:
            for output, symbol in named.items():
                id_ = str(outputs.get(output, "")).rpartition("/")[2].lower()
                if symbol == statement.name and set(outputs) == set(named) and id_ in by_id and not statement.loop:
                    found[symbol, 0, id_] = Made(path, statement, 0, by_id[id_])
    return found


def _ambiguous(own: Sequence[tuple[BicepReader, Made]], places: Mapping[str, set[tuple[str, str]]]) -> str | None:
    for _, one in own:
        if len(places[one.loaded.id]) > 1:
            return "it could be " + " and ".join(
                f"`{name}` of `{path}`" for path, name in sorted(places[one.loaded.id])
            )
    return None


def _not_alike(own: Sequence[tuple[BicepReader, Made]], by_id: Mapping[str, Change]) -> str | None:
    reader, first = own[0]
    if any(one.loaded.id not in by_id for _, one in own):
        return "the resource makes other assignments, too, which stay as they are"
    turns = {one.turn for _, one in own}
    number = len(reader.turns(first.statement, reader.file(first.loaded.scope, first.number)))
    if first.statement.loop is not None and number != len(turns):
        return "the loop makes assignments that are not found in the tenant"
    shapes = {
        frozenset((one.grant.role, one.grant.condition) for one in by_id[made.loaded.id].wanted) for _, made in own
    }
    if len(shapes) > 1:
        return "the resource makes several assignments, which change otherwise"
    for _, made in own:
        change = by_id[made.loaded.id]
        for wanted in change.wanted:
            if (wanted.grant.scope, wanted.grant.principal_id) != (change.today.scope, change.today.principal_id):
                return "the new assignment has another scope or holder"
            if (wanted.grant.state, wanted.grant.condition) != ("active", change.today.condition):
                return "the new assignment is eligible, or has another condition"
    return None


def _offer(own: Sequence[tuple[BicepReader, Made]], wanted: Sequence[Change], subject: _Subject) -> Offer | str:
    """Return the edits of one resource with their proof, or why there are none."""
    reader, first = own[0]
    path, statement = first.path, first.statement
    code = subject.code.files[path]
    parts = parts_of_assignment(statement)
    start = decorated_start(code, statement.start)
    others = code[:start] + code[statement.end :]
    if start is None or parts is None or word_in(others.decode(), statement.name):
        return f"`{statement.name}` is used elsewhere in the file, or its decorators cannot be read"
    changes = tuple(dict.fromkeys(wanted))
    target = reader.scope_of(statement, first)
    reference = None if target is None else _reference(parts.role, target, first.loaded.grant.role)
    if target is None or reference is None:
        return "the role is given by the callers of this module"
    copies: list[str] = []
    variables: list[Edit] = []
    for one in changes[0].wanted:
        text, variable = _role_text(reference, target, one, code)
        copies.append(_copy(code, start, statement, parts, reference, text, one))
        variables += [_beside(path, code, start, reference, variable)] if variable else []
    files = [
        Edit(role_file(path, one), 0, 0, subject.role_files[one.grant.role])
        for one in changes[0].wanted
        if one.is_new and role_file(path, one) not in subject.code.files
    ]
    if copies:
        add = Edit(path, start, start, "\n\n".join([*copies, ""]))
        both = Edit(path, start, statement.end, "\n\n".join(copies))
        offer = Offer(changes, (*variables, *files, add), (*variables, *files, both))
    else:
        offer = Offer(changes, (), (delete_block(path, code, start, statement.end),))
    why = _refuted(own, offer, subject, len(copies))
    return why or offer


def role_file(path: str, wanted: Wanted) -> str:
    """Return the path of the file of a new role, beside the file that assigns it."""
    return posixpath.join(posixpath.dirname(path), f"role-{wanted.word.replace('_', '-')}.bicep")


def _reference(role: Node, scope: Any, guid: str) -> Node | None:
    """Return the outermost part of an expression that is the GUID of the role, or its id, and names or writes it."""
    waiting = [role]
    while waiting:
        node = waiting.pop(0)
        value = evaluate(node, scope)
        is_it = isinstance(value, str) and value.lower().rpartition("/")[2] == guid
        if is_it and node.kind in ("name", "member", "index", "value") and node.text not in scope.names:
            return node
        for part in node.parts:
            waiting += [one for one in (part if isinstance(part, tuple) else (part,)) if isinstance(one, Node)]
    return None


def _role_text(reference: Node, scope: Any, wanted: Wanted, code: bytes) -> tuple[str, str]:
    """Return the expression of the new role in the form of today's, and the variable that it names, if any."""
    value = evaluate(reference, scope)
    is_path = isinstance(value, str) and "/" in value
    role = f"subscriptionResourceId({_ROLE_TYPE}, '{wanted.grant.role}')" if is_path else f"'{wanted.grant.role}'"
    if reference.kind == "value":
        return role, ""
    first, *rest = wanted.word.split("_")
    name = f"{first}{''.join(map(str.title, rest))}RoleId"
    if word_in(code.decode(), name):
        name = f"{name}Rightsize"
    return name, f"var {name} = {role}"


def _beside(path: str, code: bytes, start: int, reference: Node, variable: str) -> Edit:
    """Return the edit that declares a variable beside today's, or before the resource where that is none."""
    root = reference.text.split(".")[0].split("[")[0]
    for one in read_bicep(plain(code).decode()):
        if one.keyword == "var" and one.name == root:
            return Edit(path, one.end, one.end, f"\n{variable}")
    place = comment_above(code, start)
    return Edit(path, place, place, f"{variable}\n\n")


def _copy(
    code: bytes, start: int, statement: Statement, parts: BicepParts, reference: Node, variable: str, wanted: Wanted
) -> str:
    """Return a copy of a resource with another symbol and role, and a name that depends on the role."""
    text = code[start : statement.end].decode()
    name = code[parts.name.start : parts.name.end].decode()
    new_name = _with(name, reference.text, variable)
    if new_name == name:
        new_name = f"guid({name}, {variable})"
    role = code[parts.role.start : parts.role.end].decode()
    new_role = _with(role, reference.text, variable)
    symbol = f"{statement.name}{''.join(map(str.title, wanted.word.split('_')))}"
    text = text.replace(f"resource {statement.name} ", f"resource {symbol} ", 1)
    return text.replace(name, new_name, 1).replace(f"roleDefinitionId: {role}", f"roleDefinitionId: {new_role}", 1)


def _with(text: str, old: str, new: str) -> str:
    return text.replace(old, new) if old.startswith("'") else re.sub(rf"(?<![\w.]){re.escape(old)}(?![\w.])", new, text)


def decorated_start(code: bytes, start: int) -> int | None:
    """Return where a statement begins with its decorators; None where a decorator has several lines."""
    place = code.rfind(b"\n", 0, start) + 1
    while place:
        before = code.rfind(b"\n", 0, place - 1) + 1
        line = code[before:place].strip()
        if line.startswith(b"@"):
            place = before
        elif line.endswith((b")", b"'''")) and not line.startswith((b"//", b"}")):
            return None
        else:
            break
    return place


def _refuted(own: Sequence[tuple[BicepReader, Made]], offer: Offer, subject: _Subject, number: int) -> str | None:
    """Return why edits do not do what the plan says, or None: both phases are read back by both parsers."""
    path = own[0][1].path
    added, final = subject.code.edited(offer.add), subject.code.edited(offer.both)
    old = texts_in(subject.code, path)
    new, last = texts_in(added, path), texts_in(final, path)
    name = own[0][1].statement.name
    came = set(new) - set(old)
    if any(new.get(one) != text for one, text in old.items()) or any(
        not one.startswith(("var ", "resource ")) for one in came
    ):
        return "with the new access added, something else has changed"
    if last != {key: text for key, text in new.items() if key != f"resource {name}"}:
        return "with the old access removed, something else has changed"
    wanted = {made.loaded.id: one for _, made in own for one in offer.changes if one.old == made.loaded.id}
    for code in (added, final):
        reader = BicepReader(path, code.files, own[0][0].parameters)
        fresh = [one for one in reader.statements if f"resource {one.name}" in came]
        for _, made in own:
            given = {_granted(reader, one, made, subject.roles) for one in fresh}
            if given != {one.grant.role for one in wanted[made.loaded.id].wanted} or len(fresh) != number:
                return "the new resource does not grant what the plan says"
    return _second_reading(subject.code, added, final, path, name, came)


def _granted(reader: BicepReader, statement: Statement, made: Made, roles: Roles) -> str | None:
    """Return the role that a new resource gives to the same holder at the same place; None where it is not decided."""
    parts, before = parts_of_assignment(statement), parts_of_assignment(made.statement)
    if parts is None or before is None or (statement.loop is None) != (made.statement.loop is None):
        return None
    same = (parts.principal.text, parts.scope and parts.scope.text) == (
        before.principal.text,
        before.scope and before.scope.text,
    )
    both = (statement, made.statement)
    around = [(one.condition and one.condition.text, one.loop and one.loop.over.text) for one in both]
    if not same or around[0] != around[1]:
        return None
    scope = reader.scope_of(statement, made)
    if scope is None:
        return None
    name, role = reader.name_and_role(parts, scope, made.loaded)
    if (isinstance(name, str) and name.lower() == made.loaded.id) or isinstance(evaluate(parts.role, scope), Unknown):
        return None
    return roles.role_of(role, by_name=False)


def texts_in(code: Code, path: str) -> dict[str, bytes]:
    """Return the text of each declaration of a file."""
    content = code.files[path]
    return {f"{one.keyword} {one.name}": content[one.start : one.end] for one in read_bicep(plain(content).decode())}


def _second_reading(today: Code, added: Code, final: Code, path: str, name: str, came: set[str]) -> str | None:
    """Return how pycep reads an edit otherwise, or None: new resources are as today's but for name and role."""
    parser = second_bicep_reader()
    before = texts_in(today, path)[f"resource {name}"].decode()
    texts = texts_in(added, path)
    try:
        old = parser.parse(text=before + "\n")["resources"][name]
        for one in came:
            read = parser.parse(text=texts[one].decode() + "\n")
            keyword, _, symbol = one.partition(" ")
            if keyword == "resource" and _bare(read["resources"][symbol]) != _bare(old):
                return "pycep reads the new resource in another way"
            if keyword == "var" and symbol not in read["variables"]:
                return "pycep does not read the new variable"
    except Exception as error:  # whatever a foreign parser raises means that it does not read it
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return f"pycep cannot read the edit: {line}"
    return None if final.files.keys() == added.files.keys() else "a file is gone"


def _bare(resource: Any) -> Any:
    """Return a resource without its name and its role."""
    if isinstance(resource, Mapping):
        return {key: _bare(value) for key, value in resource.items() if key not in ("name", "roleDefinitionId")}
    return resource
