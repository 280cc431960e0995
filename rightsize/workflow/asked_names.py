"""Check that the names in an access question are known, so that a misspelt one gets no answer that looks right."""

from __future__ import annotations

import polars as pl

from rightsize.analyze.nearest import hint_of, nearest, nearest_operations
from rightsize.analyze.text import place_of
from rightsize.model.errors import InputError, UsageError
from rightsize.rbac.expand import planes_spelling_out
from rightsize.rbac.scopes import parse_scope
from rightsize.rbac.text import fold
from rightsize.store.connection import Store
from rightsize.workflow.tenant_access import TenantAccess

_SCOPES = """
    SELECT DISTINCT scope FROM (
        SELECT scope FROM scopes UNION ALL SELECT scope FROM role_assignments
        UNION ALL SELECT scope FROM deny_assignments UNION ALL SELECT scope FROM resources
        UNION ALL SELECT spelling FROM base.scope_names)
    WHERE scope IS NOT NULL"""
_MOST = 8


def check_operation(store: Store, tenant: TenantAccess, operation: str) -> None:
    """Raise InputError where neither the catalogue, a role nor a log names an operation; without a catalogue, never.

    Raises:
        InputError: Nothing knows the operation.
    """
    catalogue = tenant.inputs.operations["operation"]
    if catalogue.is_empty() or "*" in operation:
        return
    wanted = fold(operation)
    if (catalogue.str.to_lowercase() == wanted).any():
        return
    if planes_spelling_out((role.permissions for role in tenant.roles.values()), operation):
        return
    used = store.frame("SELECT count(*) AS n FROM usage_days WHERE lower(operation) = $name", {"name": wanted})
    if used["n"].item():
        return
    hint = hint_of(
        nearest_operations(operation, catalogue), '`rightsize sql "SELECT operation FROM operations"` lists them'
    )
    raise InputError(f"neither the catalogue nor a role knows the operation `{operation}`", hint=hint)


def find_scope(store: Store, text: str) -> str:
    """Return the scope that a text names: an id, a subscription's id or name, or the unique last part of an id.

    An id is known where something loaded names it, or something at, below or beside it: where nothing is listed at
    its level, nobody can know.

    Raises:
        InputError: Nothing knows the scope, or it is no scope.
        UsageError: Several scopes have the name.
    """
    if not text.startswith("/"):
        return _named_scope(store, text)
    wanted = parse_scope(text)
    places = place_of(store.frame(_SCOPES)["scope"])
    known = set(places)
    path = place_of(pl.Series([wanted.text])).item()
    if path == "/" or not known or any(one == path or one.startswith(f"{path}/") for one in known):
        return text
    parts = path.split("/")
    # The levels of an id: subscription or management group, resource group, then pairs of a type and a name.
    lengths = [one for one in range(3, len(parts) + 1, 2) if one != 7 and not (one == 3 and parts[1] == "providers")]
    for length in lengths:
        here, above = "/".join(parts[:length]), "/".join(parts[: length - 1])
        level = {"/".join(place.split("/")[:length]) for place in known}
        beside = {one for one in level if one.startswith(f"{above}/")}
        if beside and here not in beside:
            near = nearest(here, beside)
            raise InputError(
                f"nothing loaded names the scope `{here}`", hint=hint_of(near, "load a listing that has it")
            )
    return text


def _named_scope(store: Store, name: str) -> str:
    listed = store.table("scopes").select("scope", name="display_name")
    others = store.frame(_SCOPES).select("scope")
    wanted = fold(name)
    every = pl.concat([listed, others.with_columns(name=None)], how="vertical_relaxed").drop_nulls("scope")
    last = pl.col("scope").str.split("/").list.last().str.to_lowercase()
    same = (pl.col("name").str.to_lowercase() == wanted).fill_null(False) | (last == wanted)
    if not wanted:
        same = pl.lit(value=False)
    found: dict[str, str] = {fold(one): one for one in every.filter(same)["scope"].unique().sort()}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        shown = sorted(found.values())[:_MOST]
        raise UsageError(f"`{name}` names {len(found):,} scopes", hint="give one of the ids " + ", ".join(shown))
    names = {*every["name"].drop_nulls(), *every.select(last)["scope"]}
    raise InputError(
        f"`{name}` is not a scope, and no loaded scope is called so",
        hint=hint_of(nearest(name, names), "give a resource id: a scope begins with a slash"),
    )
