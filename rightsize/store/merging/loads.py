"""Merge a load into the store in one transaction, with the same result for any order of loads.

The spelling of an operation or a scope is that of the operation catalogue, else of the earliest event.

Logs have both `MICROSOFT.COMPUTE/VIRTUALMACHINES` and `Microsoft.Compute/virtualMachines`. Names are compared folded,
and shown in one spelling that does not depend on the order of loads.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

import duckdb

from rightsize.model.times import Declaration
from rightsize.store.connection import Store
from rightsize.store.merging.days import declare_window, derive_coverage, recompute_days
from rightsize.store.merging.derive import (
    create_forms,
    derive_aliases,
    derive_closure,
    derive_scopes,
    drop_forms,
    form_scopes,
)
from rightsize.store.merging.events import (
    merge_events,
    merge_names,
    merge_requests,
    merge_sign_ins,
    name_calls,
    name_stored_calls,
)
from rightsize.store.merging.listings import Listing, merge_bookkeeping, merge_tables, note_listings
from rightsize.store.merging.staging import begin_counting, count_new_records, filled_tables, merge_reduced_sign_ins
from rightsize.store.quarantine import derive_quarantine
from rightsize.store.sql import drop_late, folded, nonempty, note_touched_days, tidy_scope

# Steps of a scope that the operation catalogue does not list as types.
_FIXED = (
    "subscriptions",
    "resourceGroups",
    "providers",
    "Microsoft.Management",
    "Microsoft.Management/managementGroups",
    "Microsoft.Authorization",
)


def name_listed_scopes(con: duckdb.DuckDBPyConnection) -> None:
    """Number every scope that a listing, an assignment or a deny assignment names, and every scope above one.

    Leaves `formed_scopes` and its related tables for `respell` and `derive_scopes`.
    """
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE staged_names AS
        SELECT {folded("scope")} AS folded, NULL::VARCHAR AS earliest, min(scope) AS smallest FROM (
            SELECT {tidy_scope("scope")} AS scope FROM (
                SELECT scope FROM stage_scope_listings
                UNION ALL SELECT parent_scope FROM stage_scope_listings
                UNION ALL SELECT scope FROM stage_role_assignments
                UNION ALL SELECT scope FROM stage_deny_assignments
                UNION ALL SELECT '/')
        ) WHERE scope IS NOT NULL GROUP BY 1""")
    merge_names(con, "scope_names")
    create_forms(con)
    form_scopes(con, "SELECT folded FROM base.scope_names WHERE stale")

    # A parent takes the spelling of its earliest child: the id of a scope contains the ids of all scopes above it.
    def spelt_alike(above: str) -> str:
        return f"""substr(earliest, 1, 20) || CASE WHEN {above} = '/' THEN '/'
                ELSE substr(earliest, 21, length({above})) END AS earliest,
            CASE WHEN {above} = '/' THEN '/' ELSE substr(smallest, 1, length({above})) END AS smallest"""

    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE scopes_above AS
        SELECT folded, min(earliest) AS earliest, min(smallest) AS smallest FROM (
            SELECT parent AS folded, {spelt_alike("parent")}
            FROM base.scope_names JOIN formed_scopes USING (folded) WHERE stale AND parent IS NOT NULL)
        GROUP BY folded""")
    form_scopes(con, "SELECT folded FROM scopes_above")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE staged_names AS
        SELECT folded, min(earliest) AS earliest, min(smallest) AS smallest, min(steps) AS steps FROM (
            SELECT *, 0 AS steps FROM scopes_above
            UNION ALL
            SELECT above, {spelt_alike("above")}, steps FROM (
                SELECT s.*, unnest(range(1, len(lengths_above) + 1)) AS steps,
                    CASE lengths_above[steps] WHEN 0 THEN '/' ELSE
                        array_to_string(string_split(folded, '/')[1:lengths_above[steps] + 1], '/') END AS above
                FROM scopes_above AS s JOIN formed_scopes USING (folded) JOIN scope_forms USING (form)))
        GROUP BY folded""")
    con.execute("DROP TABLE scopes_above")
    merge_names(con, "scope_names", "steps, folded")


def respell(con: duckdb.DuckDBPyConnection, *, catalogue_changed: bool) -> None:
    """Choose the spelling of every stale name, or of all names if the catalogue changed."""
    if catalogue_changed:
        con.execute("UPDATE base.operation_names SET stale = true")
        con.execute("UPDATE base.scope_names SET stale = true")
    con.execute(f"""
        UPDATE base.operation_names AS n SET spelling = s.spelling, stale = false
        FROM (
            SELECT o.operation_key, coalesce(min(c.operation), substr(any_value(o.earliest), 21), any_value(o.smallest))
                AS spelling
            FROM base.operation_names AS o
            LEFT JOIN base.operations AS c ON {folded("c.operation")} = o.folded
            WHERE o.stale GROUP BY o.operation_key
        ) AS s WHERE n.operation_key = s.operation_key""")
    _respell_scopes(con)


