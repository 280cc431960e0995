"""Merge a load into the store in one transaction, with the same result for any order of loads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import duckdb

from rightsize.store.connection import Store
from rightsize.store.counting import begin_counting, count_new_records
from rightsize.store.coverage import declare_window, derive_coverage
from rightsize.store.days import recompute_days
from rightsize.store.derive import derive_aliases, derive_closure, derive_scopes
from rightsize.store.listings import Listing, note_listings
from rightsize.store.merge_events import merge_events, merge_requests, merge_sign_ins
from rightsize.store.merge_reduced import merge_reduced_sign_ins
from rightsize.store.merge_tables import merge_bookkeeping, merge_tables
from rightsize.store.named_calls import name_calls, name_stored_calls
from rightsize.store.quarantine import derive_quarantine
from rightsize.store.scope_forms import drop_forms
from rightsize.store.sealing import drop_late
from rightsize.store.spelling import name_listed_scopes, respell
from rightsize.store.touched import note_touched_days

_MERGE_TABLES = (
    "staged_texts",
    "staged_names",
    "staged_operations",
    "staged_scopes",
    "merge_contexts",
    "merge_calls",
    "merge_rows",
    "merge_stored",
    "merge_order",
    "merge_several",
    "merge_pairs",
    "merge_aside",
    "new_lines",
    "late_lines",
    "used_records",
    "unused_records",
    "merge_additions",
    "merge_mixed",
    "merge_mixed_rows",
    "merge_mixed_changed",
    "merge_best",
    "merge_said",
    "merge_replaced",
    "touched_days",
    "merge_requests",
    "merge_sign_ins",
    "known_aliases",
    "log_categories",
    "declared_days",
    "log_senders",
    "standing_decisions",
    "meant_operations",
    "named_days",
)
"""Temporary tables that the steps of a merge leave behind."""

_TIMED = {
    "stage_events": "time",
    "stage_sign_in_rows": "time",
    "stage_reduced_usage": "day",
    "stage_reduced_sign_ins": "day",
}
"""The staged tables whose rows belong to a day, each with its column of the time or the day."""


@dataclass(frozen=True, slots=True)
class MergedFile:
    """The counts of a merged file: read = new + duplicate + rejected + unused_record + late, each record once.

    A record that is wholly or partly unusable is `rejected`. One of a pruned day is `late`. One without data for the
    store is `unused_record`. Of the others, a record that changes something is `new`, also if it adds to an earlier
    record of the same call; a record that changes nothing is `duplicate`.
    """

    path: str
    source: str
    read: int
    new: int
    duplicate: int
    rejected: int
    unused_record: int = 0
    late: int = 0


@dataclass(frozen=True, slots=True)
class Declaration:
    """A user's statement that a log is complete, for a scope and all below it, from the first to the last UTC day."""

    source: str
    scope: str
    first: dt.date
    last: dt.date
    declared_by: str = "user"


def merge(
    store: Store, declarations: Sequence[Declaration] = (), listings: Sequence[Listing] = ()
) -> tuple[MergedFile, ...]:
    """Merge the staging tables of the store's connection in one transaction; return the files in order.

    Raises:
        UsageError: A declaration names a log that cannot be declared, or ends before it starts.
    """
    with store.transaction() as con:
        for declaration in declarations:
            declare_window(con, **asdict(declaration))
        note_listings(con, listings)
        late = drop_late(con, _TIMED)
        begin_counting(con)
        unused = _count_unused(con, late)
        new = _merge_staged(con)
    files = con.execute("SELECT file_id, path, source, read, rejected FROM stage_files ORDER BY file_id").fetchall()
    merged = []
    for file_id, path, source, read, rejected in files:
        fresh, past, beside = (counts.get(file_id, 0) for counts in (new, late, unused))
        repeated = read - rejected - past - beside - fresh
        merged.append(MergedFile(path, source, read, fresh, repeated, rejected, beside, past))
    return tuple(merged)


def _count_unused(con: duckdb.DuckDBPyConnection, late: Mapping[int, int]) -> dict[int, int]:
    """Fill `unused_records (file_id, unused_record)` with the number of records without use; return it by file."""
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE unused_records AS
        SELECT file_id, greatest(read - rejected - coalesce(used, 0) - coalesce(late, 0), 0)::BIGINT AS unused_record
        FROM stage_files LEFT JOIN used_records USING (file_id)
        LEFT JOIN (SELECT unnest($files::INTEGER[]) AS file_id, unnest($late::BIGINT[]) AS late) USING (file_id)""",
        {"files": list(late), "late": list(late.values())},
    )
    return dict(con.execute("FROM unused_records").fetchall())


def _merge_staged(con: duckdb.DuckDBPyConnection) -> dict[int, int]:
    touched = merge_tables(con)
    name_calls(con, "base.operations")
    if "operations" in touched:
        name_stored_calls(con)
    new = merge_events(con)
    if "operations" in touched:
        con.execute("INSERT INTO touched_days SELECT day FROM named_days EXCEPT SELECT day FROM touched_days")
    merge_sign_ins(con)
    merge_reduced_sign_ins(con)
    for file_id, count in count_new_records(con).items():
        new[file_id] = new.get(file_id, 0) + count
    recompute_days(con)
    note_touched_days(con)
    merge_requests(con)
    merge_bookkeeping(con)
    name_listed_scopes(con)
    if touched & {"role_definitions", "operations"}:
        from rightsize.store.derive_roles import derive_roles  # noqa: PLC0415  logs bring no roles, and need no frames

        derive_roles(con)
    respell(con, catalogue_changed="operations" in touched)
    derive_aliases(con)
    if "group_members" in touched:
        derive_closure(con)
    derive_quarantine(con)
    derive_scopes(con)
    drop_forms(con)
    derive_coverage(con)
    _drop_merge_tables(con)
    return new


def _drop_merge_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Drop the temporary tables of the merge, to free their memory."""
    con.execute("; ".join(f"DROP TABLE IF EXISTS temp.{name}" for name in _MERGE_TABLES))
