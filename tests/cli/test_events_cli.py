"""`rightsize events` as a filter: its output on stdout and stderr, and its exit codes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from rightsize.cli.exit_codes import ExitCode
from rightsize.cli.main import run
from tests.ingest.renderings import SHAPES, STATUSES, Call

COLUMNS = [
    "time", "source", "plane", "principal_id", "principal_type", "principal_name", "app_id", "operation", "scope",
    "outcome", "role_assignment_id", "role_definition_id", "evidence_principal_id", "correlation_id", "event_id", "ip",
]  # fmt: skip


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.write_bytes(SHAPES["diagnostic-lines"]([Call(n, status) for n, status in enumerate(STATUSES)]) + b"{broken\n")
    return path


@pytest.mark.slow
def test_json_lines_are_events_with_the_contracts_columns(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Data is on stdout, one event a line; stderr tells what was read and rejected."""
    assert run(["events", str(log), "-o", "jsonl"]) == ExitCode.OK
    captured = capsys.readouterr()
    events = [json.loads(line) for line in captured.out.splitlines()]
    assert len(events) == len(STATUSES)
    assert all(list(event) == COLUMNS for event in events)
    assert events[0]["time"] == "2025-03-04T05:06:07.89Z"
    assert f"{log}: activity_log, 7 read, 1 rejected" in captured.err
    assert "1 record rejected: it is not valid JSON" in captured.err


@pytest.mark.nightly
@pytest.mark.parametrize("output", ["csv", "tsv", "json", "markdown", "table"])
def test_every_format_has_the_events(output: str, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same events in each."""
    assert run(["events", str(log), "-o", output]) == ExitCode.OK
    out = capsys.readouterr().out
    if output in ("csv", "tsv"):
        rows = list(csv.DictReader(io.StringIO(out), delimiter="," if output == "csv" else "\t"))
        assert len(rows) == len(STATUSES)
        assert list(rows[0]) == COLUMNS
    elif output == "json":
        assert len(json.loads(out)) == len(STATUSES)
    else:
        assert "denied" in out


@pytest.mark.nightly
def test_quiet_says_nothing(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only errors are told then."""
    assert run(["events", str(log), "-q", "-o", "jsonl"]) == ExitCode.OK
    assert capsys.readouterr().err == ""


@pytest.mark.nightly
def test_many_files_are_summed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Thousands of hours are one line of narration; `-v` tells each."""
    for number in range(50):
        (tmp_path / str(number)).write_bytes(SHAPES["diagnostic-lines"]([Call(number)]))
    assert run(["events", str(tmp_path), "-o", "jsonl"]) == ExitCode.OK
    assert capsys.readouterr().err == "50 files, 50 records read\n"
    assert run(["events", str(tmp_path), "-o", "jsonl", "-v"]) == ExitCode.OK
    assert len(capsys.readouterr().err.splitlines()) == 51


@pytest.mark.slow
def test_an_unknown_file_is_an_input_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 5, nothing on stdout, and no control character of the file on the terminal."""
    path = tmp_path / "x"
    path.write_bytes(b"\x1b[2Jhello")
    assert run(["events", str(path)]) == ExitCode.INPUT
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "\x1b" not in captured.err
    assert "hint: expected a log" in captured.err


@pytest.mark.nightly
def test_a_filter_reads_stdin(log: Path) -> None:
    """`-` is stdin; the bytes are the same as for the file."""
    command = [sys.executable, "-m", "rightsize", "events", "-o", "jsonl", "-q"]
    piped = subprocess.run([*command, "-"], input=log.read_bytes(), capture_output=True, check=True)
    named = subprocess.run([*command, str(log)], capture_output=True, check=True)
    assert piped.stdout == named.stdout
    assert piped.stderr == b""


@pytest.mark.nightly
def test_every_real_log_can_be_parsed(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each alone: exit 0, and valid JSON lines or nothing."""
    for path in sorted((shared_data / "logs").iterdir()):
        assert run(["events", str(path), "-o", "jsonl"]) == ExitCode.OK
        assert all(list(json.loads(line)) == COLUMNS for line in capsys.readouterr().out.splitlines())
