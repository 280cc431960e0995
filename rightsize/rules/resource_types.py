"""Look up the rules on types of resource: whose absence a listing proves, and what a write of one has checked.

There are two kinds of linked checks, operations that Azure checks inside other writes. Some are only checked there
(`subnets/join/action`), so no log names them. Others are also called directly (`storageAccounts/listKeys/action`), and
logged then. Inside a write they are checked as well, and no log shows that.

Azure checks `X/join/action` and its like of whoever writes a resource that refers to an X. The published schemas say
which types can do so, and `complete_references` names the types of which they say all of it. A type that it does not
name may refer to anything. `reference_checks` has the checks that take more than a resource id.

The kinds of references: `id` holds a resource id, `pe` makes a private endpoint, `perimeter` associates with a network
security perimeter. Azure checks nothing like that for a `name`, a `uri`, or a `scope` that is watched or allowed.

Look up the rules on deployments: types of Terraform, what one takes besides, and what a reference has checked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache

import polars as pl

from rightsize.model.text import Folded, fold, parse_pattern
from rightsize.rules.operations import first_match, folded, matching_pairs, privilege_patterns
from rightsize.rules.tables import Row, rows_of

_TYPE = r"^([^/]+/[^/]+)/"
_CREATING = r"^[^/]+/[^/]+/(?:write|create/action)$"


@cache
def inventory_types() -> Mapping[str, str]:
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


def _rows_on(rules: str, write: Folded, checked: Folded) -> list[Row]:
    """Return the rows of a file of writes and checks whose patterns match a folded write and a folded check."""
    return [
        row
        for row in rows_of(rules)
        if parse_pattern(row["write"]).matches(write) and parse_pattern(row["checked"]).matches(checked)
    ]


@lru_cache(maxsize=8192)
def source_of_check(write: Folded, checked: Folded) -> str:
    """Return the source of the rule by which a folded write causes a folded check; empty where no rule says so.

    A rule that names the write comes first, then its published schema, then a rule on all writes of a kind.
    """
    rules = sorted(_rows_on("linked_checks", write, checked), key=lambda row: not names_a_write(row["write"]))
    if write in referring_writes(checked) and not (rules and names_a_write(rules[0]["write"])):
        return "the published schema of its type"
    return rules[0]["source"] if rules else ""


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


ENDPOINT, PERIMETER, NAMED = "endpoint", "perimeter", "named"
"""The kinds of checks: of who makes a private endpoint, of who associates with a perimeter, of named writes only."""
_ENDPOINTS = "microsoft.network/privateendpoints"
_ASSOCIATIONS = "microsoft.network/networksecurityperimeters/resourceassociations"


@cache
def _terraform() -> Mapping[str, Row]:
    return {row["terraform_type"]: row for row in rows_of("azurerm_types")}


def terraform_type(name: str) -> str:
    """Return the type in Azure that a type of Terraform writes; empty where none is known."""
    row = _terraform().get(name)
    return row["resource_type"] if row else ""


def is_removed_by_write(name: str) -> bool:
    """Return whether removing a resource of Terraform writes another one anew, as that of an association does."""
    row = _terraform().get(name)
    return row is not None and row["removed_by"] == "write"


@cache
def _extensions() -> tuple[str, ...]:
    return tuple(row["pattern"] for row in rows_of("extension_types"))


@lru_cache(maxsize=4096)
def is_extension(kind: str) -> bool:
    """Return whether resources of a type extend others or are made at any scope."""
    name = fold(kind)
    return any(parse_pattern(one).matches(name) for one in _extensions())


@cache
def _by_type() -> Mapping[str, Sequence[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows_of("deployment_needs"):
        found[fold(row["type"])].append(row)
    return found


def needs_besides(terraform: str, kind: str) -> list[Row]:
    """Return the rows on what a deployment of a type takes besides, without those whose refusal is tolerated.

    Args:
        terraform: The type in Terraform; empty for another language.
        kind: The type in Azure.
    """
    names = (terraform, f"terraform {kind}") if terraform else ()
    found = [row for name in (*names, kind) for row in _by_type().get(fold(name), ())]
    return [row for row in found if row["tolerated"] != "yes"]


def is_known_to_terraform(name: str) -> bool:
    """Return whether a rule says what a type of Terraform takes."""
    return bool(terraform_type(name)) or fold(name) in _by_type()


@cache
def _checked() -> Mapping[str, Sequence[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows_of("checked_operations"):
        found[fold(row["referenced_type"])].append(row)
    return found


@lru_cache(maxsize=8192)
def _named(write: Folded, checked: Folded) -> bool:
    """Return whether a rule on linked checks names a write and an operation."""
    return any(names_a_write(row["write"]) for row in _rows_on("linked_checks", write, checked))


@lru_cache(maxsize=8192)
def _excluded(write: Folded, checked: Folded) -> bool:
    return rules_out(checked, write) or bool(_rows_on("linkless_writes", write, checked))


@lru_cache(maxsize=8192)
def checks_of(writer: str, referenced: str) -> tuple[Row, ...]:
    """Return the rows on what Azure checks of who writes a type that refers to another type by its id."""
    kind, write = fold(writer), fold(f"{writer}/write")
    found = []
    for row in _checked().get(fold(referenced), ()):
        checked = fold(row["checked"])
        if row["kind"] == ENDPOINT:
            is_checked = kind == _ENDPOINTS
        elif row["kind"] == PERIMETER:
            is_checked = kind == _ASSOCIATIONS
        elif row["kind"] == NAMED:
            is_checked = _named(write, checked)
        else:
            is_checked = _named(write, checked) or not _excluded(write, checked)
        if is_checked:
            found.append(row)
    return tuple(found)


@cache
def _privilege() -> tuple[str, ...]:
    return privilege_patterns()


@lru_cache(maxsize=8192)
def gives_privilege(operation: str) -> bool:
    """Return whether an operation gives privilege."""
    name = fold(operation)
    return any(parse_pattern(one).matches(name) for one in _privilege())
