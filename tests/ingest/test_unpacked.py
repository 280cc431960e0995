"""Packed files of lines are read from unpacked copies, and reported like files that were never packed."""

from __future__ import annotations

import codecs
import gzip
import hashlib
from pathlib import Path
from typing import IO

import pytest

from rightsize.ingest.files import copies as joining
from rightsize.ingest.files import copies as unpacking
from rightsize.ingest.files.copies import Copies, Digests
from rightsize.ingest.files.readers import Batch
from rightsize.ingest.files.sources import Scratch, SourceFile
from rightsize.ingest.pipeline import stage
from rightsize.model.errors import InputError
from tests.ingest.parsing import staged, told
from tests.ingest.renderings import SHAPES, Call


@pytest.fixture(params=[5_000, 1 << 30])
def parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Unpack so many bytes at a time, a chunk of a few hundred at least, and never take a file for small."""
    monkeypatch.setattr(joining, "SMALL_BYTES", 1)
    monkeypatch.setattr("rightsize.ingest.files.encoding.PLAIN_CHUNK", 700)
    monkeypatch.setattr(unpacking, "FIRST_PART_BYTES", request.param)
    monkeypatch.setattr(unpacking, "LONGEST_PART_BYTES", 2 * request.param)
    most: int = request.param
    return most


def lines_of(*numbers: int) -> bytes:
    return SHAPES["diagnostic-lines"]([Call(number) for number in numbers])


def packed(folder: Path, *contents: bytes) -> Batch:
    """Return a batch of packed files."""
    files = []
    for number, content in enumerate(contents):
        path = folder / f"{number}.gz"
        path.write_bytes(gzip.compress(content))
        files.append(SourceFile(number + 7, path.name, path, path, "gzip", "gzip", True, path.stat().st_size))
    return Batch("lines", "gzip", tuple(files))


@pytest.mark.nightly
@pytest.mark.many(1)
def test_a_packed_file_says_what_it_says_unpacked(parts: int, tmp_path: Path) -> None:
    """Rows, rejects with their lines, counts; damaged, odd and foreign lines among them, whatever their ends."""
    record = lines_of(9).strip()
    contents = [
        lines_of(*range(25)),
        b"",
        lines_of(1).strip(),
        codecs.BOM_UTF8 + lines_of(*range(10)),
        lines_of(1, 2, 3).replace(b"\n", b"\r\n") + b"\n\n",
        b"\n".join([record, b"{}", record.replace(b'"category"', b'"CATEGORY"'), b"no record", record[:50], record]),
        record[:-1] + b',"more":"' + b"x" * 9_000 + b'"}\n' + record,
        b"\n".join([record] * 20 + [b"\xff" + record, b"\0", b"null"] + [record] * 20),
    ]
    plain, gz = tmp_path / "plain", tmp_path / "gz"
    for folder in (plain, gz):
        folder.mkdir()
    for number, content in enumerate(contents):
        (plain / f"{number}.json").write_bytes(content)
        half = len(content) // 2
        (gz / f"{number}.json").write_bytes(gzip.compress(content[:half]) + gzip.compress(content[half:]))
    names = {number: f"{number}" for number in range(len(contents))}
    found = []
    for folder in (plain, gz):
        whole: dict[str, list[tuple[object, ...]]] = {}
        for path in sorted(folder.iterdir()):
            for table, rows in told(staged(path)[0], names).items():
                whole.setdefault(table, []).extend(rows)
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())]
        files = whole["stage_files"]
        assert [value for row in files for value in row if value in digests] == digests
        whole["stage_files"] = [tuple(value for value in row if value not in digests) for row in files]
        found.append(whole)
    assert found[0] == found[1]
    assert len(found[0]["stage_event_rows"]) > 80
    assert len(found[0]["stage_rejects"]) >= 5


def test_parts_end_where_lines_do_and_are_written_over(parts: int, tmp_path: Path) -> None:
    """In the order of the files; of parts that were read nothing is left, not even at the end of a shorter one."""
    contents = [lines_of(*range(25)), b"", b'{"a":1}', lines_of(*range(5)) + b'{"b":2}']
    batch = packed(tmp_path, *contents)
    seen: dict[int, bytes] = dict.fromkeys(batch.numbers, b"")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    most = 0
    with Digests() as digests, Copies(Scratch(scratch), digests).of(batch) as found:
        for part in found:
            for path, number in part.copies:
                text = path.read_bytes()
                assert not seen[number] or seen[number].endswith(b"\n")
                seen[number] += text
            most = max(most, len(list(scratch.iterdir())))
        assert [digests.of(file) for file in batch.files] == [
            hashlib.sha256(file.path.read_bytes()).hexdigest() for file in batch.files
        ]
    assert list(seen.values()) == contents
    assert not list(scratch.iterdir())
    assert most <= 2 * len(contents)


@pytest.mark.slow
def test_nothing_is_left_where_reading_ends_early(parts: int, tmp_path: Path) -> None:
    """Parts that were unpacked ahead go, too."""
    batch = packed(tmp_path, lines_of(*range(25)), lines_of(*range(60)))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with Digests() as digests, Copies(Scratch(scratch), digests).of(batch) as found:
        next(found)
        assert list(scratch.iterdir())
    assert not list(scratch.iterdir())


@pytest.mark.nightly
@pytest.mark.many(3)
@pytest.mark.parametrize("damage", ["checksum", "cut", "followed"])
def test_a_damaged_file_is_named(damage: str, parts: int, tmp_path: Path) -> None:
    """Also where all of its lines could be read, and those before it were."""
    whole = gzip.compress(lines_of(*range(25)))
    bad = {"checksum": whole[:-8] + b"\0\0\0\0" + whole[-4:], "cut": whole[:-4], "followed": whole + b"more"}[damage]
    good, path = tmp_path / "a.json.gz", tmp_path / "b.json.gz"
    good.write_bytes(gzip.compress(lines_of(*range(25)) * 4))
    path.write_bytes(bad)
    with pytest.raises(InputError, match=r"`.*b\.json\.gz` is a (damaged gzip|gzip file that was cut)"):
        staged(good, path)


@pytest.mark.nightly
def test_without_room_the_file_is_read_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the room ends after some parts were read: no record is lost or read twice."""
    path = tmp_path / "logs.json.gz"
    path.write_bytes(gzip.compress(lines_of(*range(25))))
    expected = told(staged(path)[0], {0: "file"})
    monkeypatch.setattr("rightsize.ingest.files.encoding.PLAIN_CHUNK", 700)
    monkeypatch.setattr(unpacking, "FIRST_PART_BYTES", 5_000)
    made: list[Path] = []
    real = unpacking.Unpacker.new_copy

    def full(self: unpacking.Unpacker) -> tuple[Path, IO[bytes]]:
        if len(made) == 2:
            raise OSError(28, "No space left on device")
        path, copy = real(self)
        made.append(path)
        return path, copy

    monkeypatch.setattr(unpacking.Unpacker, "new_copy", full)
    assert told(staged(path)[0], {0: "file"}) == expected
    assert len(made) == 2
    assert not any(path.exists() for path in made)


@pytest.mark.slow
def test_who_watches_is_told_of_bytes_as_they_are_stored(tmp_path: Path) -> None:
    """What is done never goes back, and ends with all."""
    path = tmp_path / "logs.json.gz"
    path.write_bytes(gzip.compress(lines_of(*range(600))))
    seen: list[int] = []
    con, _ = staged(path)
    stage(con, [path], watch=lambda done, _: seen.append(done))
    assert seen == sorted(seen)
    assert seen[-1] == path.stat().st_size
