"""Broken or malicious input: a clear error or counted rejects, never a crash, never silent loss."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rightsize.model.errors import InputError
from tests.examples import FEW
from tests.ingest.parsing import events_of, rejects_of, staged
from tests.ingest.renderings import SHAPES, Call, diagnostic

CALLS = [Call(number) for number in range(4)]
LINES = SHAPES["diagnostic-lines"](CALLS)
FIRST, SECOND, *_ = LINES.splitlines()
PACKED = gzip.compress(LINES, mtime=0)


@pytest.mark.many(6)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (PACKED[:-20], "cut short"),
        (PACKED[:-4], "cut short"),
        (PACKED[:10], "cut short"),
        (PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], "incorrect data check"),
        (PACKED[:-4] + b"\0\0\0\0", "incorrect length check"),
        (PACKED + b"garbage", "damaged gzip"),
        (SHAPES["az-list"](CALLS)[:-30], "unexpected end of data"),
        (SHAPES["az-list"](CALLS) + b" junk", "damaged"),
        (SHAPES["event-hub"](CALLS)[:-30], "unexpected end of data"),
        (SHAPES["table-result"](CALLS)[:-20], "unexpected end of data"),
        (SHAPES["table-parquet"](CALLS)[:-30], "damaged"),
        (b"PAR1", "damaged"),
        (SHAPES["utf-16"](CALLS)[:-1], "UTF-16"),
        (LINES.decode().encode("utf-32"), "UTF-32"),
        (b"\0" * 1000, "cannot recognise"),
    ],
)
def test_damage_beyond_single_records_is_a_clear_error(content: bytes, said: str, tmp_path: Path) -> None:
    """A file that cannot be read to its end gives nothing, and says why."""
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        events_of(path)


@pytest.mark.slow
def test_zeros_after_a_gzip_stream_are_padding(tmp_path: Path) -> None:
    """The tool itself takes them for the end."""
    path = tmp_path / "x"
    path.write_bytes(PACKED + b"\0" * 512)
    assert len(events_of(path)) == len(CALLS)


BROKEN: list[tuple[bytes, str]] = [
    (SECOND[:-30], "it is not valid JSON"),
    (SECOND.replace(b"global", b"glo\0bal"), "it is not valid JSON"),
    (SECOND.replace(b"global", b"glo\xffbal"), "it is not valid JSON"),
    (SECOND.replace(b"global", b"glo\2bal"), "it is not valid JSON"),
    (SECOND.replace(b"global", b"\\ud800"), "it is not valid JSON"),
    (b'{"time":"' + b"x" * 20_000_000 + b'"}', "it is longer than 16 MiB"),
    (b"hello", "it is not valid JSON"),
    (b"5", "it is not a JSON object"),
    (b'["a"]', "it is not a JSON object"),
    (b"null", "it is not a JSON object"),
    (b"{}", "it is not a record of a known log"),
    (SECOND[:-1] + b',"time":"2025-01-01T00:00:00Z"}', "it names a key twice"),
    (b'{"time":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "it is not a record of a known log"),
    (json.dumps(diagnostic(Call(1)) | {"time": 5}).encode(), "its time cannot be read"),
    (json.dumps(diagnostic(Call(1)) | {"time": ["2025-01-01"]}).encode(), "its time cannot be read"),
    (
        json.dumps(diagnostic(Call(1)) | {"identity": 7, "operationName": ["x" * 500]}).encode(),
        "its operation is longer than 500 characters",
    ),
]
Packed = tuple[str, int]
"""How a file is packed, and the number of its line in `BROKEN`."""


@pytest.fixture(scope="module")
def broken_lines(tmp_path_factory: pytest.TempPathFactory) -> dict[Packed, tuple[list[tuple[int, str, str]], int]]:
    """The rejects of files with a broken line among good ones, and the number of their events; all staged at once."""
    folder = tmp_path_factory.mktemp("broken")
    paths: dict[Packed, Path] = {}
    for number, (line, _) in enumerate(BROKEN):
        content = FIRST + b"\n\n" + line + b"\r\n" + LINES.splitlines()[2] + b"\n"
        for how, packed in (("plain", content), ("packed", gzip.compress(content))):
            paths[how, number] = folder / f"{how}-{number}"
            paths[how, number].write_bytes(packed)
    con, _ = staged(*paths.values())
    found = {}
    for key, path in paths.items():
        (file,) = con.execute("SELECT file_id FROM stage_files WHERE path = ?", [str(path)]).fetchone()
        rejects = con.execute("SELECT line, reason, raw FROM stage_rejects WHERE file_id = ?", [file]).fetchall()
        (events,) = con.execute("SELECT count(*) FROM stage_event_rows WHERE file_id = ?", [file]).fetchone()
        found[key] = rejects, events
    return found


@pytest.mark.nightly
@pytest.mark.parametrize(
    "number", range(len(BROKEN)), ids=[f"{line[:20].decode('latin-1')}-{reason}" for line, reason in BROKEN]
)
@pytest.mark.parametrize("how", ["plain", "packed"])
def test_a_broken_line_is_a_reject_among_good_ones(
    broken_lines: dict[Packed, tuple[list[tuple[int, str, str]], int]], how: str, number: int
) -> None:
    """With its line, reason and the beginning of its text; the others are kept."""
    line, reason = BROKEN[number]
    rejects, events = broken_lines[how, number]
    ((place, said, raw),) = rejects
    assert (place, said) == (3, reason)
    assert len(raw) <= 1 << 16
    assert raw.startswith(line[:4].decode())
    assert events == 2


@pytest.mark.nightly
@pytest.mark.many(4)
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b'"level": "Information"', b'"level": ' + b"[" * 100_000 + b"]" * 100_000),
        lambda text: text.replace(b'"level": "Information"', b'"level": 1' + b"0" * 5000),
        lambda text: text.replace(b'"level": "Information"', b'"level": 1e999'),
        lambda text: text.replace(b'"level": "Information"', b'"level": NaN'),
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.replace(b'"appid"', b'"appid": 5, "appid2"'),
        lambda text: text.replace(b'"properties": {', b'"properties": {"a": [[[{}]]], '),
    ],
)
def test_what_is_odd_but_beside_the_point_is_no_loss(change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Fields that nobody reads may hold anything."""
    path = tmp_path / "x"
    path.write_bytes(change(LINES))
    assert len(events_of(path)) == len(CALLS)


