"""Parse Graph requests as the store names them, and list the forms in which a permission map may write the same path.

`GET /users/{id}/memberOf?$expand=manager` has a method, steps, and the additions of its query. Alternate keys, casts,
`me`, path-based addressing and the endings `$count`, `$value` and `$ref` are other names for a path that the map lists
once.
Sources: Microsoft Learn, "Use query parameters", "Addressing resources in a drive", OData 4.01 URL conventions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rightsize.rbac.text import fold

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
