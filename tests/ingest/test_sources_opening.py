"""Opening files, folders, stdin, compressed files and archives, mixed, also with malicious names."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import zipfile
from pathlib import Path

import pytest

from rightsize.ingest.files import sources
from rightsize.ingest.pipeline import normalised_events
from rightsize.model.errors import InputError
from tests.ingest.parsing import events_of, staged
from tests.ingest.renderings import SHAPES, Call

LINES = SHAPES["diagnostic-lines"]


def archive(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members:
            packed.writestr(name, content)
    return out.getvalue()


def paths_in(report: object) -> list[str]:
    return [file.path for file in report.files]  # type: ignore[attr-defined]


@pytest.mark.slow
def test_files_folders_archives_and_stdin_in_one_call(tmp_path: Path) -> None:
    """Whatever is given is read, each file once."""
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "folder" / "deep" / "one").write_bytes(LINES([Call(1)]))
    (tmp_path / "folder" / "two.gz").write_bytes(gzip.compress(LINES([Call(2)])))
    (tmp_path / "three.zip").write_bytes(
        archive(("x/three", LINES([Call(3)])), ("four.gz", gzip.compress(LINES([Call(4)]))))
    )
    given = [str(tmp_path / "folder"), str(tmp_path / "folder" / "two.gz"), str(tmp_path / "three.zip"), "-"]
    report, chunks = normalised_events(given, stdin=io.BytesIO(gzip.compress(LINES([Call(5)]))))
    assert len([event for chunk in chunks for event in chunk]) == 5
    assert len(report.files) == 5
    assert [file.read for file in report.files] == [1] * 5


@pytest.mark.nightly
def test_compression_is_told_by_content(tmp_path: Path) -> None:
    """A name that lies about it does no harm."""
    (tmp_path / "plain.gz").write_bytes(LINES([Call(1)]))
    (tmp_path / "packed.json").write_bytes(gzip.compress(LINES([Call(2)])) + gzip.compress(LINES([Call(3)])))
    assert len(events_of(tmp_path / "plain.gz", tmp_path / "packed.json")) == 3


@pytest.mark.nightly
def test_hidden_files_of_folders_are_skipped(tmp_path: Path) -> None:
    """What an operating system leaves behind is no export; a hidden file that is named is read."""
    (tmp_path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x").write_bytes(LINES([Call(1)]))
    (tmp_path / ".named").write_bytes(LINES([Call(2)]))
    (tmp_path / "seen").write_bytes(LINES([Call(3)]))
    _, report = staged(tmp_path)
    assert paths_in(report) == [str(tmp_path / "seen")]
    assert len(events_of(tmp_path / ".named")) == 1


@pytest.mark.slow
def test_the_folders_of_a_diagnostic_export_do_not_speak_for_its_records(tmp_path: Path) -> None:
    """`resourceId=` in a folder's name is not the record's resource, though engines read it so."""
    folder = tmp_path / "insights-activity-logs" / "resourceId=" / "SUBSCRIPTIONS" / "X" / "y=2020" / "m=01" / "d=01"
    folder.mkdir(parents=True)
    call = Call(1)
    (folder / "PT1H.json").write_bytes(LINES([call]))
    (event,) = events_of(tmp_path)
    assert event["scope"] == call.resource


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize(
    "name", ["a*.json", "a?.json", "[ab].json", "{a,b}.json", "s3:", "it's.json", 'a"b.json', "a\nb.json"]
)
def test_names_are_no_patterns(name: str, tmp_path: Path) -> None:
    """A file is read for itself, not for what its name matches."""
    (tmp_path / "ab.json").write_bytes(LINES([Call(1), Call(2)]))
    (tmp_path / name).write_bytes(LINES([Call(3)]))
    assert [event["correlation_id"] for event in events_of(tmp_path / name)] == [Call(3).correlation]


@pytest.mark.slow
def test_a_name_that_is_no_text_is_read(tmp_path: Path) -> None:
    """File names are bytes; DuckDB wants text."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))
    path.write_bytes(LINES([Call(1)]))
    assert len(events_of(path)) == 1


