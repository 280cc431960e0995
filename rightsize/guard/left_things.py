"""Compute what calls left behind: one row a thing, with the kind that the rules give it and whether it was removed.

A thing is a resource, or an object of the directory with what it got. Several calls about one thing are one row. A
request to Microsoft Graph and the record of the directory audit log about the same change are one row, too.
"""

from __future__ import annotations

from functools import cache

import polars as pl

from rightsize.analyze.inputs import folded, place_of, type_acted_on, type_of
from rightsize.model.text import fold
from rightsize.rules.attacks import kinds_left_behind
from rightsize.rules.operations import first_match
from rightsize.rules.tables import rows_of

_RESOURCE_PLANES = ("control", "data")
_IDENTITY = "resource_with_identity"
_NEAR = pl.duration(minutes=10)
_KEYS = ("application_credential", "principal_credential")
_CONTAINED = ("group_member", "application_owner", "principal_owner", "group_owner")
"""Kinds whose request to Graph names in its path what the object was added to."""

THINGS: dict[str, pl.DataType] = {
    "kind": pl.String(),
    "thing": pl.String(),
    "shown": pl.String(),
    "exact": pl.Boolean(),
    "first": pl.Datetime("us"),
    "last": pl.Datetime("us"),
    "calls": pl.Int64(),
    "suspect": pl.Boolean(),
    "ended": pl.Boolean(),
    "sources": pl.List(pl.String()),
    "operations": pl.List(pl.String()),
    "by": pl.List(pl.String()),
    "object_id": pl.String(),
    "object_name": pl.String(),
    "object_type": pl.String(),
    "other_id": pl.String(),
    "other_name": pl.String(),
    "key": pl.String(),
    "role": pl.String(),
    "holder": pl.String(),
    "properties": pl.List(pl.Struct({"name": pl.String(), "old": pl.String(), "new": pl.String()})),
}
"""`thing` is the folded resource id, else a text that tells things of a kind apart; `shown` is how the log spells it.

`exact`: the log names the thing itself, so a request may. `suspect`: one of its calls is in quarantine. `ended`: the
log shows that a call succeeded. `object_id` of a resource is the principal of its own identity, `object_name` and
`other_name` of a federated credential are its subject and issuer. `key` is the id of a key of an application, `by` who
made the calls.
"""


