"""Tell a person what was recognised and not used, rejected, or listed incompletely, from the staged files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import duckdb

from rightsize.ingest.entities.refusals import REFUSAL
from rightsize.ingest.logs import LogCounts, file_id
from rightsize.ingest.sources import SourceFile
from rightsize.model.wording import counted
from rightsize.rules.log_sources import LOG_SOURCES
from rightsize.store.sql import UNMAPPED

# The author of a file chooses these words; a person reads at most this many.
_WORDS_TOLD = 20
_NOT_READ = "verdicts do not use this log"


def notes_on_staged(
    con: duckdb.DuckDBPyConnection, parts: Mapping[int, tuple[SourceFile, str, int]], counts: LogCounts
) -> Iterator[str]:
    """Yield what a person should know of the staged files, one sentence each."""
    for log in LOG_SOURCES:
        read = sum(records for (_, name), records in counts.read.items() if name == log.name)
        if read and not log.records:
            yield f"{log.source}: {read:,} records recognised and not used: {log.not_used or _NOT_READ}"
    yield from _audit_shares(con)
    for category, records in sorted(counts.other_categories.most_common(_WORDS_TOLD)):
        shown = f"the category `{category}`, which shows no use of a permission"
        yield f"{records:,} records of the Activity Log have {shown}"
    for status, records in sorted(counts.unknown_statuses.most_common(_WORDS_TOLD)):
        yield f"{records:,} records of the Activity Log have the unknown status `{status}`"
    names = {part // file_id(1, 0): file.name for part, (file, _, _) in parts.items()}
    refused = {part // file_id(1, 0) for part, (_, source, _) in parts.items() if source == REFUSAL}
    for number, error in con.execute(
        "SELECT file_no, any_value(error) FROM ingest_pages WHERE error IS NOT NULL GROUP BY 1"
    ).fetchall():
        if number not in refused:
            yield f"`{names.get(number, '')}` is the result of a query that failed in part: {error}"
    for listing, places, records in con.execute(_BROKEN_LISTINGS).fetchall():
        named = f"listing of {listing}" if places == 1 else f"{places:,} listings of {listing}"
        rejected = f"{counted(records, 'record')} rejected"
        yield f"{named} incomplete: {rejected}, and a principal that is not listed may be one of them"
    for reason, records in con.execute("SELECT reason, count(*) FROM stage_rejects GROUP BY 1 ORDER BY 1").fetchall():
        yield f"{counted(records, 'record')} rejected: {reason}"


_BROKEN_LISTINGS = """
    SELECT listing, count(DISTINCT "of"), sum(rejected)::BIGINT FROM stage_listings WHERE rejected > 0
    GROUP BY listing ORDER BY listing"""


def _audit_shares(con: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Yield the counts of directory audit records by their use, and the activities that no rule knows."""
    used, known, unknown = con.execute(
        """
        SELECT count(DISTINCT (file_id, line)) FILTER (WHERE operation LIKE 'microsoft.directory/%'),
            count(DISTINCT (file_id, line)) FILTER (WHERE operation NOT LIKE 'microsoft.directory/%'
                AND NOT starts_with(operation, $mark)),
            count(DISTINCT (file_id, line)) FILTER (WHERE starts_with(operation, $mark))
        FROM stage_event_rows WHERE source = 'entra_audit_log'
        """,
        {"mark": UNMAPPED},
    ).fetchall()[0]
    if used + known + unknown:
        yield (
            f"directory audit log: {used:,} records needed a resource action, {known:,} needed none, "
            f"{unknown:,} have an activity without a rule"
        )
    rows = con.execute(
        "SELECT substr(operation, len($mark) + 1), count(*) FROM stage_event_rows "
        "WHERE source = 'entra_audit_log' AND starts_with(operation, $mark) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $most",
        {"mark": UNMAPPED, "most": _WORDS_TOLD},
    ).fetchall()
    for name, records in rows:
        yield f"{records:,} records of the directory audit log have the activity `{name[:100]}`, which has no rule"
