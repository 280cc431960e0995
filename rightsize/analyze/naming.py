"""Resolve an id, a UPN, an application id or a display name to the principal that it names."""

from __future__ import annotations

import polars as pl

from rightsize.analyze.inputs import Inputs, once
from rightsize.analyze.text import folded
from rightsize.model.errors import UsageError
from rightsize.rbac.text import fold

_NAMES = ("user_principal_name", "app_id", "display_name")


def resolve_principal(inputs: Inputs, name: str) -> str:
    """Return the id of the principal that `name` means.

    Tried in turn: the id, an alias (UPN, mail, application id), a display name that only one principal has.

    Raises:
        UsageError: No loaded principal has this name, or several have.
    """
    wanted = fold(name)
    if is_known(inputs, name):
        return wanted
    aliases = inputs.principal_aliases.filter(folded(pl.col("alias")) == wanted)
    found: set[str] = set(folded(aliases["principal_id"]))
    for column in _NAMES:
        if not found:
            same = inputs.principals.filter((folded(pl.col(column)) == wanted).fill_null(False))
            found = set(folded(same["principal_id"]))
    if len(found) == 1:
        return found.pop()
    if found:
        raise UsageError(
            f"`{name}` names {len(found)} principals", hint=f"give one of the ids {', '.join(sorted(found))}"
        )
    raise UsageError(
        f"no loaded principal is called `{name}`",
        hint="give an object id, a UPN, an application id or a display name",
    )


def is_known(inputs: Inputs, name: str) -> bool:
    """Return whether `name` is an id of a principal or group that anything loaded names."""
    wanted = fold(name)
    if (principal_ids(inputs) == wanted).any():
        return True
    named = (
        inputs.role_assignments["principal_id"],
        inputs.group_closure["member_id"],
        inputs.group_closure["group_id"],
        inputs.usage_days["principal_id"],
        inputs.sign_ins["principal_id"],
    )
    return any((folded(ids) == wanted).any() for ids in named)


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
