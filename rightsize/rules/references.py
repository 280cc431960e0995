"""Say which types of resource a written type can refer to, from the rule file `references`.

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

from rightsize.rbac.patterns import parse_pattern
from rightsize.rbac.text import Folded, fold
from rightsize.rules.tables import Row, rows_of

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
