"""Read whole records as JSON from any form of file: slower than a projection, but with keys in any capitals.

The number of each line is known. Values that are not records, such as a line that cannot be parsed, are kept with their
place and text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb

from rightsize.ingest.files import encoding, readers
from rightsize.ingest.files.sources import Scratch, SourceFile
from rightsize.model.errors import InputError
from rightsize.store.sql import literal, quoted

MAX_RAW_CHARACTERS = 1 << 16
"""Maximum characters kept of an unusable record."""

_HAS_NO_TEXT = f"contains(CAST(record AS VARCHAR), '{encoding.NO_TEXT}')"
# Rows of a reader are in the order of their files, so this is the position of a row within its file.
_PLACE = "rowid - min(rowid) OVER (PARTITION BY file_index) + 1"


def read_records(con: duckdb.DuckDBPyConnection, batch: readers.Batch, scratch: Scratch) -> None:
    """Read whole records of files of any form into temporary tables; this is slower than `select_fields`.

    Fills `ingest_records (file_no INTEGER, page BIGINT, line BIGINT, record JSON)` with the records that are JSON
    objects, and `ingest_damaged (file_no, line, reason, raw)` with everything else. Adds to
    `ingest_pages (file_no, page, context, has_next, records, error, is_query, total)`; of a page of Resource Graph
    `is_query` is true, and `total` is the number of records of all its pages.

    Raises:
        InputError: A file that is one JSON value or a table is damaged.
        duckdb.Error: The same, if the batch has several files.
    """
    con.execute("CREATE OR REPLACE TEMP TABLE ingest_records (file_no INTEGER, page BIGINT, line BIGINT, record JSON)")
    con.execute(
        "CREATE OR REPLACE TEMP TABLE ingest_damaged (file_no INTEGER, line BIGINT, reason VARCHAR, raw VARCHAR)"
    )
    try:
        if batch.form == "lines":
            _read_lines(con, batch, scratch)
        elif batch.form == "array":
            try:
                _read_array(con, batch)
            except readers.READ_ERRORS as error:
                if not readers.is_damage(error):
                    raise
                # Several arrays in sequence, or a damaged one, which the next reader will reject too.
                _read_documents(con, batch, scratch)
        elif batch.form in ("documents", "empty"):
            _read_documents(con, batch, scratch)
        elif batch.form == "csv":
            _read_csv(con, batch, scratch)
        else:
            _read_parquet(con, batch)
    except readers.READ_ERRORS as error:
        if len(batch.files) > 1 or not readers.is_damage(error):
            raise
        raise readers.damaged(batch.files[0], error) from error


def read_whole(con: duckdb.DuckDBPyConnection, batch: readers.Batch, scratch: Scratch) -> Iterator[readers.Batch]:
    """Read whole records as `read_records` does, and yield the batch while the tables hold them.

    If a file is damaged, halves of the batch are read and yielded, so that only what is around it is read again.
    """
    try:
        read_records(con, batch, scratch)
    except readers.READ_ERRORS as error:
        if not readers.is_damage(error):
            raise
        half = len(batch.files) // 2
        for files in (batch.files[:half], batch.files[half:]):
            yield from read_whole(con, batch.only(files), scratch)
    else:
        yield batch


def _readable_copies(batch: readers.Batch, scratch: Scratch) -> list[str]:
    copies = []
    for file in batch.files:
        copies.append(scratch.new_path())
        encoding.write_readable_lines(file.path, file.compression, copies[-1], file.name)
    return [str(copy) for copy in copies]


def _read_lines(con: duckdb.DuckDBPyConnection, batch: readers.Batch, scratch: Scratch) -> None:
    con.execute(
        "CREATE OR REPLACE TEMP TABLE ingest_lines AS SELECT file_index, line FROM read_csv($paths, "
        "auto_detect = false, header = false, delim = '\x02', quote = '', escape = '', strict_mode = false, "
        f"hive_partitioning = false, compression = 'none', max_line_size = {4 * encoding.MAX_RECORD_BYTES}, "
        "columns = {'line': 'VARCHAR'})",
        {"paths": _readable_copies(batch, scratch)},
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE ingest_judged AS
        SELECT {readers.FILE_NO} AS file_no, {_PLACE} AS line,
            line AS text,
            CASE
                WHEN strlen(line) > {encoding.MAX_RECORD_BYTES} THEN 'it is longer than 16 MiB'
                WHEN NOT json_valid(line) THEN 'it is not valid JSON'
                WHEN json_type(line) <> 'OBJECT' THEN 'it is not a JSON object'
                WHEN len(json_keys(line)) <> len(list_distinct(json_keys(line))) THEN 'it names a key twice'
            END AS reason
        FROM ingest_lines WHERE trim(line, ' \t') <> ''
        """,
        {"numbers": batch.numbers},
    )
    con.execute(
        "INSERT INTO ingest_records SELECT file_no, NULL, line, CAST(text AS JSON) FROM ingest_judged "
        "WHERE reason IS NULL"
    )
    con.execute(
        "INSERT INTO ingest_damaged SELECT file_no, line, reason, "
        f"replace(text[:{MAX_RAW_CHARACTERS}], $damage, chr(65533)) FROM ingest_judged WHERE reason IS NOT NULL",
        {"damage": encoding.DAMAGE},
    )
    con.execute("DROP TABLE ingest_lines; DROP TABLE ingest_judged")


