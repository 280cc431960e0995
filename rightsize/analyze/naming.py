"""Resolve an id, a UPN, an application id or a display name to the principal that it names."""

from __future__ import annotations

import re
from collections.abc import Iterable

import polars as pl

from rightsize.analyze.inputs import Inputs, once
from rightsize.analyze.text import folded
from rightsize.model.errors import UsageError
from rightsize.rbac.text import fold

_NAMES = ("user_principal_name", "app_id", "display_name")
NAMED = ("principals", "principal_aliases", "role_assignments", "group_closure")
"""The tables that name principals."""
_SHOWN = 8
_PRINTED = re.compile(r" \(([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\)$")
"""The id behind a name, as `can` prints it."""


def resolve_principal(inputs: Inputs, name: str) -> str:
    """Return the id of the principal that `name` means.

    Tried in turn: the id, an alias (UPN, mail, application id), a display name that only one principal has, and the
    beginning of any of these that only one principal has. A name as tables print it is understood too: with `…` in
    place of a part, or with the id in brackets behind it.

    Raises:
        UsageError: No loaded principal has this name, or several have.
    """
    found = _meant(inputs, name)
    if len(found) == 1:
        return found.pop()
    if found:
        raise _ambiguous(inputs, name, found)
    raise UsageError(
        f"no loaded principal is called `{name}`",
        hint="give an object id, a UPN, an application id, a display name, or the beginning of one",
    )


def resolve_known(inputs: Inputs, names: Iterable[str]) -> tuple[str, ...]:
    """Return the ids of the principals with these names, in their order; a name that nothing knows stays as it is.

    Raises:
        UsageError: Several principals have one of the names.
    """
    ids: dict[str, None] = {}
    for name in names:
        found = _meant(inputs, name)
        if len(found) > 1:
            raise _ambiguous(inputs, name, found)
        ids |= dict.fromkeys(found or {name})
    return tuple(ids)


def _meant(inputs: Inputs, name: str) -> set[str]:
    """Return the ids of the principals that `name` may mean."""
    printed = _PRINTED.search(name)
    wanted = fold(printed[1] if printed is not None else name)
    if is_known(inputs, wanted):
        return {wanted}
    aliases = inputs.principal_aliases.filter(folded(pl.col("alias")) == wanted)
    found: set[str] = set(folded(aliases["principal_id"]))
    for column in _NAMES:
        if not found:
            same = inputs.principals.filter((folded(pl.col(column)) == wanted).fill_null(False))
            found = set(folded(same["principal_id"]))
    return found or _begun(inputs, wanted)


def _ambiguous(inputs: Inputs, name: str, found: set[str]) -> UsageError:
    hint = f"give one of the ids {_candidates(inputs, found)}"
    return UsageError(f"`{name}` names {len(found)} principals", hint=hint)


def _begun(inputs: Inputs, wanted: str) -> set[str]:
    """Return the principals of which an id or a name begins so, and ends as what follows a `…`."""
    head, _, tail = wanted.partition("…")
    if not head:
        return set()
    called = folded(pl.col("name")).str
    rows = _every_name(inputs).filter(called.starts_with(head) & called.ends_with(tail))
    return set(rows["principal_id"].drop_nulls())


@once(*NAMED)
def _every_name(inputs: Inputs) -> pl.DataFrame:
    """Return `(principal_id, name)`: the ids, aliases and names of all principals."""
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
    return rows.with_columns(folded(pl.col("principal_id"))).unique()


def _candidates(inputs: Inputs, ids: set[str]) -> str:
    """Return the first ids with their names, and the number of the others."""
    names = dict(principal_names(inputs).select("principal_id", "name").iter_rows())
    ordered = sorted(ids)
    shown = [one if names.get(one, one) == one else f"{one} ({names[one]})" for one in ordered[:_SHOWN]]
    more = [f"{len(ordered) - _SHOWN:,} more"] if len(ordered) > _SHOWN else []
    return ", ".join(shown + more)


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
