"""Fold ids, operations and scopes in columns, so that they compare without regard to case."""

from __future__ import annotations

import polars as pl

from rightsize.rules.matching import Text, folded

__all__ = ["GROUP", "folded", "place_of"]

GROUP = r"^(/subscriptions/[^/]+(?:/resourcegroups/[^/]+)?)"
"""The resource group of a folded scope, or its subscription."""


def place_of(scope: Text) -> Text:
    """Return scopes in the form that compares: folded, without doubled or trailing slashes; the root is `/`."""
    single = folded(scope)
    if isinstance(single, pl.Series):
        if single.is_empty():
            return single
        column = pl.col(single.name).str
        untidy = column.contains("//", literal=True) | (column.ends_with("/") & (column.len_bytes() > 1))
        # Nearly all scopes are tidy, and checking is quicker than replacing.
        if not single.to_frame().select_seq(untidy.any()).item():
            return single
    return single.str.replace_all(r"/{2,}", "/").str.replace(r"^(.+)/$", "${1}")
