"""Read who can act as Owner of a subscription, by the definition that a rollout asks before each wave."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.holders import able_principals
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.text import folded, place_of
from rightsize.propose.needs.drafts import Key, Subject
from rightsize.rbac.azure import OWNER
from rightsize.rbac.owners import Owner, owners_to_keep


@dataclass(frozen=True, slots=True)
class OwnerFacts:
    """The facts that decide which assignments of Owner can give access back to others.

    Attributes:
        enabled: The folded principals that are known to be enabled.
        members: The members of each group, nested ones included, folded.
        tree: The parent of each folded management group and subscription.
        ending: The assignments that end by themselves: activations, and what Azure shows beside them.
    """

    enabled: Collection[str]
    members: Mapping[str, Collection[str]]
    tree: Mapping[str, str]
    ending: Set[Key] = frozenset()

    def to_keep(self, owners: Iterable[Subject], going: Collection[Key]) -> dict[Key, bool]:
        """Return the assignments of Owner that must stay among those that go, as `rbac.owners.owners_to_keep` does.

        Args:
            owners: The assignments of Owner, the preferred ones first.
            going: The assignments that are to be removed or replaced.
        """
        known = {" ".join(one.key): one for one in owners if one.role_definition_id == OWNER}
        rows = [Owner(id_, one.place, one.principal_id, self._is_lasting(one)) for id_, one in known.items()]
        places = {*self.tree, *(one.place for one in known.values())}
        kept = owners_to_keep(
            rows,
            {id_ for id_, one in known.items() if one.key in going},
            enabled=self.enabled,
            members=self.members,
            tree=self.tree,
            subscriptions={place for place in places if place.startswith("/subscriptions/") and place.count("/") == 2},
        )
        return {known[id_].key: can_act for id_, can_act in kept.items()}

    def _is_lasting(self, one: Subject) -> bool:
        lasts = one.state == "active" and one.condition is None and one.end_on is None
        return lasts and one.key not in self.ending


def read_owner_facts(inputs: Inputs, ending: Set[Key]) -> OwnerFacts:
    """Return the facts from the tables; `ending` is that of `OwnerFacts`."""
    closure = inputs.group_closure.select(folded(pl.col("group_id")), folded(pl.col("member_id")))
    tree = inputs.scopes.filter(pl.col("kind").is_in(["management_group", "subscription"])).select(
        place_of(pl.col("scope")), parent=place_of(pl.col("parent_scope"))
    )
    members: dict[str, frozenset[str]] = {
        group: frozenset(found) for group, found in closure.group_by("group_id").agg("member_id").iter_rows()
    }
    parents = dict(tree.drop_nulls().sort("scope").iter_rows())
    return OwnerFacts(frozenset(able_principals(inputs.principals)), members, parents, ending)
