"""Fill the staging tables from paths: open files, recognise each, read and normalise its records, and count."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import chain, groupby
from pathlib import Path
from typing import IO

import duckdb

from rightsize.ingest.entities import ENTITY_SHAPES, manifests
from rightsize.ingest.entities.directory import take_directory
from rightsize.ingest.entities.pages import stage_related_listings
from rightsize.ingest.entities.shape import Shape
from rightsize.ingest.files.copies import MOST_JOINED, Copies, Digests, is_small, is_unpacked, report_bytes_read
from rightsize.ingest.files.readers import Batch, describe_parquet, parted, plain_size
from rightsize.ingest.files.records import read_whole
from rightsize.ingest.files.sources import Scratch, SourceFile, open_sources
from rightsize.ingest.inventories import (
    refuse_other_tenants,
    stage_access_listings,
    stage_inventories,
    vouch_for_others,
)
from rightsize.ingest.loaded_files import (
    LoadedFile,
    loaded_files,
    match_files,
    name_places,
    notes_on_staged,
    open_named,
    read_facts,
)
from rightsize.ingest.logs.batches import NO_LOG, LogCounts, LogFiles, file_id, forget_readings, stage_logs
from rightsize.ingest.logs.projections import create_reference_tables
from rightsize.ingest.logs.values import SOURCES, Family
from rightsize.ingest.recognise import Recognised, recognise, stage_signals
from rightsize.model.errors import InputError
from rightsize.model.progress import is_heard, read_bytes
from rightsize.model.tables import EVENT_COLUMNS
from rightsize.model.times import Declaration
from rightsize.store.limits import memory_of, scratch_folder
from rightsize.store.merging.events import name_calls
from rightsize.store.merging.staging import CALL_ROWS, create_staging
from rightsize.store.queries import query_text
from rightsize.store.sql import nonempty

# The most that one statement reads: enough files that its overhead is small, and few enough bytes, as JSON lines, that
# the intermediate rows fit in memory.
_BATCH_FILES = 1000
_SMALL_FILES = 10_000
_BATCH_BYTES = 1 << 30
_CHUNK_ROWS = 10_000

# What says or shows that a listing of access is complete or not.
_SHOWING_LISTINGS = {name: f"stage_{name}" for name in ("vouched", "role_assignments", "rejects")}

Watch = Callable[[int, int], object]
"""Called with the bytes of files read so far, and the total bytes."""


@dataclass(frozen=True, slots=True)
class StagedFile:
    """The counts of one file, or of the records of one log in it."""

    path: str
    source: str
    read: int
    rejected: int


@dataclass(frozen=True, slots=True)
class StageReport:
    """The result of `stage`.

    Attributes:
        files: The files in order.
        notes: Notes for a person.
        lacking: Notes on listings of access that are not complete, the dearest first.
        windows: The days of logs that manifests declare.
    """

    files: tuple[StagedFile, ...]
    notes: tuple[str, ...]
    lacking: tuple[str, ...] = ()
    windows: tuple[Declaration, ...] = ()


def unwatched(done: int, total: int) -> None:
    """Do nothing: the default watch."""


def stage(
    con: duckdb.DuckDBPyConnection,
    paths: Sequence[str | Path],
    *,
    stdin: IO[bytes] | None = None,
    named: bool = True,
    watch: Watch = unwatched,
    vouched: Sequence[manifests.Vouched] = (),
    declared: manifests.DeclaredReading | None = None,
) -> StageReport:
    """Recognise every file behind `paths` by its content and fill the staging tables with its records.

    Args:
        con: A connection that has the staging tables, outside a transaction: a statement that meets a damaged file
            fails, and others follow it.
        paths: Files, folders, archives, and `-` for stdin.
        stdin: The stream that `-` reads; None for the process's own.
        named: Whether a user named the files among `paths`, so that an unknown file is an error.
        watch: Is called with the bytes read and the total bytes; without it, they are progress of the command.
        vouched: What a collection says about its files.
        declared: What the user says about listings for which nobody else vouches.

    Raises:
        UsageError: `declared` names no principal that is loaded, or several.
        InputError: A path cannot be read, a named file is not recognised, or a file is damaged beyond single
            records. The staging tables are then unusable.
    """
    if watch is unwatched and is_heard():
        watch = read_bytes
    with scratch_folder() as folder, Digests() as digests:
        scratch = Scratch(folder)
        files = open_sources(paths, scratch, stdin, named=named)
        return _stage_files(con, files, digests, scratch, watch, vouched, declared)


def _stage_files(
    con: duckdb.DuckDBPyConnection,
    files: Sequence[SourceFile],
    digests: Digests,
    scratch: Scratch,
    watch: Watch,
    vouched: Sequence[manifests.Vouched],
    declared: manifests.DeclaredReading | None,
) -> StageReport:
    create_reference_tables(con)
    _create_tables(con)
    manifests.add_vouched(con, vouched)
    parts: dict[int, tuple[SourceFile, str, int]] = {}
    recognised = [_recognise(con, file) for file in files]
    recognised += _stage_manifests(con, recognised, scratch, parts)
    for found in recognised:
        if found.family is None or not is_unpacked(found.sniff.form, found.file.compression):
            digests.begin(found.file)
    copies = Copies(scratch, digests)
    counts = LogCounts()
    done, total = 0, sum(found.file.size for found in recognised)
    room = memory_of(con) // 2
    for groups in _of_one_log(
        _groups([found for found in recognised if found.source != manifests.MANIFEST], room), room
    ):
        files = [found.file for group in groups for found in group]
        watch(done, total)
        with _watching(watch, done, total, [file.path for file in files]):
            _stage_groups(con, groups, copies, counts, parts)
        done += sum(file.size for file in files)
    for found in recognised:
        if counts.read[found.file.number, "signal"]:
            number = file_id(found.file.number, list(SOURCES).index("signal"))
            stage_signals(con, _batch([found]), scratch, number)
    forget_readings(con)
    watch(total, total)
    by_number = {found.file.number: found.file for found in recognised}
    for found in recognised:
        if found.family is not None and not any(counts.read[found.file.number, log] for log in SOURCES):
            counts.read[found.file.number, found.log] = 0
    for (number, log), read in counts.read.items():
        parts[file_id(number, list(SOURCES).index(log))] = (by_number[number], SOURCES[log], read)
    stage_related_listings(con)
    loaded = _files_spoken_of(con, recognised, parts, declared)
    notes, windows = _stage_inventories(con, loaded, declared)
    lacking = stage_access_listings(con, loaded) if nonempty(con, _SHOWING_LISTINGS) else []
    return replace(_report(con, parts, digests, counts, notes), lacking=tuple(lacking), windows=tuple(windows))


def _stage_manifests(
    con: duckdb.DuckDBPyConnection,
    recognised: Sequence[Recognised],
    scratch: Scratch,
    parts: dict[int, tuple[SourceFile, str, int]],
) -> list[Recognised]:
    """Stage the manifests; return the files that they name and the load does not have yet."""
    files = [found.file for found in recognised]
    name_places(con, files)
    for group in _groups([found for found in recognised if found.source == manifests.MANIFEST], memory_of(con) // 2):
        _stage_entities(con, group, scratch, parts)
    if not manifests.has_vouched(con):
        return []
    match_files(con)
    more = open_named(con, files, scratch)
    name_places(con, more)
    match_files(con)
    # A manifest that another one names is none of its files.
    return [found for found in (_recognise(con, file) for file in more) if found.source != manifests.MANIFEST]


def _create_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Create the tables for what a load holds of its files, besides their records."""
    con.execute(
        "CREATE OR REPLACE TEMP TABLE ingest_pages "
        "(file_no INTEGER, page BIGINT, context VARCHAR, has_next BOOLEAN, records BIGINT, error VARCHAR, "
        "is_query BOOLEAN, total BIGINT)"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE stage_pages "
        "(file_id INTEGER, page BIGINT, context VARCHAR, has_next BOOLEAN, records BIGINT)"
    )
    con.execute("CREATE OR REPLACE TEMP TABLE stage_query_pages (file_id INTEGER, total BIGINT)")
    con.execute("CREATE OR REPLACE TEMP TABLE stage_query_rows (file_id INTEGER)")
    con.execute("CREATE OR REPLACE TEMP TABLE stage_names (file_id INTEGER, place VARCHAR, address VARCHAR)")
    con.execute(manifests.CREATE_VOUCHED)


