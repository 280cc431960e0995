"""Look up the rules on existence: types whose absence a listing proves, changes that hide it, words for recovery."""

from __future__ import annotations

import polars as pl

from rightsize.rbac.text import fold
from rightsize.rules.matching import first_match
from rightsize.rules.tables import rows_of

_TYPE = r"^([^/]+/[^/]+)/"
_CREATING = r"^[^/]+/[^/]+/(?:write|create/action)$"


def inventory_types() -> dict[str, str]:
    """Return the types of which a complete listing proves that there is none: folded to their spelling."""
    return {fold(row["resource_type"]): row["resource_type"] for row in rows_of("inventory_types")}


def type_named(name: pl.Expr) -> pl.Expr:
    """Return the top-level type that an operation names first, spelt as in the operation; null where it names none."""
    return name.str.extract(_TYPE)


def decided_type(names: pl.Series) -> pl.Series:
    """Return the folded type whose absence proves that an operation had nothing to act on, null for most operations.

    Operations that create a resource of the type are left out, and so are those that may act without such a resource.
    """
    excepted = first_match(names, [row["pattern"] for row in rows_of("inventory_exceptions")]).is_not_null()
    name = pl.col("name")
    decided = type_named(name).is_in(list(inventory_types())) & ~name.str.contains(_CREATING) & ~excepted
    return pl.DataFrame({"name": names}).select(pl.when(decided).then(type_named(name)).alias("kind"))["kind"]


def change_named(names: pl.Series) -> pl.Series:
    """Return the change after which existence is not known, for each folded operation, null for most operations."""
    rows = rows_of("existence_changes")
    found = first_match(names, [row["pattern"] for row in rows])
    return pl.Series([row["change"] for row in rows], dtype=pl.String).gather(found).alias("change")


def change_patterns() -> tuple[str, ...]:
    """Return the patterns of the operations that `change_named` knows."""
    return tuple(row["pattern"] for row in rows_of("existence_changes"))


def extends_others(kinds: pl.Series) -> pl.Series:
    """Return for each folded type whether its resources extend others or are made at any scope."""
    return first_match(kinds, [row["pattern"] for row in rows_of("extension_types")]).is_not_null()


def is_for_recovery(text: pl.Expr) -> pl.Expr:
    """Return whether a name or tag has a word for recovery, also inside `camelCase`; null counts as no."""
    words = "|".join(sorted(row["word"] for row in rows_of("recovery_words")))
    spaced = text.str.replace_all(r"([a-z0-9])([A-Z])", "${1} ${2}").str.to_lowercase()
    return spaced.str.contains(rf"(?:^|[^a-z])(?:{words})(?:[^a-z]|$)").fill_null(False)
