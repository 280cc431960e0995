"""Look up in the map of Graph permissions which of them allow a request, and which requests a permission allows.

A request is a conjunction of clauses: its path, the additions of its query, and the requirements of rules. Any one of
several permissions allows a clause. A request that the map does not know is marked as unknown, and excludes nothing.

The map has gaps, and lists permissions as alternatives that are needed together. Two rules correct that. A permission
that reads and writes explains the requests of its reading twin, where no other held permission does. A request that
changes something needs a permission that writes, beside those that only read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from rightsize.graph.requests import UNREADABLE, GraphRequest, Steps, forms, map_steps
from rightsize.rules.graph import changes, joined, only_reads, reading_twin, writing_twin

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