def _files_spoken_of(
    con: duckdb.DuckDBPyConnection,
    recognised: Sequence[Recognised],
    parts: Mapping[int, tuple[SourceFile, str, int]],
    declared: manifests.DeclaredReading | None,
) -> dict[int, LoadedFile]:
    """Return the files with what was staged of them; none where nobody says anything of a file."""
    if declared is None and not manifests.has_vouched(con):
        return {}
    refuse_other_tenants(con)
    files = loaded_files(recognised, parts)
    read_facts(con, files)
    return files


def _stage_inventories(
    con: duckdb.DuckDBPyConnection, files: Mapping[int, LoadedFile], declared: manifests.DeclaredReading | None
) -> tuple[list[str], list[Declaration]]:
    """Stage what listings prove; return notes for a person, and the days of logs that manifests declare."""
    notes = [] if declared is None else list(vouch_for_others(con, files.values(), declared))
    if not manifests.has_vouched(con):
        return notes, []
    more, windows = stage_inventories(con, files)
    return notes + more, windows


def _watching(watch: Watch, done: int, total: int, paths: Sequence[Path]) -> AbstractContextManager[None]:
    if watch is unwatched:
        return nullcontext()
    # The total is reported only at the end, because files may have to be read a second time.
    return report_bytes_read(lambda more: watch(min(done + more, total - 1), total), paths)


