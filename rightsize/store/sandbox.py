"""Run one ad-hoc SQL statement on the store, read-only, in a limited process, and carry its values as JSON.

DuckDB calls its settings defence in depth and not a sandbox (duckdb.org, "Securing DuckDB"), and its memory limit does
not count what the parser, the planner and single values take. So there are four layers: a new process limits its own
address space, processor time and files before it opens the store; the parser must find one reading statement; the
connection is read-only and can reach no file, extension or setting; and this process, which holds no connection, ends
the other one when its time is over or its answer too large. The parser alone is not enough: DuckDB 2.0 classifies
`WITH x AS (INSERT …) SELECT …` as a SELECT, and only the read-only connection refuses it.

The process that ran a statement is not trusted, so that nothing it writes may run: JSON can only be data.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import rightsize
from rightsize.model import errors
from rightsize.model.errors import InputError, InternalError, RightsizeError, UsageError

READY = b"ready\n"
"""The line that says that the store is open and the statement begins; the answer, or an error, is the next line."""
_TAG = "$"
_READ: dict[str, Callable[[Any], object]] = {
    "number": float,
    "bytes": base64.b64decode,
    "timestamp": dt.datetime.fromisoformat,
    "day": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "interval": lambda parts: dt.timedelta(days=parts[0], seconds=parts[1], microseconds=parts[2]),
    "uuid": UUID,
    "text": str,
    "map": lambda pairs: {_hashable(decode(name)): decode(value) for name, value in pairs},
}


def too_much_memory(memory: int) -> UsageError:
    """Return the error of a statement that needs more than `memory` bytes, whichever of the two processes finds it."""
    return UsageError(
        f"the statement needs more memory than its limit of {memory >> 20} MiB", hint="narrow it, or aggregate"
    )


def encode(value: object) -> Any:
    """Return a value of DuckDB's as JSON: plain where JSON has it, else `{"$": type, "value": …}`.

    Exact decimals become floats, which is how every output of rightsize writes them.
    """
    if isinstance(value, Decimal):
        value = float(value)
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        # A lone surrogate cannot be written.
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float):
        return value if math.isfinite(value) else _tagged("number", str(value))
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return _tagged("map", [[encode(name), encode(item)] for name, item in value.items()])
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _tagged("bytes", base64.b64encode(value).decode("ascii"))
    if isinstance(value, dt.datetime):
        return _tagged("timestamp", value.isoformat())
    if isinstance(value, dt.date):
        return _tagged("day", value.isoformat())
    if isinstance(value, dt.time):
        return _tagged("time", value.isoformat())
    if isinstance(value, dt.timedelta):
        return _tagged("interval", [value.days, value.seconds, value.microseconds])
    if isinstance(value, UUID):
        return _tagged("uuid", str(value))
    return _tagged("text", str(value))


def decode(value: Any) -> Any:
    """Return the value that `encode` wrote.

    Raises:
        ValueError, TypeError, KeyError, OverflowError: `encode` did not write this.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        return _READ[value[_TAG]](value["value"])
    return value


def _tagged(kind: str, value: object) -> dict[str, object]:
    return {_TAG: kind, "value": value}


def _hashable(name: Any) -> Any:
    """Return the key of a map as a key of a dict; keys that Python cannot hash become text."""
    return str(name) if isinstance(name, (list, dict)) else name


_MEMORY = 2 << 30
"""Bytes for tables and queries, which DuckDB counts itself."""
OVERHEAD = 1 << 30
"""Bytes of address space beside them: the program, the parser and the planner, single values, the answer."""
_ONE_ARENA = {"MALLOC_ARENA_MAX": "1"}
"""For glibc: it reserves 64 MiB of addresses for each further arena. With these a statement that only exceeds its own
limit now and then ended the process, before DuckDB could say why."""
_LARGEST_STATEMENT = 100_000
"""Bytes of a statement: parsing one takes memory and time beyond all measure of its length."""
_LARGEST_ANSWER = 128 << 20
"""Bytes of an answer, as it is written."""
_START = 60.0
"""Seconds that the process may take to open the store."""
_LOOK = 0.1
"""Seconds between two looks at the memory of the process, where the system has no limit for it."""
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from rightsize.store.sandbox_process import main; main()"
)
_INHERITED = ("SYSTEMROOT",)
"""Variables of the environment that the process needs: only Windows has one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a statement.

    Attributes:
        columns: The names of its columns.
        rows: Its rows.
        cut: Whether there were more rows than requested.
        is_old: Whether the statement names tables of the analysis, and none of the present content is stored.
    """

    columns: tuple[str, ...]
    rows: list[dict[str, Any]]
    cut: bool
    is_old: bool = False


OLD_ANSWERS = (
    "the statement names tables of the analysis, and none of the present content is stored: run `rightsize analyze`"
)
"""What is said of an answer that `is_old`."""


