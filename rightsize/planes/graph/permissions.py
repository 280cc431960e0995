"""Decide which Microsoft Graph permissions allow which requests. Pure functions, as in `rbac`.

Requests are parsed as the store names them, into the forms in which a permission map may write the same path.

`GET /users/{id}/memberOf?$expand=manager` has a method, steps, and the additions of its query. Alternate keys, casts,
`me`, path-based addressing and the endings `$count`, `$value` and `$ref` are other names for a path that the map lists
once.
Sources: Microsoft Learn, "Use query parameters", "Addressing resources in a drive", OData 4.01 URL conventions.

A request is a conjunction of clauses: its path, the additions of its query, and the requirements of rules. Any one of
several permissions allows a clause. A request that the map does not know is marked as unknown, and excludes nothing.

The map has gaps, and lists permissions as alternatives that are needed together. Two rules correct that. A permission
that reads and writes explains the requests of its reading twin, where no other held permission does. A request that
changes something needs a permission that writes, beside those that only read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from rightsize.model.text import fold
from rightsize.rules.graph import changes, joined, only_reads, reading_twin, sign_in_scopes, writing_twin

Steps = tuple[str, ...]

_ALTERNATE_KEY = re.compile(r"([a-z]+)\([a-z@][a-z0-9_]*=\{value\}(?:,[a-z@][a-z0-9_]*=\{value\})*\)")
_PARAMETERS = re.compile(r"(.+)\((.*)\)")
_TYPE = re.compile(r"(?:microsoft\.)?graph\.(?:[a-z0-9]+\.)*([a-z0-9]+)")
_ENDINGS = ("$count", "$value", "$ref")
_ROOTS_OF_DRIVES = ("users", "groups", "sites", "me", "shares")
UNREADABLE = "{unreadable}"


@dataclass(frozen=True, slots=True)
class GraphRequest:
    """A parsed request to Microsoft Graph.

    Attributes:
        method: HTTP method; HEAD counts as GET.
        steps: Steps of the path, folded.
        expanded: Relations that the query expands, folded.
        expands_unknown: Whether the query expands relations that the log does not name.
        named: Properties that the query names, folded; the store keeps those with a permission of their own.
    """

    method: str
    steps: Steps
    expanded: tuple[str, ...] = ()
    expands_unknown: bool = False
    named: tuple[str, ...] = ()


def parse_request(operation: str) -> GraphRequest:
    """Return the request that an operation of the plane `graph` names."""
    method, _, rest = operation.partition(" ")
    path, _, query = rest.partition("?")
    expanded: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    unknown = False
    for option in query.split("&"):
        name, _, value = fold(option).partition("=")
        values = tuple(one for one in value.split(",") if one)
        if name == "$expand":
            expanded, unknown = values, not values
        elif name == "$select":
            named = values
    verb = "GET" if method.upper() == "HEAD" else method.upper()
    steps = tuple(_with_sorted_parameters(step) for step in fold(path).split("/") if step)
    return GraphRequest(verb, steps, expanded, unknown, named)


def _with_sorted_parameters(step: str) -> str:
    found = _PARAMETERS.fullmatch(step)
    if found is None or "=" not in found[2]:
        return step
    return f"{found[1]}({','.join(sorted(found[2].split(',')))})"


def map_steps(path: str) -> Steps:
    """Return the steps of a path of the map."""
    return tuple(_with_sorted_parameters(step) for step in fold(path).split("/") if step)


def forms(steps: Steps, access: str) -> Iterator[Steps]:
    """Yield the forms of a path, the given one first; the caller uses the first one that the map knows.

    Only with delegated `access` does a path with `me` get a form with `users`.
    """
    seen: set[Steps] = set()
    for one in _spellings(steps, access):
        for form in (one, *_without_ending(one)):
            if form not in seen:
                seen.add(form)
                yield form


def _spellings(steps: Steps, access: str) -> Iterator[Steps]:
    bare = _without_types(steps)
    keyed = _with_ids(bare)
    placed = _with_items(keyed)
    for form in (steps, _with_ids(steps), _with_bare_functions(steps), bare, keyed, placed):
        yield form
        if access == "delegated" and form[:1] == ("me",):
            yield ("users", "{id}", *form[1:])
    yield from _drives(placed)


def _without_types(steps: Steps) -> Steps:
    """Return the steps without casts: `members/microsoft.graph.user` lists some of the members."""
    return tuple(step for step in steps if not _TYPE.fullmatch(step))


def _with_bare_functions(steps: Steps) -> Steps:
    """Return the steps with bound functions and actions without their namespace."""
    return tuple(found[1] if (found := _TYPE.fullmatch(step)) else step for step in steps)


def _with_ids(steps: Steps) -> Steps:
    """Return the steps with alternate keys as ids: `applications(appid={value})` is an application."""
    written: list[str] = []
    for step in steps:
        found = _ALTERNATE_KEY.fullmatch(step)
        written += [found[1], "{id}"] if found else [step]
    return tuple(written)


def _with_items(steps: Steps) -> Steps:
    """Return the steps with items by path as items by id: `root:/{id}:/content` is `items/{id}/content`."""
    written: list[str] = []
    at = 0
    while at < len(steps):
        if steps[at] == "root:" and steps[at + 1 : at + 2] == ("{id}:",):
            written += ["items", "{id}"]
            at += 2
        elif steps[at] == "{id}:" and steps[at + 1 : at + 2] == ("{id}:",):
            written.append("{id}")
            at += 2
        else:
            written.append(steps[at])
            at += 1
    return tuple(written)


def _drives(steps: Steps) -> Iterator[Steps]:
    """Yield the path of somebody's drive as a path below `drives`: the same permissions allow both."""
    for at, step in enumerate(steps):
        if step == "drive" and steps[:1] and steps[0] in _ROOTS_OF_DRIVES:
            yield ("drives", "{id}", *steps[at + 1 :])
        if step == "drives" and at and steps[0] in _ROOTS_OF_DRIVES:
            yield ("drives", *steps[at + 1 :])


