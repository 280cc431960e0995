"""Find the configurations of a repository, and bind each state to the folder and the files of variables it belongs to.

A state belongs to the folder whose code makes every assignment that the state has, with the same values where the code
alone decides them. What fits two folders or two files of variables belongs to neither.

A file belongs to the owners of the last line of CODEOWNERS that fits it. Source: docs.github.com, "About code owners";
docs.gitlab.com, "Code Owners syntax", whose sections are passed over.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from rightsize.iac.patch.grants import Code, Grant, Roles
from rightsize.iac.patch.terraform_assignments import (
    KINDS,
    Environment,
    Held,
    Instance,
    Key,
    Memory,
    Reader,
    called_folder,
    is_vault,
    terraform_files,
    vault_block,
)
from rightsize.model.errors import InputError
from rightsize.model.text import fold


@dataclass(slots=True)
class Bound:
    """An environment with what its code makes today, what the reading remembered, and the folders of its code."""

    environment: Environment
    instances: dict[str, Instance]
    memory: Memory
    folders: set[str]


@dataclass(slots=True)
class Repository:
    """The Terraform of a repository with its states.

    Attributes:
        code: The files of today.
        bound: The environments, each with its state.
        loose: Why a state is not used: it belongs to no folder, or to several.
        uncovered: By folder of code, the configurations that use it and have no state here, or files of variables that
            have none.
    """

    code: Code
    bound: list[Bound] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    uncovered: dict[str, list[str]] = field(default_factory=dict)


def read_repository(code: Code, states: Mapping[str, tuple[object, str | None]], roles: Roles) -> Repository:
    """Return the configurations of a repository.

    Args:
        code: Its files.
        states: By name, states and what `terraform show -json` prints, each with the folder that it is known to belong
            to, or None.
        roles: The roles of the tenant.

    Raises:
        InputError: A state is none.
    """
    found = Repository(code)
    folders = sorted({path.rpartition("/")[0] for path in code.files if path.endswith(".tf")})
    calls = {folder: _calls(code, folder) for folder in folders}
    called = {inner for all_ in calls.values() for inner in all_}
    for name, (document, own) in states.items():
        held = list(held_resources(document, name))
        roots = [own] if own is not None else [one for one in folders if one not in called]
        misfits: list[str | None] = []
        fitting = [one for root in roots for one in _bind(code, root, held, name, roles, misfits)]
        for one in fitting:
            one.folders = _reached(one.environment.folder, calls)
        if len(fitting) == 1:
            found.bound.append(fitting[0])
        else:
            several = "it fits several folders, or files of variables" if None in misfits else ""
            found.loose.append(f"the state `{name}` is not used: {several or (misfits[:1] or ['no code'])[0]}")
    covered = {one.environment.folder for one in found.bound}
    used = {path for one in found.bound for path in one.environment.variables}
    for root in folders:
        if root in called and root not in covered:
            continue
        files = _variable_files(code, root)
        states_of = len([one for one in found.bound if one.environment.folder == root])
        lacks = [f"`{path}`" for path in files if path not in used] if states_of < len(files) else []
        lacks += [] if root in covered else [f"`{root or '.'}`"]
        for folder in _reached(root, calls):
            found.uncovered.setdefault(folder, []).extend(lacks)
    return found


def held_resources(document: object, name: str) -> Iterator[Held]:
    """Yield the resources of a state, or of what `terraform show -json` prints of a state or a plan.

    Raises:
        InputError: It is neither.
    """
    if (
        isinstance(document, Mapping)
        and "terraform_version" in document
        and isinstance(document.get("resources"), list)
    ):
        for one in document["resources"]:
            for instance in one.get("instances") or () if isinstance(one, Mapping) else ():
                values, key = instance.get("attributes"), instance.get("index_key")
                if isinstance(values, Mapping) and "deposed" not in instance:
                    kind, label = str(one.get("type")), str(one.get("name"))
                    yield Held(str(one.get("module") or ""), str(one.get("mode")), kind, label, _key(key), values)
        return
    shown = document if isinstance(document, Mapping) else {}
    prior = shown.get("prior_state")
    values = (prior if isinstance(prior, Mapping) else shown).get("values")
    if "format_version" not in shown or not isinstance(values, Mapping):
        raise InputError(f"`{name}` is no Terraform state and no output of `terraform show -json`")
    waiting: list[tuple[Any, int]] = [(values.get("root_module"), 0)]
    while waiting:
        module, depth = waiting.pop()
        if not isinstance(module, Mapping) or depth > 100:
            continue
        for one in module.get("resources") or ():
            if isinstance(one.get("values"), Mapping):
                kind, label, key = str(one.get("type")), str(one.get("name")), _key(one.get("index"))
                yield Held(str(module.get("address") or ""), str(one.get("mode")), kind, label, key, one["values"])
        waiting += [(child, depth + 1) for child in module.get("child_modules") or ()]


def _key(value: object) -> Key:
    return value if isinstance(value, (str, int)) and not isinstance(value, bool) else None


def _environment(folder: str, variables: tuple[str, ...], held: Sequence[Held], name: str) -> Environment:
    known: dict[str, dict[str, Any]] = defaultdict(dict)
    for one in held:
        place = known[one.module] if one.mode == "managed" else known[one.module].setdefault("data", {})
        of_kind = place.setdefault(one.kind, {})
        if isinstance(one.key, str):
            of_kind.setdefault(one.name, {})[one.key] = one.values
        elif isinstance(one.key, int):
            of_kind.setdefault(one.name, []).append((one.key, one.values))
        else:
            of_kind[one.name] = one.values
    for module in known.values():
        for kinds in (module, module.get("data", {})):
            for of_kind in kinds.values():
                for label, values in of_kind.items():
                    if isinstance(values, list):
                        of_kind[label] = [value for _, value in sorted(values, key=lambda pair: pair[0])]
    state = {one.address: one for one in held if one.mode == "managed"}
    return Environment(folder, variables, state, known, name)


def _bind(
    code: Code, folder: str, held: Sequence[Held], name: str, roles: Roles, misfits: list[str | None]
) -> Iterator[Bound]:
    """Yield the one environment of a folder that a state fits; nothing where none or several of its files do."""
    fitting = []
    for variables in [(), *((path,) for path in _variable_files(code, folder))]:
        environment = _environment(folder, variables, held, name)
        memory = Memory()
        try:
            reader = Reader(code, environment, roles)
            reader.memory = memory
            made = {one.address: one for one in reader.instances()}
        except InputError as error:
            misfits.append(error.message)
            continue
        misfits.append(_misfit(environment, made, roles, reader.opaque, code))
        if misfits[-1] is None:
            fitting.append(Bound(environment, made, memory, set()))
    # Without files less is decided, so that more fits; the one file that fits says more.
    with_files = [one for one in fitting if one.environment.variables]
    yield from with_files if len(with_files) == 1 else [one for one in fitting if not one.environment.variables]


def _misfit(
    environment: Environment, made: Mapping[str, Instance], roles: Roles, opaque: set[str], code: Code
) -> str | None:
    """Return what differs between a state and the code with these values, or None where it fits."""
    held = {address: one for address, one in environment.state.items() if one.kind in KINDS}
    if not made:
        vaults = [one for one in environment.state.values() if is_vault(one)]
        if not vaults or not all(vault_block(code, environment.folder, one) for one in vaults):
            return "the code makes no assignment"
    for address, one in held.items():
        if address not in made and not _is_within(one.module, opaque):
            return f"the code does not make `{address}`"
    for address, instance in made.items():
        if address not in held:
            return f"the state lacks `{address}`"
        if instance.grant != grant_of(held[address], roles, instance):
            return f"`{address}` grants something else in the state than in the code"
    return None


def _is_within(module: str, opaque: set[str]) -> bool:
    return any(module == one or module.startswith((f"{one}.", f"{one}[")) for one in opaque)


def grant_of(held: Held, roles: Roles, made: Instance) -> Grant | None:
    """Return what an assignment of a state grants; None where it does not say it."""
    role = roles.role_of(held.values.get("role_definition_id"))
    scope, holder = held.values.get("scope"), held.values.get("principal_id")
    if role is None or not isinstance(scope, str) or not isinstance(holder, str):
        return None
    end = made.grant.end_on if made.grant is not None else ""
    scope = fold(scope.rstrip("/") or "/")
    return Grant(scope, role, fold(holder), str(held.values.get("condition") or ""), KINDS[held.kind], end)


def _calls(code: Code, folder: str) -> set[str]:
    found = set()
    for path in terraform_files(code, folder):
        try:
            blocks = code.parsed(path).inner("module")
        except InputError:
            continue  # what cannot be read is no part of an answer; a root that needs it is bound to no state
        found |= {inner for block in blocks if (inner := called_folder(block, folder)) is not None}
    return found


def _reached(root: str, calls: Mapping[str, set[str]]) -> set[str]:
    found, waiting = {root}, [root]
    while waiting:
        for inner in calls.get(waiting.pop(), ()):
            if inner not in found:
                found.add(inner)
                waiting.append(inner)
    return found


def _variable_files(code: Code, folder: str) -> list[str]:
    """Return the files of variables of a configuration that Terraform reads only when it is told to."""
    below = f"{folder}/" if folder else ""
    return [
        path
        for path in sorted(code.files)
        if path.startswith(below)
        and path.endswith(".tfvars")
        and not path.endswith(".auto.tfvars")
        and path.rpartition("/")[2] != "terraform.tfvars"
        and not any(
            name.endswith(".tf") for name in code.names(path.rpartition("/")[0]) if path.rpartition("/")[0] != folder
        )
    ]


PLACES = ("CODEOWNERS", ".github/CODEOWNERS", ".gitlab/CODEOWNERS", "docs/CODEOWNERS")
NOBODY = "nobody in CODEOWNERS"


def owners_of(path: str, files: Mapping[str, bytes]) -> str:
    """Return the owners of a file, separated by spaces.

    Args:
        path: Its path in the repository.
        files: The files of the repository; the first of `PLACES` that is there counts.
    """
    content = next((files[name] for name in PLACES if name in files), b"")
    found = ""
    for pattern, owners in _lines(content):
        if pattern.fullmatch(path):
            found = owners
    return found or NOBODY


@lru_cache(maxsize=4)
def _lines(content: bytes) -> tuple[tuple[re.Pattern[str], str], ...]:
    lines = [line.split("#")[0].split() for line in content.decode("utf-8", "replace").splitlines()]
    kept = [words for words in lines if words and not words[0].startswith(("[", "^["))]
    return tuple((_pattern(words[0]), " ".join(words[1:])) for words in kept)


def _pattern(text: str) -> re.Pattern[str]:
    is_anchored = "/" in text.rstrip("/")
    made = "".join(
        {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
        for part in re.split(r"(\*\*/|\*\*|\*|\?)", text.strip("/"))
    )
    # `docs/*` has the files of a folder, and not those below it.
    below = "" if text.endswith("/*") else "(?:/.*)?"
    return re.compile(("" if is_anchored else "(?:.*/)?") + made + ("/.*" if text.endswith("/") else below))
