"""Decide slowly and plainly who may do what, from the listings of a generated tenant."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Oracle:
    """Answers from the listings of a folder of exports: one permission block a role, no conditions evaluated."""

    def __init__(self, exports: Path) -> None:
        self.assignments = {row["name"]: row for row in self._standing(exports)}
        pim = json.loads((exports / "access/role-eligibility-schedule-instances.json").read_text(encoding="utf-8"))
        self.assignments |= {row["name"]: _flat(row) for row in pim["value"]}
        roles = json.loads((exports / "catalog/built-in-roles.json").read_text(encoding="utf-8"))
        roles += json.loads((exports / "access/custom-roles.json").read_text(encoding="utf-8"))
        self.roles = {role["name"]: role["permissions"][0] for role in roles}
        self.members = dict(_members(exports))
        tree = json.loads((exports / "scopes/management-groups.json").read_text(encoding="utf-8"))
        self.above = dict(_parents(tree, ()))

    def holders(self, principal_id: str) -> set[str]:
        """Return the principal and every group that it is in, through any chain."""
        found = {principal_id}
        while True:
            more = {group for group, inside in self.members.items() if inside & found} - found
            if not more:
                return found
            found |= more

    def grants(self, assignment_id: str, principal_id: str, operation: str, scope: str, plane: str) -> bool:
        """Tell whether one assignment of today allows an operation."""
        row = self.assignments[assignment_id]
        role = self.roles[row["roleDefinitionId"].rsplit("/", 1)[-1]]
        names = ("actions", "notActions") if plane == "control" else ("dataActions", "notDataActions")
        allowed, taken = (any(_matches(pattern, operation) for pattern in role[name]) for name in names)
        return (
            row["principalId"] in self.holders(principal_id)
            and allowed
            and not taken
            and self.within(scope, row["scope"])
        )

    def within(self, child: str, parent: str) -> bool:
        """Tell whether a scope lies in another."""
        child, parent = child.lower(), parent.lower()
        if parent in ("/", child) or child.startswith(parent + "/"):
            return True
        top = "/".join(child.split("/")[:3] if child.startswith("/subscriptions/") else child.split("/")[:5])
        return parent in self.above.get(top, ())

    @staticmethod
    def _standing(exports: Path) -> Iterator[dict[str, Any]]:
        for path in sorted((exports / "access").glob("role-assignments-0*.json")):
            yield from json.loads(path.read_text(encoding="utf-8"))


def _flat(instance: dict[str, Any]) -> dict[str, Any]:
    return {"name": instance["name"], **instance["properties"]}


def _members(exports: Path) -> Iterator[tuple[str, set[str]]]:
    for path in sorted((exports / "directory/members").iterdir()):
        page = json.loads(path.read_text(encoding="utf-8"))
        named = re.search(r"groups\('([^']+)'\)/members", page["@odata.context"])
        group = named[1] if named else path.stem.removeprefix("members-")
        if not path.stem.startswith("transitiveMembers"):
            yield group, {member["id"] for member in page["value"]}


def _parents(node: dict[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield node["id"].lower(), above
    for child in node["children"] or ():
        yield from _parents(child, (*above, node["id"].lower()))


def _matches(pattern: str, operation: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.lower().split("*"))), operation.lower()) is not None
