"""Look up the rules for operations: the log that shows each, its risk, its layer, its planes, special names.

Match patterns against columns of operation names: the columnar twin of the matching in `rbac`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cache, lru_cache
from typing import TypeVar

import polars as pl

from rightsize.model.nouns import LAYERS, PLANES, Planes
from rightsize.model.text import READ, fold, loosened, parse_pattern
from rightsize.rules.tables import risk_weights, rows_of

Text = TypeVar("Text", pl.Series, pl.Expr)

_PAIRS = {"name": pl.String, "pattern": pl.String}
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Made once: to make them takes as long as to fold the few names of a small tenant.
_CAPITALS, _SMALL = pl.lit(list(_UPPER)), pl.lit(list(_UPPER.lower()))
_AT_ONCE = 256
# The characters that Rust's regular expressions read as syntax; all others stand for themselves.
_SYNTAX = frozenset(r"\.+*?()|[]{}^$#&-~")


def only_reads(name: Text) -> Text:
    """Return for a column or expression of folded operations what `model.text.is_read` says of each."""
    return name.str.ends_with(READ)


def folded(text: Text) -> Text:
    """Return a column or expression folded as by `model.text.fold`: surrounding spaces trimmed, ASCII lower case."""
    if isinstance(text, pl.Series):
        if text.is_empty() and text.dtype == pl.String:
            return text
        # Ten times as fast, and the same for pure ASCII; both columns are computed in one pass.
        column = pl.col(text.name)
        lower = column.str.strip_chars(" ").str.to_lowercase()
        beyond = (column.str.len_bytes() != column.str.len_chars()).any().alias(" beyond ASCII")
        both = text.to_frame().select_seq(lower, beyond)
        return text.to_frame().select(folded(column)).to_series() if both[:, 1].any() else both[:, 0]
    return text.str.strip_chars(" ").str.replace_many(_CAPITALS, _SMALL)


def matches(name: pl.Expr, pattern: str) -> pl.Expr:
    """Return whether the folded `name` matches `pattern`; a `*` stands for any string, the empty one included."""
    parts = fold(pattern).split("*")
    if len(parts) == 1:
        return name == parts[0]
    head, *middle, tail = parts
    if any(middle) or len(middle) > 1:
        return name.str.contains("(?s)^" + ".*".join(_literal(part) for part in parts) + "$")
    if not tail:
        return name.str.starts_with(head)
    if not head:
        return name.str.ends_with(tail)
    # The ends must not overlap: `a*a` does not match `a`.
    long_enough = name.str.len_bytes() >= len(head.encode()) + len(tail.encode())
    return name.str.starts_with(head) & name.str.ends_with(tail) & long_enough


def matches_any(name: pl.Expr, patterns: Iterable[str]) -> pl.Expr:
    """Return whether the folded `name` matches any of the patterns, in one pass over the names."""
    wholes = (".*".join(map(_literal, fold(pattern).split("*"))) for pattern in patterns)
    return name.str.contains(f"(?s)^(?:{'|'.join(wholes)})$")


def first_match(names: pl.Series, patterns: Sequence[str]) -> pl.Series:
    """Return for each folded name the index of the first pattern that matches it, null if none does."""
    if names.is_empty():
        return pl.Series("index", dtype=pl.Int32)
    return pl.DataFrame({"name": names}).select(_first(tuple(patterns)))["index"]


@lru_cache(maxsize=64)
def _first(patterns: tuple[str, ...]) -> pl.Expr:
    """Return an expression for the index of the first pattern that `name` matches.

    It is cached, since to build it may take longer than to evaluate it.
    """
    exact: dict[str, int] = {}
    wildcards: list[tuple[int, str]] = []
    for index, pattern in enumerate(patterns):
        if "*" in pattern:
            wildcards.append((index, pattern))
        else:
            exact.setdefault(fold(pattern), index)
    found = [pl.col("name").replace_strict(exact, default=None, return_dtype=pl.Int32)]
    found += [
        pl.when(matches(pl.col("name"), pattern)).then(pl.lit(index, dtype=pl.Int32)) for index, pattern in wildcards
    ]
    return pl.min_horizontal(found).alias("index")


def matching_pairs(names: pl.Series, patterns: Collection[str]) -> pl.DataFrame:
    """Return `(name, pattern)` for every folded name and pattern that match; names and patterns are distinct."""
    frame = pl.DataFrame({"name": names})
    literals = [pattern for pattern in patterns if "*" not in pattern]
    wildcards = [pattern for pattern in patterns if "*" in pattern]
    exact = pl.DataFrame({"name": [fold(pattern) for pattern in literals], "pattern": literals}, schema=_PAIRS)
    found = [frame.join(exact, on="name")]
    for start in range(0, len(wildcards), _AT_ONCE):
        some = wildcards[start : start + _AT_ONCE]
        # One pass over the names serves many patterns: a pass for each costs more than the matching.
        masks = frame.select(matches(pl.col("name"), one).alias(str(place)) for place, one in enumerate(some))
        hits = [frame["name"].filter(mask) for mask in masks]
        patterns = [pattern for pattern, hit in zip(some, hits, strict=True) for _ in range(len(hit))]
        found.append(pl.DataFrame({"name": pl.concat(hits), "pattern": patterns}, schema=_PAIRS))
    return pl.concat(found)


def pairs_by_reading(names: pl.Series, patterns: Collection[str]) -> pl.DataFrame:
    """Return `(name, pattern, string, strict)` as `matching_pairs` does, with matches in which `/*/` stands for `/`.

    `strict` is false for a pair that matches only if `/*/` may stand for `/`. `string` is the pattern folded, with runs
    of stars as one: patterns that are alike in it mean the same.
    """
    forms = [
        (text, parsed.text, form.text, number == 0)
        for text in patterns
        for parsed in [parse_pattern(text)]
        for number, form in enumerate((parsed, *loosened(parsed)))
    ]
    schema = {"pattern": pl.String, "string": pl.String, "form": pl.String, "strict": pl.Boolean}
    known = pl.DataFrame(forms, schema=schema, orient="row")
    pairs = matching_pairs(names, known["form"].unique().sort().to_list()).rename({"pattern": "form"})
    return known.join(pairs, on="form").group_by("name", "pattern", "string").agg(pl.col("strict").any())


def _literal(text: str) -> str:
    return "".join("\\" + character if character in _SYNTAX else character for character in text)


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
        names = names.filter(~only_reads(names)) if plane == "control" else names
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


PLANE_GUESSED = "plane_guessed"


def annotate(operations: pl.DataFrame) -> pl.DataFrame:
    """Return the table `operations` with `risk`, `layer`, `observable_by` and `unobservable_reason` filled in."""
    return classify(operations).with_columns(layer=first_layer(_work(operations).select("name", "plane")))


def classify(operations: pl.DataFrame) -> pl.DataFrame:
    """Return the table `operations` with `risk`, `observable_by` and `unobservable_reason` filled in.

    The input columns are `operation` and `is_data_action`. If no source says whether an operation is a data action,
    no log is taken to show it, and its risk is that of a control-plane operation.
    """
    work = _work(operations)
    seen, risk = _answers(work, "observability", "observable_by", "reason"), _answers(work, "risk", "risk")
    return operations.with_columns(
        risk=risk["risk"],
        observable_by=seen["observable_by"].set(work["unknown"], None),
        unobservable_reason=seen["reason"].set(work["unknown"], PLANE_GUESSED),
    )


def weight(operation: str, plane: str, risk: str) -> pl.Expr:
    """Return the weight of an operation, from three columns by name: of its risk class, else of its kind.

    Without a class, the weight is that of data access on the data plane, else that of a read or a change.
    """
    weights = risk_weights()
    name = pl.col(operation).str.to_lowercase()
    unclassified = (
        pl.when(pl.col(plane) == "data")
        .then(weights["data_access"])
        .when(only_reads(name))
        .then(weights["read"])
        .otherwise(weights["change"])
    )
    classed = pl.col(risk).replace_strict(weights, default=None, return_dtype=pl.Int64)
    return pl.coalesce(classed, unclassified).cast(pl.Int64)


def privilege_patterns() -> tuple[str, ...]:
    """Return the patterns of the operations of the control plane with the risk class `privilege`."""
    rows = rows_of("risk")
    return tuple(row["pattern"] for row in rows if row["risk"] == "privilege" and row["plane"] == "control")


def split_off(operations: pl.DataFrame) -> pl.Series:
    """Return for each operation when it gets a role of its own: `always`, `rarely_used` or `never`.

    Args:
        operations: Columns `name` (folded), `plane` and `risk`.
    """
    answer = pl.Series("split", ["never"] * len(operations), dtype=pl.String)
    classes = dict.fromkeys((row["risk"], row["plane"]) for row in rows_of("split_off"))
    for risk, plane in classes:
        rows = [row for row in rows_of("split_off") if (row["risk"], row["plane"]) == (risk, plane)]
        index = first_match(operations["name"], [row["pattern"] for row in rows])
        found = pl.Series([row["split"] for row in rows]).gather(index)
        concerned = operations.select((pl.col("risk") == risk) & (pl.col("plane") == plane)).to_series()
        answer = answer.zip_with(~(concerned & found.is_not_null()).fill_null(False), found)
    return answer


def is_inert(operations: pl.DataFrame, *, harmless: bool) -> pl.Series:
    """Return for each operation whether Azure only checks it inside another write, so that alone it does nothing.

    Args:
        operations: Columns `name` (folded) and `plane`.
        harmless: Whether to leave out those that give power beside such a write: an identity, or a secret.
    """
    patterns = [row["pattern"] for row in rows_of("inert_operations") if row["harmless"] == "yes" or not harmless]
    return operations.select(matches_any(pl.col("name"), patterns) & (pl.col("plane") == "control")).to_series()


def works_without_sign_in() -> pl.Expr:
    """Return whether users may perform an operation, by its folded `name` and `plane`, without a sign-in."""
    patterns: dict[str, list[str]] = {}
    for row in rows_of("sign_in_free_operations"):
        patterns.setdefault(row["plane"], []).append(row["pattern"])
    on_planes = ((pl.col("plane") == plane) & matches_any(pl.col("name"), some) for plane, some in patterns.items())
    return pl.any_horizontal(*on_planes)


def scope_levels(names: pl.Series) -> pl.Series:
    """Return for each folded operation the kinds of scope where it can be performed.

    The answer is the applicable words of `tenant`, `management_group` and `below`, separated by a space. `below` means
    subscriptions, resource groups and resources, and most operations have only this word.
    """
    rows = rows_of("scope_levels")
    index = first_match(names, [row["pattern"] for row in rows])
    levels = pl.Series([row["levels"] for row in rows])
    return levels.gather(index).fill_null("below").alias("levels")


def is_emergency_name(name: pl.Expr) -> pl.Expr:
    """Return whether a folded display name or UPN looks like that of an emergency access account."""
    return matches_any(name, (row["pattern"] for row in rows_of("emergency_names")))


def audience_ids(service: str) -> tuple[str, ...]:
    """Return the application ids of the tokens that a service accepts."""
    return tuple(row["app_id"] for row in rows_of("audiences") if row["service"] == service)


def audience_names(service: str) -> tuple[str, ...]:
    """Return the display names of these applications in sign-in logs."""
    return tuple(row["name"] for row in rows_of("audiences") if row["service"] == service)


def endpoint_audiences() -> pl.DataFrame:
    """Return `(app_id, type)`: the applications whose tokens only resources of one type take, and the folded type."""
    rows = [(row["app_id"], fold(row["resource_type"])) for row in rows_of("endpoint_audiences")]
    return pl.DataFrame(rows, schema={"app_id": pl.String, "type": pl.String}, orient="row")


def first_party_tenants() -> tuple[str, ...]:
    """Return the ids of the tenants that own Microsoft's own applications."""
    return tuple(row["tenant_id"] for row in rows_of("first_party"))