@pytest.mark.slow
def test_members_of_archives_never_choose_where_they_go(tmp_path: Path) -> None:
    """Absolute names and names that climb are names, nothing more."""
    evil = tmp_path / "evil.json"
    path = tmp_path / "x.zip"
    path.write_bytes(
        archive(("../evil.json", LINES([Call(1)])), (str(evil), LINES([Call(2)])), ("a", b"nothing known"))
    )
    _, report = staged(path)
    assert not evil.exists()
    assert sorted((file.source, file.read) for file in report.files) == [
        ("activity_log", 1),
        ("activity_log", 1),
        ("unknown", 0),
    ]


@pytest.mark.slow
def test_an_archive_that_would_fill_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What unpacks to hundreds of times its size is made for that."""
    monkeypatch.setattr(sources, "UNPACKED_AT_LEAST", 1 << 20)
    path = tmp_path / "bomb.zip"
    path.write_bytes(archive(("x", b"\0" * (8 << 20))))
    with pytest.raises(InputError, match="would unpack to 8,388,608 bytes"):
        events_of(path)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "content", "encrypted"])
def test_a_damaged_archive_is_an_error(damage: str, tmp_path: Path) -> None:
    """A checksum that fails, a directory that is gone, a member that needs a password."""
    content = bytearray(archive(("x.json", LINES([Call(1)]))))
    if damage == "cut":
        content = content[:-30]
    elif damage == "content":
        content[60] ^= 0xFF
    else:
        content[6] |= 1
        content[content.rindex(b"PK\1\2") + 8] |= 1
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.zip"):
        events_of(path)


@pytest.mark.slow
def test_archives_within_archives_end_somewhere(tmp_path: Path) -> None:
    """One within another is read, a deeper one refused."""
    inner = archive(("x", LINES([Call(1)])))
    (tmp_path / "two.zip").write_bytes(archive(("in.zip", inner)))
    assert len(events_of(tmp_path / "two.zip")) == 1
    (tmp_path / "three.zip").write_bytes(archive(("out.zip", archive(("in.zip", inner)))))
    with pytest.raises(InputError, match="nested too deeply"):
        events_of(tmp_path / "three.zip")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nothing-here", "nul\0byte"])
def test_a_path_that_cannot_be_opened_is_an_error(name: str, tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(InputError, match=r"does not exist|cannot be read"):
        events_of(tmp_path / name)


@pytest.mark.slow
def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    """Process substitution gives a pipe, which can be read only once."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    if (writer := os.fork()) == 0:
        with path.open("wb") as pipe:
            pipe.write(LINES([Call(1), Call(2)]))
        os._exit(0)
    assert len(events_of(path)) == 2
    os.waitpid(writer, 0)


@pytest.mark.slow
def test_files_are_known_by_the_hash_of_their_bytes(tmp_path: Path) -> None:
    """As stored, so compressed where they are compressed; a member's are its own."""
    packed = gzip.compress(LINES([Call(1)]))
    wide = json.dumps([]).encode("utf-16")
    (tmp_path / "a.gz").write_bytes(packed)
    (tmp_path / "b.zip").write_bytes(archive(("m", LINES([Call(2)]))))
    (tmp_path / "c").write_bytes(wide)
    con, _ = staged(tmp_path)
    found = dict(con.execute("SELECT parse_filename(path), sha256 FROM stage_files").fetchall())
    expected = {"a.gz": packed, "b.zip:m": LINES([Call(2)]), "c": wide}
    assert found == {name: hashlib.sha256(content).hexdigest() for name, content in expected.items()}


@pytest.mark.slow
def test_an_empty_folder_gives_nothing(tmp_path: Path) -> None:
    """No file, no error."""
    _, report = staged(tmp_path)
    assert report.files == ()


def test_links_in_a_folder_are_left_out_and_named(tmp_path: Path) -> None:
    """They may lead anywhere; what a person names is read through a link."""
    folder = tmp_path / "exports"
    folder.mkdir()
    (tmp_path / "secret.json").write_text("{}")
    (folder / "a.json").write_text("{}")
    (folder / "b.json").symlink_to(tmp_path / "secret.json")
    (folder / "zero.json").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.json")
    assert [path.name for path in sources.files_in(folder)] == ["a.json"]
    assert [path.name for path in sources.links_in(folder)] == ["b.json", "zero.json"]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    assert [one.name for one in sources.open_sources([folder / "b.json"], sources.Scratch(scratch))] == [
        str(folder / "b.json")
    ]
