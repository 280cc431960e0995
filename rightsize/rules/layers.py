"""Find by rule which layers of defence each operation defeats, and with which effect on their controls."""

from __future__ import annotations

from functools import cache

import polars as pl

from rightsize.model.nouns import LAYERS
from rightsize.rules.matching import matching_pairs
from rightsize.rules.tables import rows_of

EFFECTS = ("disable", "bypass", "weaken")
"""The effects of an operation on a control, worst first: switch it off or rewrite it, bypass it, or weaken it."""

LAYER_BITS = {layer: 1 << index for index, layer in enumerate(LAYERS)}
"""The bit of each layer in an integer that stands for a set of layers."""


def layers_of(operations: pl.DataFrame) -> pl.DataFrame:
    """Return `(name, plane, layer, effect, control, rule)`: the worst effect of each operation on each layer.

    An operation may defeat several layers. A read of the control plane changes no control, whatever pattern it matches.
    `rule` is the number of the row in the rule file, from 0.

    Args:
        operations: Columns `name` (folded) and `plane`, distinct.
    """
    rules = _rules()
    worst = {effect: rank for rank, effect in enumerate(EFFECTS)}
    found = []
    for plane in ("control", "data"):
        names = operations.filter(pl.col("plane") == plane)["name"]
        names = names.filter(~names.str.ends_with("/read")) if plane == "control" else names
        here = rules.filter(pl.col("plane") == plane)
        found.append(
            matching_pairs(names, here["pattern"].unique(maintain_order=True).to_list()).join(here, on="pattern")
        )
    return (
        pl.concat(found)
        .sort("name", "plane", "layer", pl.col("effect").replace_strict(worst), "rule")
        .unique(["name", "plane", "layer"], keep="first", maintain_order=True)
        .select("name", "plane", "layer", "effect", "control", "rule")
    )


@cache
def _rules() -> pl.DataFrame:
    return pl.DataFrame(rows_of("layers")).with_row_index("rule").drop("source")


def first_layer(operations: pl.DataFrame) -> pl.Series:
    """Return for each operation the layer that its first rule names, null if it defeats none.

    Args:
        operations: Columns `name` (folded) and `plane`.
    """
    distinct = operations.select("name", "plane").unique()
    first = layers_of(distinct).sort("rule").unique(["name", "plane"], keep="first").select("name", "plane", "layer")
    return operations.select("name", "plane").join(first, on=["name", "plane"], how="left", maintain_order="left")[
        "layer"
    ]


def layers_in(mask: int) -> tuple[str, ...]:
    """Return the layers of a bit set, in the order of `LAYERS`."""
    return tuple(layer for layer, bit in LAYER_BITS.items() if mask & bit)
