"""Parse logs without a store into normalised events, with counts of read and rejected records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rightsize.ingest.pipeline import StagedFile, normalised_events


@dataclass(frozen=True, slots=True)
class ParsedLogs:
    """The result of parsing: `files` and `notes` for a person, and `chunks` of events, which can be read once."""

    files: tuple[StagedFile, ...]
    notes: tuple[str, ...]
    chunks: Iterator[list[dict[str, object]]]


def parse_logs(paths: Sequence[str]) -> ParsedLogs:
    """Return the events of logs of any shape; the records of each call are merged.

    Args:
        paths: Files, folders, archives, and `-` for stdin.

    Raises:
        InputError: A path cannot be read, is of no known kind, or is damaged.
    """
    report, chunks = normalised_events(paths)
    return ParsedLogs(report.files, report.notes, chunks)
