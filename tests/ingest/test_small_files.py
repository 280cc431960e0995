"""Many small files of lines are read as one, and each is reported as if it were read alone."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from rightsize.ingest.files import copies
from rightsize.ingest.files.copies import Copies, Digests
from rightsize.ingest.files.readers import Batch
from rightsize.ingest.files.sources import Scratch, SourceFile
from rightsize.ingest.pipeline import stage
from rightsize.model.errors import InputError
from rightsize.store.merging.staging import create_staging
from tests.ingest.parsing import FILLED, staged, told
from tests.ingest.renderings import SHAPES, Call, diagnostic


def lines_of(*numbers: int) -> list[bytes]:
    """Return records of calls as lines without ends."""
    return SHAPES["diagnostic-lines"]([Call(number) for number in numbers]).splitlines()


def sign_in(number: int) -> bytes:
    record = {
        "time": "2026-01-02T03:04:05Z",
        "category": "SignInLogs",
        "operationName": "Sign-in activity",
        "resourceId": "/tenants/t/providers/Microsoft.aadiam",
        "properties": {
            "id": f"s{number}",
            "createdDateTime": "2026-01-02T03:04:05Z",
            "userId": f"{number:08x}-0000-4000-8000-000000000000",
            "appId": "c44b4083-3bb0-49c1-b47d-974e53cbdf3c",
            "status": {"errorCode": 0},
        },
    }
    return json.dumps(record).encode()


def contents(*, damaged: bool) -> list[bytes]:
    """Return files of lines that are written and packed in every way that comes to mind, or damaged in every way."""
    first, second, third = lines_of(1, 2, 3)
    record = diagnostic(Call(9))
    told = json.dumps(record).encode()
    braces = json.dumps({**record, "description": 'says "\n{" and }\n{'}).encode()
    capitals = json.dumps({key.upper(): value for key, value in record.items()}).encode()
    twice = told[:-1] + b', "category": "Write"}'
    health = json.dumps({**record, "category": "ServiceHealth"}).encode()
    within = json.dumps({**record, "identity": json.dumps(record["identity"])}).encode()
    whole = b"\n".join([first, second, third])
    if damaged:
        return [
            first + b"\n{}\n" + second,
            first + b"\n{ }\n" + second,
            first + second,
            first + b"\n" + second[: len(second) // 2],
            first + b"\n" + second[: len(second) // 2] + b"\n" + third,
            first + b"\n" + b"\xff" + second,
            first + b"\n\0\n" + third,
            first + b"\nnull\n5\n[1]\n" + third,
            twice + b"\n" + first,
        ]
    return [
        whole,
        whole + b"\n",
        whole + b"\n\n\n",
        b"\n \n" + first + b"\n\n" + second,
        whole.replace(b"\n", b"\r\n") + b"\r\n",
        codecs.BOM_UTF8 + whole,
        b"  " + first + b"\n\t" + second,
        braces + b"\n" + third,
        capitals + b"\n" + first,
        health + b"\n" + first,
        within + b"\n" + first,
        json.dumps({**record, "correlationId": None}).encode() + b"\n" + second,
        json.dumps({**record, "time": "yesterday"}).encode() + b"\n" + second,
        sign_in(1) + b"\n" + first + b"\n" + sign_in(2),
        sign_in(3),
        codecs.BOM_UTF8 + first + b"\n" + sign_in(4),
        gzip.compress(whole),
        gzip.compress(first) + gzip.compress(b"\n" + second),
        gzip.compress(codecs.BOM_UTF8 + first + b"\n" + capitals),
    ]


@pytest.fixture(scope="module")
def told_alone() -> dict[bytes, dict[str, list[Any]]]:
    """What is said of a file that is staged by itself, by its content; each test adds what it meets first."""
    return {}


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize(("seed", "damaged"), [(1, False), (2, False), (3, True), (4, True)])
def test_what_is_said_of_a_file_does_not_depend_on_its_neighbours(
    seed: int, damaged: bool, told_alone: dict[bytes, dict[str, list[Any]]], tmp_path: Path
) -> None:
    """Rows, rejects with their lines, and counts are those of each file by itself, however the others are written."""
    files = contents(damaged=False) * 2 + [lines_of(n)[0] for n in range(20, 32)]
    files += contents(damaged=True) if damaged else []
    files.sort(key=lambda content: hashlib.sha256(content + bytes([seed])).digest())
    for number, content in enumerate(files):
        (tmp_path / f"{number:03d}").write_bytes(content)
    paths = sorted(tmp_path.iterdir())
    together, _ = staged(tmp_path)
    alone: dict[str, list[Any]] = {table: [] for table in FILLED}
    for path in paths:
        content = path.read_bytes()
        if content not in told_alone:
            told_alone[content] = told(staged(path)[0], {0: ""})
        for table, rows in told_alone[content].items():
            alone[table] += [(path.name, *row[1:]) for row in rows]
    names = {number: path.name for number, path in enumerate(paths)}
    assert told(together, names) == {table: sorted(rows) for table, rows in alone.items()}
    assert alone["stage_sign_in_rows"]
    assert len(alone["stage_rejects"]) >= (10 if damaged else 2)


def small(folder: Path, *contents: bytes) -> Batch:
    """Return a batch of plain files."""
    files = []
    for number, content in enumerate(contents):
        path = folder / f"{number}.json"
        path.write_bytes(content)
        files.append(SourceFile(number + 7, path.name, path, path, "none", "none", True, len(content)))
    return Batch("lines", "none", tuple(files))


def together(batch: Batch, folder: Path) -> Iterator[Batch]:
    """Yield what is read in place of a batch."""
    with Digests() as digests, Copies(Scratch(folder), digests).of(batch) as parts:
        yield from parts


def test_each_record_has_the_number_of_its_file(tmp_path: Path) -> None:
    """They stand in the order of the files, one a line, and the copy is gone afterwards."""
    batch = small(tmp_path, b'{"a":1}\n{"a":2}', b'\xef\xbb\xbf{"a":3}\r\n', b'{"a":4}\n\n')
    for part in together(batch, tmp_path):
        ((path, _),) = part.copies
        rows = [json.loads(line) for line in path.read_bytes().splitlines() if line]
        assert [(row[part.mark], row["a"]) for row in rows] == [(7, 1), (7, 2), (8, 3), (9, 4)]
    assert not path.exists()


def test_nobody_knows_the_key_beforehand(tmp_path: Path) -> None:
    """A record could else give itself to another file."""
    batch = small(tmp_path, b'{"a":1}', b'{"a":2}')
    assert len({part.mark for _ in range(3) for part in together(batch, tmp_path)}) == 3


def test_large_files_are_read_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is one alone."""
    batch = small(tmp_path, b'{"a":1}', b'{"a":2}')
    assert list(together(batch.only(batch.files[:1]), tmp_path)) == [batch.only(batch.files[:1])]
    monkeypatch.setattr(copies, "SMALL_BYTES", 5)
    assert list(together(batch, tmp_path)) == [batch]


