"""Name the files, resources and variables of a deployment in code that people read and merge.

A name says role, place or holder. It is made of lower-case letters, digits and `_`, whatever the tenant calls the
thing. A resource keeps its name from plan to plan: it depends on the role's name and on ids, never on display names of
holders, which change. A variable may be renamed: no tool remembers its name.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from rightsize.model.text import fold
from rightsize.render.deploy.contents import DeployContents, Made

_MOST = 48
_SUBSCRIPTION = re.compile(r"/subscriptions/([^/]+)", re.IGNORECASE)
_GROUP = re.compile(r"/providers/Microsoft\.Management/managementGroups/([^/]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Variable:
    """An id of the tenant that code names once: its name, its value, and what it is."""

    name: str
    value: str
    description: str


@dataclass(frozen=True, slots=True)
class CodeNames:
    """The names of one deployment.

    Attributes:
        files: The name of the file of each assigned role by its GUID, without an ending.
        roles: The name of each role by its GUID.
        variables: Subscriptions, management groups and holders by their folded ids, sorted by name.
    """

    files: Mapping[str, str]
    roles: Mapping[str, str]
    assignments: Mapping[str, str]
    variables: Mapping[str, Variable]

    def of_scope(self, scope: str) -> tuple[str, Variable | None, str]:
        """Return a scope in three parts: its beginning, the variable of the subscription or group, and the rest."""
        found = _SUBSCRIPTION.match(scope) or _GROUP.match(scope)
        variable = self.variables.get(fold(found[1])) if found else None
        if found is None or variable is None:
            return scope, None, ""
        return scope[: found.start(1)], variable, scope[found.end(1) :]

    def used_in(self, scopes: Iterable[str], holders: Iterable[str] = ()) -> list[Variable]:
        """Return the variables that a file with these scopes and holders uses, by name."""
        places = [self.of_scope(scope)[1] for scope in scopes]
        used = {one.name: one for one in places if one is not None}
        used |= {one.name: one for one in map(self.variables.get, holders) if one is not None}
        return [used[name] for name in sorted(used)]


def code_names(contents: DeployContents, taken: Collection[str]) -> CodeNames:
    """Return the names of a deployment.

    Args:
        contents: What it makes.
        taken: Names of files that no role may have.
    """
    new: dict[str, str] = {role.definition.role_definition_id: role.slug for role in contents.roles}
    assigned = {one.role for one in contents.assignments}
    words = {role: snake(contents.called(role)) or f"role_{role[:8]}" for role in assigned - new.keys()}
    words |= {role: snake(slug) or f"role_{role[:8]}" for role, slug in new.items()}
    roles = _distinct({role: word if word[0].isalpha() else f"role_{word}" for role, word in words.items()})
    # A new role keeps the name of its JSON file.
    files = _distinct({**{role: words[role].replace("_", "-") for role in assigned - new.keys()}, **new}, taken, "-")
    labels = {one.id: f"{roles[one.role]}_at_{_place(one.scope)}_{one.id[:8]}" for one in contents.assignments}
    return CodeNames(files, roles, _distinct(labels), _variables(contents))


def snake(text: str) -> str:
    """Return a text as lower-case letters, digits and `_`; empty where it has no letters or digits of ASCII."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:_MOST].strip("_")


def _place(scope: str) -> str:
    """Return the name of a scope: of its last part, or of the beginning of a subscription's id."""
    last = scope.rstrip("/").rsplit("/", 1)[-1]
    is_subscription = scope.count("/") == 2 and _SUBSCRIPTION.match(scope)
    return (f"subscription_{last[:8].lower()}" if is_subscription else snake(last)) or "tenant"


def _variables(contents: DeployContents) -> dict[str, Variable]:
    scopes = [one.scope for one in contents.assignments]
    scopes += [scope for role in contents.roles for scope in role.definition.assignable_scopes]
    values: dict[str, str] = {}
    names: dict[str, str] = {}
    said: dict[str, str] = {}
    for scope in sorted(scopes):
        for kind, pattern in (("subscription", _SUBSCRIPTION), ("management_group", _GROUP)):
            if found := pattern.match(scope):
                key, called = fold(found[1]), contents.called(found[0])
                values.setdefault(key, key if kind == "subscription" else found[1])
                names[key] = f"{kind}_{snake(called) or snake(found[1])[:8]}"
                said[key] = f"{kind.replace('_', ' ').capitalize()} {called or found[1]}"
    for one in contents.assignments:
        called = contents.called(one.principal_id)
        values[one.principal_id] = one.principal_id
        names[one.principal_id] = f"principal_{snake(called) or one.principal_id[:8]}"
        said[one.principal_id] = f"{_kind_of(one)} {called}".strip()
    named = _distinct(names)
    return {key: Variable(named[key], values[key], said[key]) for key in sorted(named, key=lambda one: named[one])}


def _kind_of(one: Made) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", one.principal_type).lower()
    return words[:1].upper() + words[1:]


def _distinct(wanted: Mapping[str, str], taken: Collection[str] = (), joint: str = "_") -> dict[str, str]:
    """Return the wanted name of each key; where several keys want it, each has a part of its hash besides."""
    counts, used, found = Counter(wanted.values()), set(taken), dict[str, str]()
    for key, name in sorted(wanted.items()):
        made = name
        if counts[name] > 1 or name in used:
            made = f"{name}{joint}{sha256(key.encode()).hexdigest()[:8]}"
        while made in used:
            made += joint
        used.add(made)
        found[key] = made
    return found
