"""Read what calls leave behind after an attack, whether it works without a sign-in, and the requests that take it away.

`left_behind.csv` maps operations, activities of the directory audit log and requests to Microsoft Graph to kinds; the
first row that matches counts. `left_behind_kinds.csv` says what each kind is, the most dangerous first, and
`left_behind_requests.csv` has its requests. Their texts have names in braces, which the thing that was left fills.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from rightsize.rbac.text import fold
from rightsize.rules.tables import Row, rows_of


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing that an attacker leaves behind.

    Attributes:
        name: Its word.
        rank: Its place in the order of danger, from 0.
        leaves: What it is, as a noun.
        needs_no_sign_in: It works without a sign-in.
        usable_by: Who can use it.
        no_way_back: Why the requests cannot be undone; empty where they can.
        by_hand: What a person has to do beside the requests, or instead of them.
        requests: Rows of `left_behind_requests` in order, by step: read, take and undo.
    """

    name: str
    rank: int
    leaves: str
    needs_no_sign_in: bool
    usable_by: str
    no_way_back: str
    by_hand: str
    requests: Mapping[str, Sequence[Row]]


@cache
def kinds_left_behind() -> Mapping[str, Kind]:
    """Return the kinds by their word, the most dangerous first."""
    requests: dict[str, dict[str, list[Row]]] = {}
    for row in rows_of("left_behind_requests"):
        requests.setdefault(row["kind"], {}).setdefault(row["step"], []).append(row)
    rows = sorted(rows_of("left_behind_kinds"), key=lambda row: row["without_sign_in"] != "yes")
    return {
        row["kind"]: Kind(
            row["kind"], rank, row["leaves"], row["without_sign_in"] == "yes", row["usable_by"], row["no_way_back"],
            row["by_hand"], requests.get(row["kind"], {}),
        )
        for rank, row in enumerate(rows)
    }  # fmt: skip


@cache
def directory_calls(plane: str) -> frozenset[str]:
    """Return the folded activities (`directory`) or requests (`graph`) that leave something, or take it away."""
    rows = [row for row in rows_of("left_behind") if row["plane"] == plane]
    return frozenset(fold(row[name]) for row in rows for name in ("operation", "gone") if row[name])