@pytest.mark.slow
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_without_room_files_are_read_by_themselves(
    pack: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So are packed ones that are longer than any log; all of their records and digests are there."""
    logs = tmp_path / "logs"
    logs.mkdir()
    for number in range(3):
        (logs / f"{number}").write_bytes(pack(b"\n".join(lines_of(number, number + 10))))
    con, _ = staged(logs)
    expected = told(con, dict.fromkeys(range(3), "file"))
    with monkeypatch.context() as patch:
        patch.setattr(copies, "MOST_JOINED", 5)
        con, _ = staged(logs)
        assert told(con, dict.fromkeys(range(3), "file")) == expected
    nowhere = Scratch(tmp_path / "nowhere")
    joined = copies.joined
    monkeypatch.setattr(copies, "joined", lambda batch, _, digests: joined(batch, nowhere, digests))
    con, _ = staged(logs)
    assert told(con, dict.fromkeys(range(3), "file")) == expected
    assert len(expected["stage_event_rows"]) == 6


@pytest.mark.slow
def test_a_damaged_file_among_many_is_named(tmp_path: Path) -> None:
    """The error speaks of the file, not of the copy."""
    for number in range(3):
        (tmp_path / f"{number}.gz").write_bytes(gzip.compress(lines_of(number)[0]))
    whole = (tmp_path / "1.gz").read_bytes()
    (tmp_path / "1.gz").write_bytes(whole[:-8] + b"\0\0\0\0" + whole[-4:])
    con = duckdb.connect()
    create_staging(con)
    with pytest.raises(InputError, match=r"`.*1\.gz` is a damaged gzip file"):
        stage(con, [tmp_path])