def _without_ending(steps: Steps) -> Iterator[Steps]:
    """Yield the path without its endings `$count`, `$value` and `$ref`, which ask for a form of the same object."""
    shorter = steps
    while shorter and shorter[-1] in _ENDINGS:
        shorter = shorter[:-1]
        yield shorter


Why = Literal["path", "expand", "property", "joined", "change", "beside"]
Pair = tuple[str, str]
"""Method and path of the map."""

FREE = (("$batch",), ("$metadata",), ())
"""Paths that need no permission: the envelope of a batch, whose requests are logged one by one, and the schema."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One requirement of a request, which any of its permissions meets.

    Attributes:
        why: `path`, `expand` and `property`: the request names it. `joined`: a rule says that it is needed together
            with the path. `change`: the request changes something, so one permission has to write. `beside`: a
            permission that is needed where it is held: one that only reads, listed for a change; or, where the map
            lists none that writes, the writing twin of a listed one.
        method: The method in the map.
        path: The path in the map.
        permissions: The permissions that allow it, each with its companions: where there are any, one of them has to be
            held too.
    """

    why: Why
    method: str
    path: str
    permissions: Mapping[str, tuple[str, ...]]

    @property
    def by_name(self) -> frozenset[str]:
        """The writing twins of the listed permissions that the map does not list itself."""
        twins = {twin for one in self.permissions if (twin := writing_twin(one)) is not None}
        return frozenset(twins) - frozenset(self.permissions)

    def holders(self, held: Collection[str]) -> frozenset[str]:
        """Return the held permissions that allow the clause: those that the map lists, else those of `by_name`."""
        listed = frozenset(
            one for one, also in self.permissions.items() if one in held and (not also or companions(also, held))
        )
        return listed or self.by_name & frozenset(held)


def companions(also: Collection[str], held: Collection[str]) -> frozenset[str]:
    """Return the held companions of a permission: those in `also`, and the writing twins of those in `also`."""
    return frozenset(one for one in held if one in also or reading_twin(one) in also)


@dataclass(frozen=True, slots=True)
class Requirement:
    """The permissions that a request needs.

    Attributes:
        clauses: The clauses, all of which are needed.
        unknown: The part that the map does not know: `path`, `method`, `expand` or `unreadable`; None if it knows all.
        free: Whether the request needs no permission.
    """

    clauses: tuple[Clause, ...] = ()
    unknown: str | None = None
    free: bool = False


@dataclass(slots=True)
class _Node:
    children: dict[str, _Node] = field(default_factory=dict)
    methods: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    path: str = ""