def recovery_roles() -> tuple[str, ...]:
    """Return the ids of the built-in roles for backup and recovery."""
    return tuple(row["role_definition_id"] for row in rows_of("recovery_roles"))


def sensitive_reads() -> tuple[str, ...]:
    """Return the patterns of reads of Resource Manager that reveal keys, scripts, settings, or access rights."""
    return tuple(row["pattern"] for row in rows_of("sensitive_reads"))


def status_reads() -> tuple[tuple[str, str], ...]:
    """Return `(pattern, asked_by)` of the reads that poll the status of a long-running operation.

    `asked_by` is the pattern of the operations after which clients poll. The word `type` means all operations that
    change the resource type of the status, or a type below it; a status at a location belongs to its provider.
    """
    return tuple((row["pattern"], row["asked_by"]) for row in rows_of("operation_polls"))


def _work(operations: pl.DataFrame) -> pl.DataFrame:
    return operations.select(
        name=folded(operations["operation"]),
        plane=pl.when(pl.col("is_data_action")).then(pl.lit("data")).otherwise(pl.lit("control")),
        unknown=pl.col("is_data_action").is_null(),
    )


def _answers(work: pl.DataFrame, rules: str, *answers: str) -> pl.DataFrame:
    """Return the answer columns of the first rule of its plane that matches each operation."""
    numbered = work.with_row_index("number")
    found = []
    for plane in ("control", "data"):
        rows = [row for row in rows_of(rules) if row["plane"] == plane]
        here = numbered.filter(pl.col("plane") == plane)
        index = first_match(here["name"], [row["pattern"] for row in rows])
        said = {answer: pl.Series([row[answer] or None for row in rows], dtype=pl.String) for answer in answers}
        found.append(here.select("number", **{answer: values.gather(index) for answer, values in said.items()}))
    return pl.concat(found).sort("number").drop("number")


def planes_of(operation: str, *, is_data_action: bool | None) -> Planes:
    """Return the known planes of an operation; empty if they are unknown.

    Args:
        operation: Its name.
        is_data_action: The statement of ARM or of a role; None if there is none, or only a guess.
    """
    if fold(operation) in dual_operations():
        return PLANES
    return () if is_data_action is None else ("data",) if is_data_action else ("control",)


@cache
def dual_operations() -> frozenset[str]:
    """Return the folded operations that exist on both planes, although a catalogue has only one row for each."""
    return frozenset(fold(row["operation"]) for row in rows_of("dual_operations"))
