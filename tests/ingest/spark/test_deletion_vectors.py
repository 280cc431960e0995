"""A Delta path is read by the files of its newest version, without the rows that deletion vectors delete."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

pytest.importorskip("deltalake", reason="needs the extra `spark`")
pytest.importorskip("pyspark", reason="needs the extra `spark`")

import deltalake

from rightsize.ingest.spark.session import delta_files
from rightsize.model.errors import InputError

_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def _z85(content: bytes) -> str:
    """Return bytes in the base 85 of Delta's protocol; four bytes become five letters."""
    text = ""
    for (number,) in struct.iter_unpack(">I", content + b"\0" * (-len(content) % 4)):
        text += "".join(_LETTERS[number // 85**place % 85] for place in range(4, -1, -1))
    return text


def _vector(rows: list[int]) -> dict[str, Any]:
    """Return an inline deletion vector: a roaring bitmap of one container, as the protocol writes it."""
    bitmap = struct.pack("<IIHHI", 12346, 1, 0, len(rows) - 1, 16) + struct.pack(f"<{len(rows)}H", *rows)
    content = struct.pack("<iqI", 1681511377, 1, 0) + bitmap
    size = len(content)
    return {"storageType": "i", "pathOrInlineDv": _z85(content), "sizeInBytes": size, "cardinality": len(rows)}


def delete_rows(folder: Path, deleted: list[int]) -> None:
    """Add a version to a table of one file that may have vectors, and deletes rows of the file by one."""
    log = folder / "_delta_log"
    versions = sorted(log.glob("*.json"))
    written = [json.loads(line) for path in versions for line in path.read_text().splitlines()]
    add = next(one["add"] for one in reversed(written) if "add" in one)
    meta = next(one["metaData"] for one in reversed(written) if "metaData" in one)
    features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    lines: list[dict[str, Any]] = [
        {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}},
        {"metaData": {**meta, "configuration": {"delta.enableDeletionVectors": "true"}}},
    ]
    if deleted:
        lines.append({"remove": {"path": add["path"], "deletionTimestamp": 1, "dataChange": True}})
        stats = json.dumps({"numRecords": json.loads(add["stats"])["numRecords"]})
        lines.append({"add": {**add, "deletionVector": _vector(deleted), "stats": stats}})
    (log / f"{len(versions):020}.json").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def table_with(folder: Path, deleted: list[int]) -> str:
    """Write a table of ten rows whose second version may delete some by a vector; return its address."""
    deltalake.write_deltalake(str(folder), pa.table({"n": list(range(10))}))
    delete_rows(folder, deleted)
    return str(folder)


def test_a_table_that_may_have_vectors_and_has_none_has_no_deleted_rows(tmp_path: Path) -> None:
    """It is the default of new tables, and rows of logs are seldom deleted."""
    files, _, deleted = delta_files(table_with(tmp_path / "t", []))
    assert (len(files), deleted) == (1, None)


def test_deleted_rows_are_known_by_their_place(tmp_path: Path) -> None:
    """They are those that a reader of the whole table leaves out."""
    address = table_with(tmp_path / "a b", [3, 4, 7])
    query = deltalake.QueryBuilder().register("t", deltalake.DeltaTable(address)).execute("SELECT n FROM t ORDER BY n")
    assert query.read_all().column("n").to_pylist() == [0, 1, 2, 5, 6, 8, 9]
    (file,), _, deleted = delta_files(address)
    assert Path(file.removeprefix("file://")).is_file()
    assert deleted is not None
    assert deleted["row"].to_list() == [3, 4, 7]


def test_a_table_whose_files_name_columns_otherwise_is_refused(tmp_path: Path) -> None:
    """A mapped column would be read as another one, or as none."""
    address = table_with(tmp_path / "t", [])
    log = tmp_path / "t" / "_delta_log" / f"{1:020}.json"
    mapped = log.read_text().replace('"metadata\\":{}', '"metadata\\":{\\"delta.columnMapping.physicalName\\":\\"c\\"}')
    log.write_text(mapped)
    assert "physicalName" in mapped
    with pytest.raises(InputError, match="name columns otherwise"):
        delta_files(address)