@pytest.mark.slow
@pytest.mark.parametrize("before", [0, 1])
def test_an_error_that_quotes_half_a_character_is_survived(before: int, tmp_path: Path) -> None:
    """The reader's message quotes the value that it did not expect, and may cut it within a character."""
    record = diagnostic(Call(1)) | {"properties": "x" * before + "\u00e9" * 60}
    path = tmp_path / "x"
    path.write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    assert len(events_of(path)) == 1


@pytest.mark.nightly
@pytest.mark.many(3)
@pytest.mark.parametrize(
    ("change", "events", "rejected"),
    [
        (lambda text: text + b"only,three,cells\r\n", 4, 1),
        (lambda text: text + b'"open,1,2\r\n', 4, 1),
        (lambda text: text[:-30], 3, 1),
        (lambda text: text.replace(b"Virtuellen", b"Virt\xff", 1), 3, 1),
        (lambda text: text.replace(b"Virtuellen", b"Virt\0", 1), 4, 0),
        (lambda text: text.replace(b"\r\n", b"\n", 3), 4, 0),
    ],
)
def test_faulty_rows_of_a_table_are_rejects(
    change: Callable[[bytes], bytes], events: int, rejected: int, tmp_path: Path
) -> None:
    """Rows with too few cells, open quotes, bytes that are no text."""
    path = tmp_path / "x.csv"
    path.write_bytes(change(SHAPES["table-csv"](CALLS)))
    _, report = staged(path)
    assert (len(events_of(path)), report.files[0].rejected) == (events, rejected)


@pytest.mark.nightly
def test_values_of_a_list_that_are_no_records_are_rejects(tmp_path: Path) -> None:
    """With their place in the list."""
    path = tmp_path / "x"
    path.write_bytes(SHAPES["az-list"](CALLS).rstrip()[:-1] + b', 5, null, "x", [1]]')
    assert [(line, reason) for line, reason, _ in rejects_of(path)] == [
        (n, "it is not a JSON object") for n in (5, 6, 7, 8)
    ]
    assert len(events_of(path)) == len(CALLS)


