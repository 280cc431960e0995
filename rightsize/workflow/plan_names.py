"""Look up in the store the display names for the ids of a plan."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from rightsize.model.errors import UsageError
from rightsize.model.plan import Plan
from rightsize.rbac.text import fold
from rightsize.store.connection import Store, open_store
from rightsize.workflow.names import read_names


def proposals_called(plan: Plan, names: Iterable[str]) -> tuple[str, ...]:
    """Return the ids of the proposals that names mean: ids, or unique beginnings of them.

    Raises:
        UsageError: A name means no proposal of the plan, or several.
    """
    ids = [one.id for one in plan.all_proposals]
    found = []
    for name in names:
        wanted = fold(name).removesuffix("…")
        fitting = [one for one in ids if fold(one) == wanted] or [one for one in ids if fold(one).startswith(wanted)]
        if len(fitting) != 1 or not wanted:
            why = "several proposals" if len(fitting) > 1 else "not a proposal of this plan"
            raise UsageError(f"`{name}` is {why}", hint="`rightsize review list` shows the ids")
        found += fitting
    return tuple(dict.fromkeys(found))


def names_in(db: Path | None, plan: Plan) -> dict[str, str]:
    """Return display names from the store and of the plan's roles; without a store only those of the roles."""
    found: dict[str, str] = {}
    if db is not None and db.exists():
        with open_store(db, read_only=True) as store:
            found = _names(store)
    return found | {role.definition.role_definition_id: role.definition.role_name for role in plan.roles}


def _names(store: Store) -> dict[str, str]:
    found, _ = read_names(store)
    roles = store.table("role_definitions").filter(pl.col("role_name").fill_null("") != "")
    found |= dict(roles.select("role_definition_id", "role_name").iter_rows())
    return found | scope_names(store.table("scopes"))


def scope_names(scopes: pl.DataFrame) -> dict[str, str]:
    """Return the display names of subscriptions and management groups, by scope as the store spells it."""
    high = scopes.filter(
        pl.col("kind").is_in(["subscription", "management_group"]) & (pl.col("display_name").fill_null("") != "")
    )
    return dict(high.select("scope", "display_name").sort("scope").iter_rows())