def _respell_scopes(con: duckdb.DuckDBPyConnection) -> None:
    if not con.execute("SELECT 1 FROM base.scope_names WHERE stale LIMIT 1").fetchall():
        return
    fixed = ", ".join(f"('{path}')" for path in _FIXED)
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE type_spellings AS
        SELECT {folded("path")} AS folded, min(string_split(path, '/')[-1]) AS spelling FROM (
            SELECT array_to_string(string_split(resource_type, '/')[1:i], '/') AS path
            FROM (SELECT DISTINCT resource_type FROM base.operations WHERE resource_type IS NOT NULL),
                LATERAL (SELECT unnest(range(1, len(string_split(resource_type, '/')) + 1)) AS i)
            UNION ALL SELECT path FROM (VALUES {fixed}) AS t(path)
        ) WHERE path <> '' GROUP BY 1""")
    form_scopes(con, "SELECT folded FROM base.scope_names WHERE stale")
    # Scopes of one form share the spelling of its words; only the names differ between scopes.
    con.execute("""
        CREATE OR REPLACE TEMP TABLE stale_spellings AS
        SELECT n.scope_key, f.form, string_split(coalesce(substr(n.earliest, 21), n.smallest), '/') AS parts,
            array_to_string(list_select(string_split(n.folded, '/'), s.word_steps), '/') AS words
        FROM base.scope_names AS n JOIN formed_scopes AS f USING (folded) JOIN scope_forms AS s USING (form)
        WHERE n.stale""")
    con.execute("""
        CREATE OR REPLACE TEMP TABLE word_spellings AS
        WITH spelt AS (
            SELECT form, words, list(t.spelling ORDER BY word) AS spellings
            FROM (
                SELECT form, words, word, array_to_string(list_select(string_split(words, '/'), path), '/') AS path
                FROM (SELECT DISTINCT form, words FROM stale_spellings) JOIN form_words USING (form)
            ) LEFT JOIN type_spellings AS t ON t.folded = path
            GROUP BY form, words
        )
        SELECT form, words, list_transform(step_words, lambda word: spellings[word]) AS steps
        FROM spelt JOIN scope_forms USING (form)""")
    # Names stay stale until `derive_scopes` has used them.
    con.execute("""
        UPDATE base.scope_names AS n SET spelling = s.spelling
        FROM (
            SELECT scope_key, array_to_string(
                list_transform(parts, lambda part, step: coalesce(w.steps[step], part)), '/') AS spelling
            FROM stale_spellings LEFT JOIN word_spellings AS w USING (form, words)
        ) AS s WHERE n.scope_key = s.scope_key""")
    con.execute("DROP TABLE stale_spellings")
    con.execute("DROP TABLE word_spellings")
    con.execute("DROP TABLE type_spellings")


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
        staged = filled_tables(con)
        begin_counting(con, staged)
        unused = _count_unused(con, late)
        new = _merge_staged(con, staged)
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


def _merge_staged(con: duckdb.DuckDBPyConnection, staged: Collection[str]) -> dict[int, int]:
    merge_tables(con, staged)
    name_calls(con, "base.operations")
    if "operations" in staged:
        name_stored_calls(con)
    new = merge_events(con, staged)
    if "operations" in staged:
        con.execute("INSERT INTO touched_days SELECT day FROM named_days EXCEPT SELECT day FROM touched_days")
    if "sign_in_rows" in staged:
        merge_sign_ins(con)
    if "reduced_sign_ins" in staged:
        merge_reduced_sign_ins(con)
    for file_id, count in count_new_records(con).items():
        new[file_id] = new.get(file_id, 0) + count
    recompute_days(con)
    note_touched_days(con)
    if "request_rows" in staged:
        merge_requests(con)
    merge_bookkeeping(con, staged)
    has_names = not _OF_NAMES.isdisjoint(staged) or _has_stale_names(con)
    if has_names:
        name_listed_scopes(con)
    if not {"role_definitions", "operations"}.isdisjoint(staged):
        from rightsize.store.merging.derive_roles import derive_roles  # noqa: PLC0415  logs bring no roles, and need no frames

        derive_roles(con)
    if has_names:
        respell(con, catalogue_changed="operations" in staged)
    derive_aliases(con)
    if "group_members" in staged:
        derive_closure(con)
    derive_quarantine(con)
    if has_names:
        derive_scopes(con)
        drop_forms(con)
    derive_coverage(con)
    _drop_merge_tables(con)
    return new


_OF_NAMES = frozenset({"scope_listings", "role_assignments", "deny_assignments", "operations"})
"""The staged tables that name scopes, or decide how operations and scopes are spelt."""


def _has_stale_names(con: duckdb.DuckDBPyConnection) -> bool:
    """Return whether a load changed the names of operations or scopes, or the store does not have the root yet."""
    names = {
        "scopes": "base.scope_names WHERE stale",
        "operations": "base.operation_names WHERE stale",
        "root": "base.scopes WHERE folded = '/'",
    }
    return nonempty(con, names) != {"root"}


def _drop_merge_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Drop the temporary tables of the merge, to free their memory."""
    con.execute("; ".join(f"DROP TABLE IF EXISTS temp.{name}" for name in _MERGE_TABLES))
