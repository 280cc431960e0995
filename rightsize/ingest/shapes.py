"""What a shape is, and what recognises a file: its first record, never its name alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import duckdb


@dataclass(frozen=True, slots=True)
class Context:
    """What stood around a record: things that the record itself does not say.

    `place` is the file's name behind those of the two folders around it, parted by slashes, so that
    `group-members/<group id>.json` can name its group. `odata_context` is the page's `@odata.context` or empty.
    """

    place: str
    odata_context: str = ""


class Shape(Protocol):
    """One form in which a listing, a role or a catalogue is exported.

    `stage` reads a relation `(file_id INTEGER, page BIGINT, line BIGINT, record JSON)` and inserts into the `stage_`
    tables; what it cannot use it inserts into `stage_rejects`. `stage_pages` `(file_id, page, context, has_next,
    records)` says for each page of a listing whether another one follows, `stage_names` `(file_id, place)` how each
    file is called. What of a file is no record stands in `stage_rejects` before.
    """

    @property
    def name(self) -> str:
        """Name of the shape, unique."""
        ...

    @property
    def source(self) -> str:
        """The word for it in `loads` and in what `load` prints."""
        ...

    def recognises(self, record: Mapping[str, Any], context: Context) -> bool:
        """Tell whether a record, `{}` for the first page of an empty listing, has this shape."""
        ...

    def stage(self, con: duckdb.DuckDBPyConnection, relation: str) -> None:
        """Insert the records of `relation` into the staging tables."""
        ...
