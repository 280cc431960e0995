"""Prove edits of Terraform: what the edited code grants is what the plan says, and nothing else of it has changed.

Both phases are read back with the same states. After the first, every assignment of today is as it was, and those that
came are the plan's. After the second, exactly the replaced ones are gone. Whatever else uses a changed local, variable
or block refuses the edit. A second reader, which shares nothing with ours, must see the same in each changed statement.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rightsize.iac.expressions import Node, Unknown
from rightsize.iac.hcl_syntax import Block
from rightsize.iac.patch.grants import Code, Grant, Offer, Roles, overlap
from rightsize.iac.patch.repository import Bound
from rightsize.iac.patch.terraform_assignments import (
    DEFINITION,
    ENTRIES,
    KINDS,
    Instance,
    Reader,
    called_folder,
    is_among,
    terraform_files,
)
from rightsize.iac.terraform import terraform_roles
from rightsize.model.errors import InputError, UsageError, install_extra
from rightsize.model.nouns import RoleDefinition

_NAME = re.compile(rb"[A-Za-z_][\w-]*\.[A-Za-z_][\w-]*")
_SAFE_IN_MODULE = ("variable", "locals", "output", "terraform")
Only = Collection[tuple[str, str]] | None
Touched = dict[tuple[str, str], set[str]]


@dataclass(frozen=True, slots=True)
class Subject:
    """The inputs of a proof.

    Attributes:
        code: The files of today.
        bound: The environments.
        roles: The roles of the tenant and the plan.
        definitions: The new roles of the plan by their GUID.
    """

    code: Code
    bound: Sequence[Bound]
    roles: Roles
    definitions: Mapping[str, RoleDefinition]


def refutation(subject: Subject, offers: Sequence[Offer], only: Only = None, *, is_trial: bool = False) -> str | None:
    """Return why edits do not do what the plan says, or None where they are proved.

    Args:
        subject: What they change.
        offers: The edits.
        only: Files and labels of the blocks whose assignments are read; None reads all.
        is_trial: Whether to leave out what else uses what changes, and the second reader.
    """
    add = [edit for offer in offers for edit in offer.add]
    both = [edit for offer in offers for edit in offer.both]
    if overlap(add) or overlap(both):
        return "another edit changes the same place"
    paths = {edit.path for edit in (*add, *both)}
    try:
        added, final = subject.code.edited(add), subject.code.edited(both)
        touched: Touched = {}
        if not is_trial:
            for before, after in ((subject.code, added), (added, final)):
                _follow(before, after, paths, subject, touched)
            second_reading(subject.code, added, final, paths)
        return _grants_refuted(subject, offers, added, final, only, touched, paths)
    except (RefutedError, InputError) as error:
        return str(error)


class RefutedError(Exception):
    """An edit changes something that it must not."""


def _grants_refuted(
    subject: Subject, offers: Sequence[Offer], added: Code, final: Code, only: Only, touched: Touched, paths: set[str]
) -> str | None:
    changes = [change for offer in offers for change in offer.changes]
    gone = {change.old for change in changes}
    came: Counter[Grant | None] = Counter()
    went: set[str] = set()
    folders = {path.rpartition("/")[0] for path in paths}
    for bound in subject.bound:
        if not (bound.folders & folders or paths & set(bound.environment.variables)):
            continue
        today = {address: one for address, one in bound.instances.items() if only is None or _is_of(one, only)}
        then = read_instances(added, bound, subject, only, touched)
        last = read_instances(final, bound, subject, only, touched)
        problem = next(_differences(today, then), None)
        if problem is not None:
            return f"with the new access added, {problem}"
        new = [one.grant for address, one in then.items() if address not in today]
        if None in new:
            return "the grant of a new assignment is not decided by the code and its state"
        came += Counter(new)
        replaced = {address for address in today if id_of(bound, address, changes) in gone}
        went |= {str(id_of(bound, address, changes)) for address in replaced}
        expected = {address: one for address, one in then.items() if address not in replaced}
        problem = next(_differences(expected, last), None) or next(_differences(last, expected), None)
        if problem is not None:
            return f"with the old access removed, {problem}"
    wanted = Counter(wanted.grant for change in changes for wanted in change.wanted)
    if came != wanted:
        return f"the new assignments are not those of the plan: {_told(came, wanted)}"
    return None if went == gone else "not every replaced assignment is removed"


def _told(came: Counter[Grant | None], wanted: Counter[Grant]) -> str:
    beyond = len([one for one in came if one not in wanted])
    return f"{beyond} grant something else, {len([one for one in wanted if one not in came])} are missing"


def read_instances(
    code: Code, bound: Bound, subject: Subject, only: Only = None, touched: Touched | None = None
) -> dict[str, Instance]:
    """Return the assignments that edited code makes in an environment, by address; raise RefutedError for a twin."""
    reader = Reader(code, bound.environment, subject.roles, bound.memory, only, touched or {})
    found: dict[str, Instance] = {}
    for one in reader.instances():
        if one.address in found:
            raise RefutedError(f"two blocks make `{one.address}`")
        found[one.address] = one
    return found


def id_of(bound: Bound, address: str, changes: Collection[Any]) -> str | None:
    """Return the GUID of the assignment at an address; of an eligible one, that of the change of the same grant."""
    values = bound.environment.state[address].values
    path = str(values.get("id", "")).split("|")[0]
    if "/roleassignments/" in path.lower():
        return path.rsplit("/", 1)[-1].lower()
    grant = bound.instances[address].grant
    return next((one.old for one in changes if one.today == grant), None)


def _is_of(one: Instance, only: Collection[tuple[str, str]]) -> bool:
    return is_among(only, one.path, one.block.labels[-1])


def _differences(before: Mapping[str, Instance], after: Mapping[str, Instance]) -> Iterator[str]:
    """Yield what is not the same of the assignments that are there before."""
    for address, one in before.items():
        other = after.get(address)
        if other is None:
            yield f"`{address}` is gone"
        elif other.grant != one.grant or other.grant is None or _shown(other.values) != _shown(one.values):
            yield f"`{address}` is not as it was"


def _shown(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _shown(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_shown(inner) for inner in value]
    return value.shown if isinstance(value, Unknown) else value


@dataclass(frozen=True, slots=True)
class _Unit:
    """A part of a module with a name, such as a local, a resource or a call, and the names that it mentions."""

    path: str
    block: Block
    text: bytes
    mentions: frozenset[str]


def _units(code: Code, folder: str) -> dict[str, _Unit]:
    found: dict[str, _Unit] = {}
    for path in code.names(folder):
        if path.endswith(".tf.json"):
            raise RefutedError(f"`{path}` is JSON, and may use what changes")
    for path in terraform_files(code, folder):
        own = code.kept.get(path)
        if own is None:
            own = code.kept[path] = _units_of(code, path)
        if twice := found.keys() & own.keys():
            raise RefutedError(f"two blocks are called `{min(twice)}`")
        found |= own
    return found


def _units_of(code: Code, path: str) -> dict[str, _Unit]:
    found: dict[str, _Unit] = {}
    content = code.files[path]
    for place, block in enumerate(code.parsed(path).blocks):
        heads: dict[str, tuple[str, ...]] = {"resource": (), "variable": ("var",), "module": ("module",)}
        spans = {f"{block.kind} {'.'.join(block.labels) or f'{path} {place}'}": (block.start, block.end)}
        if block.kind == "locals":
            spans = {f"local.{name}": span for name, span in block.spans.items()}
        elif block.kind in heads:
            spans = {".".join((*heads[block.kind], *block.labels)): (block.start, block.end)}
        for name, (start, end) in spans.items():
            if name in found:
                raise RefutedError(f"two blocks are called `{name}`")
            text = content[start:end]
            found[name] = _Unit(path, block, text, frozenset(_names_in(text)))
    return found


def _follow(before: Code, after: Code, paths: Collection[str], subject: Subject, touched: Touched) -> None:
    """Note the assignments whose values may have changed; raise RefutedError where something else may have."""
    variables: dict[str, set[str]] = {}
    for path in sorted(paths):
        if not path.endswith(".tf"):
            old, new = before.variables(path), after.variables(path)
            names = {name for name in {*old, *new} if _text(old.get(name)) != _text(new.get(name))}
            for bound in subject.bound:
                if path in bound.environment.variables or path.rpartition("/")[0] == bound.environment.folder:
                    variables.setdefault(bound.environment.folder, set()).update(f"var.{name}" for name in names)
    folders = {path.rpartition("/")[0] for path in paths if path.endswith(".tf")} | set(variables)
    for folder in sorted(folders):
        _Spread(before, after, subject, touched).through(folder, variables.get(folder, set()))


def _text(node: Node | None) -> str | None:
    return None if node is None else node.text


@dataclass(slots=True)
class _Spread:
    """Follows what changes through the modules that use it."""

    before: Code
    after: Code
    subject: Subject
    touched: Touched

    def through(self, folder: str, given: set[str], depth: int = 0) -> None:
        """Follow changed names through a folder; raise RefutedError where something else uses one."""
        old, new = _units(self.before, folder), _units(self.after, folder)
        changed = {name for name in {*old, *new} if _content(old.get(name)) != _content(new.get(name))}
        for name in sorted(changed):
            self._changed(name, old.get(name), new.get(name), folder)
        names = changed | given
        waiting = set(names)
        while waiting:
            using = [
                (name, unit, used)
                for name, unit in new.items()
                if name not in waiting and (used := unit.mentions & waiting)
            ]
            waiting = set()
            for name, unit, used in using:
                if self._using(name, unit, used, folder, depth) and name not in names:
                    waiting.add(name)
            names |= waiting

    def _changed(self, name: str, old: _Unit | None, new: _Unit | None, folder: str) -> None:
        """Accept a changed block of a kind that the rest of the proof reads."""
        kind = name.partition(".")[0]
        for unit in (old, new):
            lifecycles = [] if unit is None or kind not in KINDS else unit.block.inner("lifecycle")
            if any("prevent_destroy" in inner.attributes for inner in lifecycles):
                raise RefutedError(f"`{name}` must not be destroyed, says its `lifecycle`")
        if old is not None and new is not None and new.block.labels:
            self._touch(new, set())
        if kind in ("local", "var") or kind in KINDS:
            return
        if kind == DEFINITION and old is None and new is not None:
            self._is_of_plan(name, new)
            return
        if kind == "module":
            self._call_changed(name, old, new, folder)
            return
        raise RefutedError(f"`{name}` changes, too")

    def _touch(self, unit: _Unit, names: Collection[str]) -> None:
        self.touched.setdefault((unit.path, unit.block.labels[-1]), set()).update(names)

    def _is_of_plan(self, name: str, unit: _Unit) -> None:
        made = list(terraform_roles(unit.text.decode()))
        wanted = self.subject.definitions.get(made[0].role_definition_id) if len(made) == 1 else None
        if wanted is None or (made[0].permissions, made[0].assignable_scopes, made[0].role_name) != (
            wanted.permissions, wanted.assignable_scopes, wanted.role_name,
        ):  # fmt: skip
            raise RefutedError(f"`{name}` is not a role of the plan")

    def _call_changed(self, name: str, old: _Unit | None, new: _Unit | None, folder: str) -> None:
        if old is not None and new is not None:
            names = {*old.block.attributes, *new.block.attributes}
            differ = {
                one for one in names if _text(old.block.attributes.get(one)) != _text(new.block.attributes.get(one))
            }
            self._into(new, differ, folder, 0, name)
            return
        unit = new or old
        inner = called_folder(unit.block, folder) if unit is not None else None
        blocks = [] if inner is None else [
            one for path in terraform_files(self.after, inner) for one in self.after.parsed(path).blocks
        ]  # fmt: skip
        if not blocks or any(
            one.kind not in _SAFE_IN_MODULE and one.labels[:1] not in [(kind,) for kind in KINDS] for one in blocks
        ):
            raise RefutedError(f"`{name}` makes more than assignments")

    def _using(self, name: str, unit: _Unit, used: frozenset[str], folder: str, depth: int) -> bool:
        """Return whether a block that uses a changed name changes by that; raise RefutedError where it must not."""
        if unit.block.kind == "locals":
            return True
        if unit.block.kind == "resource" and unit.block.labels[0] in KINDS:
            if not any(one.startswith(("local.", "var.")) for one in used):
                raise RefutedError(f"`{name}` refers to `{min(used)}`")
            self._touch(unit, used)
            return False
        if unit.block.kind == "module":
            names = {one for one, node in unit.block.attributes.items() if _names_in(node.text.encode()) & used}
            self._into(unit, names, folder, depth, min(used))
            return False
        raise RefutedError(f"`{name}` also uses `{min(used)}`")

    def _into(self, unit: _Unit, arguments: set[str], folder: str, depth: int, name: str) -> None:
        inner = called_folder(unit.block, folder)
        if inner is None and arguments == {ENTRIES}:
            self._touch(unit, set())
            return
        if (
            inner is None
            or not arguments
            or arguments & {"source", "for_each", "count", "providers", "version"}
            or depth > 20
        ):
            raise RefutedError(f"`module.{unit.block.labels[0]}` also uses `{name}`")
        _Spread(self.before, self.after, self.subject, self.touched).through(
            inner, {f"var.{one}" for one in arguments}, depth + 1
        )


def _content(unit: _Unit | None) -> bytes | None:
    return None if unit is None else unit.text


def _names_in(text: bytes) -> set[str]:
    return {found.decode("utf-8", "replace") for found in _NAME.findall(text)}


def second_reading(today: Code, added: Code, final: Code, paths: Collection[str]) -> None:
    """Read every changed statement by python-hcl2 as well, and compare it with our reading.

    Raises:
        RefutedError: It reads something else.
        UsageError: It is not installed.
    """
    hcl2 = second_reader()
    for path in sorted(paths):
        known = {text for text, _ in statements(today, path)}
        for code in (added, final):
            for text, own in statements(code, path):
                if text not in known:
                    known.add(text)
                    _compare(hcl2, text, own, path)


def second_reader() -> Any:
    """Return python-hcl2, or raise UsageError with how to install it."""
    try:
        import hcl2  # noqa: PLC0415  an extra
    except ImportError:
        hint = f"install the extra that reads it: `{install_extra('iac')}`"
        raise UsageError("edited Terraform is read by a second parser, which is not installed", hint=hint) from None
    return hcl2


def statements(code: Code, path: str) -> Iterator[tuple[bytes, Block]]:
    """Yield the text of each block and each attribute of a file, with how it is read."""
    if path not in code.files:
        return
    file, content = code.parsed(path), code.files[path]
    for block in file.blocks:
        yield content[block.start : block.end], Block("", (), {}, (block,))
    for name, (start, end) in file.spans.items():
        yield content[start:end], Block("", (), {name: file.attributes[name]}, ())


def _compare(hcl2: Any, text: bytes, own: Block, path: str) -> None:
    try:
        read = hcl2.loads(text.decode() + "\n")
    except Exception as error:  # whatever a foreign parser raises means that it does not read it
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RefutedError(f"python-hcl2 cannot read the edit of `{path}`: {line}") from None
    if _literals(read) != _literals(_as_hcl2(own)):
        raise RefutedError(f"python-hcl2 reads the edit of `{path}` in another way")


def _as_hcl2(block: Block) -> dict[str, Any]:
    made: dict[str, Any] = {name: _plain(node) for name, node in block.attributes.items()}
    for inner in block.blocks:
        body: Any = _as_hcl2(inner)
        for label in reversed(inner.labels):
            body = {label: body}
        made.setdefault(inner.kind, []).append(body)
    return made


def _plain(node: Node) -> object:
    if node.kind == "value":
        text = node.parts[0]
        return text if not isinstance(text, str) else "${}" if "\\" in node.text else f'"{text}"'
    if node.kind == "list":
        return [_plain(item) for _, item in node.parts[0]]
    if node.kind == "object":
        return {key.parts[0] if key.kind == "value" else "${}": _plain(value) for key, value in node.parts[0]}
    return "${}"


def _literals(value: object) -> object:
    """Return the structure of what was read with its plain texts, and a mark for every other expression."""
    if isinstance(value, Mapping):
        return {str(key).strip('"') if not str(key).startswith("${") else "${}": _literals(inner)
                for key, inner in value.items() if not str(key).startswith("__")}  # fmt: skip
    if isinstance(value, list):
        return [_literals(inner) for inner in value]
    if isinstance(value, str):
        is_text = value.startswith('"') and value.endswith('"') and "${" not in value and "\\" not in value
        return value if is_text else "${}"
    return "${}" if value is None else value
