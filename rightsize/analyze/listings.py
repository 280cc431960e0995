"""Say which listings are not complete that an answer about access rests on, at a scope or in the whole tenant.

One answer to that decides for every face: `can` and `who-can`, reach, layers, controls, plans, Python and MCP read it
here, and SQL reads the same rows of the table `listings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from rightsize.model.access_answers import (
    ACCESS_LISTINGS,
    BY_NAME,
    DENY_ASSIGNMENTS,
    ELIGIBILITY,
    MEMBERS,
    ROLE_ASSIGNMENTS,
    ROLE_DEFINITIONS,
    SUBSCRIPTION,
    command_for,
)
from rightsize.rbac.scopes import Scope, lineage
from rightsize.rbac.text import fold

_ORDER = {one.name: place for place, one in enumerate(ACCESS_LISTINGS)}


@dataclass(frozen=True, slots=True)
class Lack:
    """A listing that is not complete.

    Attributes:
        listing: Its kind, as in the table `listings`.
        of: The folded scope, or the group or role, that it is of.
        why: Why it is not complete.
        command: The command that gets it; None where there is none.
    """

    listing: str
    of: str
    why: str
    command: str | None

    @property
    def text(self) -> str:
        """Return it as a sentence, with the command."""
        gets = f"; `{self.command}` gets it" if self.command else ""
        return f"{self.words} of `{self.of}`: {self.why}{gets}"

    @property
    def words(self) -> str:
        """Return what the listing has, for people."""
        kind = BY_NAME.get(self.listing)
        return kind.words if kind else self.listing

    @property
    def costs(self) -> str:
        """Return what is not known without it."""
        kind = BY_NAME.get(self.listing)
        return kind.costs if kind else ROLE_ASSIGNMENTS.costs

    def row(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def in_order(found: Iterable[Lack]) -> list[Lack]:
    """Return distinct lacks, those first that cost most."""
    return sorted(set(found), key=lambda one: (_ORDER.get(one.listing, len(_ORDER)), one.listing, one.of, one.why))


def sentence_of(found: Iterable[Lack], most: int = 3) -> str:
    """Return what is not known, as text: the first lacks, and the number of further ones."""
    every = in_order(found)
    more = f"; and {len(every) - most:,} more listings, which `rightsize status -v` names" if len(every) > most else ""
    return "; ".join(one.text for one in every[:most]) + more


def note_of(found: Iterable[Lack], unknown: str) -> list[str]:
    """Return the note that says what is unknown, and by which listings; none where every listing is complete."""
    every = in_order(found)
    return [f"{unknown}: {sentence_of(every)}"] if every else []


def of_subscription(found: Iterable[Lack], scope: str) -> list[Lack]:
    """Return the lacks that concern a folded subscription: its own, and all that are of no subscription."""
    return [
        one for one in found if not one.of.startswith(SUBSCRIPTION) or one.of == scope or one.of.startswith(f"{scope}/")
    ]


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
