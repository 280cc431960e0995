"""Classify the holder of each assignment as known, foreign, orphan or unresolved, from listings and exports.

An orphan is absent from a complete listing of its kind, or the export that resolves names found none for it. It was not
seen among the deleted items, from which it could come back. It is not a foreign principal, which no listing of this
tenant shows. Any other holder that nothing shows is unresolved.
"""

from __future__ import annotations

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.naming import principal_ids
from rightsize.analyze.text import folded

_LISTINGS = {
    "User": "users",
    "Group": "groups",
    "ServicePrincipal": "servicePrincipals",
    "ManagedIdentity": "servicePrincipals",
}


def able_principals(principals: pl.DataFrame) -> pl.Series:
    """Return the folded ids of the principals that are known to be enabled, and were not deleted."""
    able = principals.filter(pl.col("account_enabled").fill_null(False) & pl.col("deleted_on").is_null())
    return folded(able["principal_id"])


def classify_holders(inputs: Inputs, ids: pl.Series | None = None) -> pl.DataFrame:
    """Return `(role_assignment_id, state, principal_id, holder)`; with `ids`, only for assignments with these ids.

    `holder` is `known`, `foreign`, `orphan` or `unresolved`.
    """
    facts = _facts(inputs, ids)
    # A name that an export resolved and a listing that lacks it contradict each other, and prove nothing.
    absent = ~pl.col("named") & (pl.col("by_listing") | pl.col("by_export"))
    return facts.select(
        "role_assignment_id",
        "state",
        "principal_id",
        holder=pl.when(pl.col("exists"))
        .then(pl.lit("known"))
        .when(pl.col("foreign"))
        .then(pl.lit("foreign"))
        .when(absent & ~pl.col("deleted"))
        .then(pl.lit("orphan"))
        .when(pl.col("named") & ~pl.col("by_listing") & ~pl.col("deleted"))
        .then(pl.lit("known"))
        .otherwise(pl.lit("unresolved")),
    ).sort("role_assignment_id", "state")


def _facts(inputs: Inputs, ids: pl.Series | None) -> pl.DataFrame:
    principals = inputs.principals.select(
        principal_id=principal_ids(inputs),
        listed=pl.col("listed").fill_null(False),
        deleted=pl.col("deleted_on").is_not_null(),
        known_type="principal_type",
    )
    members = folded(inputs.group_members["member_id"]).unique()
    table = inputs.role_assignments
    # An export without any name resolved none, and proves nothing about holders without a name.
    resolves = bool((table["principal_name"].fill_null("") != "").any())
    named = pl.col("principal_name").fill_null("") != ""
    unknown = pl.col("principal_type") == "Unknown"
    if ids is not None:
        table = table.filter(pl.col("role_assignment_id").is_in(ids.implode()))
    rows = table.with_columns(principal_id=folded(table["principal_id"])).join(
        principals, on="principal_id", how="left"
    )
    deleted = pl.col("deleted").fill_null(False)
    # The assignment keeps the type that its principal once had.
    kind = pl.when(unknown | pl.col("principal_type").is_null()).then("known_type").otherwise("principal_type")
    return rows.select(
        "role_assignment_id",
        "state",
        "principal_id",
        exists=(pl.col("listed").fill_null(False) & ~deleted) | pl.col("principal_id").is_in(members.implode()),
        foreign=pl.col("principal_tenant_id").is_not_null() | (kind == "ForeignGroup").fill_null(False),
        deleted=deleted,
        named=named,
        by_export=unknown.fill_null(False) | (pl.lit(resolves) & (pl.col("principal_name") == "").fill_null(False)),
        by_listing=_absent_from_listing(inputs, kind),
    )


def _absent_from_listing(inputs: Inputs, kind: pl.Expr) -> pl.Expr:
    complete = inputs.listings.filter(pl.col("complete").fill_null(False))["listing"].unique().to_list()
    known = {name: listing in complete for name, listing in _LISTINGS.items()}
    everything = all(listing in complete for listing in _LISTINGS.values())
    return kind.replace_strict(known, default=everything, return_dtype=pl.Boolean).fill_null(everything)
