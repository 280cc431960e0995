"""Say which listings are not complete that an answer about access rests on, at a scope or in the whole tenant.

One answer to that decides for every face: `can` and `who-can`, reach, layers, controls, plans, Python and MCP read it
here, and SQL reads the same rows of the table `listings`.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from rightsize.analyze.lacks import Lack, in_order
from rightsize.model.access_answers import (
    BY_NAME,
    DENY_ASSIGNMENTS,
    ELIGIBILITY,
    MEMBERS,
    ROLE_ASSIGNMENTS,
    ROLE_DEFINITIONS,
    SUBSCRIPTION,
    command_for,
)
from rightsize.model.text import fold
from rightsize.rbac.scopes import Scope, lineage

_OF_SCOPES = (ROLE_ASSIGNMENTS, ELIGIBILITY)


def parents_of(scopes: pl.DataFrame) -> dict[str, str]:
    """Return the folded scope above each subscription and management group, from the table `scopes`."""
    climbing = scopes.filter(pl.col("kind").is_in(["management_group", "subscription"])).drop_nulls("parent_scope")
    return {fold(scope): fold(parent) for scope, parent in climbing.select("scope", "parent_scope").iter_rows()}


class Listings:
    """The listings of a tenant that an answer about access rests on."""

    def __init__(self, listings: pl.DataFrame, tree: Mapping[str, str]) -> None:
        """Read the table `listings`; `tree` has the folded scope above each subscription and management group."""
        rows = listings.filter(pl.col("listing").is_in(list(BY_NAME)))
        self._tree = tree
        self._whole: set[tuple[str, str]] = set()
        self._lacking: dict[tuple[str, str], Lack] = {}
        for listing, of, complete, why, command in rows.select(
            "listing", "of", "complete", "why", "command"
        ).iter_rows():
            if complete:
                self._whole.add((listing, of))
            else:
                self._lacking[listing, of] = Lack(
                    listing, of, why or "it is not complete", command or command_for(listing, of)
                )

    def every(self) -> list[Lack]:
        """Return every lack that makes a `no` somewhere unknown; of roles only those that are assigned."""
        return in_order(
            one
            for (listing, of), one in self._lacking.items()
            if BY_NAME[listing].decides_no and not (listing == ROLE_DEFINITIONS.name and of.startswith("/"))
        )

    def incomplete(self) -> list[Lack]:
        """Return every listing of access that is not complete."""
        return in_order(self._lacking.values())

    def of_assignments(self, scope: Scope) -> list[Lack]:
        """Return the listings of assignments that may lack one at a scope or above it.

        The listing of a subscription has what is above it, too.
        """
        keys = lineage(scope, self._tree)
        inside = [key for key in keys if key.startswith(SUBSCRIPTION)]
        found = []
        for kind in _OF_SCOPES:
            asked = [*inside, "/"] if inside else list(keys)
            here = [self._lacking[kind.name, key] for key in asked if (kind.name, key) in self._lacking]
            found += here or ([] if inside else self._of_all_below(kind.name, scope.key))
        return found

    def below(self, scope: Scope) -> list[Lack]:
        """Return the listings of assignments that may lack one at, above or below a scope."""
        inner = [
            one
            for (listing, of), one in self._lacking.items()
            if BY_NAME[listing] in _OF_SCOPES and (scope.key in self._above(of) or of.startswith(f"{scope.key}/"))
        ]
        return in_order([*self.of_assignments(scope), *inner])

    def of_group(self, group: str) -> Lack:
        """Return the lack of the members of a group that may have more than are loaded."""
        why = "not all of its members are loaded"
        for listing in (MEMBERS.name, "transitiveMembers"):
            if (listing, group) in self._lacking:
                return self._lacking[listing, group]
        return Lack(MEMBERS.name, group, why, command_for(MEMBERS.name, group))

    def of_role(self, role: str) -> Lack:
        """Return the lack of a role that is assigned and not loaded."""
        found = self._lacking.get((ROLE_DEFINITIONS.name, role))
        why = "no loaded listing has this role, which is assigned"
        return found or Lack(ROLE_DEFINITIONS.name, role, why, command_for(ROLE_DEFINITIONS.name, role))

    def of_denies(self, scope: Scope) -> list[Lack]:
        """Return the listings of deny assignments that may lack one at a scope or above it."""
        found = (self._lacking.get((DENY_ASSIGNMENTS.name, key)) for key in lineage(scope, self._tree))
        return [one for one in found if one is not None]

    def _of_all_below(self, listing: str, key: str) -> list[Lack]:
        """Return the lacks of the subscriptions below a scope if none of these and nothing above has a listing."""
        below = [one for (name, of), one in self._lacking.items() if name == listing and key in self._above(of)]
        whole = any(name == listing and (of == key or key in self._above(of)) for name, of in self._whole)
        return [] if whole else below

    def _above(self, of: str) -> set[str]:
        """Return the scopes above a subscription or management group, the root included, and itself."""
        found, here = {of, "/"}, of
        while (here := self._tree.get(here, "/")) not in found:
            found.add(here)
        return found
