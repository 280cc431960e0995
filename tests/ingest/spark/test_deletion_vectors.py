"""A Delta path is read by its file list only if no file has deleted rows."""

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


def table_with(folder: Path, deleted: list[int]) -> str:
    """Write a table of ten rows whose second version may delete some by a vector; return its address."""
    deltalake.write_deltalake(str(folder), pa.table({"n": list(range(10))}))
    log = folder / "_delta_log"
    first = [json.loads(line) for line in (log / f"{0:020}.json").read_text().splitlines()]
    add = next(one["add"] for one in first if "add" in one)
    meta = next(one["metaData"] for one in first if "metaData" in one)
    features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    lines: list[dict[str, Any]] = [
        {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}},
        {"metaData": {**meta, "configuration": {"delta.enableDeletionVectors": "true"}}},
    ]
    if deleted:
        lines.append({"remove": {"path": add["path"], "deletionTimestamp": 1, "dataChange": True}})
        lines.append({"add": {**add, "deletionVector": _vector(deleted), "stats": json.dumps({"numRecords": 10})}})
    (log / f"{1:020}.json").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return str(folder)


def test_a_table_that_may_have_vectors_and_has_none_is_read(tmp_path: Path) -> None:
    """It is the default of new tables, and rows of logs are not deleted."""
    assert len(delta_files(table_with(tmp_path / "t", []))) == 1


def test_a_table_with_deleted_rows_is_refused_by_its_path(tmp_path: Path) -> None:
    """The vector is a good one: a reader that knows it leaves the rows out."""
    address = table_with(tmp_path / "t", [3, 4, 7])
    query = deltalake.QueryBuilder().register("t", deltalake.DeltaTable(address)).execute("SELECT n FROM t ORDER BY n")
    assert query.read_all().column("n").to_pylist() == [0, 1, 2, 5, 6, 8, 9]
    with pytest.raises(InputError, match="deletion vectors"):
        delta_files(address)
