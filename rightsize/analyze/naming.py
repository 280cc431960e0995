"""Look up principals by their names in the tables, and name them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.inputs import Inputs, once
from rightsize.analyze.name_resolution import find_known, resolve_name
from rightsize.analyze.text import folded

NAMED = ("principals", "principal_aliases", "role_assignments", "group_closure")
"""The tables that name principals."""
_NAMES = ("user_principal_name", "app_id", "display_name")


def resolve_principal(inputs: Inputs, name: str) -> str:
    """Return the id of the principal that `name` means, as `resolve_name` finds it.

    Raises:
        UsageError: No loaded principal has this name, or several have.
    """
    return resolve_name(LoadedNames(inputs), name)


def resolve_known(inputs: Inputs, names: Iterable[str]) -> tuple[str, ...]:
    """Return the ids of the principals with these names, in their order; a name that nothing knows stays as it is.

    Raises:
        UsageError: Several principals have one of the names.
    """
    known = LoadedNames(inputs)
    return tuple(dict.fromkeys(find_known(known, name) or name for name in names))


@dataclass(frozen=True, slots=True)
class LoadedNames:
    """The names of principals in the tables."""

    inputs: Inputs

    def called(self, kind: str, name: str) -> set[str]:
        """Return the ids of the principals that have a name of a kind of `CALLED`."""
        inputs = self.inputs
        if kind == "id":
            return {name} if any((ids == name).any() for ids in _named_ids(inputs)) else set()
        if kind == "alias":
            return set(folded(inputs.principal_aliases.filter(folded(pl.col("alias")) == name)["principal_id"]))
        same = inputs.principals.filter((folded(pl.col(kind)) == name).fill_null(False))
        return set(folded(same["principal_id"]))

    def begun(self, head: str, tail: str) -> set[str]:
        """Return the ids of the principals of which an id or a name begins and ends with these texts."""
        called = pl.col("name").str
        rows = _every_name(self.inputs).filter(called.starts_with(head) & called.ends_with(tail))
        return set(rows["principal_id"].drop_nulls())

    def names(self, ids: list[str]) -> Mapping[str, str]:
        """Return the display names of principals by id."""
        called = principal_names(self.inputs).filter(pl.col("principal_id").is_in(ids))
        return dict(called.select("principal_id", "name").iter_rows())


def callings(inputs: Inputs) -> pl.DataFrame:
    """Return `(kind, name, principal_id)`: all that `LoadedNames` finds, folded; `kind` as in `CALLED`."""
    ids = pl.concat([ids.cast(pl.String).alias("name") for ids in _named_ids(inputs)])
    aliases, principals = inputs.principal_aliases, inputs.principals
    found = [
        pl.DataFrame({"name": ids}).with_columns(principal_id="name", kind=pl.lit("id")),
        aliases.select(
            name=folded(aliases["alias"]), principal_id=folded(aliases["principal_id"]), kind=pl.lit("alias")
        ),
        *(
            principals.select(name=folded(pl.col(kind)), principal_id=principal_ids(inputs), kind=pl.lit(kind))
            for kind in _NAMES
        ),
        _every_name(inputs).with_columns(kind=pl.lit("beginning")),
    ]
    return pl.concat([one.select("kind", "name", "principal_id") for one in found]).drop_nulls().unique()


def _named_ids(inputs: Inputs) -> list[pl.Series]:
    """Return the ids of principals and groups that anything loaded names, folded."""
    return [
        principal_ids(inputs),
        *(
            folded(ids)
            for ids in (
                inputs.role_assignments["principal_id"],
                inputs.group_closure["member_id"],
                inputs.group_closure["group_id"],
                inputs.usage_days["principal_id"].unique(),
                inputs.sign_ins["principal_id"].unique(),
            )
        ),
    ]


@once(*NAMED)
def _every_name(inputs: Inputs) -> pl.DataFrame:
    """Return `(principal_id, name)`, both folded: the ids, aliases and names of all principals."""
    principals, assignments = inputs.principals, inputs.role_assignments
    closure = inputs.group_closure
    named = [principals.select(pl.col("principal_id"), name=column) for column in ("principal_id", *_NAMES)]
    named += [
        inputs.principal_aliases.select("principal_id", name="alias"),
        assignments.select("principal_id", name="principal_id"),
        assignments.select("principal_id", name="principal_name"),
        *(closure.select(principal_id=column, name=column) for column in ("member_id", "group_id")),
    ]
    rows = pl.concat([one.cast(pl.String) for one in named]).drop_nulls()
    return rows.select(folded(pl.col("principal_id")), folded(pl.col("name"))).unique()


def with_role_names(inputs: Inputs, assignments: pl.DataFrame) -> pl.DataFrame:
    """Return assignments with the name of each `role`: of its definition, else of the listing, else its id."""
    definitions = inputs.role_definitions
    roles = definitions.select(role=folded(definitions["role_definition_id"]), defined_name="role_name")
    roles = roles.unique("role", keep="first", maintain_order=True)
    return (
        assignments.join(roles, on="role", how="left", maintain_order="left")
        .with_columns(role_name=pl.coalesce("defined_name", "role_name", "role"))
        .drop("defined_name")
    )


@once("principals")
def principal_ids(inputs: Inputs) -> pl.Series:
    """Return the ids of the table `principals`, folded, row by row."""
    return folded(inputs.principals["principal_id"])


@once("principals", "role_assignments")
def principal_names(inputs: Inputs) -> pl.DataFrame:
    """Return `(principal_id, name, principal_type)`: the readable name of each principal, else its id."""
    listed = inputs.principals.select(
        principal_id=principal_ids(inputs),
        name=pl.coalesce("user_principal_name", "display_name", "principal_id"),
        principal_type="principal_type",
    )
    exported = inputs.role_assignments.select(
        principal_id=folded(inputs.role_assignments["principal_id"]),
        name=pl.when(pl.col("principal_name") != "").then("principal_name"),
        principal_type="principal_type",
    )
    both = pl.concat([listed.with_columns(order=0), exported.with_columns(order=1)]).drop_nulls("principal_id")
    return (
        both.sort("principal_id", "order", "name", "principal_type", nulls_last=True)
        .group_by("principal_id", maintain_order=True)
        .agg(pl.col("name").drop_nulls().first(), pl.col("principal_type").drop_nulls().first())
        .with_columns(name=pl.coalesce("name", "principal_id"))
    )
