"""Name the place of a role, or the team that holds it, by the display names of the tenant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.text import folded, place_of
from rightsize.propose.core.scopes import MANAGEMENT_GROUP
from rightsize.propose.selection.plain_names import plain_name
from rightsize.rbac.text import Folded

_LONGEST = 36
_SUBSCRIPTION = "/subscriptions/"
_GROUP_AT = 3
"""The position of `resourceGroups` among the parts of a scope, split at slashes."""


@dataclass(frozen=True, slots=True)
class PlaceNames:
    """The display names of places and teams, harmless.

    Attributes:
        places: Folded subscription or management group to its name; those without a name are left out.
        teams: Folded group of principals to its name.
        spelling: Folded scope to the scope as it is spelled.
        subscriptions: The number of subscriptions of the tenant.
    """

    places: Mapping[Folded, str]
    teams: Mapping[Folded, str]
    spelling: Mapping[Folded, str]
    subscriptions: int

    @classmethod
    def of(cls, inputs: Inputs, spelling: Mapping[Folded, str]) -> PlaceNames:
        """Read the names from the tables of scopes and principals."""
        high = inputs.scopes.filter(pl.col("kind").is_in(["subscription", "management_group"]))
        named = high.drop_nulls("display_name").sort("scope", "display_name")
        places = dict(named.select(place_of(pl.col("scope")), text="display_name").iter_rows())
        groups = inputs.principals.filter(pl.col("principal_type") == "Group").drop_nulls("display_name")
        teams = dict(groups.select(folded(pl.col("principal_id")), "display_name").iter_rows())
        known = {one for one in spelling if one.startswith(_SUBSCRIPTION)}
        return cls(
            {place: plain for place, name in places.items() if (plain := plain_name(name, _LONGEST))},
            {id_: plain for id_, name in teams.items() if (plain := plain_name(name, _LONGEST))},
            spelling,
            len({"/".join(one.split("/")[:_GROUP_AT]) for one in known}),
        )

    def of_role(self, scopes: Iterable[Folded], holders: Iterable[Folded]) -> tuple[str, ...]:
        """Return the names of the place or team of a role, the most telling first; none where nothing is common.

        The only subscription of a tenant tells nothing. A team is named where no place is common.

        Args:
            scopes: The folded scopes at which the role is assigned.
            holders: The folded principals that hold it.
        """
        found = [*self._places(set(scopes)), *self._team(set(holders))]
        return tuple(dict.fromkeys(name for name in found if name))

    def _places(self, scopes: set[Folded]) -> Iterable[str]:
        if len(scopes) == 1 and (only := next(iter(scopes))).startswith(MANAGEMENT_GROUP):
            yield self.places.get(only, "")
            return
        parts = [scope.split("/") for scope in scopes]
        anchors = {Folded("/".join(part[:_GROUP_AT])) for part in parts}
        if len(anchors) != 1 or not (anchor := anchors.pop()).startswith(_SUBSCRIPTION):
            return
        if self.subscriptions > 1:
            yield self.places.get(anchor, "")
        groups = {part[_GROUP_AT + 1] if len(part) > _GROUP_AT + 1 else "" for part in parts}
        if len(groups) == 1 and (group := groups.pop()):
            scope = Folded("/".join([anchor, "resourcegroups", group]))
            yield plain_name(self.spelling.get(scope, scope).rsplit("/", 1)[-1], _LONGEST)

    def _team(self, holders: set[Folded]) -> Iterable[str]:
        if len(holders) == 1:
            yield self.teams.get(next(iter(holders)), "")
