"""Match patterns against columns of operation names: the columnar twin of the matching in `rbac`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import TypeVar

import polars as pl

from rightsize.rbac.patterns import loosened, parse_pattern
from rightsize.rbac.text import READ, fold

Text = TypeVar("Text", pl.Series, pl.Expr)

_PAIRS = {"name": pl.String, "pattern": pl.String}
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_AT_ONCE = 256
# The characters that Rust's regular expressions read as syntax; all others stand for themselves.
_SYNTAX = frozenset(r"\.+*?()|[]{}^$#&-~")


def only_reads(name: Text) -> Text:
    """Return for a column or expression of folded operations what `rbac.text.is_read` says of each."""
    return name.str.ends_with(READ)


def folded(text: Text) -> Text:
    """Return a column or expression folded as by `rbac.text.fold`: surrounding spaces trimmed, ASCII lower case."""
    if isinstance(text, pl.Series):
        if text.is_empty() and text.dtype == pl.String:
            return text
        # Ten times as fast, and the same for pure ASCII; both columns are computed in one pass.
        column = pl.col(text.name)
        lower = column.str.strip_chars(" ").str.to_lowercase()
        beyond = (column.str.len_bytes() != column.str.len_chars()).any().alias(" beyond ASCII")
        both = text.to_frame().select_seq(lower, beyond)
        if not both[:, 1].any():
            return both[:, 0]
    return text.str.strip_chars(" ").str.replace_many(list(_UPPER), list(_UPPER.lower()))


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
