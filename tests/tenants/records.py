"""Read a folder of exports with only the standard library, for the oracle of generated tenants."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """What one record of the Activity Log says, whatever its shape."""

    path: str
    time: str
    category: str
    principal_id: str
    caller: str
    operation: str
    scope: str
    status: str
    correlation_id: str
    evidence: dict[str, str]


_OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files that a file holds: itself, unpacked, or the members of a zip archive."""
    content = path.read_bytes()
    if path.suffix == ".zip":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield name, archive.read(name)
    elif path.suffix == ".gz":
        yield path.name.removesuffix(".gz"), gzip.decompress(content)
    else:
        yield path.name, content


def records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a file in any of the forms that the demo writes; broken lines are left out."""
    for name, content in members(path):
        text = content.decode("utf-8-sig")
        if name.endswith(".csv"):
            yield from csv.DictReader(io.StringIO(text, newline=""))
        else:
            for document in _documents(text):
                yield from _records_of(document)


def activity(exports: Path) -> Iterator[Row]:
    """Yield every record of the Activity Log."""
    for path in sorted((exports / "activity").rglob("*")):
        if path.is_file():
            for record in records(path):
                yield _row(str(path.relative_to(exports)), record)


def storage(exports: Path) -> Iterator[dict[str, Any]]:
    """Yield every record of the storage logs."""
    for path in sorted((exports / "storage").iterdir()):
        yield from records(path)


def requests(exports: Path) -> Iterator[str]:
    """Yield the text of every record of the logs of requests, in small letters, whatever its shape."""
    for path in sorted((exports / "requests").iterdir()):
        text = path.read_text(encoding="utf-8-sig").lower()
        for line in text.splitlines():
            document = json.loads(line) if line.startswith("{") else line
            if isinstance(document, str):
                yield document
            elif "records" in document:
                yield from (json.dumps(record) for record in document["records"])
            elif "tables" in document:
                yield from (json.dumps(row) for table in document["tables"] for row in table["rows"])
            else:
                yield json.dumps(document)


def _documents(text: str) -> Iterator[Any]:
    try:
        yield json.loads(text)
        return
    except ValueError:
        pass
    for line in text.split("\n"):
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _records_of(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, list):
        yield from document
    elif isinstance(document, dict) and "tables" in document:
        for table in document["tables"]:
            names = [column["name"] for column in table["columns"]]
            yield from (dict(zip(names, row, strict=True)) for row in table["rows"])
    elif isinstance(document, dict):
        inner = document.get("value", document.get("records", document.get("data")))
        yield from inner if isinstance(inner, list) else [document]


def _row(path: str, record: dict[str, Any]) -> Row:
    if "OperationNameValue" in record:
        authorization = json.loads(record["Authorization_d"]) or {}
        claims = json.loads(record["Claims_d"])
        time, category = record["TimeGenerated [UTC]"], record["CategoryValue"]
        status, correlation, caller = record["ActivityStatusValue"], record["CorrelationId"], record["Caller"]
    elif "eventTimestamp" in record:
        authorization, claims = record["authorization"] or {}, record["claims"]
        time, category, status = record["eventTimestamp"], record["category"]["value"], record["status"]["value"]
        correlation, caller = record["correlationId"], record["caller"] or ""
    else:
        identity = record.get("identity", {})
        authorization, claims = identity.get("authorization") or {}, identity.get("claims", {})
        time, category = record.get("time", ""), record["properties"]["eventCategory"]
        status, correlation, caller = record["resultType"], record["correlationId"], ""
    return Row(
        path, time, category, claims.get(_OBJECT_ID, ""), caller, authorization.get("action", ""),
        authorization.get("scope", ""), status, correlation, authorization.get("evidence", {}),
    )  # fmt: skip
