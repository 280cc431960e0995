"""Read the display names of principals and places from the store."""

from __future__ import annotations

import polars as pl

from rightsize.analyze.columns import folded
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.principals import principal_names
from rightsize.store.connection import Store


def read_names(store: Store, inputs: Inputs | None = None) -> tuple[dict[str, str], dict[str, str]]:
    """Return the display names of principals by id, and of places by folded scope.

    Places are subscriptions, management groups and administrative units. `inputs` are the tables, if already read.
    """
    if inputs is None:
        tables = ("principals", "role_assignments", "scopes")
        inputs = Inputs.of(**{name: store.table(name) for name in tables})
    called = principal_names(inputs)
    names: dict[str, str] = dict(zip(called["principal_id"].to_list(), called["name"].to_list(), strict=True))
    high = inputs.scopes.filter(pl.col("kind").is_in(["subscription", "management_group"]))
    places = high.select(folded(pl.col("scope")), name=pl.coalesce("display_name", "scope"))
    units = store.table("administrative_units").drop_nulls("display_name")
    parts = units.select("/administrativeunits/" + folded(pl.col("unit_id")), name="display_name")
    return names, dict(places.iter_rows()) | dict(parts.iter_rows())