def run_statement(
    path: Path,
    sql: str,
    parameters: Mapping[str, object],
    *,
    max_rows: int = 10_000,
    timeout: float = 60.0,
    memory: int = _MEMORY,
) -> Answer:
    """Run one reading statement on the store at `path`, and return at most `max_rows` rows.

    Its process is ended after `timeout` seconds, wherever it is. Columns with the same name get the suffix `_2`, `_3`
    and so on, so that a row can be an object. `memory` is how many bytes tables and queries may take.

    Raises:
        UsageError: The statement is too long, does not only read, does not run, takes too long or too much memory, its
            answer is too large, or its parameters are not the ones given.
        InputError: There is no store at `path`, or it cannot be read.
    """
    require_size(sql)
    request = {
        "store": str(path),
        "sql": sql,
        "parameters": {name: encode(value) for name, value in parameters.items()},
        "rows": max_rows,
        "memory": memory,
        "overhead": OVERHEAD,
        "bytes": _LARGEST_ANSWER,
        "seconds": timeout,
    }
    reasons: list[str] = []
    with started() as process:
        assert process.stdin is not None  # noqa: S101  for the types: both are pipes
        assert process.stdout is not None  # noqa: S101
        with _ended_after(process, _START, reasons, "start"):
            _send(process.stdin, request)
            first = process.stdout.readline(_LARGEST_ANSWER)
        in_time = _ended_after(process, timeout, reasons, "time")
        with in_time, memory_watched(process, memory + OVERHEAD, reasons):
            text = first if first != READY else process.stdout.read(2 * _LARGEST_ANSWER)
            if len(text) >= _LARGEST_ANSWER:
                process.kill()  # It keeps to the limit unless the statement broke it.
            ended = process.wait()
    return _answer_of(text, ended, reasons, timeout, memory)


def require_size(sql: str) -> None:
    """Raise UsageError if a statement is longer than it may be, or no text."""
    try:
        size = len(sql.encode())  # A terminal hands bytes that are no UTF-8 on as lone surrogates.
    except UnicodeEncodeError as error:
        raise UsageError("the statement is not UTF-8") from error
    if size > _LARGEST_STATEMENT:
        raise UsageError(
            f"the statement has {size:,} bytes, and the limit is {_LARGEST_STATEMENT:,}",
            hint="give values as parameters with -p, lists as one text that the statement splits",
        )


@contextmanager
def started() -> Iterator[subprocess.Popen[bytes]]:
    """Start the process: with none of this one's environment, and nothing from the folder it runs in."""
    paths = [place for place in sys.path if Path(place).is_absolute()]
    paths += [place for place in (str(Path(rightsize.__file__).parents[1]),) if place not in paths]
    process = subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, "-I", "-S", "-c", PROGRAM, json.dumps(paths)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in _INHERITED if name in os.environ} | _ONE_ARENA,
    )
    try:
        yield process
    finally:
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                _close(pipe)
        process.wait()


def _send(pipe: IO[bytes], request: Mapping[str, object]) -> None:
    with suppress(BrokenPipeError):  # Then what the process wrote before it ended says why.
        pipe.write(json.dumps(request).encode("ascii") + b"\n")
        pipe.flush()


def _close(pipe: IO[bytes]) -> None:
    with suppress(BrokenPipeError):
        pipe.close()


@contextmanager
def _ended_after(process: subprocess.Popen[bytes], seconds: float, reasons: list[str], reason: str) -> Iterator[None]:
    """Kill the process if the block takes longer."""

    def end() -> None:
        reasons.append(reason)
        process.kill()

    clock = threading.Timer(seconds, end)
    clock.daemon = True
    clock.start()
    try:
        yield
    finally:
        clock.cancel()
        clock.join()


@contextmanager
def memory_watched(process: subprocess.Popen[bytes], limit: int, reasons: list[str]) -> Iterator[None]:
    """Kill the process if it takes more memory, on systems that have no limit of the address space."""
    if is_limited():
        yield
        return
    import psutil  # noqa: PLC0415  only where it is needed

    done = threading.Event()

    def watch() -> None:
        while not done.wait(_LOOK):
            try:
                taken = psutil.Process(process.pid).memory_info().rss
            except psutil.Error:
                return
            if taken > limit:
                reasons.append("memory")
                process.kill()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def is_limited() -> bool:
    """Return whether the process has limited its own address space."""
    return sys.platform == "linux"


def _answer_of(text: bytes, ended: int, reasons: list[str], timeout: float, memory: int) -> Answer:
    """Return the answer that the process wrote; it is checked, since a statement may have broken the process."""
    processor = getattr(signal, "SIGXCPU", None)
    if "time" in reasons or (processor is not None and ended == -processor):
        raise UsageError(f"the statement was stopped after {timeout:g} s", hint="narrow it, or give a longer --timeout")
    if "start" in reasons:
        raise InputError(f"the store did not open within {_START:g} s", hint="try again")
    if "memory" in reasons:
        raise too_much_memory(memory)
    try:
        document = json.loads(text)
        if "error" in document:
            raise _error_of(document)
        columns = tuple(str(name) for name in document["columns"])
        rows = [dict(zip(columns, map(decode, row), strict=True)) for row in document["rows"]]
        return Answer(columns, rows, cut=bool(document["cut"]), is_old=bool(document["old"]))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise UsageError(
            "the statement broke the process that ran it", hint="narrow it: it may need more memory than it gets"
        ) from error


def _error_of(document: Mapping[str, Any]) -> RightsizeError:
    kind = getattr(errors, str(document["error"]), InternalError)
    found = kind if isinstance(kind, type) and issubclass(kind, RightsizeError) else InternalError
    hint = document.get("hint")
    return found(str(document["message"]), hint=None if hint is None else str(hint))
