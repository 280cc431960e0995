"""Stage log records: project fields fast, and read a file with odd records again as whole records.

The fast way projects fields while DuckDB reads. A file with odd records (unparsable, unusable, or with keys in other
capitals) is read again as whole records, which finds keys in any capitals and knows the line of each record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import duckdb

from rightsize.ingest.files import readers
from rightsize.ingest.files.copies import Copies
from rightsize.ingest.files.records import MAX_RAW_CHARACTERS, read_records, read_whole
from rightsize.ingest.files.sources import NoRoomError, SourceFile
from rightsize.ingest.logs.dictionary_encoding import forget_alike, packed, packed_words, stage_alike
from rightsize.ingest.logs.record_kinds import USED_LOGS, kind_of
from rightsize.ingest.logs.values import SOURCES, Family, spelt_keys, with_log
from rightsize.rules.log_sources import LOG_SOURCES

# Whole records take more room than their fields.
_SLOW_BYTES = 128 << 20
_MALFORMED = "Malformed JSON"
"""What DuckDB says of a line that is no JSON, in whatever form its columns are read."""
_LOGS = list(SOURCES)
_IDS_PER_FILE = max(32, len(_LOGS) + 1)
NO_LOG = len(_LOGS)
"""The index, among the ids of a file, for content that is not a log."""

_OF_LOGS = (
    "stage_events",
    "stage_sign_in_rows",
    "stage_request_rows",
    "stage_pim_records",
    "stage_signals",
    "stage_signal_entities",
    "stage_token_permissions",
    "stage_agent_sightings",
    "stage_changed_objects",
)
"""The tables that the records of a log fill."""


def _odd(read: str) -> str:
    """Return a condition on raw rows of the log `read`, which other logs may have mixed in.

    It holds for records whose log cannot be detected, or whose keys may be missed because of their capitals.
    """
    needs = {log.name: (*log.needed, *(log.needed_within if log.name == read else ())) for log in LOG_SOURCES}
    conditions = ["log IS NULL"]
    for name in dict.fromkeys(name for names in needs.values() for name in names):
        logs = ", ".join(f"'{log}'" for log, names in needs.items() if name in names)
        conditions.append(f"({name} IS NULL AND log IN ({logs}))")
    return " OR ".join(conditions)


def file_id(number: int, place: int) -> int:
    """Return the id of a part of a file; `place` is the index of its log, or NO_LOG."""
    return number * _IDS_PER_FILE + place


@dataclass(slots=True)
class LogCounts:
    """The counts of records in the logs of a load.

    Attributes:
        read: Records by file number and log.
        unknown_statuses: Records of the Activity Log by status, for statuses that are in no rule.
        other_categories: Records of the Activity Log by category, for categories that are not use of a permission.
    """

    read: Counter[tuple[int, str]] = field(default_factory=Counter)
    unknown_statuses: Counter[str] = field(default_factory=Counter)
    other_categories: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class LogFiles:
    """Files of logs that one statement can read.

    Attributes:
        batch: The files, of one form.
        family: Their envelope.
        samples: The first records of each file, by its number, for the spelling of their keys.
    """

    batch: readers.Batch
    family: Family
    samples: Mapping[int, Sequence[Mapping[str, object]]]

    def only(self, numbers: Collection[int]) -> LogFiles:
        """Return the same with the files that have one of these numbers."""
        return replace(self, batch=self.batch.only([file for file in self.batch.files if file.number in numbers]))


def stage_logs(
    con: duckdb.DuckDBPyConnection, readings: Sequence[LogFiles], log: str, copies: Copies, counts: LogCounts
) -> None:
    """Stage the log records of files of any forms: each form is read by itself, and all are normalised at once.

    Args:
        con: A connection with the staging and the reference tables.
        readings: The files.
        log: The log that most of their records probably belong to.
        copies: The maker of copies of files.
        counts: The counts to add to.

    Raises:
        InputError: A file is damaged beyond single lines.
    """
    odd = _stage_fast(con, readings, log, copies, counts)
    if odd:
        _forget(con, odd, counts)
    for one in readings:
        batch = one.batch
        files_of = _spelt_alike([file for file in batch.files if file.number in odd], one.family, one.samples)
        for spelt, files in files_of:
            for few in readers.parted(files, batch.form, _SLOW_BYTES, len(files)):
                for read in read_whole(con, batch.only(few), copies.scratch):
                    _stage_whole(con, read, spelt, counts)


def _spelt_alike(
    files: Sequence[SourceFile], family: Family, samples: Mapping[int, Sequence[Mapping[str, object]]]
) -> Iterator[tuple[dict[str, tuple[str, ...]], list[SourceFile]]]:
    """Yield files grouped by the keys to look up, so that the result for a file does not depend on the others."""
    found: dict[tuple[tuple[str, ...], ...], tuple[dict[str, tuple[str, ...]], list[SourceFile]]] = {}
    for file in files:
        spelt = spelt_keys(family, samples[file.number])
        found.setdefault(tuple(spelt.values()), (spelt, []))[1].append(file)
    yield from found.values()


def _stage_fast(
    con: duckdb.DuckDBPyConnection, readings: Sequence[LogFiles], log: str, copies: Copies, counts: LogCounts
) -> set[int]:
    """Stage the files without odd records; return the numbers of the others."""
    raw = _RawRows(con, copies, log)
    odd = {number for one in readings for number in raw.read(one)}
    if not raw.is_there:
        return odd
    found_odd = con.execute(f"SELECT DISTINCT file_no FROM ingest_raw WHERE {_odd(log)}").fetchall()
    odd |= {number for (number,) in found_odd}
    odd |= _stage_normalised(con, log, odd)
    found = _count_logs(con)
    kind_of(log).stage_more(con, _log_file(log))
    _count_words(con, log, odd, counts, packed_words())
    others: dict[str, set[int]] = {}
    for (number, name), records in found.items():
        if number in odd:
            continue
        if name == log or name not in USED_LOGS:
            counts.read[number, name] += records
        else:
            others.setdefault(name, set()).add(number)
    for name, numbers in sorted(others.items()):
        of_log = [one.only(numbers) for one in readings if not numbers.isdisjoint(one.batch.numbers)]
        odd |= _stage_other(con, of_log, name, copies, counts)
    return odd


def _parts_by_damage(
    con: duckdb.DuckDBPyConnection, batch: readers.Batch, copies: Copies
) -> tuple[Sequence[SourceFile], Sequence[SourceFile]]:
    """Return the files with a line that is no JSON, and the others; two halves where that is none of them, or all."""
    suspects: set[int] = set()
    for few in readers.parted(batch.files, batch.form, _SLOW_BYTES, len(batch.files)) if batch.form == "lines" else ():
        read_records(con, batch.only(few), copies.scratch)
        suspects.update(number for (number,) in con.execute("SELECT DISTINCT file_no FROM ingest_damaged").fetchall())
    first = [file for file in batch.files if file.number in suspects]
    if not 0 < len(first) < len(batch.files):
        first = list(batch.files[: len(batch.files) // 2])
    return first, [file for file in batch.files if file not in first]


@dataclass(slots=True)
class _RawRows:
    """The table `ingest_raw`, into which the raw columns of `log` are read from one batch after the other."""

    con: duckdb.DuckDBPyConnection
    copies: Copies
    log: str
    is_there: bool = False
    is_malformed: bool = False

    def read(self, one: LogFiles, text_within: bool = False) -> set[int]:
        """Read files; return the numbers of those that cannot be read so.

        `text_within`: read objects within records as text, which accepts any form of them.
        """
        batch, is_packed = one.batch, self.log in USED_LOGS and kind_of(self.log).is_packed
        opened = is_packed and one.family.name == "camel" and batch.form in readers.JSON_FORMS and not text_within
        if self.is_read(one, opened):
            return set()
        if batch.has_longer_pages:
            return self.read(replace(one, batch=replace(batch, long_pages=True)), text_within)
        if opened and not self.is_malformed:
            return self.read(one, text_within=True)
        if len(batch.files) == 1:
            return set(batch.numbers)
        parts = _parts_by_damage(self.con, batch, self.copies)
        return {number for files in parts for number in self.read(replace(one, batch=batch.only(files)))}

    def is_read(self, one: LogFiles, opened: bool = False) -> bool:
        """Read files, all or none; return whether none is damaged."""
        self.is_malformed = False
        try:
            return self._read_copies(one, opened)
        except readers.READ_ERRORS as error:
            if not readers.is_damage(error):
                raise
            self.is_malformed = _MALFORMED in str(error)
            self._take_back(one)
            return False

    def _read_copies(self, one: LogFiles, opened: bool) -> bool:
        mark = ""
        try:
            with self.copies.of(one.batch) as parts:
                for part in parts:
                    if not self._read_part(part, one.family, opened):
                        return False
                    mark = part.mark
        except NoRoomError:
            mark = ""
        else:
            if not (mark and self.con.execute("SELECT 1 FROM ingest_raw WHERE file_no IS NULL LIMIT 1").fetchall()):
                return True
        self._take_back(one)
        return self._read_part(one.batch, one.family, opened)

    def _read_part(self, batch: readers.Batch, family: Family, opened: bool) -> bool:
        """Read files as they are; return whether this works for files of this form."""
        fields = readers.select_fields(batch, family, opened)
        if fields is None:
            return False
        kind = kind_of(self.log)
        projected = kind.project(USED_LOGS[self.log])(fields)
        into = "INSERT INTO ingest_raw" if self.is_there else "CREATE OR REPLACE TEMP TABLE ingest_raw AS"
        self.con.execute(f"{into} {packed(projected) if kind.is_packed else projected}", batch.parameters)
        self.is_there = True
        return True

    def _take_back(self, one: LogFiles) -> None:
        """Delete what was read of files before one of them could not be read."""
        if self.is_there:
            self.con.execute(
                "DELETE FROM ingest_raw WHERE file_no IS NULL OR list_contains($numbers, file_no)",
                {"numbers": one.batch.numbers},
            )


def _stage_other(
    con: duckdb.DuckDBPyConnection, readings: Sequence[LogFiles], log: str, copies: Copies, counts: LogCounts
) -> set[int]:
    """Stage the records of one more log, from files that have several."""
    raw = _RawRows(con, copies, log)
    # The same files could be read just before, together with others or with other columns.
    problems = {number for one in readings if not raw.is_read(one) for number in one.batch.numbers}
    if not raw.is_there:
        return problems
    problems |= _stage_normalised(con, log, problems)
    found = _count_logs(con)
    kind_of(log).stage_more(con, _log_file(log))
    _count_words(con, log, problems, counts, packed_words())
    for (number, name), records in found.items():
        if name == log and number not in problems:
            counts.read[number, name] += records
    return problems


def _stage_whole(
    con: duckdb.DuckDBPyConnection, batch: readers.Batch, spelt: Mapping[str, Sequence[str]], counts: LogCounts
) -> None:
    """Stage the whole records of a batch, with the keys of `spelt_keys`."""
    fields = readers.select_record_fields(spelt)
    con.execute(f"CREATE OR REPLACE TEMP TABLE ingest_logs AS SELECT file_no, line, log FROM ({with_log(fields.sql)})")
    found: dict[int, dict[str, int]] = {number: {} for number in batch.numbers}
    for number, log, records in con.execute(
        "SELECT file_no, log, count(*) FROM ingest_logs WHERE log IS NOT NULL GROUP BY ALL"
    ).fetchall():
        found[number][log] = records
        counts.read[number, log] += records
    for log in USED_LOGS:
        if any(log in logs for logs in found.values()):
            kind = kind_of(log)
            con.execute(f"CREATE OR REPLACE TEMP TABLE ingest_raw AS {kind.project(USED_LOGS[log])(fields)}")
            normalise_rows(con, log)
            kind.stage(con, _log_file(log), set())
            kind.stage_more(con, _log_file(log))
            _count_words(con, log, set(), counts, _WORDS)
            _reject_rows(con, log)
    mains = {number: max(sorted(logs), key=logs.__getitem__, default=_LOGS[0]) for number, logs in found.items()}
    _reject_the_rest(con, mains, counts)


def forget_readings(con: duckdb.DuckDBPyConnection) -> None:
    """Drop the temporary tables of the last batch, to free their memory."""
    for name in ("ingest_raw", "ingest_rows", "ingest_records", "ingest_damaged", "ingest_logs", "ingest_entities"):
        con.execute(f"DROP TABLE IF EXISTS temp.{name}")
    forget_alike(con)


def _forget(con: duckdb.DuckDBPyConnection, numbers: Collection[int], counts: LogCounts) -> None:
    """Delete the rows that the fast way staged from files with odd records."""
    for number in numbers:
        for log in _LOGS:
            counts.read.pop((number, log), None)
    for table in _OF_LOGS:
        con.execute(
            f"DELETE FROM {table} WHERE file_id // {_IDS_PER_FILE} IN (SELECT unnest($numbers::INTEGER[]))",
            {"numbers": sorted(numbers)},
        )


def _count_logs(con: duckdb.DuckDBPyConnection) -> dict[tuple[int, str], int]:
    rows = con.execute(
        # A storage record becomes one row for each authorisation that it needed.
        "SELECT file_no, log, CASE WHEN max(ordinal) IS NULL THEN count(*) ELSE count(DISTINCT ordinal) END "
        "FROM ingest_raw WHERE log IS NOT NULL GROUP BY ALL"
    ).fetchall()
    return {(number, log): records for number, log, records in rows}


# Rows are in the order of their files, so the position of a row within its file is that of the record.
_NUMBERED_ROWS = """
SELECT * REPLACE (coalesce(line, coalesce(ordinal, ingest_raw.rowid) - start + 1) AS line)
FROM ingest_raw JOIN (
    SELECT file_no, min(coalesce(ordinal, rowid)) AS start FROM ingest_raw GROUP BY file_no
) AS ingest_starts USING (file_no)
"""


def number_rows(con: duckdb.DuckDBPyConnection, log: str) -> None:
    """Make the view `ingest_numbered` of the rows of `log` in `ingest_raw`, each with its number in its file."""
    con.execute(f"CREATE OR REPLACE TEMP VIEW ingest_numbered AS {_NUMBERED_ROWS} WHERE log = '{log}'")


def _stage_normalised(con: duckdb.DuckDBPyConnection, log: str, odd: set[int]) -> set[int]:
    """Stage the rows of `log` from `ingest_raw`; return the files in `odd` and those with problems.

    Rows of the Activity Log are packed; those of these files are staged too, and `stage_logs` deletes them.
    """
    kind = kind_of(log)
    if kind.is_packed:
        number_rows(con, log)
        odd = odd | stage_alike(con, _log_file(log))
        found = con.execute("SELECT DISTINCT file_id FROM stage_events WHERE time IS NULL").fetchall()
        return odd | {part // _IDS_PER_FILE for (part,) in found}
    problems = odd | normalise_rows(con, log)
    kind.stage(con, _log_file(log), problems)
    return problems


def normalise_rows(con: duckdb.DuckDBPyConnection, log: str) -> set[int]:
    """Normalise the rows of `log` from `ingest_raw` into `ingest_rows`; return the files with problems."""
    kind = kind_of(log)
    number_rows(con, log)
    con.execute(f"CREATE OR REPLACE TEMP VIEW {kind.relation} AS {kind.raw_rows(log)}")
    con.execute(f"CREATE OR REPLACE TEMP TABLE ingest_rows AS {kind.query()}")
    return {
        number
        for (number,) in con.execute("SELECT DISTINCT file_no FROM ingest_rows WHERE problem IS NOT NULL").fetchall()
    }


def _log_file(log: str) -> str:
    return f"file_no * {_IDS_PER_FILE} + {_LOGS.index(log)}"


_WORDS = "SELECT file_no, status, category, 1 AS records FROM ingest_raw WHERE log = 'activity'"


def _count_words(con: duckdb.DuckDBPyConnection, log: str, without: set[int], counts: LogCounts, words: str) -> None:
    """Count Activity Log records with unknown statuses or other categories, which nobody would notice otherwise.

    `words` is SQL for their numbers by file, status and category.
    """
    if not kind_of(log).is_packed:
        return
    found = con.execute(
        f"""
        SELECT status, category, is_administrative,
            is_administrative AND status IS NOT NULL
                AND lower(trim(status)) NOT IN (SELECT spelling FROM log_statuses WHERE field = 'status') AS is_unknown,
            records
        FROM (
            SELECT status, category, sum(records)::BIGINT AS records,
                coalesce(lower(category), 'write') IN ('administrative', 'write', 'delete', 'action')
                    AS is_administrative
            FROM ({words}) WHERE NOT list_contains($without, file_no)
            GROUP BY status, category
        )
        ORDER BY records DESC, status, category LIMIT 1000
        """,
        {"without": sorted(without)},
    ).fetchall()
    for status, category, is_administrative, is_unknown, records in found:
        if is_unknown:
            counts.unknown_statuses[status[:100]] += records
        if not is_administrative:
            counts.other_categories[category[:100]] += records


def _reject_rows(con: duckdb.DuckDBPyConnection, log: str) -> None:
    con.execute(
        f"""
        INSERT INTO stage_rejects (file_id, line, reason, raw)
        SELECT {_log_file(log)}, line, any_value(problem),
            any_value(CAST(record AS VARCHAR)[:{MAX_RAW_CHARACTERS}])
        FROM ingest_rows JOIN ingest_records USING (file_no, line)
        WHERE problem IS NOT NULL GROUP BY file_no, line
        """
    )


def _reject_the_rest(con: duckdb.DuckDBPyConnection, mains: Mapping[int, str], counts: LogCounts) -> None:
    """Reject records of no known log, under the main log of each file (`mains`, by the number of the file)."""
    con.execute(
        f"""
        INSERT INTO stage_rejects (file_id, line, reason, raw)
        SELECT target, line, reason, raw
        FROM (
            SELECT file_no, line, reason, raw FROM ingest_damaged
            UNION ALL
            SELECT file_no, line, 'it is not a record of a known log', CAST(record AS VARCHAR)[:{MAX_RAW_CHARACTERS}]
            FROM ingest_records JOIN ingest_logs USING (file_no, line) WHERE log IS NULL
        ) JOIN (SELECT unnest($numbers) AS file_no, unnest($targets) AS target) USING (file_no)
        """,
        {"numbers": list(mains), "targets": [file_id(number, _LOGS.index(main)) for number, main in mains.items()]},
    )
    for number, lost in con.execute(
        "SELECT file_no, count(*) FROM (SELECT file_no FROM ingest_damaged "
        "UNION ALL SELECT file_no FROM ingest_logs WHERE log IS NULL) GROUP BY file_no"
    ).fetchall():
        counts.read[number, mains[number]] += lost
