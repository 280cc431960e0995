"""Files are recognised by content, and unrecognised files get a clear message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rightsize.ingest.files.sniff import sniff
from rightsize.model.errors import InputError
from tests.ingest.parsing import events_of, staged
from tests.ingest.renderings import SHAPES, Call, rest

EMPTY_RESULT = b'{"tables":[{"name":"PrimaryResult","columns":[{"name":"TimeGenerated","type":"datetime"}],"rows":[]}]}'


@pytest.mark.many(3)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"name": "x", "n": 1}', "`name`, `n`"),
        (b"a,b\n1,2\n", "its columns are a, b"),
        (b"hello world", "it begins with 'hello world'"),
        (b"\x7fELF\0\0", "it begins with"),
        (b"[1, 2]", "it begins with"),
        (b"<html>", "it begins with '<html>'"),
    ],
)
def test_a_named_file_of_unknown_content_is_an_error(content: bytes, said: str, tmp_path: Path) -> None:
    """It says what it looks like, and the hint what was expected."""
    path = tmp_path / "activity_log.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot recognise") as caught:
        events_of(path)
    assert said in caught.value.message
    assert len(caught.value.message) < 700
    assert "Activity Log" in str(caught.value.hint)


@pytest.mark.slow
def test_unknown_files_of_a_folder_are_listed(tmp_path: Path) -> None:
    """A folder holds what it holds."""
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "log").write_bytes(SHAPES["rest-lines"]([Call(1)]))
    _, report = staged(tmp_path)
    assert [(Path(file.path).name, file.source, file.read) for file in report.files] == [
        ("log", "activity_log", 1),
        ("readme.txt", "unknown", 0),
    ]


@pytest.mark.slow
@pytest.mark.many(4)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n \n",
        b"[]",
        b'{"value": []}',
        b'{"records":[]}',
        b'{"value":[]}\n{"value":[]}',
        b"\xef\xbb\xbf[]",
        EMPTY_RESULT,
    ],
)
def test_what_is_empty_is_no_error(content: bytes, tmp_path: Path) -> None:
    """Nothing happened in that hour."""
    path = tmp_path / "x"
    path.write_bytes(content)
    _, report = staged(path)
    assert [(file.source, file.read) for file in report.files] == [("empty", 0)]


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize("content", [b"[] x", b'{"value":[}', b'{"value":' + b"[" * 100_000, b"[" * 100_000, b"[,]"])
def test_what_cannot_be_read_is_not_empty(content: bytes, tmp_path: Path) -> None:
    """Damage must not pass for an hour without events."""
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(InputError):
        events_of(path)


@pytest.mark.slow
def test_an_empty_first_page_does_not_hide_the_second(tmp_path: Path) -> None:
    """Pages stand one behind the other, with or without a line between them."""
    path = tmp_path / "x"
    path.write_bytes(b'{"value": []}' + SHAPES["rest-pages"]([Call(1)]) + b"\n[]\n" + SHAPES["az-list"]([Call(2)]))
    assert len(events_of(path)) == 2


@pytest.mark.nightly
def test_a_first_record_beyond_the_first_look_is_found(tmp_path: Path) -> None:
    """Claims can be long: a user in hundreds of groups."""
    record = rest(Call(1))
    record = {"claims": record["claims"] | {"groups": "g" * 300_000}} | {
        k: v for k, v in record.items() if k != "claims"
    }
    for number, text in enumerate(
        [json.dumps(record), json.dumps({"value": [record]}), json.dumps([record], indent=1)]
    ):
        path = tmp_path / str(number)
        path.write_text(text)
        assert len(events_of(path)) == 1


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('{"a":1}\n{"a":2}\n', "lines"),
        ('{"a":1}', "lines"),
        ('{"a":1', "documents"),
        ('{"a":\n1}', "documents"),
        ('{"a":1}{"a":2}', "documents"),
        ('{bad\n{"a":2}\n{"a":3}', "lines"),
        ('[{"a":1}]', "array"),
        ('[{"a":1},{"a"', "array"),
        ('[{"value":[{"a":1}]}]', "documents"),
        ('[{"a":1}][{"a":1}]', "documents"),
        ("[]", "empty"),
        ("a,b\n1,2", "csv"),
        ("a;b\n1;2", "csv"),
        ("a\tb", "csv"),
        ("hello", "other"),
        ("PAR1", "parquet"),
    ],
)
def test_the_form_is_told_by_the_head(text: str, form: str) -> None:
    """One look tells lines, arrays, documents and tables apart."""
    assert sniff(text.encode()).form == form


@pytest.mark.slow
def test_times_of_the_portal_in_a_local_zone_are_refused(tmp_path: Path) -> None:
    """A local time says no instant: guessing it would move events over day borders."""
    text = SHAPES["portal-csv"]([Call(1)]).replace(b"[UTC]", b"[Europe/Berlin]")
    path = tmp_path / "x.csv"
    path.write_bytes(text)
    with pytest.raises(InputError, match="local time"):
        events_of(path)


@pytest.mark.nightly
@pytest.mark.parametrize("count", [1, 3])
def test_every_real_log_is_recognised(count: int, shared_data: Path) -> None:
    """Real exports, each alone and all together, give a count for every record."""
    logs = sorted((shared_data / "logs").iterdir())
    _, report = staged(*logs[:: 4 - count])
    assert "unknown" not in {file.source for file in report.files}
    assert sum(file.read for file in report.files) > 0
    for path in logs[:: 4 - count]:
        records = sum(1 for line in path.read_text().splitlines() if line.strip())
        assert sum(file.read for file in report.files if file.path == str(path)) == records
