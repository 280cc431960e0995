"""Fill the staging tables from paths: open files, recognise each, read and normalise its records, and count."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import IO

import duckdb

from rightsize.ingest.audits import UNMAPPED
from rightsize.ingest.copies import Copies, is_unpacked
from rightsize.ingest.digests import Digests
from rightsize.ingest.entities import ENTITY_SHAPES
from rightsize.ingest.joined import MOST_JOINED, is_small
from rightsize.ingest.log_schemas import SOURCES, USED_LOGS
from rightsize.ingest.logs import NO_LOG, LogCounts, file_id, forget_readings, stage_logs
from rightsize.ingest.positions import report_bytes_read
from rightsize.ingest.readers import Batch, describe_parquet, parted
from rightsize.ingest.recognise import Recognised, recognise
from rightsize.ingest.records import read_whole
from rightsize.ingest.reference import create_reference_tables
from rightsize.ingest.shapes import Shape
from rightsize.ingest.signals_in_logs import stage_signals
from rightsize.ingest.sources import Scratch, SourceFile, open_sources
from rightsize.model.tables.usage import EVENT_COLUMNS
from rightsize.store.limits import memory_of
from rightsize.store.queries import query_text
from rightsize.store.staging import CALL_ROWS, create_staging

# The most that one statement reads: enough files that its overhead is small, and few enough bytes, as JSON lines, that
# the intermediate rows fit in memory.
_BATCH_FILES = 1000
_SMALL_FILES = 10_000
_BATCH_BYTES = 1 << 30
_CHUNK_ROWS = 10_000
# The author of a file chooses these words; a person reads at most this many.
_WORDS_TOLD = 20

Watch = Callable[[int, int], object]
"""Called with the bytes of files read so far, and the total bytes."""


_NOT_READ = "verdicts do not use this log"
_NOT_USED = {
    "m365_audit_log": "the directory audit log has its changes of the directory, and the other Microsoft 365 services "
    "have roles of their own"
}
"""The reason why a recognised log is not used, if there is more to say than `_NOT_READ`."""


@dataclass(frozen=True, slots=True)
class StagedFile:
    """The counts of one file, or of the records of one log in it."""

    path: str
    source: str
    read: int
    rejected: int


@dataclass(frozen=True, slots=True)
class StageReport:
    """The result of `stage`: the files in order, and notes for a person."""

    files: tuple[StagedFile, ...]
    notes: tuple[str, ...]


def unwatched(done: int, total: int) -> None:
    """Do nothing: the default watch."""


def stage(
    con: duckdb.DuckDBPyConnection,
    paths: Sequence[str | Path],
    *,
    stdin: IO[bytes] | None = None,
    named: bool = True,
    watch: Watch = unwatched,
) -> StageReport:
    """Recognise every file behind `paths` by its content and fill the staging tables with its records.

    Args:
        con: A connection that has the staging tables, outside a transaction: a statement that meets a damaged file
            fails, and others follow it.
        paths: Files, folders, archives, and `-` for stdin.
        stdin: The stream that `-` reads; None for the process's own.
        named: Whether a user named the files among `paths`, so that an unknown file is an error.
        watch: Is called with the bytes read and the total bytes.

    Raises:
        InputError: A path cannot be read, a named file is not recognised, or a file is damaged beyond single
            records. The staging tables are then unusable.
    """
    with tempfile.TemporaryDirectory(prefix="rightsize-") as folder, Digests() as digests:
        scratch = Scratch(Path(folder))
        return _stage_files(con, open_sources(paths, scratch, stdin, named=named), digests, scratch, watch)


def _stage_files(
    con: duckdb.DuckDBPyConnection,
    files: Sequence[SourceFile],
    digests: Digests,
    scratch: Scratch,
    watch: Watch,
) -> StageReport:
    create_reference_tables(con)
    con.execute(
        "CREATE OR REPLACE TEMP TABLE ingest_pages "
        "(file_no INTEGER, page BIGINT, context VARCHAR, has_next BOOLEAN, records BIGINT, error VARCHAR)"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE stage_pages "
        "(file_id INTEGER, page BIGINT, context VARCHAR, has_next BOOLEAN, records BIGINT)"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE stage_names AS SELECT unnest($numbers::INTEGER[]) AS file_id, "
        "unnest($places::VARCHAR[]) AS place",
        {"numbers": [file_id(file.number, NO_LOG) for file in files], "places": [file.place for file in files]},
    )
    recognised = [_recognise(con, file) for file in files]
    for found in recognised:
        if found.family is None or not is_unpacked(found.sniff.form, found.file.compression):
            digests.begin(found.file)
    copies = Copies(scratch, digests)
    counts = LogCounts()
    parts: dict[int, tuple[SourceFile, str, int]] = {}
    done, total = 0, sum(file.size for file in files)
    for group in _groups(recognised, memory_of(con) // 2):
        watch(done, total)
        with _watching(watch, done, total, [found.file.path for found in group]):
            _stage_group(con, group, copies, counts, parts)
        done += sum(found.file.size for found in group)
    for found in recognised:
        if counts.read[found.file.number, "signal"]:
            number = file_id(found.file.number, list(SOURCES).index("signal"))
            stage_signals(con, _batch([found]), scratch, number)
    forget_readings(con)
    watch(total, total)
    by_number = {file.number: file for file in files}
    for found in recognised:
        if found.family is not None and not any(counts.read[found.file.number, log] for log in SOURCES):
            counts.read[found.file.number, found.log] = 0
    for (number, log), read in counts.read.items():
        parts[file_id(number, list(SOURCES).index(log))] = (by_number[number], SOURCES[log], read)
    return _report(con, parts, digests, counts)


def _watching(watch: Watch, done: int, total: int, paths: Sequence[Path]) -> AbstractContextManager[None]:
    if watch is unwatched:
        return nullcontext()
    # The total is reported only at the end, because files may have to be read a second time.
    return report_bytes_read(lambda more: watch(min(done + more, total - 1), total), paths)


def _stage_group(
    con: duckdb.DuckDBPyConnection,
    group: Sequence[Recognised],
    copies: Copies,
    counts: LogCounts,
    parts: dict[int, tuple[SourceFile, str, int]],
) -> None:
    first = group[0]
    if first.family is not None:
        samples = {found.file.number: found.sniff.samples for found in group}
        stage_logs(con, _batch(group), first.family, first.log, samples, copies, counts)
    elif first.shape is not None:
        _stage_entities(con, group, copies.scratch, parts)
    else:
        parts.update({file_id(found.file.number, NO_LOG): (found.file, found.source, 0) for found in group})


def _recognise(con: duckdb.DuckDBPyConnection, file: SourceFile) -> Recognised:
    columns: tuple[str, ...] = ()
    if file.compression == "none":
        with file.path.open("rb") as head:
            if head.read(4) == b"PAR1":
                columns = describe_parquet(con, file)
    return recognise(file, ENTITY_SHAPES, columns)


def _groups(recognised: Sequence[Recognised], room: int) -> Iterator[list[Recognised]]:
    """Yield groups of files that one statement can read, of at most `room` bytes, ordered by their contents."""

    def alike(found: Recognised) -> tuple[tuple[str, ...], bool]:
        kind = found.family.name if found.family else found.shape.name if found.shape else ""
        look = found.sniff
        small = found.family is not None and is_small(found.file, look.form)
        return (kind, found.log, look.form, found.file.compression, look.delimiter, *look.header), small

    ordered = sorted(recognised, key=lambda found: (alike(found), found.file.number))
    for (_, small), members in groupby(ordered, alike):
        most_files, most_bytes = (_SMALL_FILES, MOST_JOINED) if small else (_BATCH_FILES, _BATCH_BYTES)
        found = {member.file: member for member in members}
        form = next(iter(found.values())).sniff.form
        for files in parted(found, form, min(most_bytes, room), most_files):
            yield [found[file] for file in files]


def _batch(group: Sequence[Recognised]) -> Batch:
    first = group[0]
    files = tuple(found.file for found in group)
    return Batch(first.sniff.form, first.file.compression, files, first.sniff.header, first.sniff.delimiter)


def _stage_entities(
    con: duckdb.DuckDBPyConnection,
    group: Sequence[Recognised],
    scratch: Scratch,
    parts: dict[int, tuple[SourceFile, str, int]],
) -> None:
    """Stage the records of files of one shape, all at once, or one by one if a file of the group is damaged."""
    shape = group[0].shape
    if shape is None:
        return
    for batch in read_whole(con, _batch(group), scratch):
        _stage_shape(con, batch, shape, parts)


def _stage_shape(
    con: duckdb.DuckDBPyConnection, batch: Batch, shape: Shape, parts: dict[int, tuple[SourceFile, str, int]]
) -> None:
    con.execute(
        "CREATE OR REPLACE TEMP TABLE ingest_entities AS "
        f"SELECT {_ENTITY_ID} AS file_id, page, line, record FROM ingest_records ORDER BY file_no, line"
    )
    con.execute(
        f"INSERT INTO stage_pages SELECT {_ENTITY_ID}, page, context, has_next, records FROM ingest_pages "
        "WHERE list_contains($numbers, file_no)",
        {"numbers": batch.numbers},
    )
    con.execute(
        "INSERT INTO stage_rejects (file_id, line, reason, raw) "
        f"SELECT {_ENTITY_ID}, line, reason, raw FROM ingest_damaged"
    )
    shape.stage(con, "ingest_entities")
    counted = con.execute(
        "SELECT file_no, count(*) FROM "
        "(SELECT file_no FROM ingest_records UNION ALL SELECT file_no FROM ingest_damaged) GROUP BY file_no"
    ).fetchall()
    read = dict(counted)
    for file in batch.files:
        parts[file_id(file.number, NO_LOG)] = (file, shape.source, read.get(file.number, 0))


_ENTITY_ID = f"file_no * {file_id(1, 0)} + {NO_LOG}"


def _report(
    con: duckdb.DuckDBPyConnection,
    parts: dict[int, tuple[SourceFile, str, int]],
    digests: Digests,
    counts: LogCounts,
) -> StageReport:
    # A record with several unusable parts counts once.
    rejected = dict(con.execute("SELECT file_id, count(DISTINCT line) FROM stage_rejects GROUP BY file_id").fetchall())
    staged = {
        part: StagedFile(file.name, source, read, rejected.get(part, 0))
        for part, (file, source, read) in sorted(parts.items())
    }
    con.execute(
        "INSERT INTO stage_files (file_id, path, source, sha256, read, rejected) SELECT unnest($ids), unnest($paths), "
        "unnest($sources), unnest($digests), unnest($read), unnest($rejected)",
        {
            "ids": list(staged),
            "paths": [file.path for file in staged.values()],
            "sources": [file.source for file in staged.values()],
            "digests": [digests.of(parts[part][0]) for part in staged],
            "read": [file.read for file in staged.values()],
            "rejected": [file.rejected for file in staged.values()],
        },
    )
    return StageReport(tuple(staged.values()), tuple(_notes(con, parts, counts)))


def _notes(
    con: duckdb.DuckDBPyConnection, parts: dict[int, tuple[SourceFile, str, int]], counts: LogCounts
) -> Iterator[str]:
    used = {SOURCES[log] for log in (*USED_LOGS, "signal")}
    for log, source in SOURCES.items():
        read = sum(records for (_, name), records in counts.read.items() if name == log)
        if read and source not in used:
            yield f"{source}: {read:,} records recognised and not used: {_NOT_USED.get(source, _NOT_READ)}"
    yield from _audit_shares(con)
    for category, records in sorted(counts.other_categories.most_common(_WORDS_TOLD)):
        shown = f"the category `{category}`, which shows no use of a permission"
        yield f"{records:,} records of the Activity Log have {shown}"
    for status, records in sorted(counts.unknown_statuses.most_common(_WORDS_TOLD)):
        yield f"{records:,} records of the Activity Log have the unknown status `{status}`"
    names = {part // file_id(1, 0): file.name for part, (file, _, _) in parts.items()}
    for number, error in con.execute(
        "SELECT file_no, any_value(error) FROM ingest_pages WHERE error IS NOT NULL GROUP BY 1"
    ).fetchall():
        yield f"`{names.get(number, '')}` is the result of a query that failed in part: {error}"
    for listing, places, records in con.execute(_BROKEN_LISTINGS).fetchall():
        named = f"listing of {listing}" if places == 1 else f"{places:,} listings of {listing}"
        yield f"{named} incomplete: {records:,} records rejected, and a principal that is not listed may be one of them"
    for reason, records in con.execute("SELECT reason, count(*) FROM stage_rejects GROUP BY 1 ORDER BY 1").fetchall():
        yield f"{records:,} records rejected: {reason}"


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
        FROM stage_event_rows WHERE plane = 'directory'
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
        "WHERE plane = 'directory' AND starts_with(operation, $mark) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $most",
        {"mark": UNMAPPED, "most": _WORDS_TOLD},
    ).fetchall()
    for name, records in rows:
        yield f"{records:,} records of the directory audit log have the activity `{name[:100]}`, which has no rule"


def normalised_events(
    paths: Sequence[str | Path], *, stdin: IO[bytes] | None = None
) -> tuple[StageReport, Iterator[list[dict[str, object]]]]:
    """Return the report of parsed files, and their merged events in chunks ordered by time and key, without a store."""
    # Data that does not fit in memory goes beside other temporary files, not into the current folder.
    spill = Path(tempfile.gettempdir(), f"rightsize-{secrets.token_hex(8)}")
    con = duckdb.connect(config={"autoinstall_known_extensions": "false", "temp_directory": str(spill)})
    create_staging(con)
    report = stage(con, paths, stdin=stdin)
    return report, _chunks(con)


def _chunks(con: duckdb.DuckDBPyConnection) -> Iterator[list[dict[str, object]]]:
    names = [column.name for column in EVENT_COLUMNS]
    con.execute(f"CREATE OR REPLACE TEMP VIEW event_rows AS {CALL_ROWS}")
    result = con.execute(
        f"SELECT {', '.join(names)} FROM ({query_text('reduce/collapse')}) "
        "ORDER BY time, correlation_id, key_operation, key_scope, key_correlation"
    )
    while rows := result.fetchmany(_CHUNK_ROWS):
        yield [dict(zip(names, row, strict=True)) for row in rows]
    con.close()