def _stage_groups(
    con: duckdb.DuckDBPyConnection,
    groups: Sequence[Sequence[Recognised]],
    copies: Copies,
    counts: LogCounts,
    parts: dict[int, tuple[SourceFile, str, int]],
) -> None:
    """Stage the groups of one log, or one group of something else."""
    group = groups[0]
    first = group[0]
    if first.family is not None:
        stage_logs(con, [_log_files(one, one[0].family) for one in groups if one[0].family], first.log, copies, counts)
    elif first.shape is not None:
        _stage_entities(con, group, copies.scratch, parts)
    else:
        read = _count_unknown(con, group, copies.scratch)
        for found in group:
            parts[file_id(found.file.number, NO_LOG)] = (found.file, found.source, read.get(found.file.number, 0))


def _log_files(group: Sequence[Recognised], family: Family) -> LogFiles:
    return LogFiles(_batch(group), family, {found.file.number: found.sniff.samples for found in group})


def _count_unknown(con: duckdb.DuckDBPyConnection, group: Sequence[Recognised], scratch: Scratch) -> dict[int, int]:
    """Return the records of files that no shape knows, by number of the file; what holds no records is left out."""
    found: dict[int, int] = {}
    if group[0].sniff.form in ("empty", "other"):
        return found
    try:
        for batch in read_whole(con, _batch(group), scratch):
            found |= _records_read(con, batch)
    except InputError:
        # Nobody said that the damaged one is an export.
        alone = [_count_unknown(con, [one], scratch) for one in group] if len(group) > 1 else []
        return dict(chain.from_iterable(counts.items() for counts in alone))
    return found


def _records_read(con: duckdb.DuckDBPyConnection, batch: Batch) -> dict[int, int]:
    """Return the records that `read_whole` read, damaged ones too, by number of the file."""
    counted = con.execute(
        "SELECT file_no, count(*) FROM "
        "(SELECT file_no FROM ingest_records UNION ALL SELECT file_no FROM ingest_damaged) GROUP BY file_no"
    ).fetchall()
    return dict.fromkeys(batch.numbers, 0) | dict(counted)


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
        kind = found.family.name if found.family else "listing" if found.shape else ""
        look = found.sniff
        small = found.family is not None and is_small(found.file, look.form)
        return (found.log, kind, look.form, found.file.compression, look.delimiter, *look.header), small

    ordered = sorted(recognised, key=lambda found: (alike(found), found.file.number))
    for (_, small), members in groupby(ordered, alike):
        most_files, most_bytes = (_SMALL_FILES, MOST_JOINED) if small else (_BATCH_FILES, _BATCH_BYTES)
        found = {member.file: member for member in members}
        form = next(iter(found.values())).sniff.form
        for files in parted(found, form, min(most_bytes, room), most_files):
            yield [found[file] for file in files]


