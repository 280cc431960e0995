"""Read or write small files that a user names, with errors that name the wrong line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rightsize.model.errors import InputError
from rightsize.model.file_reading import read_given
from rightsize.model.role_forms import load_json


def read_bytes(path: Path) -> bytes:
    """Return the content of what a person typed, `-` being stdin, or raise InputError (`file_reading.read_given`)."""
    return read_given(path)


def write_text(path: Path, text: str) -> None:
    """Write a file, or raise InputError."""
    try:
        path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write `{path}`: {getattr(error, 'strerror', None) or error}") from None


def read_json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield line number and object of every non-blank line.

    Raises:
        InputError: The file cannot be read, or a line is not a JSON object.
    """
    for number, line in enumerate(read_bytes(path).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            document = load_json(line)
        except InputError as error:
            raise InputError(f"line {number} of `{path}`: {error.message}") from None
        if not isinstance(document, dict):
            raise InputError(f"line {number} of `{path}` is not a JSON object")
        yield number, document