@pytest.mark.nightly
def test_one_damaged_file_among_many_costs_only_itself(tmp_path: Path) -> None:
    """Files are read together; a broken line in one is found there."""
    for number in range(9):
        (tmp_path / str(number)).write_bytes(SHAPES["diagnostic-lines"]([Call(number)]))
    (tmp_path / "4").write_bytes(b"{broken\n" + SHAPES["diagnostic-lines"]([Call(4)]))
    _, report = staged(tmp_path)
    assert [(file.read, file.rejected) for file in report.files] == [(1 + (n == 4), int(n == 4)) for n in range(9)]


@pytest.mark.nightly
def test_a_query_that_failed_in_part_is_told(tmp_path: Path) -> None:
    """Log Analytics answers 200 with an error beside the rows that it has."""
    path = tmp_path / "x"
    result = json.loads(SHAPES["table-result"](CALLS)) | {"error": {"code": "PartialError", "message": "too large"}}
    path.write_text(json.dumps(result))
    _, report = staged(path)
    assert any("failed in part: too large" in note for note in report.notes)


@pytest.mark.nightly
@settings(FEW, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_to_a_line_loses_a_record(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever happens to one line, every line is either used or rejected."""
    lines = LINES.splitlines()
    victim = data.draw(st.integers(1, len(lines) - 1))
    at = data.draw(st.integers(0, len(lines[victim]) - 1))
    length = data.draw(st.integers(0, 40))
    junk = data.draw(st.binary(max_size=12)).replace(b"\n", b"")
    lines[victim] = lines[victim][:at] + junk + lines[victim][at + length :]
    path = tmp_path / "x"
    path.write_bytes(b"\n".join(lines) + b"\n")
    con, report = staged(path)
    assert sum(file.read for file in report.files) == sum(1 for line in lines if line.strip(b" \t\r"))
    kept = con.execute("SELECT count(DISTINCT line) FROM stage_event_rows").fetchall()[0][0]
    rejected = con.execute("SELECT count(*) FROM stage_rejects").fetchall()[0][0]
    used_elsewhere = sum(file.read for file in report.files if file.source not in ("activity_log",))
    assert len(lines) - 1 <= kept + rejected + used_elsewhere + 1
    assert kept >= len(lines) - 1


@pytest.mark.nightly
@settings(FEW, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=st.sampled_from([name for name in SHAPES if name != "portal-csv"]), data=st.data())
def test_no_bytes_crash_the_reader(tmp_path: Path, shape: str, data: st.DataObject) -> None:
    """An export with bytes changed, removed or added is read, in part rejected, or refused with a reason."""
    content = bytearray(SHAPES[shape](CALLS[:2]))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    path = tmp_path / "x"
    path.write_bytes(content)
    try:
        events_of(path)
    except InputError as error:
        assert str(path) in error.message


@pytest.mark.nightly
@settings(FEW, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    record=st.dictionaries(
        st.sampled_from(
            [*diagnostic(Call(1)), "TimeGenerated", "Type", "OperationNameValue", "claims", "caller", "appId"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=8,
        ),
        min_size=1,
    )
)
def test_no_record_crashes_the_reader(tmp_path: Path, record: dict[str, object]) -> None:
    """A record of the right keys with any values is used, rejected, or counted under a log that is not used."""
    path = tmp_path / "x"
    path.write_bytes(FIRST + b"\n" + json.dumps(record).encode() + b"\n")
    _, report = staged(path)
    assert sum(file.read for file in report.files) == 2


@pytest.mark.nightly
@pytest.mark.many(2)
@pytest.mark.parametrize("bad", [b"\\ud800", b"\\udc00", b"\\udc00\\ud800", b"a\xffb", b"\\\\\\ud800"])
@pytest.mark.parametrize("shape", ["az-list", "rest-pages"])
def test_half_a_character_refuses_one_record_of_a_document(shape: str, bad: bytes, tmp_path: Path) -> None:
    """Of a page the other records count, those with whole pairs and escaped backslashes among them."""
    good = SHAPES[shape](CALLS).replace(b"Some Body", b"\\ud83d\\ude00 \\\\ud800")
    (tmp_path / "good").write_bytes(good)
    path = tmp_path / "bad"
    path.write_bytes(good.replace(b"\\ud83d", bad, 1).replace(b"\\ude00", b"", 1))
    assert len(events_of(tmp_path / "good")) == len(CALLS)
    assert len(events_of(path)) == len(CALLS) - 1
    ((_, reason, _),) = rejects_of(path)
    assert reason == "it has characters that are not text"