_SPLIT_OBJECTS = f"""
INSERT INTO ingest_damaged
SELECT file_no, line,
    CASE WHEN json_type(record) = 'OBJECT' THEN 'it names a key twice' ELSE 'it is not a JSON object' END,
    CAST(record AS VARCHAR)[:{MAX_RAW_CHARACTERS}]
FROM ingest_judged
WHERE json_type(record) <> 'OBJECT' OR len(json_keys(record)) <> len(list_distinct(json_keys(record)))
"""
_KEEP_OBJECTS = """
INSERT INTO ingest_records SELECT file_no, page, line, record FROM ingest_judged
WHERE json_type(record) = 'OBJECT' AND len(json_keys(record)) = len(list_distinct(json_keys(record)))
"""


def _read_array(con: duckdb.DuckDBPyConnection, batch: readers.Batch) -> None:
    con.execute(
        "CREATE OR REPLACE TEMP TABLE ingest_values AS SELECT file_index, json FROM read_json_objects($paths, "
        f"format = 'array', hive_partitioning = false, compression = '{batch.compression}', "
        f"maximum_object_size = {batch.longest_record})",
        {"paths": batch.paths},
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE ingest_judged AS SELECT {readers.FILE_NO} AS file_no, NULL::BIGINT AS page, "
        f"{_PLACE} AS line, json AS record FROM ingest_values",
        {"numbers": batch.numbers},
    )
    con.execute(_SPLIT_OBJECTS)
    con.execute(_KEEP_OBJECTS)
    con.execute("DROP TABLE ingest_values; DROP TABLE ingest_judged")


def _read_documents(con: duckdb.DuckDBPyConnection, batch: readers.Batch, scratch: Scratch) -> None:
    """Read pages, objects and arrays in any sequence; the records of a page or of a list of pages become records.

    Of a file with half characters or bytes that are no text, the records that have them are damaged, and no others.
    """
    paths = [file.path if file.compression == "none" else _plain_copy(file, scratch) for file in batch.files]
    try:
        _read_pages(con, batch, paths)
    except readers.READ_ERRORS as error:
        mended = scratch.new_path()
        if len(paths) > 1 or not readers.is_damage(error) or not encoding.mend_json(paths[0], mended):
            raise
        _read_pages(con, batch, [mended])
        con.execute(f"""
            INSERT INTO ingest_damaged
            SELECT file_no, line, 'it has characters that are not text', CAST(record AS VARCHAR)[:{MAX_RAW_CHARACTERS}]
            FROM ingest_records WHERE {_HAS_NO_TEXT}""")
        con.execute(f"DELETE FROM ingest_records WHERE {_HAS_NO_TEXT}")


