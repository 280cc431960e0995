"""The map of Graph's permissions: which of them allow a request, and what a permission allows.

A request is a conjunction of clauses: its path, what its query adds to it, and what rules say is needed together. Each
is allowed by any one of several permissions. What the map does not know is said so, and rules nothing out.

The map has gaps and lists together what is needed together. Two rules make up for it: a permission that reads and
writes explains what its reading twin explains, where nothing else that is held does; and a request that changes
something needs a permission that writes, beside those that only read.
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
"""What needs no permission: the envelope of a batch, whose requests are logged one by one, and the schema."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One thing that a request needs.

    Attributes:
        why: `path`, `expand` and `property`: the request names it. `joined`: a rule says that it is needed together
            with the path. `change`: the request changes something, so one permission has to write. `beside`: a
            permission that is needed where it is held: one that only reads, listed for a change; or the writing
            twin of one that is, where the map lists none that writes.
        method: Of the map, as is `path`.
        permissions: Any of these allows it, each with what it needs besides, of which one is enough.
    """

    why: Why
    method: str
    path: str
    permissions: Mapping[str, tuple[str, ...]]

    @property
    def by_name(self) -> frozenset[str]:
        """Permissions that the map does not list, and that read and write what a listed one reads."""
        twins = {twin for one in self.permissions if (twin := writing_twin(one)) is not None}
        return frozenset(twins) - frozenset(self.permissions)

    def holders(self, held: Collection[str]) -> frozenset[str]:
        """Return which of `held` allow it: those that the map lists, else those that do by their name."""
        listed = frozenset(
            one for one, also in self.permissions.items() if one in held and (not also or companions(also, held))
        )
        return listed or self.by_name & frozenset(held)


def companions(also: Collection[str], held: Collection[str]) -> frozenset[str]:
    """Return which of `held` are needed besides another: those in `also`, and those that read and write the same."""
    return frozenset(one for one in held if one in also or reading_twin(one) in also)


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a request needs.

    Attributes:
        clauses: All of them are needed.
        unknown: Why the map cannot say all of it: `path`, `method`, `expand` or `unreadable`; None where it can.
        free: It needs no permission.
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
    """The requests that each permission allows, for one kind of access."""

    def __init__(
        self,
        access: str,
        rows: Iterable[tuple[str, str, str, tuple[str, ...]]],
        properties: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]],
    ) -> None:
        """Build the map.

        Args:
            access: `application` or `delegated`.
            rows: Permission, method, path, and what is needed besides.
            properties: By property the roots of paths where it needs a permission of its own, with these permissions.
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
        """Return the first steps of the paths that a permission or its reading twin opens.

        `me` and `users` are one.
        """
        return self._roots.get(permission, set()) | self._roots.get(reading_twin(permission) or "", set())

    def knows(self, root: str) -> bool:
        """Tell whether any path of the map begins with this step."""
        return root in self._first_steps

    def requirement(self, request: GraphRequest) -> Requirement:
        """Return what a request needs."""
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
                if node.path.startswith(root):
                    clauses.append(Clause("property", request.method, node.path, dict.fromkeys(permissions, ())))
        return Requirement(tuple(clauses), unknown)

    def _find(self, steps: Steps, method: str | None) -> _Node | None:
        """Return the node of the first form of a path that the map has, with that method unless it is None."""
        for form in forms(steps, self._access):
            found = _walk(self._root, form, 0, method)
            if found is not None:
                return found
        return None


def _of_a_change(method: str, path: str, listed: Mapping[str, tuple[str, ...]]) -> Iterator[Clause]:
    """Yield what a change needs where the map lists permissions that only read among those of which one is enough."""
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
"""Relations whose data belong to the object itself."""


def _walk(node: _Node, steps: Steps, at: int, method: str | None) -> _Node | None:
    """Follow a path, literal steps before ids: `{id}` of the map stands for any step."""
    if at == len(steps):
        found = bool(node.methods) if method is None else method in node.methods
        return node if found else None
    for step in dict.fromkeys((steps[at], "{id}")):
        child = node.children.get(step)
        if child is not None and (found_node := _walk(child, steps, at + 1, method)) is not None:
            return found_node
    return None


def root_of(steps: Steps) -> str:
    """Return the first step of a path; what is `me` is a user."""
    first = steps[0] if steps else ""
    name = first.partition("(")[0]
    return "users" if name == "me" else name
