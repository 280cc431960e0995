"""Find the principal that a name means, by the tables of an analysis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rightsize.analyze.name_resolution import KnownNames, find_known, resolve_name
from rightsize.rbac.text import fold
from rightsize.store.connection import Store
from rightsize.store.stored_analysis import Analysed


@dataclass(frozen=True, slots=True)
class AnalysedNames:
    """The names of principals in the tables of an analysis."""

    analysed: Analysed

    def called(self, kind: str, name: str) -> set[str]:
        """Return the ids of the principals that have a name of a kind of `CALLED`."""
        sql = "SELECT principal_id FROM analysed.callings WHERE name = $name AND kind = $kind"
        return {row["principal_id"] for row in self.analysed.rows(sql, name=name, kind=kind)}

    def begun(self, head: str, tail: str) -> set[str]:
        """Return the ids of the principals of which an id or a name begins and ends with these texts."""
        sql = """SELECT DISTINCT principal_id FROM analysed.callings
            WHERE kind = 'beginning' AND starts_with(name, $head) AND ends_with(name, $tail)"""
        return {row["principal_id"] for row in self.analysed.rows(sql, head=head, tail=tail)}

    def names(self, ids: list[str]) -> Mapping[str, str]:
        """Return the display names of principals by id."""
        return names_of(self.analysed, ids)


def names_of(analysed: Analysed, ids: list[str]) -> dict[str, str]:
    """Return the display names of principals and of high scopes, by id or folded scope."""
    sql = "SELECT id, name FROM analysed.names WHERE id IN (SELECT unnest($ids::VARCHAR[]))"
    return {row["id"]: row["name"] for row in analysed.rows(sql, ids=ids)}


def find_principal(store: Store, known: KnownNames, name: str) -> str:
    """Return the id of the principal with a name.

    The id of a proposal of the last plan, or a unique beginning of it, means the holder of the assignment.

    Raises:
        UsageError: No principal or several principals have the name.
    """
    return find_known(known, name) or resolve_name(known, _holder_in(store, name) or name)


def _holder_in(store: Store, proposal: str) -> str | None:
    """Return the holder of the assignment that a proposal of the last plan is about, where one alone has the id."""
    wanted = fold(proposal).removesuffix("…")
    rows = store.rows(
        "SELECT DISTINCT principal_ids[1] AS holder FROM proposals WHERE starts_with(lower(proposal_id), $wanted)",
        {"wanted": wanted},
    )
    return rows[0]["holder"] if wanted and len(rows) == 1 else None