def things_left(calls: pl.DataFrame, with_identity: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the things that calls left behind, as THINGS, and the calls that no rule names.

    Args:
        calls: As `guard.left_behind.suspect_calls`.
        with_identity: Folded ids of the resources to which a managed identity is attached.

    Returns:
        The things, and `operation, places, calls, first, last` of writes and actions that are none of them.
    """
    known = calls.with_columns(
        name=folded(pl.col("operation")), place=place_of(pl.col("scope")), plane=pl.col("plane").fill_null("")
    )
    found = pl.concat([_of_resources(known, with_identity), _of_directory(known)], how="diagonal")
    things = _grouped(_without_echoes(found))
    ruled = found.select("event_key").unique()
    changing = pl.col("name").str.contains(r"/(write|delete|action)$") & pl.col("plane").is_in(_RESOURCE_PLANES)
    others = (
        known.filter(changing & pl.col("outcome").is_in(["succeeded", "started"]))
        .join(ruled, on="event_key", how="anti")
        .group_by(pl.col("name").alias("operation"))
        .agg(pl.col("place").n_unique().alias("places"), pl.len().alias("calls"), first=pl.col("time").min(),
             last=pl.col("time").max())
        .sort("operation")
    )  # fmt: skip
    return things, others


@cache
def _rules(*planes: str) -> pl.DataFrame:
    rows = [(fold(row["operation"]), fold(row["property"]), row["kind"], fold(row["thing"]))
            for row in rows_of("left_behind") if row["plane"] in planes]  # fmt: skip
    schema = ["pattern", "property", "kind", "type"]
    return pl.DataFrame(rows, schema=dict.fromkeys(schema, pl.String), orient="row").with_row_index("rule")


def _of_resources(calls: pl.DataFrame, with_identity: pl.Series) -> pl.DataFrame:
    """Return the calls to resources that leave something, with `kind, thing, shown, exact`."""
    let_through = calls.filter(
        pl.col("plane").is_in(_RESOURCE_PLANES) & pl.col("outcome").is_in(["succeeded", "started"])
    )
    rules = _rules(*_RESOURCE_PLANES)
    names = let_through["name"].unique()
    matched = pl.DataFrame({"name": names, "rule": first_match(names, rules["pattern"].to_list()).cast(pl.UInt32)})
    ruled = let_through.join(matched, on="name", how="left").join(rules, on="rule", how="left")
    attached = pl.col("place").is_in(with_identity.implode()) | pl.col("object_id").is_not_null()
    has_identity = pl.col("name").str.ends_with("/write") & attached
    ruled = ruled.with_columns(
        kind=pl.coalesce("kind", pl.when(has_identity).then(pl.lit(_IDENTITY))), type=pl.col("type").fill_null("")
    ).drop_nulls("kind")
    cut = pl.lit(None, dtype=pl.String)
    for kind in ruled["type"].unique().sort().to_list():
        if kind:
            cut = pl.when(pl.col("type") == kind).then(pl.col("place").str.extract(_id_of(kind))).otherwise(cut)
    whole = (type_of(pl.col("place")) == type_acted_on(pl.col("name"))) & (pl.col("type") == "")
    return ruled.with_columns(
        exact=cut.is_not_null() | whole,
        thing=pl.coalesce(cut, "place"),
        shown=pl.col("scope").str.head(pl.coalesce(cut, "place").str.len_chars()),
    )


def _id_of(resource_type: str) -> str:
    """Return a regular expression for the folded id of the resource of a type that a scope is at or below."""
    provider, *types = resource_type.split("/")
    literal = [part.replace(".", r"\.") for part in (provider, *types)]
    return "^(.*?/providers/" + literal[0] + "".join(f"/{one}/[^/]+" for one in literal[1:]) + ")(?:/|$)"


def _of_directory(calls: pl.DataFrame) -> pl.DataFrame:
    """Return the calls to the directory that leave something; each new key of an application is a row of its own."""
    rules = _rules("directory", "graph", "pim").select("pattern", "property", "kind")
    named = pl.col("properties").list.eval(folded(pl.element().struct.field("name")))
    found = (
        calls.drop_nulls("activity")
        .join(rules, left_on="activity", right_on="pattern")
        .filter((pl.col("property") == "") | named.list.contains(pl.col("property")).fill_null(False))
        .unique(["event_key", "kind"], keep="first", maintain_order=True)
    )
    of_key = pl.element().struct.field("name").str.to_lowercase() == "keydescription"
    old, new = (
        pl.col("properties")
        .list.eval(pl.when(of_key).then(pl.element().struct.field(word)))
        .list.drop_nulls()
        .list.join(" ")
        .str.to_lowercase()
        .str.extract_all(r"keyidentifier=[0-9a-f-]{36},keytype=[a-z0-9]*")
        for word in ("old", "new")
    )
    says_keys = named.list.contains("keydescription").fill_null(False) & pl.col("kind").is_in(_KEYS)
    keyed = found.with_columns(added=pl.when(says_keys).then(new.list.set_difference(old)))
    # A record about keys that adds none has taken one away.
    keyed = keyed.filter(~says_keys | (pl.col("added").list.len() > 0) | (old.list.len() + new.list.len() == 0))
    keyed = keyed.explode("added", empty_as_null=True, keep_nulls=True)
    is_contained = pl.col("kind").is_in(_CONTAINED) & (pl.col("plane") == "graph")
    keyed = keyed.with_columns(
        key=pl.col("added").str.strip_prefix("keyidentifier="),
        other_id=pl.when(is_contained).then("object_id").otherwise(
            pl.coalesce("other_id", _property("group.objectid", "application.objectid", "serviceprincipal.objectid"))),
        object_id=pl.when(is_contained).then(None).otherwise("object_id"),
    )  # fmt: skip
    # What names no object is told apart by its call.
    unnamed = pl.col("object_id").is_null() & pl.col("other_id").is_null()
    part = [pl.col(name).fill_null("") for name in ("object_id", "other_id", "key", "role", "holder")]
    told = pl.when(unnamed).then("event_key").otherwise(pl.lit(""))
    thing = pl.concat_str(["activity", *part, told], separator="|")
    return keyed.with_columns(
        thing=thing, shown=pl.coalesce("object_name", "object_id", "other_name", "other_id", "activity"),
        exact=~unnamed,
    )  # fmt: skip


def _property(*names: str) -> pl.Expr:
    """Return the folded new value, else the old one, of the first changed property with one of some folded names."""
    element = pl.element().struct
    values = pl.coalesce(element.field("new"), element.field("old")).str.strip_chars('" ')
    each = [
        pl.col("properties")
        .list.eval(pl.when(folded(element.field("name")) == name).then(folded(values)))
        .list.drop_nulls()
        .list.first()
        for name in names
    ]
    return pl.coalesce(*each)


def _without_echoes(found: pl.DataFrame) -> pl.DataFrame:
    """Return the calls without requests to Graph that a record of the directory audit log shows as well."""
    graph, audits = (found.filter(pl.col("plane") == plane) for plane in ("graph", "directory"))
    near = graph.join(audits.select("kind", "time", "object_id", "other_id"), on="kind", suffix="_audit").filter(
        ((pl.col("time") - pl.col("time_audit")).abs() <= _NEAR)
        & pl.any_horizontal(
            *(
                (pl.coalesce("object_id", "other_id") == pl.col(f"{name}_audit")).fill_null(False)
                for name in ("object_id", "other_id")
            ),
            pl.col("object_id").is_null() & pl.col("other_id").is_null(),
        )
    )
    return found.join(near.select("event_key").unique(), on="event_key", how="anti")


def _called() -> pl.Expr:
    """Return the operation of a call to a resource, else the activity or the request of a call to the directory."""
    of_resource = pl.col("plane").is_in(_RESOURCE_PLANES)
    return pl.when(of_resource).then("operation").otherwise(pl.coalesce("activity", "operation"))


def _grouped(found: pl.DataFrame) -> pl.DataFrame:
    kinds = kinds_left_behind()
    order = pl.col("kind").replace_strict(list(kinds), [one.rank for one in kinds.values()], return_dtype=pl.Int32)
    last = ("exact", "object_id", "object_name", "object_type", "other_id", "other_name", "key", "role", "holder",
            "properties")  # fmt: skip
    return (
        found.sort("time", "event_key")
        .group_by("kind", "thing", maintain_order=True)
        .agg(
            pl.col("shown").first(),
            pl.col("time").min().alias("first"),
            pl.col("time").max().alias("last"),
            pl.len().cast(pl.Int64).alias("calls"),
            pl.col("suspect").any(),
            (pl.col("outcome") != "started").any().alias("ended"),
            pl.col("source").unique().sort().alias("sources"),
            _called().unique().sort().alias("operations"),
            pl.col("principal_id").drop_nulls().unique().sort().alias("by"),
            *(pl.col(name).drop_nulls().last() for name in last),
        )
        .sort(~pl.col("suspect"), order, "first", "thing")
        .select(pl.col(name).cast(kind) for name, kind in THINGS.items())
    )


def with_removals(things: pl.DataFrame, removed: pl.DataFrame) -> pl.DataFrame:
    """Return the things with `removed_on` and `removed_by`, null for a thing that no log shows to be taken away.

    A resource is gone when it, or a resource that it is below, was deleted after the last call about it.

    Args:
        things: As THINGS.
        removed: As `guard.left_behind.removals`.
    """
    numbered = things.with_row_index("number")
    above = (
        numbered.filter(pl.col("thing").str.starts_with("/"))
        .select("number", "last", "kind", place=pl.col("thing").str.split("/"))
        .with_columns(length=pl.int_ranges(3, pl.col("place").list.len() + 1))
        .explode("length", empty_as_null=True, keep_nulls=True)
        .with_columns(place=pl.col("place").list.head("length").list.join("/"))
    )
    deletes = removed.drop_nulls("place").with_columns(place=place_of(pl.col("place")))
    of_resources = above.join(deletes, on="place").filter(
        (pl.col("time") > pl.col("last")) & ~pl.col("kind").str.ends_with("_removed")
    )
    gone = pl.DataFrame(
        [(row["kind"], fold(row["operation"]), fold(row["gone"])) for row in rows_of("left_behind") if row["gone"]],
        schema={"kind": pl.String, "made": pl.String, "activity": pl.String}, orient="row",
    ).select("kind", "activity").unique()  # fmt: skip
    of_directory = (
        numbered.join(gone, on="kind")
        .join(removed.drop_nulls("activity"), on="activity", suffix="_then")
        .filter(
            (pl.col("time") > pl.col("last"))
            & (pl.col("object_id") == pl.col("object_id_then"))
            & (pl.col("other_id").eq_missing(pl.col("other_id_then")) | pl.col("other_id_then").is_null())
        )
        # Which of several keys was removed, the record does not say in a form that is compared here.
        .filter(~pl.col("kind").is_in(_KEYS))
    )
    said = pl.concat([one.select("number", "time", "actor") for one in (of_resources, of_directory)])
    first = (
        said.sort("time").group_by("number").agg(removed_on=pl.col("time").first(), removed_by=pl.col("actor").first())
    )
    return numbered.join(first, on="number", how="left").sort("number").drop("number")