def _of_one_log(groups: Iterable[list[Recognised]], room: int) -> Iterator[list[list[Recognised]]]:
    """Yield together the groups of one log of which one statement could read all bytes, and every other group alone."""
    together: list[list[Recognised]] = []
    size = 0
    for group in groups:
        more = sum(plain_size(found.file, found.sniff.form) for found in group)
        is_of_log = bool(together and group[0].log) and group[0].log == together[0][0].log
        if together and not (is_of_log and size + more <= min(_BATCH_BYTES, room)):
            yield together
            together, size = [], 0
        together.append(group)
        size += more
    if together:
        yield together


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
    """Read listings of any shapes at once, and stage the records of each shape."""
    shapes = {found.file: found.shape for found in group if found.shape is not None}
    for batch in read_whole(con, _batch(group), scratch):
        con.execute(
            f"INSERT INTO stage_query_pages SELECT {_ENTITY_ID}, total FROM ingest_pages "
            "WHERE is_query AND list_contains($numbers, file_no)",
            {"numbers": batch.numbers},
        )
        con.execute(
            "INSERT INTO stage_rejects (file_id, line, reason, raw) "
            f"SELECT {_ENTITY_ID}, line, reason, raw FROM ingest_damaged"
        )
        read = _records_read(con, batch)
        ids: dict[str, list[int]] = {}
        for file in batch.files:
            shape, part = shapes[file], file_id(file.number, NO_LOG)
            ids.setdefault(shape.name, []).append(part)
            parts[part] = (file, shape.source, read[file.number])
        directory, of_directory = take_directory(ids)
        for shape in {shape.name: shape for shape in shapes.values() if shape.name in ids}.values():
            _stage_shape(con, ids[shape.name], shape)
        if of_directory:
            _stage_shape(con, of_directory, directory)


def _stage_shape(con: duckdb.DuckDBPyConnection, ids: Sequence[int], shape: Shape) -> None:
    """Stage the records of the files with these ids, which one shape reads."""
    con.execute(
        "CREATE OR REPLACE TEMP TABLE ingest_entities AS SELECT * FROM ("
        f"SELECT {_ENTITY_ID} AS file_id, page, line, record FROM ingest_records) "
        "WHERE file_id IN (SELECT unnest($ids::INTEGER[])) ORDER BY file_id, line",
        {"ids": ids},
    )
    con.execute(
        f"INSERT INTO stage_pages SELECT * FROM (SELECT {_ENTITY_ID} AS file_id, page, context, has_next, records "
        "FROM ingest_pages WHERE NOT is_query) WHERE file_id IN (SELECT unnest($ids::INTEGER[]))",
        {"ids": ids},
    )
    shape.stage(con, "ingest_entities")


_ENTITY_ID = f"file_no * {file_id(1, 0)} + {NO_LOG}"


def _report(
    con: duckdb.DuckDBPyConnection,
    parts: dict[int, tuple[SourceFile, str, int]],
    digests: Digests,
    counts: LogCounts,
    notes: Sequence[str],
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
    return StageReport(tuple(staged.values()), (*notes, *notes_on_staged(con, parts, counts)))


def normalised_events(
    paths: Sequence[str | Path], *, stdin: IO[bytes] | None = None
) -> tuple[StageReport, Iterator[list[dict[str, object]]]]:
    """Return the report of parsed files, and their merged events in chunks ordered by time and key, without a store."""
    # Data that does not fit in memory goes beside other temporary files, not into the current folder.
    spill = Path(tempfile.gettempdir(), f"rightsize-{secrets.token_hex(8)}")
    con = duckdb.connect(config={"autoinstall_known_extensions": "false", "temp_directory": str(spill)})
    create_staging(con)
    report = stage(con, paths, stdin=stdin)
    name_calls(con)
    return report, _chunks(con)


def _chunks(con: duckdb.DuckDBPyConnection) -> Iterator[list[dict[str, object]]]:
    con.execute(f"CREATE OR REPLACE TEMP VIEW event_rows AS {CALL_ROWS}")
    result = con.execute(
        f"SELECT {', '.join(EVENT_COLUMNS)} FROM ({query_text('reduce/collapse')}) "
        "ORDER BY time, correlation_id, key_operation, key_scope, key_correlation"
    )
    while rows := result.fetchmany(_CHUNK_ROWS):
        yield [dict(zip(EVENT_COLUMNS, row, strict=True)) for row in rows]
    con.close()