class PermissionMap:
    """An index of requests and permissions, for one kind of access."""

    def __init__(
        self,
        access: str,
        rows: Iterable[tuple[str, str, str, tuple[str, ...]]],
        properties: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]],
    ) -> None:
        """Build the map.

        Args:
            access: `application` or `delegated`.
            rows: Permission, method, path, and the permissions of which one is needed besides.
            properties: By property, the roots of paths where it needs a permission of its own, with these permissions.
        """
        self._access = access
        self._properties = properties
        self._root = _Node()
        self.allows: dict[str, set[Pair]] = {}
        self._roots: dict[str, set[str]] = {}
        self._first_steps: set[str] = set()
        for permission, method, path, also in rows:
            node = self._root
            for step in map_steps(path):
                node = node.children.setdefault(step, _Node())
            node.path = path
            node.methods.setdefault(method, {})[permission] = also
            self.allows.setdefault(permission, set()).add((method, path))
            self._roots.setdefault(permission, set()).add(root_of(map_steps(path)))
            self._first_steps.add(root_of(map_steps(path)))

    def roots(self, permission: str) -> set[str]:
        """Return the first steps of the paths that a permission or its reading twin allows.

        `me` counts as `users`.
        """
        return self._roots.get(permission, set()) | self._roots.get(reading_twin(permission) or "", set())

    def knows(self, root: str) -> bool:
        """Return whether any path of the map begins with a step."""
        return root in self._first_steps

    def requirement(self, request: GraphRequest) -> Requirement:
        """Return the permissions that a request needs."""
        if request.steps in FREE:
            return Requirement(free=True)
        if UNREADABLE in request.steps:
            return Requirement(unknown="unreadable")
        node = self._find(request.steps, request.method)
        if node is None:
            known = self._find(request.steps, None)
            return Requirement(unknown="path" if known is None else "method")
        clauses = [
            Clause("path", request.method, node.path, node.methods[request.method]),
            *_of_a_change(request.method, node.path, node.methods[request.method]),
            *(
                Clause("joined", request.method, node.path, dict.fromkeys(permissions, ()))
                for permissions in joined(request.method, node.path, self._access)
            ),
        ]
        unknown = "expand" if request.expands_unknown else None
        for relation in request.expanded:
            further = self._find((*request.steps, relation), "GET") or self._find(
                (*request.steps, "{id}", relation), "GET"
            )
            if further is not None:
                clauses.append(Clause("expand", "GET", further.path, further.methods["GET"]))
            elif relation not in _OWN_RELATIONS:
                unknown = "expand"
        for name in request.named:
            for root, permissions in self._properties.get(name, ()):
                if _below(root, node.path):
                    clauses.append(Clause("property", request.method, node.path, dict.fromkeys(permissions, ())))
        return Requirement(tuple(clauses), unknown)

    def _find(self, steps: Steps, method: str | None) -> _Node | None:
        """Return the node of the first form of a path that the map has, with the method if one is given."""
        for form in forms(steps, self._access):
            found = _walk(self._root, form, 0, method)
            if found is not None:
                return found
        return None


def _of_a_change(method: str, path: str, listed: Mapping[str, tuple[str, ...]]) -> Iterator[Clause]:
    """Yield the additional clauses of a change for which the map lists permissions that only read."""
    readers = {one: also for one, also in listed.items() if only_reads(one)}
    if not readers or not changes(method, path):
        return
    writers = {one: also for one, also in listed.items() if one not in readers}
    if writers:
        yield Clause("change", method, path, writers)
    for one in sorted(readers):
        twin = writing_twin(one)
        if writers and twin not in listed:
            yield Clause("beside", method, path, {one: ()})
        elif not writers and twin is not None:
            yield Clause("beside", method, path, {twin: ()})


_OWN_RELATIONS = (
    "attachments",
    "children",
    "extensions",
    "fields",
    "multivalueextendedproperties",
    "singlevalueextendedproperties",
    "thumbnails",
)
"""Relations whose data are part of the object itself, so that they need no permission of their own."""


def _walk(node: _Node, steps: Steps, at: int, method: str | None) -> _Node | None:
    """Return the node of a path, or None; `{id}` in the map stands for any step, and literal steps are tried first."""
    if at == len(steps):
        found = bool(node.methods) if method is None else method in node.methods
        return node if found else None
    for step in dict.fromkeys((steps[at], "{id}")):
        child = node.children.get(step)
        if child is not None and (found_node := _walk(child, steps, at + 1, method)) is not None:
            return found_node
    return None


def _below(root: str, path: str) -> bool:
    """Return whether a path begins with a root; that of `/me` is `/users`."""
    return path.startswith(root) or (root == "/users" and (path == "/me" or path.startswith("/me/")))


def root_of(steps: Steps) -> str:
    """Return the first step of a path, with `users` for `me`."""
    first = steps[0] if steps else ""
    name = first.partition("(")[0]
    return "users" if name == "me" else name


def family_of(operation: str, held: Iterable[str], known: PermissionMap) -> frozenset[str]:
    """Return the held permissions that may have allowed a request that nothing explains.

    They are those that allow requests with the same first step of the path, and those that the map does not know,
    except the ones for signing in. Where the map does not know the first step, they are all permissions. Every token
    may read `/me`, so a request for it says nothing about permissions.
    """
    steps = parse_request(operation).steps
    if steps == ("me",):
        return frozenset()
    root = root_of(steps)
    return frozenset(
        one
        for one in held
        if root in known.roots(one)
        or (one not in known.allows and fold(one) not in sign_in_scopes())
        or not known.knows(root)
    )
