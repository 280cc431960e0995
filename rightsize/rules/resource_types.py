"""Look up the rules on types of resource: whose absence a listing proves, and what a write of one has checked.

There are two kinds of linked checks, operations that Azure checks inside other writes. Some are only checked there
(`subnets/join/action`), so no log names them. Others are also called directly (`storageAccounts/listKeys/action`), and
logged then. Inside a write they are checked as well, and no log shows that.

Azure checks `X/join/action` and its like of whoever writes a resource that refers to an X. The published schemas say
which types can do so, and `complete_references` names the types of which they say all of it. A type that it does not
name may refer to anything. `reference_checks` has the checks that take more than a resource id.

The kinds of references: `id` holds a resource id, `pe` makes a private endpoint, `perimeter` associates with a network
security perimeter. Azure checks nothing like that for a `name`, a `uri`, or a `scope` that is watched or allowed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cache

import polars as pl

from rightsize.rbac.patterns import parse_pattern
from rightsize.rbac.text import Folded, fold
from rightsize.rules.matching import first_match, folded, matching_pairs
from rightsize.rules.tables import Row, rows_of

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


def extends_others(kinds: pl.Series) -> pl.Series:
    """Return for each folded type whether its resources extend others or are made at any scope."""
    return first_match(kinds, [row["pattern"] for row in rows_of("extension_types")]).is_not_null()


def is_for_recovery(text: pl.Expr) -> pl.Expr:
    """Return whether a name or tag has a word for recovery, also inside `camelCase`; null counts as no."""
    words = "|".join(sorted(row["word"] for row in rows_of("recovery_words")))
    spaced = text.str.replace_all(r"([a-z0-9])([A-Z])", "${1} ${2}").str.to_lowercase()
    return spaced.str.contains(rf"(?:^|[^a-z])(?:{words})(?:[^a-z]|$)").fill_null(False)


_LINKED_CHECK = "linked_check"
_ALL_TYPES = "*/write"


def linked_writes(checked: str) -> tuple[str, ...]:
    """Return the patterns of the writes inside which an operation is checked, by the rules; empty for most."""
    return _writes_of("linked_checks", checked)


def names_a_write(pattern: str) -> bool:
    """Return whether a pattern of writes names a type, and not all types of a provider, or below a type."""
    return not pattern.endswith(_ALL_TYPES)


def linkless_writes(checked: str) -> tuple[str, ...]:
    """Return the patterns of writes that cannot reference an object for which an operation is checked."""
    return _writes_of("linkless_writes", checked)


@cache
def named_writes() -> frozenset[Folded]:
    """Return the folded writes that a rule on linked checks names: Resource Manager sees them, whatever else does."""
    return frozenset(fold(row["write"]) for row in rows_of("linked_checks") if "*" not in row["write"])


def callable_checks() -> tuple[str, ...]:
    """Return the patterns of the operations that are checked inside writes and also called directly."""
    return tuple(dict.fromkeys(row["checked"] for row in _callable_rows()))


def linked_pairs(checked: pl.Series, writes: pl.Series) -> pl.DataFrame:
    """Return `(checked, write)` for each given operation that is checked inside a given write, all folded.

    Operations that are never called directly are left out.
    """
    rows = pl.DataFrame(_callable_rows()).select("checked", "write")
    sides = {"checked": checked.unique(), "write": writes.unique()}
    for side, names in sides.items():
        found = matching_pairs(names, rows[side].unique().sort())
        rows = rows.join(found, left_on=side, right_on="pattern").drop(side).rename({"name": side})
    return rows.select("checked", "write").unique().sort("checked", "write")


@cache
def _callable_rows() -> tuple[Row, ...]:
    checks = rows_of("linked_checks")
    rules = [row for row in rows_of("observability") if row["plane"] == "control"]
    names = folded(pl.Series([row["checked"] for row in checks]))
    # All names at once: a frame for each of hundreds of names costs far more than the matching.
    found = first_match(names, [row["pattern"] for row in rules])
    return tuple(
        row for row, rule in zip(checks, found, strict=True) if rule is None or rules[rule]["reason"] != _LINKED_CHECK
    )


@cache
def _writes_of(rules: str, checked: str) -> tuple[str, ...]:
    # One name at a time: building a frame for each of hundreds of patterns costs far more than the matching.
    name = fold(checked)
    return tuple(row["write"] for row in rows_of(rules) if parse_pattern(row["checked"]).matches(name))


_ID = "id"
"""The kind of a reference that holds a resource id."""


@cache
def referring_writes(checked: Folded) -> frozenset[Folded]:
    """Return the folded writes of all types that can refer to what a folded operation is checked on."""
    rows = [row for row in rows_of("reference_checks") if parse_pattern(row["checked"]).matches(checked)]
    return frozenset(
        Folded(f"{kind}/write")
        for row in rows or [_usual(checked)]
        for kind in _referrers().get((fold(row["referenced_type"]), row["kind"]), ())
        if parse_pattern(row["write_type"]).matches(kind)
    )


@cache
def complete_writes() -> frozenset[Folded]:
    """Return the folded writes of the types whose references are all known."""
    return frozenset(fold(row["write_type"] + "/write") for row in rows_of("complete_references"))


def rules_out(checked: Folded, write: Folded) -> bool:
    """Return whether a folded write is known to refer to nothing on which a folded operation is checked."""
    return write in complete_writes() and write not in referring_writes(checked)


def _usual(checked: Folded) -> Row:
    """Return what holds without a row: `X/join/action` is checked on whatever holds the resource id of an X."""
    referenced = checked.removesuffix("/action").rpartition("/")[0]
    return {"referenced_type": referenced, "kind": _ID, "write_type": "*"}


@cache
def _referrers() -> Mapping[tuple[Folded, str], tuple[Folded, ...]]:
    """Return, for each type that others refer to and each kind of reference, the types that do."""
    found: dict[tuple[Folded, str], list[Folded]] = defaultdict(list)
    for row in rows_of("references"):
        for kind in row["kind"].split("+"):
            found[fold(row["referenced_type"]), kind].append(fold(row["write_type"]))
    return {key: tuple(kinds) for key, kinds in found.items()}