def _read_pages(con: duckdb.DuckDBPyConnection, batch: readers.Batch, paths: Sequence[Path]) -> None:
    longest, name = max((path.stat().st_size + 1, file.name) for path, file in zip(paths, batch.files, strict=True))
    size = max(longest, encoding.MAX_RECORD_BYTES)
    if size > readers.MAX_PAGE_BYTES:
        raise InputError(
            f"`{name}` holds {size:,} bytes in JSON pages, too many to read at once",
            hint="write one record a line (JSON lines)",
        )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE ingest_values AS SELECT file_index, json FROM read_json_objects($paths, "
        f"format = 'unstructured', hive_partitioning = false, compression = 'none', maximum_object_size = {size})",
        {"paths": [str(path) for path in paths]},
    )
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE ingest_tops AS
        SELECT file_index,
            unnest(CASE WHEN json_type(json) = 'ARRAY' THEN from_json(json, '["JSON"]') ELSE [json] END) AS top
        FROM ingest_values
        """
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE ingest_lists AS
        SELECT {readers.FILE_NO} AS file_no, top_no,
            CASE
                WHEN starts_with(found[1], '[') THEN from_json(found[1], '["JSON"]')
                WHEN starts_with(found[2], '[') THEN from_json(found[2], '["JSON"]')
                WHEN starts_with(found[3], '[') THEN NULL
                WHEN starts_with(found[4], '[') AND found[5] IS NOT NULL THEN from_json(found[4], '["JSON"]')
                WHEN starts_with(found[14], '[') AND found[15] IS NOT NULL THEN from_json(found[14], '["JSON"]')
                WHEN starts_with(found[16], '[') AND found[17] IS NOT NULL THEN from_json(found[16], '["JSON"]')
                ELSE [top]
            END AS items,
            CASE WHEN starts_with(found[3], '[') THEN from_json(found[3], '["JSON"]') END AS tables,
            coalesce(starts_with(found[1], '['), false) AS is_page,
            NOT coalesce(starts_with(found[1], '[') OR starts_with(found[2], '[') OR starts_with(found[3], '['), false)
                AND coalesce(starts_with(found[4], '[') AND found[5] IS NOT NULL, false) AS is_query,
            TRY_CAST(coalesce(found[10] ->> '$', found[11] ->> '$') AS BIGINT) AS total,
            coalesce(found[6] ->> '$', '') AS context,
            coalesce(nullif(found[7] ->> '$', ''), nullif(found[8] ->> '$', ''), nullif(found[12] ->> '$', ''),
                nullif(found[13] ->> '$', '')) IS NOT NULL AS has_next,
            found[9] ->> '$' AS error
        FROM (
            -- Each function parses a page anew, and holds it until the last of a thousand pages is parsed.
            SELECT file_index, rowid AS top_no, top, json_extract(top, ['$.value', '$.records', '$.tables', '$.data',
                '$.count', '$."@odata.context"', '$."@odata.nextLink"', '$.nextLink', '$.error.message',
                '$.totalRecords', '$.total_records', '$."$skipToken"', '$.skip_token', '$.results', '$.schema',
                '$.Results', '$.Schema']) AS found
            FROM ingest_tops WHERE strlen(top) > 9 OR json_type(top) <> 'NULL'
        )
        """,
        {"numbers": batch.numbers},
    )
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE ingest_judged AS
        SELECT file_no, top_no AS page,
            row_number() OVER (PARTITION BY file_no ORDER BY top_no, position) AS line, record
        FROM (
            SELECT file_no, top_no, generate_subscripts(items, 1) AS position, unnest(items) AS record
            FROM ingest_lists WHERE items IS NOT NULL
            UNION ALL
            SELECT file_no, top_no, position,
                CASE WHEN len(names) = len(cells) AND len(list_distinct(names)) = len(names)
                    THEN CAST(to_json(map(names, cells)) AS JSON) ELSE to_json(cells) END
            FROM (
                SELECT file_no, top_no, names, table_no * 1000000000 + position AS position,
                    from_json(cells, '["JSON"]') AS cells
                FROM (
                    SELECT file_no, top_no, table_no, names,
                        generate_subscripts(cells, 1) AS position, unnest(cells) AS cells
                    FROM (
                        SELECT file_no, top_no, table_no, json_extract_string(found, '$.columns[*].name') AS names,
                            from_json(found -> '$.rows', '["JSON"]') AS cells
                        FROM (
                            SELECT file_no, top_no, generate_subscripts(tables, 1) AS table_no, unnest(tables) AS found
                            FROM ingest_lists WHERE tables IS NOT NULL
                        )
                    )
                )
            )
        )
        """
    )
    con.execute(
        """
        INSERT INTO ingest_pages
        SELECT file_no, top_no, context, has_next, coalesce(len(items), 0), error, is_query, total
        FROM ingest_lists WHERE is_page OR is_query OR error IS NOT NULL
        """
    )
    con.execute(_SPLIT_OBJECTS)
    con.execute(_KEEP_OBJECTS)
    con.execute("DROP TABLE ingest_values; DROP TABLE ingest_tops; DROP TABLE ingest_lists; DROP TABLE ingest_judged")


def _plain_copy(file: SourceFile, scratch: Scratch) -> Path:
    copy = scratch.new_path()
    with copy.open("wb") as target:
        target.writelines(encoding.plain_chunks(file.path, file.compression, file.name))
    return copy


_ASIDE = ", store_rejects = true, rejects_table = 'ingest_csv_errors', rejects_scan = 'ingest_csv_scans'"


def _read_csv(con: duckdb.DuckDBPyConnection, batch: readers.Batch, scratch: Scratch) -> None:
    paths = _readable_copies(batch, scratch)
    cells = ", ".join(f"{literal(name)}, c{position}" for name, position in _original_names(batch.header).items())
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE ingest_values AS SELECT file_index, json_object({cells}) AS record "
        f"FROM {readers.csv_source(batch, 'none', _ASIDE)}",
        {"paths": paths},
    )
    _keep_rows(con, batch)
    con.execute(
        f"""
        INSERT INTO ingest_damaged
        SELECT file_no, line, 'it has bytes that are not text', CAST(record AS VARCHAR)[:{MAX_RAW_CHARACTERS}]
        FROM ingest_records WHERE {_HAS_NO_TEXT}
        UNION ALL
        SELECT list_extract($numbers, list_position($paths, file_path)), line,
            any_value('it is not a row of the table: ' || lower(replace(CAST(error_type AS VARCHAR), '_', ' '))),
            any_value(csv_line[:{MAX_RAW_CHARACTERS}])
        FROM ingest_csv_errors JOIN ingest_csv_scans USING (scan_id, file_id)
        GROUP BY file_path, line
        """,
        {"paths": paths, "numbers": batch.numbers},
    )
    con.execute(f"DELETE FROM ingest_records WHERE {_HAS_NO_TEXT}")
    con.execute("DROP TABLE ingest_csv_errors; DROP TABLE ingest_csv_scans")


def _read_parquet(con: duckdb.DuckDBPyConnection, batch: readers.Batch) -> None:
    typed = [(name, kind) for name, _, kind in (column.partition("\t") for column in batch.header)]
    cells = ", ".join(f"{literal(name)}, {_as_json((name, kind))}" for name, kind in typed)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE ingest_values AS SELECT file_index, json_object({cells}) AS record "
        "FROM read_parquet($paths, hive_partitioning = false)",
        {"paths": batch.paths},
    )
    _keep_rows(con, batch)


def _keep_rows(con: duckdb.DuckDBPyConnection, batch: readers.Batch) -> None:
    con.execute(
        f"INSERT INTO ingest_records SELECT {readers.FILE_NO}, NULL, {_PLACE}, record FROM ingest_values",
        {"numbers": batch.numbers},
    )
    con.execute("DROP TABLE ingest_values")


def _original_names(header: Sequence[str]) -> dict[str, int]:
    names: dict[str, int] = {}
    for position, name in enumerate(header):
        names.setdefault(name.removesuffix(" [UTC]"), position)
    return names


def _as_json(column: tuple[str, str]) -> str:
    return quoted(column[0]) if not column[1].startswith("TIMESTAMP") else readers.as_text(column)
